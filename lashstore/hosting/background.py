"""
The background process of a replay: it follows the session, and wakes it.
"""

import time
from collections.abc import Callable

from lashstore import (
    ProcessEventAppendRequest,
    ProcessRegistry,
    QueuedWorkBoundary,
    QueuedWorkClaim,
    Store,
    SuccessOutput,
)
from lashstore.runtime.wakes import deliver_wake, wake_source_key

from .errors import ForeignSessionError, SessionBusyError
from .lane import Lane
from .plan import ReplayPlan
from .trigger import PROGRESS

WAKE_EVERY_TURNS = 3
_POLL_S = 0.1


def is_woken(turn_index: int) -> bool:
    """
    Tell whether a turn begins with a wake: by its number alone, so that
    every run of a plan wakes the same turns.
    """
    return turn_index > 0 and turn_index % WAKE_EVERY_TURNS == 0


class BackgroundProcess:
    """
    A registered process, seen by the host that runs it with its session.
    """

    def __init__(
        self,
        registry: ProcessRegistry,
        process_id: str,
        store: Store,
        lane: Lane,
        *,
        pace: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._process_id = process_id
        self._store = store
        self._lane = lane
        self._pace = pace

    def wake_turn(
        self, turn_index: int, *, ttl_ms: int, wait_s: float
    ) -> QueuedWorkClaim | None:
        """
        Report progress if it is time to, and claim the wake it causes; the
        turn's commit completes the claim.

        Returns:
            The claim; None in most turns.

        Raises:
            ForeignSessionError: The session has queued work of others.
            SessionBusyError: The wake stayed claimed.
        """
        if not is_woken(turn_index):
            return None
        self._pace()
        appended = self._registry.append_event(
            self._process_id,
            ProcessEventAppendRequest(
                event_type=PROGRESS,
                payload={
                    "turns_done": turn_index,
                    "text": f"{turn_index} turns are done.",
                },
                replay_key=f"turn:{turn_index:06d}",
            ),
        )
        # A repeated append returns the delivery until it is acknowledged; by
        # then its batch is in the queue, where it stays until this commit.
        if appended.wake_delivery is not None:
            deliver_wake(
                self._registry, self._store, appended.wake_delivery, pace=self._pace
            )
        self._pace()
        return self._claim(
            wake_source_key(self._process_id, appended.event.sequence), ttl_ms, wait_s
        )

    def complete(self, plan: ReplayPlan) -> None:
        """
        End the process; before the last commit, so that a session whose turns
        are all committed has nothing left to do.
        """
        self._pace()
        self._registry.complete_process(
            self._process_id, SuccessOutput(value={"turns_done": len(plan.turns)})
        )

    def _claim(self, source_key: str, ttl_ms: int, wait_s: float) -> QueuedWorkClaim:
        deadline = time.monotonic() + wait_s
        while True:
            claim = self._store.claim_ready_queued_work(
                self._lane.fence(),
                self._lane.owner,
                QueuedWorkBoundary.IDLE,
                ttl_ms,
                1,
            )
            if claim is not None:
                break
            session_id = self._store.session_id
            if time.monotonic() >= deadline:
                msg = (
                    f"the wake {source_key!r} of session {session_id!r} stays claimed "
                    "by another host; try again when it has ended"
                )
                raise SessionBusyError(msg)
            time.sleep(_POLL_S)
        found = [batch.source_key for batch in claim.batches]
        if found != [source_key]:
            self._store.abandon_queued_work_claim(claim)
            msg = (
                f"session {self._store.session_id!r} has queued work that is not the "
                "replay's; cancel it, or replay into another session"
            )
            raise ForeignSessionError(msg)
        return claim
