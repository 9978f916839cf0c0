"""
What a commit is admitted by: head, execution lease and stamp, in one read.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.errors import CorruptRecordError
from lashstore.model.commit import StoredTurn
from lashstore.model.leases import LeaseRow
from lashstore.model.record import Record
from lashstore.tables import (
    session_execution_leases,
    session_heads,
    session_turn_commits,
    sessions,
)

from . import heads, leases, turn_commits
from ._dialect import BIND, KEEPS_PLAN
from ._run import Answer, Runner
from .heads import WAS_COMMITTED, StoredHead

_s = sessions.c
_PARTS = (
    (session_heads, heads.COLUMNS),
    (session_execution_leases, leases.COLUMNS),
    (session_turn_commits, turn_commits.COLUMNS),
)


def _columns() -> list[sa.ColumnElement[Any]]:
    # Whether there is a row is told by its key, not by what it holds. Of
    # names that several have the rows are told apart by their places only.
    columns: list[sa.ColumnElement[Any]] = []
    for table, parts in _PARTS:
        columns.append(table.c.session_id.is_not(None).label(f"has_{table.name}"))
        columns += [
            column.label(f"{table.name}_checksum")
            if column.name == "checksum"
            else column
            for column in parts
        ]
    # Looked for only where there is no head.
    is_lost = sa.case(
        (session_heads.c.session_id.is_(None), WAS_COMMITTED),
        else_=sa.false(),
    )
    return [*columns, is_lost.label("has_lost_head")]


_has_turn = (session_turn_commits.c.session_id == _s.session_id) & (
    session_turn_commits.c.turn_id == BIND("turn_id", type_=sa.Text)
)
_find = (
    sa.select(*_columns())
    .select_from(
        sessions.outerjoin(session_heads, session_heads.c.session_id == _s.session_id)
        .outerjoin(
            session_execution_leases,
            session_execution_leases.c.session_id == _s.session_id,
        )
        .outerjoin(session_turn_commits, _has_turn)
    )
    .where(_s.session_id == BIND("session_id"))
    .execution_options(**KEEPS_PLAN)
)


class Admission(Record, frozen=True, kw_only=True):
    """
    Where a session stands; None for what it does not have.
    """

    head: StoredHead | None
    lease: LeaseRow | None
    turn: StoredTurn | None


class AdmissionRepository:
    """
    One row over `session_heads`, `session_execution_leases` and
    `session_turn_commits`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def ask(self, session_id: str, turn_id: str | None) -> Answer[Admission]:
        """
        Ask where a session stands, and whether turn *turn_id* has landed.

        The answer raises `CorruptRecordError` where a row is damaged or the
        session's own is missing, `RecordVersionError` where one is of another
        record version.
        """
        found = self._connection.execute(
            _find, {"session_id": session_id, "turn_id": turn_id}
        )
        return lambda: _admission(session_id, found.one_or_none())


def _admission(session_id: str, row: Sequence[Any] | None) -> Admission:
    if row is None:
        raise CorruptRecordError(
            record_kind="session", key=session_id, reason="its row is missing"
        )
    if row[-1]:
        raise heads.lost_head(session_id)
    of_head, of_lease, of_turn = (row[start:end] for start, end in _PLACES)
    return Admission(
        head=heads.head_from_row(session_id, of_head[1:]) if of_head[0] else None,
        lease=leases.lease_from_row(session_id, of_lease[1:]) if of_lease[0] else None,
        turn=turn_commits.turn_from_row(session_id, of_turn[1:])
        if of_turn[0]
        else None,
    )


def _places() -> tuple[tuple[int, int], ...]:
    places = []
    start = 0
    for _, parts in _PARTS:
        end = start + 1 + len(parts)
        places.append((start, end))
        start = end
    return tuple(places)


_PLACES = _places()
