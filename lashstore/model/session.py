"""
A session: its head, its metadata and what reading it returns.
"""

from collections.abc import Iterable, Iterator

from lashstore import codec

from .blobs import BlobRef, HydratedCheckpoint
from .graph import SessionGraph
from .record import Json, Record, require_optional_text, require_record, require_text
from .usage import TokenLedgerEntry

HEAD_SCHEMA_VERSION = 1


class SessionIdentity(Record, frozen=True, kw_only=True):
    """
    A session and which making of it: `incarnation` is new each time an id is
    created afresh. `content_seal` proves the key of a sealed session; None:
    it is plain.
    """

    session_id: str
    incarnation: str
    content_seal: str | None = None


class SessionHeadMeta(Record, frozen=True, kw_only=True):
    """
    A session's head without its graph.

    `graph_node_count` is the number of live nodes at the head's commit.
    """

    schema_version: int = HEAD_SCHEMA_VERSION
    session_id: str
    head_revision: int
    config: Json
    agent_frames: tuple[Json, ...] = ()
    current_agent_frame_id: str = ""
    checkpoint_ref: BlobRef | None = None
    leaf_node_id: str | None = None
    graph_node_count: int = 0

    def frame_state_refs(self) -> Iterator[BlobRef]:
        """
        Return the execution-state refs inside the agent frames.
        """
        return frame_state_refs(self.agent_frames)


def frame_state_refs(agent_frames: Iterable[Json]) -> Iterator[BlobRef]:
    """
    Return the execution-state refs inside agent frames.
    """
    for frame in agent_frames:
        ref = frame.get("execution_state_ref") if isinstance(frame, dict) else None
        if isinstance(ref, str):
            yield ref


class PersistedSession(Record, frozen=True, kw_only=True):
    """
    A session as it is read: one consistent snapshot.

    `checkpoint` None: the head has none. `token_ledger` is merged by source
    and model, in order of first appearance.
    """

    session_id: str
    head_revision: int
    config: Json
    agent_frames: tuple[Json, ...]
    current_agent_frame_id: str
    graph: SessionGraph
    checkpoint_ref: BlobRef | None
    checkpoint: HydratedCheckpoint | None
    token_ledger: tuple[TokenLedgerEntry, ...]


class RootRelation(Record, frozen=True, kw_only=True, tag="root", tag_field="kind"):
    """
    A session of its own.
    """


class ChildRelation(Record, frozen=True, kw_only=True, tag="child", tag_field="kind"):
    """
    A session that another one started.
    """

    parent_session_id: str
    caused_by: Json | None = None


SessionRelation = RootRelation | ChildRelation


class SessionMeta(Record, frozen=True, kw_only=True):
    """
    What a picker shows of a session; `created_at` is "unix:<seconds>".
    """

    session_id: str
    session_name: str
    created_at: str
    model: str = ""
    cwd: str | None = None
    relation: SessionRelation = RootRelation()

    @property
    def parent_session_id(self) -> str | None:
        """
        The parent's id; None for a root session.
        """
        if isinstance(self.relation, ChildRelation):
            return self.relation.parent_session_id
        return None


class SessionPickerInfo(Record, frozen=True, kw_only=True):
    """
    One line of a session list.
    """

    session_id: str
    cwd: str | None
    relation: SessionRelation
    first_user_message: str
    user_message_count: int


def check_meta(meta: SessionMeta) -> str:
    """
    Check a session's metadata; return it as stored JSON.

    Raises:
        InvalidArgumentError: A member is no storable text.
    """
    require_record("the session meta", meta, SessionMeta)
    require_text("session_id", meta.session_id)
    require_text("session_name", meta.session_name)
    require_text("created_at", meta.created_at)
    require_text("model", meta.model)
    require_optional_text("cwd", meta.cwd)
    require_record("the relation", meta.relation, SessionRelation)
    if isinstance(meta.relation, ChildRelation):
        require_text("parent_session_id", meta.relation.parent_session_id)
    return codec.encode_record(meta, "the session meta")
