"""
Pending turn inputs of a session.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from lashstore.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    SourceKeyConflictError,
    TurnInputClaimExpiredError,
)
from lashstore.model.claims import grant, is_claimable, new_token
from lashstore.model.leases import (
    LeaseOwnerIdentity,
    SessionExecutionLeaseFence,
    check_owner,
    is_live,
)
from lashstore.model.record import (
    deadline_ms,
    require_counter,
    require_record,
    require_text,
)
from lashstore.model.turn_inputs import (
    ActiveTurnMode,
    CancelOutcome,
    CancelResult,
    CancelTarget,
    CheckpointKind,
    InputCancelled,
    InputIdTarget,
    InputNotFound,
    NextTurnMode,
    PendingTurnInput,
    PendingTurnInputDraft,
    TurnInputClaim,
    check_input_draft,
    check_target,
    claimed_state,
    decide_cancel,
)
from lashstore.repos._turn_input_rows import InputRow, input_from_row

from .handle import StoreHandle, check_fence
from .queue import require_reached
from .transaction import SessionTransaction


class TurnInputStore(StoreHandle):
    """
    The part of `Store` that keeps what users say until a turn uses it.
    """

    def enqueue_pending_turn_input(
        self, draft: PendingTurnInputDraft
    ) -> PendingTurnInput:
        """
        Append an input for the running turn or the next one. No lease is
        needed.

        Returns:
            The stored input. A source key that was used before, with the
            same ingress and input, returns the stored input in whatever
            state it is now: so a draft with a source key is safe to retry.

        Raises:
            SourceKeyConflictError: The key was used with other content.
            InvalidArgumentError: The draft holds what cannot be stored, or
                its `input_id` is taken.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError, ReadOnlyStoreError: As for every write.
        """
        ingress_json, input_json = check_input_draft(draft)
        self._options.refuse_record("an input", input_json)
        input_id = f"ti:{new_token()}" if draft.input_id is None else draft.input_id

        def operation(tx: SessionTransaction) -> PendingTurnInput:
            seq = tx.sessions.next_input_seq(self.session_id, draft.source_key)
            if seq is None:
                return self._submitted(
                    tx, str(draft.source_key), ingress_json, input_json
                )
            if draft.input_id is not None:
                self._refuse_taken(tx, draft.input_id)
            return tx.turn_inputs.add(
                self.session_id,
                input_id,
                draft,
                ingress_json=ingress_json,
                input_json=input_json,
                enqueue_seq=seq,
                now_ms=tx.now_ms,
            )

        return self._write(operation)

    def _submitted(
        self,
        tx: SessionTransaction,
        source_key: str,
        ingress_json: str,
        input_json: str,
    ) -> PendingTurnInput:
        row = tx.turn_inputs.get_by_source_key(self.session_id, source_key)
        if (row.submitted_ingress_json, row.input_json) != (ingress_json, input_json):
            raise SourceKeyConflictError(
                session_id=self.session_id,
                source_key=source_key,
                existing_input_id=row.pending.input_id,
            )
        return row.pending

    def _refuse_taken(self, tx: SessionTransaction, input_id: str) -> None:
        if tx.turn_inputs.find(self.session_id, InputIdTarget(input_id=input_id)):
            msg = f"input id {input_id!r} is taken: choose another one"
            raise InvalidArgumentError(msg)

    def list_pending_turn_inputs(self) -> tuple[PendingTurnInput, ...]:
        """
        Return the inputs that wait for a turn and that no live claim has, in
        admission order; an accepted one whose claim expired is among them.

        Raises:
            CorruptRecordError: An input is damaged.
        """
        return self._read(
            lambda tx: tx.turn_inputs.list_open(self.session_id, now_ms=tx.now_ms)
        )

    def cancel_pending_turn_input(self, target: CancelTarget) -> CancelOutcome:
        """
        Cancel one input; see `cancel_pending_turn_inputs`.
        """
        return self.cancel_pending_turn_inputs((target,))[0].outcome

    def cancel_pending_turn_inputs(
        self, targets: Sequence[CancelTarget]
    ) -> tuple[CancelResult, ...]:
        """
        Cancel inputs by id or source key, all at one instant.

        Returns:
            What became of each target, in the given order; a target named
            twice is already cancelled the second time. Safe to retry.

        Raises:
            CorruptRecordError: An input is damaged; it is taken out of the
                queue all the same, and the others are cancelled.
        """
        wanted = tuple(map(check_target, targets))
        outcomes = self._cancel_rows(
            lambda tx: tx.turn_inputs.list_named(self.session_id, wanted)
        )
        return tuple(
            CancelResult(target=target, outcome=outcome)
            for target, outcome in zip(wanted, outcomes, strict=True)
        )

    def cancel_pending_turn_input_suffix(
        self, anchor: CancelTarget
    ) -> tuple[CancelOutcome, ...] | None:
        """
        Cancel an input and everything admitted after it, at one instant.

        Returns:
            What became of each input from the anchor on, in admission order,
            ended and claimed ones included; None if there is no such anchor.
            Safe to retry.

        Raises:
            CorruptRecordError: As `cancel_pending_turn_inputs`.
        """
        check_target(anchor)

        def rows_from(tx: SessionTransaction) -> list[Any]:
            found = tx.turn_inputs.find(self.session_id, anchor)
            if found is None:
                return []
            return tx.turn_inputs.list_from(self.session_id, found.enqueue_seq)

        return tuple(self._cancel_rows(rows_from)) or None

    def _cancel_rows(
        self, list_rows: Callable[[SessionTransaction], list[Any]]
    ) -> list[CancelOutcome]:
        def operation(tx: SessionTransaction) -> Cancellation:
            done = Cancellation(self.session_id, tx.now_ms)
            for row in list_rows(tx):
                done.decide(row)
            if done.cancelled:
                tx.turn_inputs.cancel(self.session_id, list(done.cancelled))
            if done.damaged:
                tx.turn_inputs.quarantine(self.session_id, list(done.damaged))
            return done

        done = self._write(operation)
        for error in done.damaged.values():
            raise error
        return done.outcomes

    def claim_active_turn_inputs(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        turn_id: str,
        checkpoint: CheckpointKind,
        lease_ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        """
        Accept inputs into a running turn at one of its checkpoints.

        Taken are the inputs for this turn whose boundary the checkpoint
        reaches, in admission order: pending ones, and accepted ones whose
        claim expired or whose holder is provably dead.

        Returns:
            The claim; None if there is none to take, or *max_inputs* is 0,
            which checks nothing.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """
        require_text("turn_id", turn_id)
        require_record("the checkpoint", checkpoint, CheckpointKind)
        mode = ActiveTurnMode(turn_id=turn_id, checkpoint=checkpoint)
        return self._claim_inputs(fence, owner, mode, lease_ttl_ms, max_inputs)

    def claim_next_turn_inputs(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        lease_ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        """
        Claim the inputs that wait for the next turn, in admission order.

        Returns:
            The claim; None if there is none to take, or *max_inputs* is 0,
            which checks nothing.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """
        return self._claim_inputs(
            fence, owner, NextTurnMode(), lease_ttl_ms, max_inputs
        )

    def _claim_inputs(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        mode: ActiveTurnMode | NextTurnMode,
        ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        check_fence(fence)
        check_owner(owner)
        require_counter("lease_ttl_ms", ttl_ms)
        require_counter("max_inputs", max_inputs)
        if max_inputs == 0:
            return None

        def operation(tx: SessionTransaction) -> TurnInputClaim | None:
            self._require_fence(tx, fence)
            rows = tx.turn_inputs.candidates(
                self.session_id, owner, mode, now_ms=tx.now_ms, wanted=max_inputs
            )
            claimable = (
                row for row in rows if is_claimable(row.hold, owner, tx.now_ms)
            )
            selected = list(islice(claimable, max_inputs))
            if not selected:
                return None
            return self._grant_inputs(tx, owner, mode, ttl_ms, selected)

        return self._write(operation)

    def _grant_inputs(
        self,
        tx: SessionTransaction,
        owner: LeaseOwnerIdentity,
        mode: ActiveTurnMode | NextTurnMode,
        ttl_ms: int,
        selected: Sequence[InputRow],
    ) -> TurnInputClaim:
        head = selected[0]
        granted = grant(
            "tic",
            owner,
            head_seq=head.pending.enqueue_seq,
            now_ms=tx.now_ms,
            ttl_ms=ttl_ms,
        )
        ids = [row.pending.input_id for row in selected]
        require_reached(tx.turn_inputs.grant(self.session_id, granted, mode, ids), ids)
        state = claimed_state(mode)
        return TurnInputClaim(
            session_id=self.session_id,
            claim_id=granted.claim_id,
            owner=owner,
            lease_token=granted.token,
            fencing_token=head.fencing_token + 1,
            claimed_at_ms=granted.claimed_at_ms,
            expires_at_ms=granted.expires_at_ms,
            mode=mode,
            inputs=tuple(
                msgspec.structs.replace(row.pending, state=state) for row in selected
            ),
        )

    def renew_turn_input_claim(
        self, claim: TurnInputClaim, lease_ttl_ms: int
    ) -> TurnInputClaim:
        """
        Extend a claim that is still live and whole; it is never shortened.

        Raises:
            TurnInputClaimExpiredError: It expired, lost an input, or is
                another session's; nothing was extended.
        """
        require_record("the claim", claim, TurnInputClaim)
        require_counter("lease_ttl_ms", lease_ttl_ms)
        expired = TurnInputClaimExpiredError(
            session_id=claim.session_id, claim_id=claim.claim_id
        )
        if claim.session_id != self.session_id:
            raise expired

        def operation(tx: SessionTransaction) -> TurnInputClaim:
            renewed = tx.turn_inputs.renew_claim(
                self.session_id,
                claim.claim_id,
                claim.lease_token,
                now_ms=tx.now_ms,
                expires_at_ms=deadline_ms(tx.now_ms, lease_ttl_ms),
            )
            if not renewed.keys or renewed.keys != {
                claimed.input_id for claimed in claim.inputs
            }:
                raise expired
            return msgspec.structs.replace(claim, expires_at_ms=renewed.expires_at_ms)

        return self._write(operation)

    def abandon_turn_input_claim(self, claim: TurnInputClaim) -> None:
        """
        Give a claim's inputs back to where they waited; nothing happens to
        those it does not own any more. Safe to retry.

        Raises:
            SessionBindingMismatchError: It is another session's.
        """
        require_record("the claim", claim, TurnInputClaim)
        self._refuse_other_session(claim.session_id)
        self._write(
            lambda tx: tx.turn_inputs.abandon_claim(
                self.session_id, claim.claim_id, claim.lease_token
            )
        )

    def redefer_orphaned_turn_inputs(
        self,
        fence: SessionExecutionLeaseFence,
        *,
        live_turn_ids: Iterable[str] = (),
    ) -> tuple[PendingTurnInput, ...]:
        """
        Move the inputs of dead turns to the next one: what a host does when
        it takes a session over.

        Args:
            live_turn_ids: Turns that still run; all others are dead. A live
                claim on an input of a dead turn ends.

        Returns:
            The moved inputs, in admission order. Safe to retry.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """
        check_fence(fence)
        live = [require_text("a turn id", turn_id) for turn_id in live_turn_ids]

        def operation(tx: SessionTransaction) -> tuple[PendingTurnInput, ...]:
            self._require_fence(tx, fence)
            return tx.turn_inputs.defer_orphaned(self.session_id, live)

        return self._write(operation)


class Cancellation:
    """
    What cancelling some rows comes to, decided one by one.
    """

    def __init__(self, session_id: str, now_ms: int) -> None:
        self._session_id = session_id
        self._now_ms = now_ms
        self.outcomes: list[CancelOutcome] = []
        self.cancelled: dict[str, PendingTurnInput] = {}
        self.damaged: dict[str, CorruptRecordError] = {}

    def decide(self, row: Any) -> None:
        """
        Decide what becomes of a row; None: there is no such input.
        """
        if row is None:
            self.outcomes.append(InputNotFound())
            return
        try:
            stored = input_from_row(self._session_id, row)
        except CorruptRecordError as error:
            # It must not block the others, nor the session for ever.
            self.damaged[row.input_id] = error
            return
        known = self.cancelled.get(stored.pending.input_id)
        outcome = decide_cancel(
            stored.pending if known is None else known,
            stored.diagnostics(),
            is_claimed=stored.hold is not None
            and is_live(stored.hold.expires_at_ms, self._now_ms),
        )
        if isinstance(outcome, InputCancelled):
            self.cancelled[outcome.input.input_id] = outcome.input
        self.outcomes.append(outcome)
