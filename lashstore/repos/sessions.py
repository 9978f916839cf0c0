"""
Session rows: whose store this is, and the admission sequence.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.model.session import SessionIdentity
from lashstore.tables import (
    SESSION_TABLES,
    session_queued_batches,
    session_turn_inputs,
    sessions,
)

from ._dialect import BIND, insert_if_absent
from ._run import Answer, Runner
from ._scan import session_scan

_c = sessions.c
_is_session = _c.session_id == BIND("session_id")

_find = sa.select(_c.incarnation).where(_is_session)
_lock = _find.with_for_update()
_identity = (_c.session_id, _c.incarnation, _c.content_seal)
_find_identity = sa.select(*_identity).where(_is_session)
_find_any = sa.select(*_identity).limit(1)
_list_first = sa.select(*_identity).order_by(_c.session_id).limit(BIND("page"))
_list_after = _list_first.where(_c.session_id > BIND("after"))
_remove = [
    sa.delete(table).where(table.c.session_id == BIND("session_id"))
    for table in reversed(SESSION_TABLES)
]
_add = insert_if_absent(sessions)
_next_seq = (
    sa.update(sessions)
    .where(_c.session_id == BIND("the_session_id"))
    .values(admission_seq=_c.admission_seq + sa.literal_column("1"))
    .returning(_c.admission_seq)
)


def _next_seq_unless_used(table: sa.Table) -> Any:
    # One statement for a look and a number, since nearly every key is used
    # once.
    c = table.c
    is_used = sa.exists().where(
        c.session_id == BIND("the_session_id"),
        c.source_key == BIND("source_key"),
        c.source_key.is_not(None),
    )
    return _next_seq.where(~is_used)


_next_batch_seq = _next_seq_unless_used(session_queued_batches)
_next_input_seq = _next_seq_unless_used(session_turn_inputs)

_raise_seq = (
    sa.update(sessions)
    .where(
        _c.session_id == BIND("the_session_id"),
        _c.admission_seq < BIND("at_least"),
    )
    .values(admission_seq=BIND("at_least"))
)
_set_incarnation = (
    sa.update(sessions)
    .where(_c.session_id == BIND("the_session_id"))
    .values(incarnation=BIND("new_incarnation"))
)

_list_sealed = (
    sa.select(*_identity).where(_c.content_seal.is_not(None)).order_by(_c.session_id)
)
_list_ids = sa.select(_c.session_id).order_by(_c.session_id)
# Rows whose session has no row of its own, by table.
_list_strays = {
    table.name: sa.select(table.c.session_id)
    .where(table.c.session_id.not_in(sa.select(_c.session_id)))
    .distinct()
    .order_by(table.c.session_id)
    for table in SESSION_TABLES
    if table is not sessions
}


SCAN = session_scan(
    sessions,
    (_c.incarnation, _c.admission_seq),
    lambda session_id, row: SessionIdentity(
        session_id=session_id, incarnation=row.incarnation
    ),
)


def _identity_from_row(row: Any) -> SessionIdentity:
    return SessionIdentity(
        session_id=row.session_id,
        incarnation=row.incarnation,
        content_seal=row.content_seal,
    )


class SessionRepository:
    """
    Rows of `sessions`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str) -> SessionIdentity | None:
        """
        Return the session's identity; None if it is not here.
        """
        row = self._connection.execute(
            _find_identity, {"session_id": session_id}
        ).one_or_none()
        return None if row is None else _identity_from_row(row)

    def ask_incarnation(self, session_id: str, *, to_write: bool) -> Answer[str | None]:
        """
        Ask which making of the session is here; None if it is not.

        Args:
            to_write: Hold the row, where rows are what writers wait for.
        """
        found = self._connection.execute(
            _lock if to_write else _find, {"session_id": session_id}
        )
        return found.scalar_one_or_none

    def find_any(self) -> SessionIdentity | None:
        """
        Return the session of a file that holds one; None if it has none yet.
        """
        row = self._connection.execute(_find_any, {}).one_or_none()
        return None if row is None else _identity_from_row(row)

    def list_page(
        self, *, after: str | None, limit: int
    ) -> tuple[SessionIdentity, ...]:
        """
        Return at most *limit* sessions behind an id, in the order of ids;
        None: from the first on.
        """
        rows = (
            self._connection.execute(_list_first, {"page": limit})
            if after is None
            else self._connection.execute(_list_after, {"after": after, "page": limit})
        )
        return tuple(_identity_from_row(row) for row in rows)

    def remove(self, session_id: str) -> None:
        """
        Remove a session with all its rows, if it is here. Its writers finish
        first, and those that come later find it gone.
        """
        self.ask_incarnation(session_id, to_write=True)
        for statement in _remove:
            self._connection.execute(statement, {"session_id": session_id})

    def add(self, identity: SessionIdentity) -> None:
        """
        Make the session's row unless it exists.
        """
        self._connection.execute(
            _add,
            {
                "session_id": identity.session_id,
                "incarnation": identity.incarnation,
                "admission_seq": 0,
                "content_seal": identity.content_seal,
            },
        )

    def next_admission_seq(self, session_id: str) -> int:
        """
        Return a number larger than every one given before.
        """
        seq: int = self._connection.execute(
            _next_seq, {"the_session_id": session_id}
        ).scalar_one()
        return seq

    def next_batch_seq(self, session_id: str, source_key: str | None) -> int | None:
        """
        As `next_admission_seq`; None, and no number is used, if the source
        key names a batch.
        """
        return self._next_unless_used(_next_batch_seq, session_id, source_key)

    def next_input_seq(self, session_id: str, source_key: str | None) -> int | None:
        """
        As `next_admission_seq`; None, and no number is used, if the source
        key names a turn input.
        """
        return self._next_unless_used(_next_input_seq, session_id, source_key)

    def _next_unless_used(
        self, statement: Any, session_id: str, source_key: str | None
    ) -> int | None:
        if source_key is None:
            return self.next_admission_seq(session_id)
        seq: int | None = self._connection.execute(
            statement, {"the_session_id": session_id, "source_key": source_key}
        ).scalar_one_or_none()
        return seq

    def raise_admission_seq(self, session_id: str, at_least: int) -> None:
        """
        Let the numbers to come be larger than *at_least*.
        """
        self._connection.execute(
            _raise_seq, {"the_session_id": session_id, "at_least": at_least}
        )

    def set_incarnation(self, identity: SessionIdentity) -> None:
        """
        Make the session another one to every handle that knew it.
        """
        self._connection.execute(
            _set_incarnation,
            {
                "the_session_id": identity.session_id,
                "new_incarnation": identity.incarnation,
            },
        )

    def list_ids(self) -> tuple[str, ...]:
        """
        Return every session of the database.
        """
        return tuple(row[0] for row in self._connection.execute(_list_ids))

    def list_sealed(self) -> tuple[SessionIdentity, ...]:
        """
        Return every sealed session of the database, in the order of ids.
        """
        rows = self._connection.execute(_list_sealed)
        return tuple(_identity_from_row(row) for row in rows)

    def list_strays(self) -> dict[str, tuple[str, ...]]:
        """
        Return by table the sessions that have rows in it, but none here.
        """
        found = {
            table: tuple(row[0] for row in self._connection.execute(statement))
            for table, statement in _list_strays.items()
        }
        return {table: ids for table, ids in found.items() if ids}
