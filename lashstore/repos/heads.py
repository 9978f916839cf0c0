"""
Head rows: where a session stands.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, row_checksum, verify_row
from lashstore.errors import CorruptRecordError, RecordVersionError
from lashstore.model.record import Json, Record
from lashstore.model.session import HEAD_SCHEMA_VERSION, SessionHeadMeta
from lashstore.tables import session_checkpoint_blobs, session_heads

from ._dialect import BIND, upsert
from ._run import Answer, Runner
from ._scan import session_scan

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
_columns = (*(_c[name] for name in _CONTENT), _c.checksum)
_is_session = _c.session_id == BIND("session_id")


# Each commit leaves notes of its checkpoint elsewhere: where they are and the
# head is not, damage has hidden it.
WAS_COMMITTED = sa.exists().where(
    session_checkpoint_blobs.c.session_id == BIND("session_id"),
    session_checkpoint_blobs.c.last_revision > sa.literal_column("0"),
)
# A row of nothing says so; its half is not run if the first has found the head.
_find: Any = sa.union_all(
    sa.select(*_columns).where(_is_session),
    sa.select(*(sa.null().label(column.name) for column in _columns)).where(
        WAS_COMMITTED, ~sa.exists().where(_is_session)
    ),
).limit(sa.literal_column("1"))
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
        frames: tuple[Json, ...] = decode_stored(
            tuple[Any, ...], self.agent_frames_json, "session head", self.session_id
        )
        return SessionHeadMeta(
            session_id=self.session_id,
            head_revision=self.head_revision,
            config=decode_stored(
                Any, self.config_json, "session head", self.session_id
            ),
            agent_frames=frames,
            current_agent_frame_id=self.current_agent_frame_id,
            checkpoint_ref=self.checkpoint_ref,
            leaf_node_id=self.leaf_node_id,
            graph_node_count=self.graph_node_count,
        )


def _head_from_row(session_id: str, row: Any) -> StoredHead:
    content = row[: len(_CONTENT)]
    verify_row(
        "session head", session_id, row.checksum, "session_heads", session_id, *content
    )
    return _unverified_head(session_id, row)


def _unverified_head(session_id: str, row: Any) -> StoredHead:
    if row.schema_version != HEAD_SCHEMA_VERSION:
        raise RecordVersionError(
            record_kind="SessionHeadMeta",
            expected=HEAD_SCHEMA_VERSION,
            actual=str(row.schema_version),
        )
    content = dict(zip(_CONTENT, row[: len(_CONTENT)], strict=True))
    return StoredHead(session_id=session_id, **content)


def lost_head(session_id: str) -> CorruptRecordError:
    """
    Say that there is no head where there `WAS_COMMITTED` something.
    """
    return CorruptRecordError(
        record_kind="session head",
        key=session_id,
        reason="it is missing, and there were commits",
    )


SCAN = session_scan(session_heads, _columns, _head_from_row, _unverified_head)


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
        return self.ask(session_id)()

    def ask(self, session_id: str) -> Answer[StoredHead | None]:
        """
        Ask for what `find` returns.
        """
        found = self._connection.execute(_find, {"session_id": session_id})

        def answer() -> StoredHead | None:
            row = found.one_or_none()
            if row is None:
                return None
            if row.schema_version is None:
                raise lost_head(session_id)
            return _head_from_row(session_id, row)

        return answer

    def put(self, head: StoredHead) -> None:
        """
        Write the head in place of the one before.
        """
        values = {name: getattr(head, name) for name in _CONTENT}
        checksum = row_checksum("session_heads", head.session_id, *values.values())
        self._connection.execute(
            _put, {"session_id": head.session_id, **values, "checksum": checksum}
        )
