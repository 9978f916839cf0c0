"""
Usage rows: every delta as it was booked, and the totals.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, verify_row
from lashstore.model.commit import NO_ROWS, SeqSpan
from lashstore.model.record import Record
from lashstore.model.usage import (
    USAGE_COUNTERS,
    TokenLedgerEntry,
    TokenUsage,
    add_usage,
    merge_usage,
)
from lashstore.tables import session_usage, session_usage_totals, sessions

from ._dialect import BIND, KEEPS_PLAN, any_of, upsert
from ._run import Answer, Runner
from ._scan import session_scan

_d = session_usage.c
_t = session_usage_totals.c
_CONTENT = ("seq", "source", "model", *USAGE_COUNTERS)

_list_deltas = (
    sa.select(*(_d[name] for name in _CONTENT), _d.checksum)
    .where(_d.session_id == BIND("session_id"))
    .order_by(_d.seq)
)
_list_span = _list_deltas.where(_d.seq >= BIND("first"), _d.seq <= BIND("last"))
_list_totals = (
    sa.select(*(_t[name] for name in _CONTENT), _t.checksum)
    .where(_t.session_id == BIND("session_id"))
    .order_by(_t.seq)
    .execution_options(**KEEPS_PLAN)
)
_last_seq = (
    sa.select(sa.func.max(_d.seq))
    .where(_d.session_id == BIND("session_id"))
    .scalar_subquery()
)
# The last number and the totals that may grow, in one statement.
_list_for_booking = (
    sa.select(
        _last_seq.label("last_seq"), *(_t[name] for name in _CONTENT), _t.checksum
    )
    .select_from(
        sessions.outerjoin(
            session_usage_totals,
            (_t.session_id == sessions.c.session_id)
            & any_of(_t.source, "sources")
            & any_of(_t.model, "models"),
        )
    )
    .where(sessions.c.session_id == BIND("session_id"))
    .execution_options(**KEEPS_PLAN)
)
_add = sa.insert(session_usage)
_put_totals = upsert(session_usage_totals, (*USAGE_COUNTERS, "checksum"))
_put_whole_total = upsert(session_usage_totals, ("seq", *USAGE_COUNTERS, "checksum"))


class _Total(Record, frozen=True, kw_only=True):
    seq: int
    entry: TokenLedgerEntry


def _values(
    table: str, session_id: str, seq: int, entry: TokenLedgerEntry
) -> dict[str, Any]:
    counters = {name: getattr(entry.usage, name) for name in USAGE_COUNTERS}
    return {
        "session_id": session_id,
        "seq": seq,
        "source": entry.source,
        "model": entry.model,
        **counters,
        "checksum": row_checksum(
            table, session_id, seq, entry.source, entry.model, *counters.values()
        ),
    }


def _total_from_row(table: str, session_id: str, row: Any) -> _Total:
    content = [getattr(row, name) for name in _CONTENT]
    verify_row(
        "usage", f"{row.source}/{row.model}", row.checksum, table, session_id, *content
    )
    usage = TokenUsage(**{name: getattr(row, name) for name in USAGE_COUNTERS})
    return _Total(
        seq=row.seq,
        entry=TokenLedgerEntry(source=row.source, model=row.model, usage=usage),
    )


DELTA_SCAN = session_scan(
    session_usage,
    (*(_d[name] for name in _CONTENT), _d.checksum),
    lambda session_id, row: _total_from_row("session_usage", session_id, row).entry,
)
TOTAL_SCAN = session_scan(
    session_usage_totals,
    (*(_t[name] for name in _CONTENT), _t.checksum),
    lambda session_id, row: (
        _total_from_row("session_usage_totals", session_id, row).entry
    ),
)


class UsageRepository:
    """
    Rows of `session_usage` and `session_usage_totals`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def list_deltas(self, session_id: str) -> tuple[TokenLedgerEntry, ...]:
        """
        Return every delta in the order it was booked.
        """
        rows = self._connection.execute(_list_deltas, {"session_id": session_id}).all()
        return tuple(
            _total_from_row("session_usage", session_id, row).entry for row in rows
        )

    def list_span(
        self, session_id: str, span: SeqSpan
    ) -> tuple[tuple[int, TokenLedgerEntry], ...]:
        """
        Return the deltas whose numbers are in *span*, each with its number.
        """
        rows = self._connection.execute(
            _list_span,
            {"session_id": session_id, "first": span.first, "last": span.last},
        ).all()
        return tuple(
            (row.seq, _total_from_row("session_usage", session_id, row).entry)
            for row in rows
        )

    def list_totals(self, session_id: str) -> tuple[TokenLedgerEntry, ...]:
        """
        Return the ledger, merged by source and model, in order of first
        appearance.
        """
        return self.ask_totals(session_id)()

    def ask_totals(self, session_id: str) -> Answer[tuple[TokenLedgerEntry, ...]]:
        """
        Ask for what `list_totals` returns.
        """
        found = self._connection.execute(_list_totals, {"session_id": session_id})
        return lambda: tuple(
            _total_from_row("session_usage_totals", session_id, row).entry
            for row in found.all()
        )

    def book(self, session_id: str, deltas: Sequence[TokenLedgerEntry]) -> None:
        """
        Append deltas and add them to the totals.

        Raises:
            InvalidArgumentError: A total leaves the range of counters.
        """
        self.prepare(session_id, deltas)()

    def prepare(
        self, session_id: str, deltas: Sequence[TokenLedgerEntry]
    ) -> Callable[[], SeqSpan]:
        """
        Ask for what `book` needs to know; calling the result does it, and
        returns which rows the deltas are.
        """
        if not deltas:
            return lambda: NO_ROWS
        found = self._connection.execute(
            _list_for_booking,
            {
                "session_id": session_id,
                "sources": [delta.source for delta in deltas],
                "models": [delta.model for delta in deltas],
            },
        )
        return lambda: self._book(session_id, deltas, found.all())

    def _book(
        self, session_id: str, deltas: Sequence[TokenLedgerEntry], rows: list[Any]
    ) -> SeqSpan:
        last_seq: int = rows[0].last_seq or 0
        known = {
            (row.source, row.model): _total_from_row(
                "session_usage_totals", session_id, row
            )
            for row in rows
            if row.source is not None
        }
        self._put_totals(session_id, deltas, known, last_seq)
        self._connection.execute(
            _add,
            [
                _values("session_usage", session_id, seq, delta)
                for seq, delta in enumerate(deltas, last_seq + 1)
            ],
        )
        return SeqSpan(first=last_seq + 1, count=len(deltas))

    def _put_totals(
        self,
        session_id: str,
        deltas: Sequence[TokenLedgerEntry],
        known: dict[tuple[str, str], _Total],
        last_seq: int,
    ) -> None:
        values = []
        # Their order within one booking is kept by numbering them like the
        # deltas they come from.
        for seq, delta in enumerate(merge_usage(deltas), last_seq + 1):
            total = known.get((delta.source, delta.model))
            if total is None:
                entry = delta
            else:
                seq, entry = total.seq, add_usage(total.entry, delta.usage)  # noqa: PLW2901
            values.append(_values("session_usage_totals", session_id, seq, entry))
        if values:
            self._connection.execute(_put_totals, values)

    def put_total(self, session_id: str, seq: int, total: TokenLedgerEntry) -> None:
        """
        Write one total in place of the one before, whatever that said.
        """
        self._connection.execute(
            _put_whole_total, _values("session_usage_totals", session_id, seq, total)
        )
