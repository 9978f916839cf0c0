"""
One effect from look-up to outcome, on an event loop.
"""

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable
from typing import Any

from lashstore.codec import encode_and_read
from lashstore.effects.journal import EffectJournal
from lashstore.effects.runner import recorded_outcome, refuse_own, stays_claimed
from lashstore.effects.waiting import POLL_S, Patience
from lashstore.errors import (
    EffectFailure,
    EffectLeaseLostError,
    InvalidArgumentError,
    LashStoreError,
    StoreBusyError,
)
from lashstore.model.effects import (
    Effect,
    EffectBusy,
    EffectClaim,
    EffectEnvelope,
    EffectFinished,
    EffectFree,
    EffectRow,
    encode_failure,
)
from lashstore.model.options import LeaseTimings
from lashstore.model.record import Json
from lashstore.processes.changes import ChangeHub

from .hops import Hops
from .signals import LoopEvent, wait_for_event

_log = logging.getLogger(__name__)

Executor = Callable[[EffectEnvelope], Awaitable[Json]]

# A failed renewal is tried again this many times within an interval.
_RETRIES_PER_INTERVAL = 10
# How long a timer sleeps before it asks the clock again, which may be moved
# by hand, or be another machine's.
_LONGEST_NAP_S = 0.25

# The claims whose executors this task runs inside of.
_own_tokens: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar(
    "lashstore_effect_tokens", default=frozenset()
)


class AsyncPatience(Patience):
    """
    How long a caller is willing to wait, without blocking the loop.
    """

    cancel_kinds: tuple[type, ...] = (threading.Event, asyncio.Event)

    async def nap(self, longest_s: float) -> None:
        """
        Sleep until it is time to look again, or the caller cancels.
        """
        left_s = self._deadline - time.monotonic()
        pause_s = max(0.0, min(longest_s, _LONGEST_NAP_S, left_s))
        if isinstance(self._cancel, asyncio.Event):
            await wait_for_event(self._cancel, pause_s)
        elif self._cancel is None:
            await asyncio.sleep(pause_s)
        else:
            await asyncio.sleep(min(pause_s, POLL_S))


class AsyncEffectRunner:
    """
    Runs effects of every scope of one host, each at most once at a time.
    """

    def __init__(
        self, journal: EffectJournal, timings: LeaseTimings, hops: Hops
    ) -> None:
        self._journal = journal
        self._interval_s = timings.renew_interval_ms / 1000
        self._lease_ttl_s = timings.ttl_ms / 1000
        self._hops = hops
        self._claim_ended = ChangeHub()

    async def execute(
        self, effect: Effect, executor: Executor, patience: AsyncPatience
    ) -> Json:
        """
        Return an effect's recorded outcome, or run it and record one.
        """
        while True:
            state = await self._hops.run_undoing(
                partial(self._look_up_or_claim, effect), self._free_unwanted
            )
            if isinstance(state, EffectFinished):
                return await self._replay(effect, state.row, patience)
            if isinstance(state, EffectClaim):
                try:
                    return await self._run(effect, state, executor, patience)
                except EffectLeaseLostError:
                    # As in the sync runner: a timer did nothing that must not
                    # be done twice, and is still due when it was.
                    if effect.duration_ms is None or await self._is_forgotten(effect):
                        raise
            else:
                await self._await_claim(effect, state, patience)

    def _look_up_or_claim(
        self, effect: Effect
    ) -> EffectClaim | EffectBusy | EffectFinished:
        state: Any = self._journal.look_up(effect)
        if isinstance(state, EffectFree):
            state = self._journal.claim(effect, state)
        found: EffectClaim | EffectBusy | EffectFinished = state
        return found

    def _free_unwanted(self, state: EffectClaim | EffectBusy | EffectFinished) -> None:
        if isinstance(state, EffectClaim):
            self._journal.free(state)

    async def _is_forgotten(self, effect: Effect) -> bool:
        found = await self._hops.run(self._journal.look_up, effect)
        return found == EffectFree(stored=None)

    async def _replay(
        self, effect: Effect, row: EffectRow, patience: AsyncPatience
    ) -> Json:
        # A timer's outcome may be recorded by a host whose clock is ahead.
        await self._await_due(effect, row, patience)
        return recorded_outcome(row)

    async def _await_claim(
        self, effect: Effect, busy: EffectBusy, patience: AsyncPatience
    ) -> None:
        refuse_own(effect, busy, _own_tokens.get())
        with self._claim_ended.subscribed(_key(effect), LoopEvent()) as ended:
            while True:
                ended.clear()
                if not await self._hops.run(self._journal.is_busy, effect, busy):
                    return
                patience.require(effect)
                await ended.wait(patience.pause_s())

    async def _await_due(
        self, effect: Effect, row: EffectRow, patience: AsyncPatience
    ) -> None:
        if row.due_at_ms is None:
            return
        while True:
            left_ms = row.due_at_ms - await self._hops.run(self._journal.now_ms)
            if left_ms <= 0:
                return
            patience.require(effect)
            await patience.nap(left_ms / 1000)

    async def _run(
        self,
        effect: Effect,
        claim: EffectClaim,
        executor: Executor,
        patience: AsyncPatience,
    ) -> Json:
        try:
            async with self._renewing(claim):
                try:
                    outcome: Json = None
                    if effect.duration_ms is None:
                        outcome = await _executed(effect, claim, executor)
                    else:
                        await self._await_due(effect, claim.row, patience)
                except EffectFailure as raised:
                    failure = raised
                else:
                    return await self._record(self._record_outcome, claim, outcome)
                await self._record(self._record_failure, claim, failure)
        except BaseException as error:
            await self._free(claim, error)
            raise
        finally:
            self._claim_ended.notify(_key(effect))
        raise failure

    def _record_outcome(self, claim: EffectClaim, outcome: Json) -> Json:
        # What a replay will give, not an object the executor may still hold.
        outcome_json, replayed = encode_and_read(outcome, "the outcome")
        self._journal.record_outcome(claim, outcome_json)
        return replayed

    def _record_failure(self, claim: EffectClaim, failure: EffectFailure) -> Json:
        error_json = encode_failure(failure.code, failure.message)
        self._journal.record_failure(claim, error_json)
        return None

    async def _record(
        self, record: Callable[[EffectClaim, Any], Json], claim: EffectClaim, what: Any
    ) -> Json:
        # As in the sync runner: the work is done and cannot be undone, so a
        # lock that others hold is waited for as long as a lease lives.
        deadline = time.monotonic() + self._lease_ttl_s
        while True:
            try:
                return await self._hops.run(record, claim, what)
            except StoreBusyError:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(POLL_S)

    async def _free(self, claim: EffectClaim, error: BaseException) -> None:
        try:
            await self._hops.run_anyway(partial(self._journal.free, claim))
        except LashStoreError as trouble:
            error.add_note(stays_claimed(claim, trouble))

    @asynccontextmanager
    async def _renewing(self, claim: EffectClaim) -> AsyncIterator[None]:
        renewal = asyncio.create_task(self._renew(claim), name="lashstore-renewal")
        try:
            yield
        finally:
            renewal.cancel()
            # A renewal that has begun ends first, so that none comes later.
            await asyncio.wait((renewal,))

    async def _renew(self, claim: EffectClaim) -> None:
        pause_s = self._interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                if not await self._hops.run(self._journal.renew, claim):
                    return
                pause_s = self._interval_s
            except LashStoreError as error:
                # Whether the lease lapses meanwhile is for the journal to say.
                _log.warning(
                    "renewing the claim on effect %r failed, trying again: %s",
                    claim.row.replay_key,
                    error,
                )
                pause_s = self._interval_s / _RETRIES_PER_INTERVAL


async def _executed(effect: Effect, claim: EffectClaim, executor: Executor) -> Json:
    before = _own_tokens.set(_own_tokens.get() | {claim.lease.token})
    try:
        running: object = executor(effect.envelope)
        if not isawaitable(running):
            msg = "what the executor returned cannot be awaited: make it `async def`"
            raise InvalidArgumentError(msg)
        return await running
    finally:
        _own_tokens.reset(before)


def _key(effect: Effect) -> str:
    return f"{effect.scope_id} {effect.replay_key}"
