"""
The session graph: nodes, the active path, and what a commit may do to it.
"""

from collections.abc import Iterable, Mapping, Sequence

from lashstore import codec
from lashstore.errors import (
    CorruptRecordError,
    DuplicateNodeError,
    InvalidArgumentError,
    UnknownNodeError,
)

from .record import (
    Json,
    Record,
    require_optional_text,
    require_record,
    require_text,
)

_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_IMAGE_PARTS = frozenset({"image", "image_url", "input_image"})
_IMAGE_MARK = "[Image attached]"


class SessionNode(Record, frozen=True, kw_only=True):
    """
    One node of a session's graph.

    `kind` is "message", "event", "plugin" or the host's own; the payload of
    a message has `role` and `content` (text, or a list of parts). `timestamp`
    is RFC 3339 text that the store never parses.
    """

    node_id: str
    parent_node_id: str | None = None
    agent_frame_id: str | None = None
    caused_by: Json | None = None
    timestamp: str = ""
    kind: str = "message"
    payload: Json = {}


class SessionGraph(Record, frozen=True, kw_only=True):
    """
    Nodes in insertion order, and the leaf the session stands at.
    """

    nodes: tuple[SessionNode, ...] = ()
    leaf_node_id: str | None = None

    def active_path(self) -> tuple[SessionNode, ...]:
        """
        Return the nodes from the root to the leaf.

        The walk ends at a parent that is not in this graph; without a leaf,
        or with one that is not here, the path is empty.

        Raises:
            CorruptRecordError: The parents form a cycle.
        """
        by_id = {node.node_id: node for node in self.nodes}
        path: list[SessionNode] = []
        seen: set[str] = set()
        at = self.leaf_node_id
        while at is not None and (node := by_id.get(at)) is not None:
            if at in seen:
                raise CorruptRecordError(
                    record_kind="graph node",
                    key=at,
                    reason="its parents form a cycle",
                )
            seen.add(at)
            path.append(node)
            at = node.parent_node_id
        return tuple(reversed(path))

    def first_user_message(self) -> str:
        """
        Return the text of the first user message in insertion order, of any
        branch; "" without one.
        """
        for node in self.nodes:
            if is_user_message(node):
                return message_text(node)
        return ""

    def user_message_count(self) -> int:
        """
        Return how many user messages all branches have.
        """
        return sum(map(is_user_message, self.nodes))


class GraphUnchanged(
    Record, frozen=True, kw_only=True, tag="unchanged", tag_field="kind"
):
    """
    No new nodes; `leaf_node_id` moves the leaf, None keeps it.
    """

    leaf_node_id: str | None = None


class GraphAppend(Record, frozen=True, kw_only=True, tag="append", tag_field="kind"):
    """
    New nodes; `leaf_node_id` None makes the last of them the leaf.
    """

    nodes: tuple[SessionNode, ...]
    leaf_node_id: str | None = None


class GraphReplace(Record, frozen=True, kw_only=True, tag="replace", tag_field="kind"):
    """
    The whole graph anew: every stored node goes.
    """

    graph: SessionGraph


GraphDelta = GraphUnchanged | GraphAppend | GraphReplace


class FullGraph(Record, frozen=True, kw_only=True, tag="full_graph", tag_field="kind"):
    """
    Read every live node, in insertion order.
    """


class ActivePath(
    Record, frozen=True, kw_only=True, tag="active_path", tag_field="kind"
):
    """
    Read the path from the root to a leaf; None: the head's leaf.
    """

    leaf_node_id: str | None = None


SessionReadScope = FullGraph | ActivePath


class VacuumReport(Record, frozen=True, kw_only=True):
    """
    What a vacuum removed.
    """

    removed_node_count: int = 0
    removed_turn_input_count: int = 0


def is_user_message(node: SessionNode) -> bool:
    """
    Tell whether a node is a message of the user's.
    """
    return (
        node.kind == "message"
        and isinstance(node.payload, dict)
        and node.payload.get("role") == "user"
    )


def message_text(node: SessionNode) -> str:
    """
    Return a message's text for a picker: text parts joined by blank lines,
    images as a mark, everything else left out.
    """
    content = node.payload.get("content")
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, list | tuple):
        return ""
    texts = [_part_text(part) for part in content]
    return "\n\n".join(text for text in texts if text.strip()).strip()


def _part_text(part: Json) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    if part.get("type") in _IMAGE_PARTS:
        return _IMAGE_MARK
    text = part.get("text")
    if part.get("type", "text") in _TEXT_PARTS and isinstance(text, str):
        return text
    return ""


class EncodedNode(Record, frozen=True, kw_only=True):
    """
    A node with its stored form, made before the write lock is taken.
    """

    node: SessionNode
    json: str
    is_user_message: bool


class StoredNode(Record, frozen=True, kw_only=True):
    """
    What a commit needs to know of a node that is already stored.
    """

    node_id: str
    json: str
    is_tombstoned: bool
    is_user_message: bool


class GraphPlan(Record, frozen=True, kw_only=True):
    """
    What a graph delta writes: rows to insert, rows to lift from their
    tombstones, the new leaf and the new counts.
    """

    inserted: tuple[EncodedNode, ...]
    revived_node_ids: tuple[str, ...]
    replaces_all: bool
    leaf_node_id: str | None
    live_node_count: int
    user_message_count: int

    def first_user_node_id(self) -> str | None:
        """
        Return the first user message among the inserted nodes.
        """
        for new in self.inserted:
            if new.is_user_message:
                return new.node.node_id
        return None


def delta_nodes(delta: GraphDelta) -> tuple[SessionNode, ...]:
    """
    Return the nodes a delta brings, in order.
    """
    match delta:
        case GraphAppend():
            return delta.nodes
        case GraphReplace():
            return delta.graph.nodes
        case _:
            return ()


def encode_node(node: SessionNode) -> EncodedNode:
    """
    Check and encode one node.

    Raises:
        InvalidArgumentError: An id is no text, or the payload no JSON.
    """
    require_record("a node", node, SessionNode)
    require_text("a node's node_id", node.node_id)
    require_optional_text("a node's parent_node_id", node.parent_node_id)
    require_optional_text("a node's agent_frame_id", node.agent_frame_id)
    require_text("a node's timestamp", node.timestamp)
    require_text("a node's kind", node.kind)
    return EncodedNode(
        node=node,
        json=codec.encode_record(node, f"node {node.node_id!r}"),
        is_user_message=is_user_message(node),
    )


def check_delta(delta: GraphDelta) -> tuple[EncodedNode, ...]:
    """
    Check and encode a delta's nodes; a node given twice alike counts once.

    Raises:
        InvalidArgumentError: It is no delta, a node cannot be stored, or the
            delta's own nodes form a cycle.
        DuplicateNodeError: Two of its nodes share an id and differ.
    """
    require_record("the graph delta", delta, GraphDelta)
    leaf = (
        delta.graph.leaf_node_id
        if isinstance(delta, GraphReplace)
        else delta.leaf_node_id
    )
    require_optional_text("the delta's leaf_node_id", leaf)
    encoded: dict[str, EncodedNode] = {}
    for node in delta_nodes(delta):
        new = encode_node(node)
        known = encoded.setdefault(node.node_id, new)
        if known.json != new.json:
            raise DuplicateNodeError(node_id=node.node_id)
    _refuse_cycle({key: new.node.parent_node_id for key, new in encoded.items()})
    return tuple(encoded.values())


def _refuse_cycle(parents: Mapping[str, str | None]) -> None:
    # A stored node's parent was live when it was stored, so only nodes of
    # one commit can close a cycle.
    sound: set[str] = set()
    for start in parents:
        walked: set[str] = set()
        at: str | None = start
        while at is not None and at in parents and at not in sound:
            if at in walked:
                msg = f"the parents of node {at!r} form a cycle"
                raise InvalidArgumentError(msg)
            walked.add(at)
            at = parents[at]
        sound |= walked


def referenced_node_ids(
    delta: GraphDelta, encoded: Sequence[EncodedNode]
) -> tuple[str, ...]:
    """
    Return the ids a delta must be checked against: its own nodes', their
    parents' and the leaf's. A replacement is checked against nothing stored.
    """
    if isinstance(delta, GraphReplace):
        return ()
    ids = {new.node.node_id: None for new in encoded}
    ids |= {
        new.node.parent_node_id: None
        for new in encoded
        if new.node.parent_node_id is not None
    }
    if delta.leaf_node_id is not None:
        ids[delta.leaf_node_id] = None
    return tuple(ids)


def plan_graph(
    delta: GraphDelta,
    encoded: Sequence[EncodedNode],
    stored: Mapping[str, StoredNode],
    *,
    leaf_node_id: str | None,
    live_node_count: int,
    user_message_count: int,
) -> GraphPlan:
    """
    Decide what a delta writes on top of the stored graph.

    Args:
        delta: The commit's delta.

        encoded: Its nodes from `check_delta`.

        stored: What is stored under the ids of `referenced_node_ids`.

        leaf_node_id: The head's leaf; kept unless the delta moves it.

        live_node_count: How many nodes are live now.

        user_message_count: How many of them are the user's messages.

    Raises:
        DuplicateNodeError: A node is stored with other content.
        UnknownNodeError: A parent or leaf is neither live nor in the delta.
    """
    own = {new.node.node_id for new in encoded}
    if isinstance(delta, GraphReplace):
        _require_known(encoded, delta.graph.leaf_node_id, own)
        return GraphPlan(
            inserted=tuple(encoded),
            revived_node_ids=(),
            replaces_all=True,
            leaf_node_id=delta.graph.leaf_node_id,
            live_node_count=len(encoded),
            user_message_count=_count_user_messages(encoded),
        )
    for new in encoded:
        known = stored.get(new.node.node_id)
        if known is not None and known.json != new.json:
            raise DuplicateNodeError(node_id=new.node.node_id)
    live = {key for key, known in stored.items() if not known.is_tombstoned}
    written = [new for new in encoded if new.node.node_id not in live]
    _require_known(written, delta.leaf_node_id, own | live)
    inserted = tuple(new for new in written if new.node.node_id not in stored)
    revived = tuple(new for new in written if new.node.node_id in stored)
    if delta.leaf_node_id is not None:
        leaf_node_id = delta.leaf_node_id
    elif delta_nodes(delta):
        leaf_node_id = delta_nodes(delta)[-1].node_id
    return GraphPlan(
        inserted=inserted,
        revived_node_ids=tuple(new.node.node_id for new in revived),
        replaces_all=False,
        leaf_node_id=leaf_node_id,
        live_node_count=live_node_count + len(inserted) + len(revived),
        user_message_count=user_message_count
        + _count_user_messages(inserted)
        + _count_user_messages(revived),
    )


def _count_user_messages(nodes: Iterable[EncodedNode]) -> int:
    return sum(new.is_user_message for new in nodes)


def _require_known(
    encoded: Sequence[EncodedNode], leaf: str | None, known: set[str]
) -> None:
    for new in encoded:
        parent = new.node.parent_node_id
        if parent is not None and parent not in known:
            raise UnknownNodeError(node_id=parent)
    if leaf is not None and leaf not in known:
        raise UnknownNodeError(node_id=leaf)
