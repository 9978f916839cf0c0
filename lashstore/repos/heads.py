"""
Head rows: where a session stands.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, stored_decoder, verify_row
from lashstore.errors import RecordVersionError
from lashstore.model.record import Record
from lashstore.model.session import HEAD_SCHEMA_VERSION, SessionHeadMeta
from lashstore.tables import session_heads

from ._dialect import BIND, upsert
from ._run import Runner
from ._scan import session_scan

_KIND = "session head"
_decode_config = stored_decoder(Any, _KIND)
_decode_frames = stored_decoder(tuple[Any, ...], _KIND)
_c = session_heads.c
_CONTENT = (
    "schema_version",
    "head_revision",
    "config_json",
    "agent_frames_json",
    "current_agent_frame_id",
    "checkpoint_ref",
    "leaf_node_id",
    "graph_node_count",
    "live_node_count",
    "user_message_count",
    "first_user_node_id",
)
COLUMNS = (*(_c[name] for name in _CONTENT), _c.checksum)
_SCHEMA_VERSION = _CONTENT.index("schema_version")
_find = sa.select(*COLUMNS).where(_c.session_id == BIND("session_id"))
_put = upsert(session_heads, (*_CONTENT, "checksum"))


class StoredHead(Record, frozen=True, kw_only=True):
    """
    A head row; `config_json` and `agent_frames_json` as they are stored.
    """

    session_id: str
    schema_version: int = HEAD_SCHEMA_VERSION
    head_revision: int
    config_json: str
    agent_frames_json: str
    current_agent_frame_id: str
    checkpoint_ref: str | None
    leaf_node_id: str | None
    graph_node_count: int
    live_node_count: int
    user_message_count: int
    first_user_node_id: str | None

    def meta(self) -> SessionHeadMeta:
        """
        Return the head as a caller sees it.
        """
        return _meta_from_row(self.session_id, self)


def _verify(session_id: str, row: Sequence[Any]) -> None:
    *content, checksum = row
    verify_row(_KIND, session_id, checksum, "session_heads", session_id, *content)
    if content[_SCHEMA_VERSION] != HEAD_SCHEMA_VERSION:
        raise RecordVersionError(
            record_kind="SessionHeadMeta",
            expected=HEAD_SCHEMA_VERSION,
            actual=str(content[_SCHEMA_VERSION]),
        )


def _meta_from_row(session_id: str, row: Any) -> SessionHeadMeta:
    return SessionHeadMeta(
        session_id=session_id,
        head_revision=row.head_revision,
        config=_decode_config(row.config_json, session_id),
        agent_frames=_decode_frames(row.agent_frames_json, session_id),
        current_agent_frame_id=row.current_agent_frame_id,
        checkpoint_ref=row.checkpoint_ref,
        leaf_node_id=row.leaf_node_id,
        graph_node_count=row.graph_node_count,
    )


def head_from_row(session_id: str, row: Sequence[Any]) -> StoredHead:
    """
    Return the head that the values of `COLUMNS` are.

    Raises:
        CorruptRecordError: The row is damaged.
        RecordVersionError: It is of another record version.
    """
    _verify(session_id, row)
    return StoredHead(session_id=session_id, **dict(zip(_CONTENT, row, strict=False)))


SCAN = session_scan(session_heads, COLUMNS, head_from_row)


class SessionHeadRepository:
    """
    Rows of `session_heads`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str) -> StoredHead | None:
        """
        Return the head; None before the first commit.

        Raises:
            CorruptRecordError: The row is damaged.
            RecordVersionError: It is of another record version.
        """
        row = self._connection.execute(_find, {"session_id": session_id}).one_or_none()
        return None if row is None else head_from_row(session_id, row)

    def find_meta(self, session_id: str) -> SessionHeadMeta | None:
        """
        Return the head as a caller sees it; None before the first commit.

        Raises:
            As `find`, and what it holds is decoded.
        """
        row = self._connection.execute(_find, {"session_id": session_id}).one_or_none()
        if row is None:
            return None
        _verify(session_id, row)
        return _meta_from_row(session_id, row)

    def put(self, head: StoredHead) -> None:
        """
        Write the head in place of the one before.
        """
        values = {name: getattr(head, name) for name in _CONTENT}
        checksum = row_checksum("session_heads", head.session_id, *values.values())
        self._connection.execute(
            _put, {"session_id": head.session_id, **values, "checksum": checksum}
        )
