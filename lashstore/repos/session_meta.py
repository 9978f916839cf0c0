"""
Session meta rows.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, row_checksum, verify_row
from lashstore.model.session import SessionMeta
from lashstore.tables import session_meta

from ._dialect import BIND, insert_if_absent, upsert
from ._run import Runner
from ._scan import session_scan

_c = session_meta.c
_columns = (_c.meta_json, _c.checksum)
_find = sa.select(*_columns).where(_c.session_id == BIND("session_id"))
_add = insert_if_absent(session_meta)
_put = upsert(session_meta, ("meta_json", "checksum"))


def _values(session_id: str, meta_json: str) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "meta_json": meta_json,
        "checksum": row_checksum("session_meta", session_id, meta_json),
    }


def _meta_from_row(session_id: str, row: Any) -> SessionMeta:
    verify_row(
        "session meta",
        session_id,
        row.checksum,
        "session_meta",
        session_id,
        row.meta_json,
    )
    meta: SessionMeta = decode_stored(
        SessionMeta, row.meta_json, "session meta", session_id
    )
    return meta


SCAN = session_scan(session_meta, _columns, _meta_from_row)


class SessionMetaRepository:
    """
    Rows of `session_meta`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str) -> SessionMeta | None:
        """
        Return the session's meta; None if none was saved.
        """
        row = self._connection.execute(_find, {"session_id": session_id}).one_or_none()
        return None if row is None else _meta_from_row(session_id, row)

    def add(self, session_id: str, meta_json: str) -> None:
        """
        Save meta unless there is some.
        """
        self._connection.execute(_add, _values(session_id, meta_json))

    def put(self, session_id: str, meta_json: str) -> None:
        """
        Save meta in place of any other.
        """
        self._connection.execute(_put, _values(session_id, meta_json))
