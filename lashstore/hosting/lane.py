"""
The lane: the right to run a session, taken, kept up and given back.
"""

import contextlib
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from lashstore import (
    LeaseAcquired,
    LeaseOwnerIdentity,
    LeaseTimings,
    LocalProcessLiveness,
    SessionExecutionLease,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    Store,
    StoreBusyError,
)

from .errors import LaneLostError, SessionBusyError

OWNER_ID = "lashstore-replay"
_POLL_S = 0.1


class Lane:
    """
    A held execution lease that a thread renews.
    """

    def __init__(
        self, store: Store, lease: SessionExecutionLease, timings: LeaseTimings
    ) -> None:
        self._store = store
        self._lease = lease
        self._timings = timings
        self._stopped = threading.Event()
        self._loss: Exception | None = None
        self._renewer = threading.Thread(
            target=self._renew, name="lashstore-lane", daemon=True
        )

    @property
    def owner(self) -> LeaseOwnerIdentity:
        """
        Who holds the lane: this run of this process.
        """
        return self._lease.owner

    def fence(self) -> SessionExecutionLeaseFence:
        """
        Return the proof that commits and claims present.

        Raises:
            LaneLostError: A renewal failed; stop at once.
        """
        if self._loss is not None:
            msg = (
                f"lost the execution lease of session {self._lease.session_id!r} "
                f"({self._loss}); run the same command again to go on"
            )
            raise LaneLostError(msg) from self._loss
        return self._lease.fence()

    def completion(self) -> SessionExecutionLeaseCompletion:
        """
        Return what releases the lane, alone or with the last commit.
        """
        return self._lease.completion()

    def start(self) -> None:
        """
        Start renewing.
        """
        self._renewer.start()

    def stop(self) -> None:
        """
        Stop renewing, and wait until nothing renews any more.
        """
        self._stopped.set()
        self._renewer.join()

    def _renew(self) -> None:
        while not self._stopped.wait(self._timings.renew_interval_ms / 1000):
            try:
                self._store.renew_session_execution_lease(
                    self._lease.fence(), self._timings.ttl_ms
                )
            except StoreBusyError:
                # The database may answer next time; if it does not until the
                # lease is over, the store refuses the fence.
                continue
            except Exception as error:  # noqa: BLE001, raised by fence()
                self._loss = error
                return


def this_process() -> LeaseOwnerIdentity:
    """
    Return an owner that hosts on this machine can see die.
    """
    return LeaseOwnerIdentity.local_process(
        OWNER_ID, f"{os.getpid()}-{uuid.uuid4().hex}", platform.node() or "localhost"
    )


@contextlib.contextmanager
def hold_lane(
    store: Store,
    timings: LeaseTimings,
    *,
    wait_s: float,
    on_wait: Callable[[str], None],
) -> Iterator[Lane]:
    """
    Take a session's lane, renew it while the block runs, and release it.

    Args:
        wait_s: How long to wait for a holder that is not provably dead.

        on_wait: Called once with the holder's description before waiting.

    Raises:
        SessionBusyError: The holder did not stop in time.
    """
    lane = Lane(store, _take(store, timings, wait_s, on_wait), timings)
    lane.start()
    try:
        yield lane
    finally:
        lane.stop()
        # Does nothing where the last commit released it already.
        store.release_session_execution_lease(lane.completion())


def _take(
    store: Store, timings: LeaseTimings, wait_s: float, on_wait: Callable[[str], None]
) -> SessionExecutionLease:
    owner = this_process()
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        outcome = store.try_claim_session_execution_lease(owner, timings.ttl_ms)
        if not isinstance(outcome, LeaseAcquired):
            # Taken from the holder only if its process is provably dead.
            outcome = store.reclaim_session_execution_lease(
                owner, outcome.holder.fence(), timings.ttl_ms
            )
        if isinstance(outcome, LeaseAcquired):
            return outcome.lease
        holder = _describe(outcome.holder)
        if time.monotonic() >= deadline:
            msg = (
                f"session {store.session_id!r} is being run by {holder}; "
                "try again when that has ended"
            )
            raise SessionBusyError(msg)
        if not told:
            on_wait(holder)
            told = True
        time.sleep(_POLL_S)


def _describe(lease: SessionExecutionLease) -> str:
    liveness = lease.owner.liveness
    if isinstance(liveness, LocalProcessLiveness):
        return f"{lease.owner.owner_id} (process {liveness.pid} on {liveness.host_id})"
    return lease.owner.owner_id
