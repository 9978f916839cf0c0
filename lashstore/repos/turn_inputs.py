"""
Turn input rows: what users said, in admission order, and the claims on it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.errors import CorruptRecordError
from lashstore.model.claims import ClaimGrant, death_host
from lashstore.model.leases import LeaseOwnerIdentity
from lashstore.model.space import RemovableSize
from lashstore.model.turn_inputs import (
    TERMINAL_STATES,
    ActiveTurnIngress,
    ActiveTurnMode,
    CancelTarget,
    InputIdTarget,
    NextTurnMode,
    PendingTurnInput,
    PendingTurnInputDraft,
    SourceKeyTarget,
    TurnInputState,
    admitted_boundaries,
    initial_state,
)
from lashstore.tables import TURN_INPUTS, session_turn_inputs

from ._claims import (
    CLEARED_CLAIM,
    RenewedClaim,
    grant_statement,
    grant_values,
    is_of_claim,
    is_unclaimed,
    may_be_claimable,
    of_claim,
    page_through,
    renew,
    renew_statement,
)
from ._dialect import BIND, KEEPS_PLAN, any_of, octets
from ._listing import list_rows, listing
from ._run import Answer, Runner
from ._scan import Scanned
from ._turn_input_rows import (
    _HALF,
    _KIND,
    _STATE_CODES,
    SCAN,
    InputRow,
    _c,
    _checksum,
    _columns,
    input_from_row,
)

_is_session = _c.session_id == BIND("session_id")
_is_open = _c.is_open == sa.literal_column("1")


def _literal(value: str | int) -> sa.ColumnElement[Any]:
    # A bound state beside partial indexes makes SQLite prepare the statement
    # anew at every run, since its value may decide which of them can serve.
    return sa.literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def _moved_to(state: TurnInputState, **values: Any) -> dict[str, Any]:
    is_next_turn = (
        sa.literal_column("1")
        if "turn_id" in values
        else sa.case((_c.turn_id.is_(None), _literal(1)), else_=_literal(0))
    )
    code = _literal(2 * _STATE_CODES[state]) + is_next_turn
    return {
        **values,
        "state": _literal(state),
        "is_open": _literal(int(state not in TERMINAL_STATES)),
        "checksum": _c.checksum % _literal(_HALF) + _literal(_HALF) * code,
    }


_TO_NEXT_TURN = _moved_to(
    TurnInputState.DEFERRED_NEXT_TURN, turn_id=None, min_boundary=None
)

_list_by_id = sa.select(*_columns).where(_is_session, any_of(_c.input_id, "input_ids"))
_list_by_source_key = sa.select(*_columns).where(
    _is_session, any_of(_c.source_key, "source_keys"), _c.source_key.is_not(None)
)
_find_by_id = sa.select(*_columns).where(_is_session, _c.input_id == BIND("input_id"))
_find_by_source_key = sa.select(*_columns).where(
    _is_session, _c.source_key == BIND("source_key"), _c.source_key.is_not(None)
)
_list_open = (
    sa.select(*_columns)
    .where(_is_session, _is_open, is_unclaimed(session_turn_inputs))
    .order_by(_c.enqueue_seq)
)
_list_from = (
    sa.select(*_columns)
    .where(_is_session, _c.enqueue_seq >= BIND("from_seq"))
    .order_by(_c.enqueue_seq)
)
_list_next_turn = (
    sa.select(*_columns)
    .where(
        _is_session,
        _c.state == sa.literal_column("'deferred_next_turn'"),
        _c.enqueue_seq > BIND("after_seq"),
        may_be_claimable(session_turn_inputs),
    )
    .order_by(_c.enqueue_seq)
    .limit(BIND("page"))
)
_list_active_turn = (
    sa.select(*_columns)
    .where(
        _is_session,
        sa.text(TURN_INPUTS),
        _c.turn_id == BIND("turn_id"),
        any_of(_c.min_boundary, "boundaries"),
        _c.enqueue_seq > BIND("after_seq"),
        may_be_claimable(session_turn_inputs),
    )
    .order_by(_c.enqueue_seq)
    .limit(BIND("page"))
)
_add = sa.insert(session_turn_inputs)
_grant_next = grant_statement(session_turn_inputs, _c.input_id)
_grant_active = grant_statement(
    session_turn_inputs, _c.input_id, **_moved_to(TurnInputState.ACCEPTED)
)
_renew = renew_statement(session_turn_inputs, _c.input_id)
_complete = (
    sa.update(session_turn_inputs)
    .where(is_of_claim(session_turn_inputs))
    .values(**CLEARED_CLAIM, **_moved_to(TurnInputState.COMPLETED))
    .returning(_c.input_id)
)
# Two statements, since a claim's inputs are of one state.
_abandon_accepted = (
    sa.update(session_turn_inputs)
    .where(
        is_of_claim(session_turn_inputs),
        _c.state == _literal(TurnInputState.ACCEPTED),
    )
    .values(**CLEARED_CLAIM, **_moved_to(TurnInputState.PENDING_ACTIVE))
)
_abandon_deferred = (
    sa.update(session_turn_inputs)
    .where(is_of_claim(session_turn_inputs))
    .values(**CLEARED_CLAIM)
)
_cancel = (
    sa.update(session_turn_inputs)
    .where(_c.session_id == BIND("of_session_id"), any_of(_c.input_id, "keys"))
    .values(**CLEARED_CLAIM, **_moved_to(TurnInputState.CANCELLED))
)
# A damaged input's checksum stays as it is, so that it goes on to say so.
_quarantine = (
    sa.update(session_turn_inputs)
    .where(_c.session_id == BIND("of_session_id"), any_of(_c.input_id, "keys"))
    .values(
        **CLEARED_CLAIM, state=_literal(TurnInputState.CANCELLED), is_open=_literal(0)
    )
)
_defer_turns = (
    sa.update(session_turn_inputs)
    .where(
        _c.session_id == BIND("of_session_id"),
        sa.text(TURN_INPUTS),
        _c.state == _literal(TurnInputState.PENDING_ACTIVE),
        any_of(_c.turn_id, "turn_ids"),
    )
    .values(**CLEARED_CLAIM, **_TO_NEXT_TURN)
    .execution_options(**KEEPS_PLAN)
)
_defer_orphaned = (
    sa.update(session_turn_inputs)
    .where(
        _c.session_id == BIND("of_session_id"),
        sa.text(TURN_INPUTS),
        # True of every such row; it makes the planner take their index.
        _c.turn_id >= _literal(""),
        ~any_of(_c.turn_id, "live_turn_ids"),
    )
    .values(**CLEARED_CLAIM, **_TO_NEXT_TURN)
    .returning(*_columns)
)
_is_terminal = _c.is_open == sa.literal_column("0")
_list_terminal = (
    sa.select(_c.input_id)
    .where(_is_session, _is_terminal)
    .order_by(_c.input_id)
    .limit(BIND("page"))
)
_remove_terminal = sa.delete(session_turn_inputs).where(
    _is_session, any_of(_c.input_id, "input_ids"), _is_terminal
)
_sum_terminal = sa.select(
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(octets(_c.input_json)), sa.literal_column("0")),
).where(_is_session, _is_terminal)
_look_at_open = listing(
    SCAN, _is_open, _c.enqueue_seq > BIND("after_seq"), order_by=(_c.enqueue_seq,)
)
_look_back = listing(
    SCAN, _c.enqueue_seq < BIND("before_seq"), order_by=(_c.enqueue_seq.desc(),)
)


class TurnInputRepository:
    """
    Rows of `session_turn_inputs`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str, target: CancelTarget) -> Any:
        """
        Return an input's row for `input_from_row`; None if there is none.
        """
        if isinstance(target, InputIdTarget):
            return self._connection.execute(
                _find_by_id, {"session_id": session_id, "input_id": target.input_id}
            ).one_or_none()
        return self._connection.execute(
            _find_by_source_key,
            {"session_id": session_id, "source_key": target.source_key},
        ).one_or_none()

    def get_by_source_key(self, session_id: str, source_key: str) -> InputRow:
        """
        Return the input a source key names.

        Raises:
            CorruptRecordError: It is damaged, or an index names one that is
                not there.
        """
        row = self.find(session_id, SourceKeyTarget(source_key=source_key))
        if row is None:
            raise CorruptRecordError(
                record_kind=_KIND,
                key=source_key,
                reason="its source key is known, and it is not there",
            )
        return input_from_row(session_id, row)

    def list_named(self, session_id: str, targets: Sequence[CancelTarget]) -> list[Any]:
        """
        Return each target's row for `input_from_row`, None where there is
        none.
        """
        ids = [t.input_id for t in targets if isinstance(t, InputIdTarget)]
        keys = [t.source_key for t in targets if not isinstance(t, InputIdTarget)]
        found: dict[CancelTarget, Any] = {}
        if ids:
            values = {"session_id": session_id, "input_ids": ids}
            for row in self._connection.execute(_list_by_id, values).all():
                found[InputIdTarget(input_id=row.input_id)] = row
        if keys:
            values = {"session_id": session_id, "source_keys": keys}
            for row in self._connection.execute(_list_by_source_key, values).all():
                found[SourceKeyTarget(source_key=row.source_key)] = row
        return [found.get(target) for target in targets]

    def list_from(self, session_id: str, from_seq: int) -> list[Any]:
        """
        Return the rows from a sequence number on, in admission order.
        """
        return self._connection.execute(
            _list_from, {"session_id": session_id, "from_seq": from_seq}
        ).all()

    def look_at_open(
        self, session_id: str, *, after_seq: int, page: int, is_sealed: bool = False
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* inputs behind a place that may still be used, in
        admission order, claimed and damaged ones too: each decodes to an
        `InputRow`, or to None if it is sealed.
        """
        return list_rows(
            self._connection,
            _look_at_open,
            {"session_id": session_id, "after_seq": after_seq},
            page=page,
            is_sealed=is_sealed,
        )

    def look_back(
        self, session_id: str, *, before_seq: int, page: int, is_sealed: bool = False
    ) -> tuple[Scanned, ...]:
        """
        As `look_at_open`, of inputs in any state before a place, the latest
        first.
        """
        return list_rows(
            self._connection,
            _look_back,
            {"session_id": session_id, "before_seq": before_seq},
            page=page,
            is_sealed=is_sealed,
        )

    def list_open(
        self, session_id: str, *, now_ms: int
    ) -> tuple[PendingTurnInput, ...]:
        """
        Return the inputs that may still be used and that no live claim has,
        in admission order.
        """
        rows = self._connection.execute(
            _list_open, {"session_id": session_id, "now_ms": now_ms}
        ).all()
        return tuple(input_from_row(session_id, row).pending for row in rows)

    def candidates(
        self,
        session_id: str,
        claimant: LeaseOwnerIdentity,
        mode: ActiveTurnMode | NextTurnMode,
        *,
        now_ms: int,
        wanted: int,
    ) -> Iterator[InputRow]:
        """
        Yield the inputs a claim of this mode may take, or whose holder may be
        dead, in admission order, reading no further than it is asked to.
        """
        statement, values = (
            _list_next_turn,
            {
                "session_id": session_id,
                "now_ms": now_ms,
                "host_id": death_host(claimant),
            },
        )
        if isinstance(mode, ActiveTurnMode):
            statement = _list_active_turn
            values |= {
                "turn_id": mode.turn_id,
                "boundaries": list(admitted_boundaries(mode.checkpoint)),
            }

        def list_page(after_seq: int, page: int) -> list[Any]:
            return self._connection.execute(
                statement, {**values, "after_seq": after_seq, "page": page}
            ).all()

        for row in page_through(list_page, first_page=wanted):
            yield input_from_row(session_id, row)

    def add(
        self,
        session_id: str,
        input_id: str,
        draft: PendingTurnInputDraft,
        *,
        ingress_json: str,
        input_json: str,
        enqueue_seq: int,
        now_ms: int,
    ) -> PendingTurnInput:
        """
        Append an input; return it as it is stored.
        """
        ingress, state = draft.ingress, initial_state(draft.ingress)
        active = ingress if isinstance(ingress, ActiveTurnIngress) else None
        content = {
            "input_id": input_id,
            "enqueue_seq": enqueue_seq,
            "source_key": draft.source_key,
            "submitted_ingress_json": ingress_json,
            "enqueued_at_ms": now_ms,
            "input_json": input_json,
        }
        self._connection.execute(
            _add,
            {
                "session_id": session_id,
                **content,
                "state": state.value,
                "is_open": 1,
                "turn_id": None if active is None else active.turn_id,
                "min_boundary": None if active is None else active.min_boundary.value,
                "claim_fencing_token": 0,
                "checksum": _checksum(
                    session_id,
                    tuple(content.values()),
                    state,
                    is_next_turn=active is None,
                ),
            },
        )
        return PendingTurnInput(
            input_id=input_id,
            session_id=session_id,
            enqueue_seq=enqueue_seq,
            source_key=draft.source_key,
            ingress=ingress,
            state=state,
            enqueued_at_ms=now_ms,
            input=draft.input,
        )

    def grant(
        self,
        session_id: str,
        grant: ClaimGrant,
        mode: ActiveTurnMode | NextTurnMode,
        input_ids: list[str],
    ) -> int:
        """
        Claim inputs; return how many rows it reached.
        """
        statement = _grant_active if isinstance(mode, ActiveTurnMode) else _grant_next
        return self._connection.execute(
            statement, grant_values(session_id, grant, input_ids)
        ).rowcount

    def renew_claim(
        self,
        session_id: str,
        claim_id: str,
        token: str,
        *,
        now_ms: int,
        expires_at_ms: int,
    ) -> RenewedClaim:
        """
        Extend a live claim; return the inputs it reached.
        """
        return renew(
            self._connection,
            _renew,
            of_claim(session_id, claim_id, token),
            now_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )

    def abandon_claim(self, session_id: str, claim_id: str, token: str) -> None:
        """
        Free a claim's inputs, if it still has any.
        """
        claim = of_claim(session_id, claim_id, token)
        self._connection.execute(_abandon_accepted, claim)
        self._connection.execute(_abandon_deferred, claim)

    def complete(
        self, session_id: str, claim_id: str, token: str
    ) -> Answer[frozenset[str]]:
        """
        Complete a claim's inputs; the answer is their ids.
        """
        completed = self._connection.execute(
            _complete, of_claim(session_id, claim_id, token)
        )
        return lambda: frozenset(row[0] for row in completed)

    def cancel(self, session_id: str, input_ids: Sequence[str]) -> None:
        """
        Cancel inputs, whatever their state: the caller has decided.
        """
        self._connection.execute(
            _cancel, {"of_session_id": session_id, "keys": input_ids}
        )

    def quarantine(self, session_id: str, input_ids: Sequence[str]) -> None:
        """
        Take damaged inputs out of the queue; they stay damaged until vacuum
        removes them.
        """
        self._connection.execute(
            _quarantine, {"of_session_id": session_id, "keys": input_ids}
        )

    def defer_turns(self, session_id: str, turn_ids: Sequence[str]) -> None:
        """
        Move the inputs still pending for these turns to the next one.
        """
        self._connection.execute(
            _defer_turns, {"of_session_id": session_id, "turn_ids": turn_ids}
        )

    def defer_orphaned(
        self, session_id: str, live_turn_ids: Sequence[str]
    ) -> tuple[PendingTurnInput, ...]:
        """
        Move the pending and accepted inputs of all other turns to the next
        one, whatever their claims; return them in admission order.
        """
        rows = self._connection.execute(
            _defer_orphaned,
            {"of_session_id": session_id, "live_turn_ids": live_turn_ids},
        ).all()
        moved = [input_from_row(session_id, row).pending for row in rows]
        return tuple(sorted(moved, key=lambda pending: pending.enqueue_seq))

    def remove_terminal(self, session_id: str, *, page: int) -> int:
        """
        Remove up to *page* cancelled and completed inputs; return how many
        there were.
        """
        rows = self._connection.execute(
            _list_terminal, {"session_id": session_id, "page": page}
        ).all()
        if not rows:
            return 0
        input_ids = [row[0] for row in rows]
        return self._connection.execute(
            _remove_terminal, {"session_id": session_id, "input_ids": input_ids}
        ).rowcount

    def sum_terminal(self, session_id: str) -> RemovableSize:
        """
        Add up cancelled and completed inputs.
        """
        ((count, size),) = self._connection.execute(
            _sum_terminal, {"session_id": session_id}
        ).all()
        return RemovableSize(row_count=count, content_bytes=int(size))
