"""
The runtime commit: a finished turn as one value, its hash, and the rules
that admit it.
"""

from collections.abc import Sequence

import msgspec

from lashstore import codec
from lashstore.errors import (
    HeadRevisionConflictError,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    TurnCommitConflictError,
)

from .blobs import BlobRef, HydratedCheckpoint, SessionCheckpoint
from .graph import (
    EncodedNode,
    GraphAppend,
    GraphDelta,
    GraphReplace,
    GraphUnchanged,
    SessionNode,
    check_delta,
    delta_nodes,
)
from .leases import (
    LeaseRow,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    is_valid_fence,
)
from .queue import QueuedWorkCompletion
from .record import (
    Json,
    Record,
    require_optional_counter,
    require_optional_text,
    require_record,
    require_text,
)
from .turn_inputs import TurnInputCompletion
from .usage import TokenLedgerEntry, check_usage


class TurnCommitStamp(Record, frozen=True, kw_only=True):
    """
    What makes a commit repeatable: the turn, and a hash of its content.
    """

    session_id: str
    turn_id: str
    turn_commit_hash: str


class RuntimeCommitResult(Record, frozen=True, kw_only=True):
    """
    What a commit made: the new head revision and its checkpoint.
    """

    head_revision: int
    checkpoint_ref: BlobRef
    manifest: SessionCheckpoint


class RuntimeCommit(Record, frozen=True, kw_only=True):
    """
    Everything one turn changes, to land as one transaction.

    `expected_head_revision` None commits on whatever head there is; 0 means
    the session must have none.
    """

    session_id: str
    expected_head_revision: int | None = None
    session_execution_lease: SessionExecutionLeaseFence | None = None
    release_session_execution_lease: SessionExecutionLeaseCompletion | None = None
    config: Json = {}
    agent_frames: tuple[Json, ...] = ()
    current_agent_frame_id: str = ""
    graph: GraphDelta = GraphUnchanged()
    checkpoint: HydratedCheckpoint = HydratedCheckpoint()
    usage_deltas: tuple[TokenLedgerEntry, ...] = ()
    turn_commit: TurnCommitStamp | None = None
    completed_queue_claims: tuple[QueuedWorkCompletion, ...] = ()
    completed_turn_input_claims: tuple[TurnInputCompletion, ...] = ()
    interrupted_turn_input_turn_id: str | None = None
    committed_attachment_ids: tuple[str, ...] = ()

    def turn_commit_hash(self) -> str:
        """
        Hash the content of the turn: 64 hex digits.

        Running the same turn again gives the same hash, whoever runs it and
        on whatever revision: leases, claim ids, tokens, node ids, timestamps
        and the stamp itself do not count. Parents and the leaf count by
        their place in the list, checkpoint values by their blob refs.

        Raises:
            InvalidArgumentError: The commit holds what cannot be stored.
        """
        checkpoint = self.checkpoint.encoded
        projection = {
            "session_id": self.session_id,
            "config": self.config,
            "agent_frames": list(self.agent_frames),
            "current_agent_frame_id": self.current_agent_frame_id,
            "graph": _graph_projection(self.graph),
            "checkpoint": checkpoint.manifest.to_map(),
            "usage_deltas": [msgspec.to_builtins(entry) for entry in self.usage_deltas],
            "completed_batch_ids": [
                list(claim.batch_ids) for claim in self.completed_queue_claims
            ],
            "completed_input_ids": [
                list(claim.input_ids) for claim in self.completed_turn_input_claims
            ],
            "interrupted_turn_input_turn_id": self.interrupted_turn_input_turn_id,
            "committed_attachment_ids": list(self.committed_attachment_ids),
        }
        return codec.hash_json(projection, "the commit")

    def stamped(self, turn_id: str) -> "RuntimeCommit":
        """
        Return the commit stamped as turn *turn_id*, so that it lands once
        however often it is sent.

        Raises:
            InvalidArgumentError: The commit holds what cannot be stored.
        """
        return msgspec.structs.replace(
            self,
            turn_commit=TurnCommitStamp(
                session_id=self.session_id,
                turn_id=turn_id,
                turn_commit_hash=self.turn_commit_hash(),
            ),
        )


def _graph_projection(delta: GraphDelta) -> Json:
    nodes = delta_nodes(delta)
    place = {node.node_id: index for index, node in enumerate(nodes)}
    match delta:
        case GraphReplace():
            kind, leaf = "replace", delta.graph.leaf_node_id
        case GraphAppend():
            kind = "append"
            leaf = delta.leaf_node_id
            if leaf is None and nodes:
                leaf = nodes[-1].node_id
        case GraphUnchanged():
            kind, leaf = "unchanged", delta.leaf_node_id
    return {
        "kind": kind,
        "leaf": _place_of(leaf, place),
        "nodes": [_node_projection(node, place) for node in nodes],
    }


def _node_projection(node: SessionNode, place: dict[str, int]) -> Json:
    return {
        "kind": node.kind,
        "payload": node.payload,
        "agent_frame_id": node.agent_frame_id,
        "caused_by": node.caused_by,
        "parent": _place_of(node.parent_node_id, place),
    }


def _place_of(node_id: str | None, place: dict[str, int]) -> int | str | None:
    return None if node_id is None else place.get(node_id, node_id)


# Made once: a union takes longer to make than to ask.
_OPTIONAL_FENCE = SessionExecutionLeaseFence | None
_OPTIONAL_COMPLETION = SessionExecutionLeaseCompletion | None
_OPTIONAL_STAMP = TurnCommitStamp | None


class SeqSpan(Record, frozen=True, kw_only=True):
    """
    Rows that came together: the number of the first, and how many.
    """

    first: int = 0
    count: int = 0

    @property
    def last(self) -> int:
        """
        The number of the last row; without rows, less than `first`.
        """
        return self.first + self.count - 1


NO_ROWS = SeqSpan()


class StoredTurn(Record, frozen=True, kw_only=True):
    """
    A committed turn: its hash, and the result a replay returns.

    `nodes` and `usage` are the rows it added, by their numbers.
    """

    turn_id: str
    turn_commit_hash: str
    result: RuntimeCommitResult
    committed_at_ms: int
    nodes: SeqSpan = NO_ROWS
    usage: SeqSpan = NO_ROWS


class PreparedCommit(Record, frozen=True, kw_only=True):
    """
    A commit checked and encoded, ready for the write lock.
    """

    commit: RuntimeCommit
    nodes: tuple[EncodedNode, ...]
    config_json: str
    agent_frames_json: str
    usage_deltas: tuple[TokenLedgerEntry, ...]


def prepare_commit(commit: RuntimeCommit, *, bound_session_id: str) -> PreparedCommit:
    """
    Check and encode a commit before anything is touched.

    Raises:
        InvalidArgumentError: It holds what cannot be stored.
        SessionBindingMismatchError: It is another session's.
        DuplicateNodeError: Two of its nodes share an id and differ.
    """
    require_record("the commit", commit, RuntimeCommit)
    require_text("session_id", commit.session_id)
    require_optional_counter("expected_head_revision", commit.expected_head_revision)
    require_record(
        "session_execution_lease",
        commit.session_execution_lease,
        _OPTIONAL_FENCE,
    )
    require_record(
        "release_session_execution_lease",
        commit.release_session_execution_lease,
        _OPTIONAL_COMPLETION,
    )
    require_text("current_agent_frame_id", commit.current_agent_frame_id)
    require_optional_text(
        "interrupted_turn_input_turn_id", commit.interrupted_turn_input_turn_id
    )
    for attachment_id in commit.committed_attachment_ids:
        require_text("an attachment id", attachment_id)
    _check_stamp(commit.turn_commit)
    _check_completions(commit)
    require_record("the checkpoint", commit.checkpoint, HydratedCheckpoint)
    if commit.session_id != bound_session_id:
        raise SessionBindingMismatchError(
            bound_session_id=bound_session_id, attempted_session_id=commit.session_id
        )
    # Encodes and hashes the snapshots, here and not under the lock.
    _ = commit.checkpoint.encoded
    return PreparedCommit(
        commit=commit,
        nodes=check_delta(commit.graph),
        config_json=codec.encode_json(commit.config, "config"),
        agent_frames_json=codec.encode_json(list(commit.agent_frames), "agent_frames"),
        usage_deltas=check_usage(commit.usage_deltas),
    )


def _check_stamp(stamp: TurnCommitStamp | None) -> None:
    require_record("turn_commit", stamp, _OPTIONAL_STAMP)
    if stamp is not None:
        require_text("a stamp's session_id", stamp.session_id)
        require_text("a stamp's turn_id", stamp.turn_id)
        require_text("a stamp's turn_commit_hash", stamp.turn_commit_hash)


def _check_completions(commit: RuntimeCommit) -> None:
    for queue_claim in commit.completed_queue_claims:
        require_record("a completed claim", queue_claim, QueuedWorkCompletion)
        require_text("a completion's claim_id", queue_claim.claim_id)
        for batch_id in queue_claim.batch_ids:
            require_text("a completed batch's id", batch_id)
    for input_claim in commit.completed_turn_input_claims:
        require_record("a completed claim", input_claim, TurnInputCompletion)
        require_text("a completion's claim_id", input_claim.claim_id)
        for input_id in input_claim.input_ids:
            require_text("a completed input's id", input_id)


def find_replay(
    commit: RuntimeCommit, stored: StoredTurn | None
) -> RuntimeCommitResult | None:
    """
    Return the stored result if this very turn is committed, None if the turn
    is new or the commit has no stamp.

    Raises:
        TurnCommitConflictError: The turn is committed with another hash, or
            the stamp names another session.
    """
    stamp = commit.turn_commit
    if stamp is None:
        return None
    if stamp.session_id != commit.session_id or (
        stored is not None and stored.turn_commit_hash != stamp.turn_commit_hash
    ):
        raise TurnCommitConflictError(
            session_id=stamp.session_id, turn_id=stamp.turn_id
        )
    return None if stored is None else stored.result


def check_admission(
    commit: RuntimeCommit,
    lease: LeaseRow | None,
    *,
    head_revision: int,
    now_ms: int,
) -> None:
    """
    Admit a commit that is no replay: the fence must hold, then the revision.

    Raises:
        SessionExecutionLeaseExpiredError: There is no fence, or it does not
            prove the session's lease now.
        HeadRevisionConflictError: The head has moved.
    """
    fence = commit.session_execution_lease
    if fence is None or not is_valid_fence(
        lease, fence, session_id=commit.session_id, now_ms=now_ms
    ):
        raise SessionExecutionLeaseExpiredError(session_id=commit.session_id)
    if commit.expected_head_revision not in (None, head_revision):
        raise HeadRevisionConflictError(
            expected=commit.expected_head_revision, actual=head_revision
        )


def ended_turn_ids(commit: RuntimeCommit) -> Sequence[str]:
    """
    Return the turns this commit ends: the stamped one, whose last commit it
    is, and an interrupted one.
    """
    ended = {commit.interrupted_turn_input_turn_id: None}
    if commit.turn_commit is not None:
        ended[commit.turn_commit.turn_id] = None
    return [turn_id for turn_id in ended if turn_id is not None]
