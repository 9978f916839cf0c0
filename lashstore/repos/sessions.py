"""
Session rows: whose store this is, and the admission sequence.
"""

import sqlalchemy as sa

from lashstore.model.record import Record
from lashstore.tables import sessions

from ._dialect import BIND, insert_if_absent
from ._run import Runner

_c = sessions.c
_is_session = _c.session_id == BIND("session_id")

_find = sa.select(_c.incarnation).where(_is_session)
_find_any = sa.select(_c.session_id, _c.incarnation).limit(1)
_add = insert_if_absent(sessions)
_next_seq = (
    sa.update(sessions)
    .where(_c.session_id == BIND("the_session_id"))
    .values(admission_seq=_c.admission_seq + 1)
    .returning(_c.admission_seq)
)


class SessionIdentity(Record, frozen=True, kw_only=True):
    """
    A session and which making of it.
    """

    session_id: str
    incarnation: str


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
        incarnation = self._connection.execute(
            _find, {"session_id": session_id}
        ).scalar_one_or_none()
        if incarnation is None:
            return None
        return SessionIdentity(session_id=session_id, incarnation=incarnation)

    def find_any(self) -> SessionIdentity | None:
        """
        Return the session of a file that holds one; None if it has none yet.
        """
        row = self._connection.execute(_find_any, {}).one_or_none()
        if row is None:
            return None
        return SessionIdentity(session_id=row.session_id, incarnation=row.incarnation)

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
