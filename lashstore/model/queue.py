"""
Queued work: batches of payloads, and which of them may run next.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice, takewhile
from typing import Protocol, TypeVar

import msgspec

from lashstore import codec
from lashstore.errors import InvalidArgumentError

from .leases import LeaseOwnerIdentity
from .record import (
    Json,
    Record,
    require_counter,
    require_optional_text,
    require_record,
    require_text,
)
from .wakes import ProcessWakeDelivery, check_wake


class DeliveryPolicy(StrEnum):
    """
    When work may reach a session: at a running turn's checkpoints too, or
    only between turns.
    """

    EARLIEST_SAFE_BOUNDARY = "earliest_safe_boundary"
    AFTER_CURRENT_TURN_COMMIT = "after_current_turn_commit"


class SlotPolicy(StrEnum):
    """
    Whether a batch shares a turn with its neighbours.
    """

    JOIN = "join"
    EXCLUSIVE = "exclusive"


class MergeNever(Record, frozen=True, kw_only=True, tag="never", tag_field="kind"):
    """
    No merging by payload.
    """


class MergePayloadDefault(
    Record, frozen=True, kw_only=True, tag="payload_default", tag_field="kind"
):
    """
    Merge as the payload's kind does.
    """


class MergeGroup(Record, frozen=True, kw_only=True, tag="group", tag_field="kind"):
    """
    Merge with batches of the same group.
    """

    group: str


MergeKey = MergeNever | MergePayloadDefault | MergeGroup


class QueuedWorkClass(StrEnum):
    """
    What a batch is: a command to the session, or work for a turn.
    """

    SESSION_COMMAND = "session_command"
    TURN_WORK = "turn_work"


class QueuedWorkBoundary(StrEnum):
    """
    Where the claimer stands: at a turn's checkpoint, or between turns.
    """

    ACTIVE_TURN_CHECKPOINT = "active_turn_checkpoint"
    IDLE = "idle"


class ProcessWakePayload(
    Record, frozen=True, kw_only=True, tag="process_wake", tag_field="type"
):
    """
    Turn work: a background process woke the session.
    """

    wake: ProcessWakeDelivery


class SessionCommandPayload(
    Record, frozen=True, kw_only=True, tag="session_command", tag_field="type"
):
    """
    A command to the session, in the host's own terms.
    """

    command: Json


class TurnWorkPayload(
    Record, frozen=True, kw_only=True, tag="turn_work", tag_field="type"
):
    """
    Turn work of the host's own kind.
    """

    body: Json


QueuedWorkPayload = ProcessWakePayload | SessionCommandPayload | TurnWorkPayload


class QueuedWorkBatchDraft(Record, frozen=True, kw_only=True):
    """
    A batch to enqueue.

    `source_key` names the batch while it exists: the same key again returns
    the stored batch. `available_at_ms` 0 means at once.
    """

    payloads: tuple[QueuedWorkPayload, ...]
    delivery_policy: DeliveryPolicy = DeliveryPolicy.EARLIEST_SAFE_BOUNDARY
    slot_policy: SlotPolicy = SlotPolicy.EXCLUSIVE
    merge_key: MergeKey = MergeNever()
    source_key: str | None = None
    available_at_ms: int = 0


class QueuedWorkItem(Record, frozen=True, kw_only=True):
    """
    One payload of a batch.
    """

    item_id: str
    payload: QueuedWorkPayload


class QueuedWorkBatch(Record, frozen=True, kw_only=True):
    """
    A stored batch; `enqueue_seq` orders batches and turn inputs alike.
    """

    batch_id: str
    session_id: str
    enqueue_seq: int
    source_key: str | None
    delivery_policy: DeliveryPolicy
    slot_policy: SlotPolicy
    merge_key: MergeKey
    available_at_ms: int
    enqueued_at_ms: int
    items: tuple[QueuedWorkItem, ...]

    @property
    def work_class(self) -> QueuedWorkClass:
        """
        The class its payloads share.
        """
        return payload_class(self.items[0].payload)


class QueuedWorkCompletion(Record, frozen=True, kw_only=True):
    """
    What completes a claim inside a commit: exactly the claim's batches.
    """

    session_id: str
    claim_id: str
    lease_token: str
    batch_ids: tuple[str, ...]


class QueuedWorkClaim(Record, frozen=True, kw_only=True):
    """
    The right to run some batches until `expires_at_ms`.
    """

    session_id: str
    claim_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_ms: int
    expires_at_ms: int
    batches: tuple[QueuedWorkBatch, ...]

    def completion(self) -> QueuedWorkCompletion:
        """
        Return what completes the claim inside a commit.
        """
        return QueuedWorkCompletion(
            session_id=self.session_id,
            claim_id=self.claim_id,
            lease_token=self.lease_token,
            batch_ids=tuple(batch.batch_id for batch in self.batches),
        )


class ClaimCandidate(Record, frozen=True, kw_only=True):
    """
    What the selection needs to know of a ready, claimable batch.
    """

    work_class: QueuedWorkClass
    delivery_policy: DeliveryPolicy
    slot_policy: SlotPolicy
    merge_key: MergeKey


def payload_class(payload: QueuedWorkPayload) -> QueuedWorkClass:
    """
    Return the class of one payload.
    """
    if isinstance(payload, SessionCommandPayload):
        return QueuedWorkClass.SESSION_COMMAND
    return QueuedWorkClass.TURN_WORK


def check_draft(draft: QueuedWorkBatchDraft) -> tuple[QueuedWorkClass, str]:
    """
    Check a draft; return its class and its payloads as stored JSON.

    Raises:
        InvalidArgumentError: The draft is empty, mixes classes, or holds
            what cannot be stored.
    """
    require_record("the draft", draft, QueuedWorkBatchDraft)
    require_optional_text("source_key", draft.source_key)
    require_counter("available_at_ms", draft.available_at_ms)
    require_record("delivery_policy", draft.delivery_policy, DeliveryPolicy)
    require_record("slot_policy", draft.slot_policy, SlotPolicy)
    require_record("merge_key", draft.merge_key, MergeKey)
    if isinstance(draft.merge_key, MergeGroup):
        require_text("a merge key's group", draft.merge_key.group)
    if not draft.payloads:
        msg = "a queued-work batch needs at least one payload"
        raise InvalidArgumentError(msg)
    for payload in draft.payloads:
        require_record("a payload", payload, QueuedWorkPayload)
        if isinstance(payload, ProcessWakePayload):
            check_wake(payload.wake)
    work_class, *others = map(payload_class, draft.payloads)
    if any(other is not work_class for other in others):
        msg = "a queued-work batch must not mix session commands and turn work"
        raise InvalidArgumentError(msg)
    payloads_json = codec.encode_records(
        draft.payloads, tuple[QueuedWorkPayload, ...], "a queued-work payload"
    )
    return work_class, payloads_json


def is_session_command(candidate: ClaimCandidate) -> bool:
    """
    Tell whether a batch is a command to the session.
    """
    return candidate.work_class is QueuedWorkClass.SESSION_COMMAND


class Ready(Protocol):
    """
    Anything that can tell what the selection needs to know of a batch.
    """

    @property
    def candidate(self) -> ClaimCandidate:
        """
        The batch's part in the selection.
        """
        ...


R = TypeVar("R", bound=Ready)


def runnable_prefix(
    ready: Iterator[R], boundary: QueuedWorkBoundary, max_batches: int
) -> list[R]:
    """
    Return the leading batches one turn may take, reading no further than the
    first that it may not.

    The head decides: a command or a batch that must wait for the boundary
    takes none, an exclusive one is taken alone, and one that joins takes the
    batches right behind it that join alike.
    """
    head = next(ready, None)
    if max_batches == 0 or head is None:
        return []
    first = head.candidate
    if first.work_class is not QueuedWorkClass.TURN_WORK:
        return []
    if (
        boundary is QueuedWorkBoundary.ACTIVE_TURN_CHECKPOINT
        and first.delivery_policy is not DeliveryPolicy.EARLIEST_SAFE_BOUNDARY
    ):
        return []
    if first.slot_policy is SlotPolicy.EXCLUSIVE:
        return [head]
    followers = takewhile(lambda row: row.candidate == first, ready)
    return [head, *islice(followers, max_batches - 1)]


def check_queue_claim(claim: QueuedWorkClaim) -> None:
    """
    Raises:
        InvalidArgumentError: It is no claim.
    """
    require_record("the claim", claim, QueuedWorkClaim)


def with_expiry(claim: QueuedWorkClaim, expires_at_ms: int) -> QueuedWorkClaim:
    """
    Return the claim with another end.
    """
    return msgspec.structs.replace(claim, expires_at_ms=expires_at_ms)
