"""
Pending turn inputs: what users say while a turn runs or between turns.
"""

from enum import StrEnum

import msgspec

from lashstore import codec

from .leases import LeaseOwnerIdentity
from .record import (
    Json,
    Record,
    require_optional_text,
    require_record,
    require_text,
)


class CheckpointKind(StrEnum):
    """
    Where in a turn the host stands.
    """

    AFTER_WORK = "after_work"
    BEFORE_COMPLETION = "before_completion"


class ActiveTurnIngress(
    Record, frozen=True, kw_only=True, tag="active_turn", tag_field="scope"
):
    """
    For the running turn `turn_id`, from checkpoint `min_boundary` on.
    """

    turn_id: str
    min_boundary: CheckpointKind = CheckpointKind.AFTER_WORK


class NextTurnIngress(
    Record, frozen=True, kw_only=True, tag="next_turn", tag_field="scope"
):
    """
    For the next turn.
    """


TurnInputIngress = ActiveTurnIngress | NextTurnIngress


class TurnInputState(StrEnum):
    """
    Where an input stands; the last two are final.
    """

    PENDING_ACTIVE = "pending_active"
    DEFERRED_NEXT_TURN = "deferred_next_turn"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


TERMINAL_STATES = frozenset({TurnInputState.CANCELLED, TurnInputState.COMPLETED})


class PendingTurnInputDraft(Record, frozen=True, kw_only=True):
    """
    An input to enqueue.

    `input_id` None: the store makes one. `source_key` makes a submission
    repeatable: the same key and content again returns the stored input.
    """

    ingress: TurnInputIngress
    input: Json
    input_id: str | None = None
    source_key: str | None = None


class PendingTurnInput(Record, frozen=True, kw_only=True):
    """
    A stored input; `enqueue_seq` orders inputs and batches alike.
    """

    input_id: str
    session_id: str
    enqueue_seq: int
    source_key: str | None
    ingress: TurnInputIngress
    state: TurnInputState
    enqueued_at_ms: int
    input: Json


class InputIdTarget(
    Record, frozen=True, kw_only=True, tag="input_id", tag_field="kind"
):
    """
    The input with this id.
    """

    input_id: str


class SourceKeyTarget(
    Record, frozen=True, kw_only=True, tag="source_key", tag_field="kind"
):
    """
    The input submitted under this source key.
    """

    source_key: str


CancelTarget = InputIdTarget | SourceKeyTarget


class TurnInputClaimDiagnostics(Record, frozen=True, kw_only=True):
    """
    Who holds an input that could not be cancelled.
    """

    state: TurnInputState
    claim_id: str | None
    claim_owner: LeaseOwnerIdentity | None
    claim_expires_at_ms: int | None
    claim_fencing_token: int


class InputCancelled(
    Record, frozen=True, kw_only=True, tag="cancelled", tag_field="outcome"
):
    """
    The input is cancelled now.
    """

    input: PendingTurnInput


class InputAlreadyClaimed(
    Record, frozen=True, kw_only=True, tag="already_claimed", tag_field="outcome"
):
    """
    A live claim has the input; nothing changed.
    """

    input: PendingTurnInput
    claim: TurnInputClaimDiagnostics | None


class InputAlreadyCompleted(
    Record, frozen=True, kw_only=True, tag="already_completed", tag_field="outcome"
):
    """
    A committed turn has used the input; nothing changed.
    """

    input: PendingTurnInput


class InputAlreadyCancelled(
    Record, frozen=True, kw_only=True, tag="already_cancelled", tag_field="outcome"
):
    """
    The input was cancelled before; nothing changed.
    """

    input: PendingTurnInput


class InputNotFound(
    Record, frozen=True, kw_only=True, tag="not_found", tag_field="outcome"
):
    """
    No input has this id or source key.
    """


CancelOutcome = (
    InputCancelled
    | InputAlreadyClaimed
    | InputAlreadyCompleted
    | InputAlreadyCancelled
    | InputNotFound
)


class CancelResult(Record, frozen=True, kw_only=True):
    """
    One target of a bulk cancel and what became of it.
    """

    target: CancelTarget
    outcome: CancelOutcome


class ActiveTurnMode(
    Record, frozen=True, kw_only=True, tag="active_turn", tag_field="kind"
):
    """
    Claimed into a running turn, at a checkpoint.
    """

    turn_id: str
    checkpoint: CheckpointKind


class NextTurnMode(
    Record, frozen=True, kw_only=True, tag="next_turn", tag_field="kind"
):
    """
    Claimed for a new turn.
    """


class TurnInputCompletion(Record, frozen=True, kw_only=True):
    """
    What completes a claim inside a commit: exactly the claim's inputs.
    """

    session_id: str
    claim_id: str
    lease_token: str
    input_ids: tuple[str, ...]


class TurnInputClaim(Record, frozen=True, kw_only=True):
    """
    The right to use some inputs until `expires_at_ms`.
    """

    session_id: str
    claim_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_ms: int
    expires_at_ms: int
    mode: ActiveTurnMode | NextTurnMode
    inputs: tuple[PendingTurnInput, ...]

    def completion(self) -> TurnInputCompletion:
        """
        Return what completes the claim inside a commit.
        """
        return TurnInputCompletion(
            session_id=self.session_id,
            claim_id=self.claim_id,
            lease_token=self.lease_token,
            input_ids=tuple(claimed.input_id for claimed in self.inputs),
        )


def check_input_draft(draft: PendingTurnInputDraft) -> tuple[str, str]:
    """
    Check a draft; return its ingress and input as stored JSON.

    Raises:
        InvalidArgumentError: It holds what cannot be stored.
    """
    require_record("the draft", draft, PendingTurnInputDraft)
    require_optional_text("input_id", draft.input_id)
    require_optional_text("source_key", draft.source_key)
    require_record("the ingress", draft.ingress, TurnInputIngress)
    if isinstance(draft.ingress, ActiveTurnIngress):
        require_text("turn_id", draft.ingress.turn_id)
        require_record("min_boundary", draft.ingress.min_boundary, CheckpointKind)
    return (
        codec.encode_record(draft.ingress, "the ingress"),
        codec.encode_json(draft.input, "the input"),
    )


def initial_state(ingress: TurnInputIngress) -> TurnInputState:
    """
    Return the state a new input starts in.
    """
    if isinstance(ingress, ActiveTurnIngress):
        return TurnInputState.PENDING_ACTIVE
    return TurnInputState.DEFERRED_NEXT_TURN


def admitted_boundaries(checkpoint: CheckpointKind) -> tuple[CheckpointKind, ...]:
    """
    Return the minimal boundaries that a checkpoint satisfies.
    """
    if checkpoint is CheckpointKind.AFTER_WORK:
        return (CheckpointKind.AFTER_WORK,)
    return (CheckpointKind.AFTER_WORK, CheckpointKind.BEFORE_COMPLETION)


def claimed_state(mode: ActiveTurnMode | NextTurnMode) -> TurnInputState:
    """
    Return the state an input has while it is claimed.
    """
    if isinstance(mode, ActiveTurnMode):
        return TurnInputState.ACCEPTED
    return TurnInputState.DEFERRED_NEXT_TURN


def decide_cancel(
    pending: PendingTurnInput,
    claim: TurnInputClaimDiagnostics | None,
    *,
    is_claimed: bool,
) -> CancelOutcome:
    """
    Decide what cancelling an input does.

    Args:
        pending: The input as it is stored.

        claim: Its claim, live or not, as it is to be reported.

        is_claimed: Whether a claim on it is live.
    """
    match pending.state:
        case TurnInputState.CANCELLED:
            return InputAlreadyCancelled(input=pending)
        case TurnInputState.COMPLETED:
            return InputAlreadyCompleted(input=pending)
    if is_claimed:
        return InputAlreadyClaimed(input=pending, claim=claim)
    return InputCancelled(
        input=msgspec.structs.replace(pending, state=TurnInputState.CANCELLED)
    )


def check_target(target: CancelTarget) -> CancelTarget:
    """
    Raises:
        InvalidArgumentError: It is no target, or names no storable text.
    """
    require_record("a cancel target", target, CancelTarget)
    if isinstance(target, InputIdTarget):
        require_text("input_id", target.input_id)
    else:
        require_text("source_key", target.source_key)
    return target
