"""
`lashstore.runtime` for event loops: keeping leases, running turns, working
through queues.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from lashstore.model.commit import RuntimeCommit
from lashstore.model.leases import LeaseOwnerIdentity, SessionExecutionLease
from lashstore.model.options import LeaseTimings
from lashstore.model.process_leases import ProcessLease
from lashstore.model.turn_inputs import CheckpointKind, PendingTurnInput
from lashstore.runtime.keeper import LeaseKeeper, OnWait, try_claim
from lashstore.runtime.leasing import (
    Kept,
    LeaseHeldError,
    Leasing,
    ProcessLeasing,
    SessionLeasing,
    this_process,
)
from lashstore.runtime.turns import (
    TurnFacts,
    TurnInterruptedError,
    TurnOutcome,
    TurnSteps,
)
from lashstore.runtime.wakes import deliver_wakes
from lashstore.runtime.worker import has_work
from lashstore.store import Store

from .hops import Hops
from .processes import AsyncProcessRegistry
from .signals import wait_for_event
from .store import AsyncStore

L = TypeVar("L")

_POLL_S = 0.1


@asynccontextmanager
async def keep_session_lease(
    store: AsyncStore,
    owner: LeaseOwnerIdentity | None = None,
    *,
    timings: LeaseTimings = LeaseTimings(),
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
) -> AsyncIterator[LeaseKeeper[SessionExecutionLease]]:
    """
    Hold a session's execution lease while the block runs; as
    `lashstore.runtime.keep_session_lease`.

    A task renews it. Lost, the block is cancelled, and what leaves it is
    `SessionExecutionLeaseExpiredError`.
    """
    leasing = SessionLeasing(store.sync, owner or this_process())
    async with _keep(store.hops, leasing, timings, wait_s, on_wait) as keeper:
        yield keeper


@asynccontextmanager
async def keep_process_lease(
    registry: AsyncProcessRegistry,
    process_id: str,
    owner: LeaseOwnerIdentity | None = None,
    *,
    timings: LeaseTimings = LeaseTimings(),
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
) -> AsyncIterator[LeaseKeeper[ProcessLease]]:
    """
    Hold a process's lease while the block runs; as `keep_session_lease`,
    with `ProcessLeaseExpiredError`.
    """
    leasing = ProcessLeasing(registry.sync, process_id, owner or this_process())
    async with _keep(registry.hops, leasing, timings, wait_s, on_wait) as keeper:
        yield keeper


@asynccontextmanager
async def _keep(
    hops: Hops,
    leasing: Leasing[L],
    timings: LeaseTimings,
    wait_s: float,
    on_wait: OnWait | None,
) -> AsyncIterator[LeaseKeeper[L]]:
    kept = await _claim(hops, leasing, timings, wait_s, on_wait)
    keeper = LeaseKeeper(kept)
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101, coroutines run in tasks
    cancelling = worker.cancelling()
    renewal = asyncio.create_task(
        _renew(hops, keeper, kept, timings.renew_interval_ms / 1000, worker),
        name="lashstore-lease",
    )
    try:
        yield keeper
        await _stop(renewal)
        if _has_cancelled(renewal):
            # Its cancellation may still be on its way.
            await asyncio.sleep(0)
        keeper.finish()
    except BaseException as error:
        await _stop(renewal)
        with contextlib.suppress(Exception):
            await hops.run_anyway(partial(leasing.release, kept.lease))
        if _has_cancelled(renewal):
            is_only_ours = worker.uncancel() <= cancelling
            if is_only_ours and isinstance(error, asyncio.CancelledError):
                kept.require()
        raise
    await hops.run_anyway(partial(leasing.release, kept.lease))


async def _claim(
    hops: Hops,
    leasing: Leasing[L],
    timings: LeaseTimings,
    wait_s: float,
    on_wait: OnWait | None,
) -> Kept[L]:
    def undo(claimed: Kept[L] | LeaseOwnerIdentity) -> None:
        if isinstance(claimed, Kept):
            leasing.release(claimed.lease)

    deadline = time.monotonic() + wait_s
    while True:
        claimed = await hops.run_undoing(partial(try_claim, leasing, timings), undo)
        if isinstance(claimed, Kept):
            return claimed
        if time.monotonic() >= deadline:
            raise LeaseHeldError(what=leasing.what, holder=claimed)
        if on_wait is not None:
            on_wait(claimed)
            on_wait = None
        await asyncio.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


async def _renew(
    hops: Hops,
    keeper: LeaseKeeper[L],
    lease: Kept[L],
    pause_s: float,
    worker: "asyncio.Task[object]",
) -> bool:
    pause = pause_s
    while True:
        await asyncio.sleep(pause)
        pause = pause_s
        for kept in keeper.due():
            pause = min(pause, await hops.run(kept.renew))
        # A claim that is lost ends its turn, not everything under the lease.
        if lease.loss is not None and not keeper.is_given_back:
            worker.cancel("the lease was lost")
            return True


async def _stop(renewal: "asyncio.Task[bool]") -> None:
    renewal.cancel()
    await asyncio.wait((renewal,))


def _has_cancelled(renewal: "asyncio.Task[bool]") -> bool:
    # Whether the renewal has cancelled its worker.
    return not renewal.cancelled() and renewal.result()


class AsyncTurn(TurnFacts):
    """
    What one turn is about, and what it may ask for while it runs.
    """

    async def take_inputs(
        self, checkpoint: CheckpointKind = CheckpointKind.AFTER_WORK
    ) -> tuple[PendingTurnInput, ...]:
        """
        Claim what was sent to the turn while it runs; as `Turn.take_inputs`.
        """
        return await self.hops.run(self._steps.take_inputs, self, checkpoint)

    hops: Hops


class AsyncTurnRunner:
    """
    `TurnRunner` for event loops: the function is a coroutine function.

        async with keep_session_lease(store) as keeper:
            runner = AsyncTurnRunner(store, keeper, answer)
            while await runner.run_next():
                pass
    """

    def __init__(
        self,
        store: AsyncStore,
        keeper: LeaseKeeper[SessionExecutionLease],
        function: Callable[[AsyncTurn], Awaitable[RuntimeCommit]],
        *,
        timings: LeaseTimings = LeaseTimings(),
        max_inputs: int = 16,
        max_batches: int = 16,
    ) -> None:
        """
        As `TurnRunner`.
        """
        self._keeper = keeper
        self._function = function
        self._hops = store.hops
        self._steps = TurnSteps(
            store.sync,
            keeper,
            timings=timings,
            max_inputs=max_inputs,
            max_batches=max_batches,
        )

    async def run_next(self) -> TurnOutcome | None:
        """
        Run a turn, if something waits for one; as `TurnRunner.run_next`.

        A task cancelled while the function runs leaves everything waiting;
        cancelled while the turn lands, it lands first.
        """
        steps = self._steps
        turn = await self._hops.run_undoing(
            partial(steps.begin, AsyncTurn),
            self._undo_unwanted,
        )
        if turn is None:
            return None
        turn.hops = self._hops
        try:
            with self._keeper.renewing(*turn.claims):
                try:
                    commit = await self._function(turn)
                except TurnInterruptedError as interrupted:
                    return await self._interrupt(turn, interrupted)
                return await self._hops.run(steps.land, turn, commit)
        except BaseException as error:
            await self._hops.run_anyway(partial(steps.undo, turn, error))
            raise

    def _undo_unwanted(self, turn: AsyncTurn | None) -> None:
        if turn is not None:
            self._steps.undo(turn, asyncio.CancelledError())

    async def _interrupt(
        self, turn: AsyncTurn, interrupted: TurnInterruptedError
    ) -> TurnOutcome:
        steps, commit = self._steps, interrupted.commit
        if commit is not None:
            return await self._hops.run(steps.land, turn, commit, is_interrupted=True)
        await self._hops.run(steps.undo, turn, interrupted)
        return TurnOutcome(turn_id=turn.turn_id, result=None, is_interrupted=True)


class AsyncWorker:
    """
    `Worker` for event loops: the function is a coroutine function.
    """

    def __init__(
        self,
        store: AsyncStore,
        function: Callable[[AsyncTurn], Awaitable[RuntimeCommit]],
        *,
        registry: AsyncProcessRegistry | None = None,
        owner: LeaseOwnerIdentity | None = None,
        timings: LeaseTimings = LeaseTimings(),
        poll_s: float = 0.25,
        max_inputs: int = 16,
        max_batches: int = 16,
    ) -> None:
        """
        As `Worker`.
        """
        self._store = store
        self._function = function
        self._registry = registry
        self._owner = owner or this_process("worker")
        self._timings = timings
        self._poll_s = poll_s
        self._max_inputs = max_inputs
        self._max_batches = max_batches

    async def run(self, stop: asyncio.Event) -> int:
        """
        Work until *stop* is set; as `Worker.run`.
        """
        turns = 0
        while not stop.is_set():
            done = await self.run_waiting(stop)
            turns += done
            if not done:
                await wait_for_event(stop, self._poll_s)
        return turns

    async def run_waiting(self, stop: asyncio.Event | None = None) -> int:
        """
        Run the turns that something waits for now, and return how many; as
        `Worker.run_waiting`.
        """
        hops, registry = self._store.hops, self._registry
        if registry is not None:
            await hops.run(deliver_wakes, registry.sync, self._find_store)
        if not await hops.run(has_work, self._store.sync):
            return 0
        turns = 0
        try:
            async with keep_session_lease(
                self._store, self._owner, timings=self._timings
            ) as keeper:
                runner = AsyncTurnRunner(
                    self._store,
                    keeper,
                    self._function,
                    timings=self._timings,
                    max_inputs=self._max_inputs,
                    max_batches=self._max_batches,
                )
                while not (stop and stop.is_set()) and await runner.run_next():
                    turns += 1
        except LeaseHeldError:
            return turns
        return turns

    def _find_store(self, session_id: str) -> Store | None:
        return self._store.sync if session_id == self._store.session_id else None
