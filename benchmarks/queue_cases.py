"""
The comparisons of queued work and turn inputs, with few and with many waiting.
"""

from lashstore import (
    InputIdTarget,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    TurnWorkPayload,
)

from .floor_sql import SESSION
from .session_cases import FENCE, OWNER, OWNER_JSON, Pair, SessionCase

_CLAIM_TTL_MS = 60_000


class EnqueueBatch(SessionCase):
    """
    Enqueue one batch of one payload of 500 bytes under a source key. It is
    taken away between rounds, so that as many wait as before.
    """

    pending = 10

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._number = 0
        for _ in range(self.pending):
            self._next()
            self.add_to_library()
            self.add_to_floor()
        self._added = None

    def _next(self) -> None:
        self._number += 1
        self._body = {"n": self._number, "text": "x" * 480}

    def add_to_library(self):
        """
        Enqueue in the library.
        """
        draft = QueuedWorkBatchDraft(
            payloads=(TurnWorkPayload(body=self._body),), source_key=f"k{self._number}"
        )
        return self._pair.store.enqueue_queued_work(draft).batch_id

    def add_to_floor(self) -> None:
        """
        Enqueue in the floor.
        """
        payload = {"type": "turn_work", "body": self._body}
        self._pair.floor.enqueue(payload, f"k{self._number}")

    def remove_from_library(self) -> None:
        """
        Take away what the last round added.
        """
        self._pair.store.cancel_queued_work_batch(self._added)

    def prepare(self) -> None:
        """
        Undo the last round, make the payload; not timed.
        """
        if self._added is not None:
            self.remove_from_library()
            self._pair.floor.remove_pending()
        self._next()

    def library(self) -> None:
        """
        The library's side.
        """
        self._added = self.add_to_library()

    def floor(self) -> None:
        """
        The floor's side.
        """
        self.add_to_floor()


class ClaimAndComplete(EnqueueBatch):
    """
    Claim the leading batch and complete it in a commit that does nothing
    else: two transactions. A batch is added between rounds.
    """

    def prepare(self) -> None:
        """
        Enqueue another batch; not timed.
        """
        self._next()
        self.add_to_library()
        self.add_to_floor()

    def library(self) -> None:
        pair = self._pair
        claim = pair.store.claim_ready_queued_work(
            pair.fence, OWNER, QueuedWorkBoundary.IDLE, _CLAIM_TTL_MS, 1
        )
        self._commit(completed_queue_claims=(claim.completion(),))

    def floor(self) -> None:
        floor = self._pair.floor
        floor.complete(floor.claim(FENCE, OWNER_JSON, _CLAIM_TTL_MS), FENCE)

    def _commit(self, **what) -> None:
        self._pair.store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION, session_execution_lease=self._pair.fence, **what
            )
        )


class EnqueueInput(EnqueueBatch):
    """
    Enqueue one turn input of 500 bytes under a source key.
    """

    def add_to_library(self):
        draft = PendingTurnInputDraft(
            ingress=NextTurnIngress(), input=self._body, source_key=f"k{self._number}"
        )
        return self._pair.store.enqueue_pending_turn_input(draft).input_id

    def add_to_floor(self) -> None:
        self._pair.floor.enqueue_input(self._body, f"k{self._number}")

    def remove_from_library(self) -> None:
        self._pair.store.cancel_pending_turn_input(InputIdTarget(input_id=self._added))


class ClaimAndCompleteInput(EnqueueInput, ClaimAndComplete):
    """
    Claim the first waiting input and complete it in a commit that does
    nothing else: two transactions.
    """

    prepare = ClaimAndComplete.prepare

    def library(self) -> None:
        pair = self._pair
        claim = pair.store.claim_next_turn_inputs(pair.fence, OWNER, _CLAIM_TTL_MS, 1)
        self._commit(completed_turn_input_claims=(claim.completion(),))

    def floor(self) -> None:
        floor = self._pair.floor
        claim = floor.claim_input(FENCE, OWNER_JSON, _CLAIM_TTL_MS)
        floor.complete_input(claim, FENCE)


def at_ten_thousand(kind):
    """
    Return the case with 10,000 waiting.
    """
    return type(f"{kind.__name__}AtTenThousand", (kind,), {"pending": 10_000})
