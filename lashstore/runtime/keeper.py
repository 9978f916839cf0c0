"""
The lease keeper: claims a lease, renews it beside the work, loses it loudly.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from lashstore.model.leases import (
    LeaseOwnerIdentity,
    SessionExecutionLease,
)
from lashstore.model.options import LeaseTimings
from lashstore.model.process_leases import ProcessLease
from lashstore.processes import ProcessRegistry
from lashstore.store import Store

from .leasing import (
    Kept,
    LeaseHeldError,
    Leasing,
    ProcessLeasing,
    SessionLeasing,
    this_process,
)

L = TypeVar("L")

_POLL_S = 0.1

OnWait = Callable[[LeaseOwnerIdentity], None]


class LeaseKeeper(Generic[L]):
    """
    A held lease that is renewed for as long as its block runs.

    Made by `keep_session_lease` and `keep_process_lease`. The work asks for
    `lease()` whenever it needs a proof, and before whatever must not be done
    twice; a renewal that fails for good makes it raise.
    """

    def __init__(self, kept: Kept[L]) -> None:
        self._kept = kept
        self._others: list[Kept[Any]] = []
        self.is_given_back: bool = False

    def lease(self) -> L:
        """
        Return the lease as it was last renewed.

        Raises:
            SessionExecutionLeaseExpiredError, ProcessLeaseExpiredError: It
                is lost, or something renewed with it is: stop at once. What
                made it known is chained.
        """
        for kept in tuple(self._others):
            kept.require()
        return self._kept.require()

    @property
    def is_lost(self) -> bool:
        """
        Whether `lease` would raise.
        """
        return any(kept.loss is not None for kept in (self._kept, *self._others))

    def expect_release(self) -> None:
        """
        Say that the lease is being given back, by a commit or otherwise, so
        that its end is no loss any more.
        """
        self.is_given_back = True

    def also_renew(self, kept: Kept[Any]) -> None:
        """
        Renew a claim along with the lease, until the `renewing` block around
        it ends.
        """
        self._others.append(kept)

    @contextmanager
    def renewing(self, *kept: Kept[Any]) -> Iterator[None]:
        """
        Renew claims along with the lease until the context ends.
        """
        before = len(self._others)
        self._others.extend(kept)
        try:
            yield
        finally:
            del self._others[before:]

    def due(self) -> tuple[Kept[Any], ...]:
        """
        Return what is to be renewed now; nothing that is lost.
        """
        every = (self._kept, *self._others)
        return tuple(kept for kept in every if kept.loss is None)

    def finish(self) -> None:
        """
        Check, at the end of work that knew of no loss, that there was none.

        Raises:
            As `lease`.
        """
        if not self.is_given_back:
            self._kept.require()


@contextmanager
def keep_session_lease(
    store: Store,
    owner: LeaseOwnerIdentity | None = None,
    *,
    timings: LeaseTimings = LeaseTimings(),
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
) -> Iterator[LeaseKeeper[SessionExecutionLease]]:
    """
    Hold a session's execution lease while the block runs, and release it.

        with keep_session_lease(store) as keeper:
            store.commit_runtime_state(
                RuntimeCommit(..., session_execution_lease=keeper.lease().fence())
            )

    A thread renews it. A holder that is provably dead is replaced at once;
    any other has it until it expires.

    Args:
        owner: Who holds it; None: this process, as a new incarnation.

        timings: How long it lives, and how often it is renewed.

        wait_s: How many real seconds to wait for another holder.

        on_wait: Called once with the holder, before waiting.

    Raises:
        LeaseHeldError: The holder did not let go in time.
        SessionExecutionLeaseExpiredError: It was lost meanwhile, though the
            block ended well: what it did since is unproven. If the block
            raised, its own exception is what comes.
        As `Store.try_claim_session_execution_lease`.
    """
    leasing = SessionLeasing(store, owner or this_process())
    with _keep(leasing, timings, wait_s, on_wait) as keeper:
        yield keeper


@contextmanager
def keep_process_lease(
    registry: ProcessRegistry,
    process_id: str,
    owner: LeaseOwnerIdentity | None = None,
    *,
    timings: LeaseTimings = LeaseTimings(),
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
) -> Iterator[LeaseKeeper[ProcessLease]]:
    """
    Hold a process's lease while the block runs, and release it; the lease is
    its own fence. As `keep_session_lease`.

    Raises:
        LeaseHeldError: The holder did not let go in time.
        ProcessLeaseExpiredError: It was lost meanwhile.
        As `ProcessRegistry.claim_process_lease`.
    """
    leasing = ProcessLeasing(registry, process_id, owner or this_process())
    with _keep(leasing, timings, wait_s, on_wait) as keeper:
        yield keeper


@contextmanager
def _keep(
    leasing: Leasing[L], timings: LeaseTimings, wait_s: float, on_wait: OnWait | None
) -> Iterator[LeaseKeeper[L]]:
    kept = _claim(leasing, timings, wait_s, on_wait)
    keeper = LeaseKeeper(kept)
    stopped = threading.Event()
    renewal = threading.Thread(
        target=_renew,
        args=(keeper, stopped, timings.renew_interval_ms / 1000),
        name="lashstore-lease",
        daemon=True,
    )
    renewal.start()
    try:
        yield keeper
    except BaseException:
        stopped.set()
        renewal.join()
        # What went wrong is what the caller must hear; the lease expires.
        with contextlib.suppress(Exception):
            leasing.release(kept.lease)
        raise
    stopped.set()
    renewal.join()
    keeper.finish()
    leasing.release(kept.lease)


def _renew(keeper: LeaseKeeper[L], stopped: threading.Event, pause_s: float) -> None:
    pause = pause_s
    while not stopped.wait(pause):
        pause = min((kept.renew() for kept in keeper.due()), default=pause_s)


def _claim(
    leasing: Leasing[L], timings: LeaseTimings, wait_s: float, on_wait: OnWait | None
) -> Kept[L]:
    deadline = time.monotonic() + wait_s
    while True:
        claimed = try_claim(leasing, timings)
        if isinstance(claimed, Kept):
            return claimed
        if time.monotonic() >= deadline:
            raise LeaseHeldError(what=leasing.what, holder=claimed)
        if on_wait is not None:
            on_wait(claimed)
            on_wait = None
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


def try_claim(
    leasing: Leasing[L], timings: LeaseTimings
) -> Kept[L] | LeaseOwnerIdentity:
    """
    Claim a lease once; return it, ready to be renewed, or who has it.
    """
    granted_at_s = time.monotonic()
    claimed = leasing.claim(timings.ttl_ms)
    if isinstance(claimed, LeaseOwnerIdentity):
        return claimed
    return Kept(
        claimed,
        lambda lease: leasing.renew(lease, timings.ttl_ms),
        leasing.expired,
        timings=timings,
        granted_at_s=granted_at_s,
    )
