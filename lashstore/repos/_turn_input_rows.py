"""
What a turn input's row says.
"""

from typing import Any

from lashstore.codec import row_checksum, stored_decoder, verify_row
from lashstore.errors import CorruptRecordError
from lashstore.model.claims import ClaimHold
from lashstore.model.record import Record
from lashstore.model.turn_inputs import (
    TERMINAL_STATES,
    ActiveTurnIngress,
    NextTurnIngress,
    PendingTurnInput,
    TurnInputClaimDiagnostics,
    TurnInputIngress,
    TurnInputState,
)
from lashstore.tables import session_turn_inputs

from ._claims import (
    CLAIM_COLUMNS,
    HeldRow,
    hold_from_row,
)
from ._scan import session_scan

_KIND = "turn input"
_decode_input = stored_decoder(Any, _KIND)
_decode_ingress = stored_decoder(TurnInputIngress, _KIND)

_c = session_turn_inputs.c
_CONTENT = (
    "input_id",
    "enqueue_seq",
    "source_key",
    "submitted_ingress_json",
    "enqueued_at_ms",
    "input_json",
)
_columns = tuple(
    _c[name]
    for name in (
        *_CONTENT,
        "state",
        "is_open",
        "turn_id",
        "min_boundary",
        *CLAIM_COLUMNS,
        "checksum",
    )
)


# The checksum's lower half covers what never changes; its upper half names the
# state and whether the input is for the next turn, so that one statement can
# move many rows without reading their content.
_HALF = 2**32
_STATE_CODES = {
    TurnInputState.PENDING_ACTIVE: 1,
    TurnInputState.DEFERRED_NEXT_TURN: 2,
    TurnInputState.ACCEPTED: 3,
    TurnInputState.CANCELLED: 4,
    TurnInputState.COMPLETED: 5,
}


class InputRow(Record, frozen=True, kw_only=True):
    """
    A stored input with its submitted form and its claim.
    """

    pending: PendingTurnInput
    submitted_ingress_json: str
    input_json: str
    hold: ClaimHold | None
    fencing_token: int

    def diagnostics(self) -> TurnInputClaimDiagnostics | None:
        """
        Return who holds the input; None if nobody ever claimed it into what
        it is now.
        """
        if self.hold is None:
            return None
        return TurnInputClaimDiagnostics(
            state=self.pending.state,
            claim_id=self.hold.claim_id,
            claim_owner=self.hold.owner,
            claim_expires_at_ms=self.hold.expires_at_ms,
            claim_fencing_token=self.fencing_token,
        )


def _checksum(
    session_id: str,
    content: tuple[Any, ...],
    state: TurnInputState,
    *,
    is_next_turn: bool,
) -> int:
    code = 2 * _STATE_CODES[state] + int(is_next_turn)
    return row_checksum("session_turn_inputs", session_id, *content) + _HALF * code


def input_from_row(session_id: str, row: Any) -> InputRow:
    """
    Decode a row.

    Raises:
        CorruptRecordError: It is damaged.
    """
    key = str(row.input_id)
    state = _state_from_row(key, row)
    stored = row.checksum
    # Damage may have put anything there; then it equals no checksum.
    if isinstance(stored, int):
        stored -= _HALF * (2 * _STATE_CODES[state] + int(row.turn_id is None))
    verify_row(
        _KIND,
        key,
        stored,
        "session_turn_inputs",
        session_id,
        *row[: len(_CONTENT)],
    )
    pending = PendingTurnInput(
        input_id=row.input_id,
        session_id=session_id,
        enqueue_seq=row.enqueue_seq,
        source_key=row.source_key,
        ingress=_ingress_from_row(key, row),
        state=state,
        enqueued_at_ms=row.enqueued_at_ms,
        input=_decode_input(row.input_json, key),
    )
    return InputRow(
        pending=pending,
        submitted_ingress_json=row.submitted_ingress_json,
        input_json=row.input_json,
        hold=hold_from_row(_KIND, key, row),
        fencing_token=row.claim_fencing_token,
    )


def _state_from_row(key: str, row: Any) -> TurnInputState:
    try:
        state = TurnInputState(row.state)
    except ValueError as error:
        raise CorruptRecordError(
            record_kind=_KIND, key=key, reason=str(error)
        ) from error
    if row.is_open != int(state not in TERMINAL_STATES):
        raise CorruptRecordError(
            record_kind=_KIND, key=key, reason="its state and is_open disagree"
        )
    return state


def _ingress_from_row(key: str, row: Any) -> TurnInputIngress:
    # An input is for the turn it was submitted for, or for the next one.
    if row.turn_id is None:
        return NextTurnIngress()
    submitted: TurnInputIngress = _decode_ingress(row.submitted_ingress_json, key)
    if not isinstance(submitted, ActiveTurnIngress) or (
        submitted.turn_id,
        submitted.min_boundary,
    ) != (row.turn_id, row.min_boundary):
        raise CorruptRecordError(
            record_kind=_KIND, key=key, reason="its turn is not the submitted one"
        )
    return submitted


def _held_from_row(_session_id: str, row: Any) -> HeldRow:
    key = str(row.input_id)
    _state_from_row(key, row)
    _ingress_from_row(key, row)
    return HeldRow(hold=hold_from_row(_KIND, key, row))


SCAN = session_scan(
    session_turn_inputs, (*_columns, _c.claim_host_id), input_from_row, _held_from_row
)
