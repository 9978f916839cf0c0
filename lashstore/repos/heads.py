"""
Head rows: where a session stands.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, stored_decoder, verify_row
from lashstore.errors import CorruptRecordError, RecordVersionError
from lashstore.model.record import Record
from lashstore.model.session import HEAD_SCHEMA_VERSION, SessionHeadMeta
from lashstore.tables import session_checkpoint_blobs, session_heads

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
# Of what the checksum is over; a scan adds columns behind it.
_COUNT = len(COLUMNS) - 1
_find = sa.select(*COLUMNS).where(_c.session_id == BIND("session_id"))
# Each commit leaves notes of its checkpoint elsewhere: where they are and the
# head is not, damage has hidden it.
WAS_COMMITTED = sa.exists().where(
    session_checkpoint_blobs.c.session_id == BIND("session_id"),
    session_checkpoint_blobs.c.last_revision > sa.literal_column("0"),
)
_was_committed = sa.select(WAS_COMMITTED)
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
    content, checksum = row[:_COUNT], row[_COUNT]
    verify_row(_KIND, session_id, checksum, "session_heads", session_id, *content)
    _require_version(row)


def _require_version(row: Sequence[Any]) -> None:
    version = row[_SCHEMA_VERSION]
    if version != HEAD_SCHEMA_VERSION:
        raise RecordVersionError(
            record_kind="SessionHeadMeta",
            expected=HEAD_SCHEMA_VERSION,
            actual=str(version),
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
    return StoredHead(
        session_id=session_id, **dict(zip(_CONTENT, row[:_COUNT], strict=True))
    )


def _unverified_head(session_id: str, row: Sequence[Any]) -> StoredHead:
    _require_version(row)
    return StoredHead(
        session_id=session_id, **dict(zip(_CONTENT, row[:_COUNT], strict=True))
    )


def lost_head(session_id: str) -> CorruptRecordError:
    """
    Say that there is no head where there `WAS_COMMITTED` something.
    """
    return CorruptRecordError(
        record_kind=_KIND,
        key=session_id,
        reason="it is missing, and there were commits",
    )


SCAN = session_scan(session_heads, COLUMNS, head_from_row, _unverified_head)


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
            CorruptRecordError: The row is damaged, or missing though
                something was committed.
            RecordVersionError: It is of another record version.
        """
        row = self._find(session_id)
        return None if row is None else head_from_row(session_id, row)

    def find_meta(self, session_id: str) -> SessionHeadMeta | None:
        """
        Return the head as a caller sees it; None before the first commit.

        Raises:
            As `find`, and what it holds is decoded.
        """
        row = self._find(session_id)
        if row is None:
            return None
        _verify(session_id, row)
        return _meta_from_row(session_id, row)

    def _find(self, session_id: str) -> Any:
        asked = {"session_id": session_id}
        row = self._connection.execute(_find, asked).one_or_none()
        if row is None and self._connection.execute(_was_committed, asked).scalar_one():
            raise lost_head(session_id)
        return row

    def put(self, head: StoredHead) -> None:
        """
        Write the head in place of the one before.
        """
        values = {name: getattr(head, name) for name in _CONTENT}
        checksum = row_checksum("session_heads", head.session_id, *values.values())
        self._connection.execute(
            _put, {"session_id": head.session_id, **values, "checksum": checksum}
        )
