"""
The lane: the right to run a session, taken, kept up and given back.
"""

import contextlib
from collections.abc import Callable, Iterator

from lashstore import (
    LeaseOwnerIdentity,
    LeaseTimings,
    SessionExecutionLease,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseExpiredError,
    SessionExecutionLeaseFence,
    Store,
)
from lashstore.runtime import (
    LeaseHeldError,
    LeaseKeeper,
    keep_session_lease,
    this_process,
)
from lashstore.runtime.leasing import describe

from .errors import LaneLostError, SessionBusyError

OWNER_ID = "lashstore-replay"


class Lane:
    """
    A kept execution lease, whose loss is said in the replay's words.
    """

    def __init__(self, keeper: LeaseKeeper[SessionExecutionLease]) -> None:
        self._keeper = keeper

    @property
    def owner(self) -> LeaseOwnerIdentity:
        """
        Who holds the lane: this run of this process.
        """
        return self._lease().owner

    def fence(self) -> SessionExecutionLeaseFence:
        """
        Return the proof that commits and claims present.

        Raises:
            LaneLostError: A renewal failed; stop at once.
        """
        return self._lease().fence()

    def completion(self) -> SessionExecutionLeaseCompletion:
        """
        Return what releases the lane with the last commit.

        Raises:
            LaneLostError: As `fence`.
        """
        self._keeper.expect_release()
        return self._lease().completion()

    def _lease(self) -> SessionExecutionLease:
        try:
            return self._keeper.lease()
        except SessionExecutionLeaseExpiredError as error:
            raise _lost(error) from error.__cause__


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
        SessionExecutionLeaseExpiredError: The lane was lost, and the block
            did not notice.
    """
    keeping = keep_session_lease(
        store,
        this_process(OWNER_ID),
        timings=timings,
        wait_s=wait_s,
        on_wait=lambda owner: on_wait(describe(owner)),
    )
    with contextlib.ExitStack() as stack:
        try:
            keeper = stack.enter_context(keeping)
        except LeaseHeldError as error:
            raise SessionBusyError(str(error)) from error
        yield Lane(keeper)


def _lost(error: SessionExecutionLeaseExpiredError) -> LaneLostError:
    return LaneLostError(
        f"lost the execution lease of session {error.session_id!r} "
        f"({error.__cause__}); run the same command again to go on"
    )
