"""
Commits of a session, and reading it.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

from lashstore.errors import (
    AttachmentNotFoundError,
    CorruptRecordError,
    InvalidArgumentError,
    LashStoreError,
    QueuedWorkClaimExpiredError,
    TurnInputClaimExpiredError,
)
from lashstore.model.blobs import BlobRef, HydratedCheckpoint
from lashstore.model.commit import (
    NO_ROWS,
    PreparedCommit,
    RuntimeCommit,
    RuntimeCommitResult,
    SeqSpan,
    check_admission,
    ended_turn_ids,
    find_replay,
    prepare_commit,
)
from lashstore.model.graph import (
    ActivePath,
    FullGraph,
    GraphPlan,
    SessionGraph,
    SessionNode,
    SessionReadScope,
    message_text,
    plan_graph,
    referenced_node_ids,
)
from lashstore.model.leases import (
    LeaseRow,
    SessionExecutionLeaseCompletion,
    holds,
)
from lashstore.model.record import (
    require_optional_text,
    require_record,
    require_text,
)
from lashstore.model.retention import NamedBlob
from lashstore.model.session import (
    PersistedSession,
    SessionHeadMeta,
    SessionMeta,
    SessionPickerInfo,
    check_meta,
    frame_state_refs,
)
from lashstore.model.usage import TokenLedgerEntry, check_usage
from lashstore.repos._run import Answer
from lashstore.repos.graph import NodeLookup
from lashstore.repos.heads import StoredHead

from .blobs import BlobStore
from .copying import read_copy, write_copy
from .garbage import GarbageCollection
from .retention import ask_oldest, let_go_of_checkpoints
from .storing import ReadyBlobs
from .transaction import SessionTransaction

_log = logging.getLogger(__name__)


class CommitStore(BlobStore, GarbageCollection):
    """
    The part of `Store` that turns land in and are read from.
    """

    def load_session(
        self,
        scope: SessionReadScope = FullGraph(),
    ) -> PersistedSession | None:
        """
        Read the session as of one instant.

        Args:
            scope: `FullGraph()` for every live node in insertion order, or
                `ActivePath()` for the path from the root to the head's leaf,
                or to a leaf of the caller's. An unknown leaf gives no nodes;
                a tombstone ends the path.

        Returns:
            The session; None before its first commit.

        Raises:
            CorruptRecordError: The head, a node, the checkpoint or a part of
                it is damaged or missing.
            RecordVersionError: A record is of another version.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError: As for every read.
        """
        require_record("the scope", scope, SessionReadScope)
        if isinstance(scope, ActivePath):
            require_optional_text("the scope's leaf_node_id", scope.leaf_node_id)
        return self._read(lambda tx: self._load(tx, scope))

    def _load(
        self, tx: SessionTransaction, scope: SessionReadScope
    ) -> PersistedSession | None:
        head = tx.heads.find(self.session_id)
        if head is None:
            return None
        meta = head.meta()
        # What the checkpoint's parts are asked by comes with the rest.
        asked_graph = self._ask_graph(tx, head, scope)
        asked_ledger = tx.usage.ask_totals(self.session_id)
        checkpoint = self._load_checkpoint(tx, meta.checkpoint_ref)
        return PersistedSession(
            session_id=self.session_id,
            head_revision=meta.head_revision,
            config=meta.config,
            agent_frames=meta.agent_frames,
            current_agent_frame_id=meta.current_agent_frame_id,
            graph=asked_graph(),
            checkpoint_ref=meta.checkpoint_ref,
            checkpoint=checkpoint,
            token_ledger=asked_ledger(),
        )

    def _ask_graph(
        self, tx: SessionTransaction, head: StoredHead, scope: SessionReadScope
    ) -> Answer[SessionGraph]:
        if isinstance(scope, FullGraph):
            asked_nodes = tx.graph.ask_live(self.session_id)
            return lambda: self._whole_graph(head, asked_nodes())
        leaf = head.leaf_node_id if scope.leaf_node_id is None else scope.leaf_node_id
        if leaf is None:
            return SessionGraph
        asked_path = tx.graph.ask_path(
            self.session_id, leaf, max_depth=head.live_node_count
        )
        return lambda: SessionGraph(nodes=asked_path(), leaf_node_id=leaf)

    def _whole_graph(
        self, head: StoredHead, nodes: tuple[SessionNode, ...]
    ) -> SessionGraph:
        if len(nodes) != head.live_node_count:
            raise CorruptRecordError(
                record_kind="session graph",
                key=self.session_id,
                reason=f"{len(nodes)} of {head.live_node_count} nodes are there",
            )
        return SessionGraph(nodes=nodes, leaf_node_id=head.leaf_node_id)

    def _load_checkpoint(
        self, tx: SessionTransaction, ref: BlobRef | None
    ) -> HydratedCheckpoint | None:
        if ref is None:
            return None
        checkpoint = tx.checkpoints.find(self.session_id, ref)
        if checkpoint is None:
            raise CorruptRecordError(
                record_kind="checkpoint manifest",
                key=ref,
                reason="the head needs it, and it is missing",
            )
        return checkpoint

    def load_node(self, node_id: str) -> SessionNode | None:
        """
        Return one node; None if there is none, or only its tombstone.

        Raises:
            CorruptRecordError: The node is damaged.
        """
        require_text("node_id", node_id)
        return self._read(lambda tx: tx.graph.find_live(self.session_id, node_id))

    def load_session_head_meta(self) -> SessionHeadMeta | None:
        """
        Return the head without its graph, by reading one row: the cheapest
        way to learn whether the session moved. None before the first commit.

        Raises:
            CorruptRecordError: The head is damaged.
            RecordVersionError: It is of another record version.
        """
        return self._read(lambda tx: tx.heads.find_meta(self.session_id))

    def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """
        Land a turn: all of the commit, or nothing.

        A stamped commit may be sent again and again: once it has landed,
        sending it returns the stored result and changes nothing but the
        release of a lease it carries. An unstamped one lands each time.

        Returns:
            The new head revision (the first is 1), and its checkpoint.

        Raises:
            InvalidArgumentError: It holds what cannot be stored, or its
                nodes form a cycle.
            SessionBindingMismatchError: It is another session's.
            TurnCommitConflictError: Its turn has landed with other content.
            SessionExecutionLeaseExpiredError: Its fence does not prove the
                execution lease now.
            HeadRevisionConflictError: The head moved; re-read and decide.
            QueuedWorkClaimExpiredError, TurnInputClaimExpiredError: A claim
                it completes does not own exactly the named rows any more.
            UnknownBlobError: A ref given without its value is not stored.
            UnknownNodeError, DuplicateNodeError: Its graph delta does not
                fit the stored graph.
            AttachmentNotFoundError: An attachment was not announced, or is
                being reclaimed; put it again.
            StoreBusyError: The lock was not had; retry unchanged.
            BackendError, CorruptRecordError, RecordVersionError,
            SessionDeletedError, StoreClosedError, ReadOnlyStoreError: As for
                every write.
        """
        prepared = prepare_commit(commit, bound_session_id=self.session_id)
        self._refuse_large(prepared)
        encoded = commit.checkpoint.encoded

        def land(ready: ReadyBlobs) -> RuntimeCommitResult:
            result = self._write(lambda tx: self._apply(tx, prepared, ready))
            self._remember(encoded, ready)
            return result

        result = self._with_blobs(encoded.blobs, land, follow_head=True)
        self._collect_when_due(result.head_revision)
        return result

    def _refuse_large(self, prepared: PreparedCommit) -> None:
        options = self._options
        options.refuse_nodes(len(prepared.nodes))
        for new in prepared.nodes:
            options.refuse_record(f"node {new.node.node_id!r}", new.json)
        options.refuse_record("config", prepared.config_json)
        options.refuse_record("agent_frames", prepared.agent_frames_json)

    def _apply(
        self,
        tx: SessionTransaction,
        prepared: PreparedCommit,
        ready: ReadyBlobs,
    ) -> RuntimeCommitResult:
        commit, stamp = prepared.commit, prepared.commit.turn_commit
        # Everything is asked before the first answer is looked at, and what
        # changes something once the commit is admitted: on a server that is
        # one wait each.
        asked_admission = tx.admissions.ask(
            self.session_id, None if stamp is None else stamp.turn_id
        )
        encoded = commit.checkpoint.encoded
        asked_depths = self._ask_depths(tx, encoded.blobs, ready, encoded.kept_refs)
        book_usage = tx.usage.prepare(self.session_id, prepared.usage_deltas)
        asked_nodes = tx.graph.ask_for_commit(
            self.session_id, referenced_node_ids(commit.graph, prepared.nodes)
        )
        admission = asked_admission()
        head, lease = admission.head, admission.lease
        replayed = find_replay(commit, admission.turn)
        if replayed is not None:
            self._release(tx, lease, commit.release_session_execution_lease)
            return replayed
        revision = 0 if head is None else head.head_revision
        check_admission(commit, lease, head_revision=revision, now_ms=tx.now_ms)
        require_settled = self._settle_claims(tx, commit)
        asked_oldest = ask_oldest(
            tx, self._options.checkpoint_retention, head_revision=revision + 1
        )
        require_stamped = stamp_attachments(tx, commit.committed_attachment_ids)
        require_settled()
        self._add_blobs(tx, encoded.blobs, ready, encoded.kept_refs, asked_depths())
        usage = book_usage()
        lookup = asked_nodes()
        plan = self._write_graph(tx, prepared, head, lookup)
        tx.heads.put(
            StoredHead(
                session_id=self.session_id,
                head_revision=revision + 1,
                config_json=prepared.config_json,
                agent_frames_json=prepared.agent_frames_json,
                current_agent_frame_id=commit.current_agent_frame_id,
                checkpoint_ref=encoded.checkpoint_ref,
                leaf_node_id=plan.leaf_node_id,
                graph_node_count=plan.live_node_count,
                live_node_count=plan.live_node_count,
                user_message_count=plan.user_message_count,
                first_user_node_id=self._first_user_node_id(tx, head, plan),
            )
        )
        self._name_blobs(tx, commit, revision + 1, asked_oldest())
        if ended := ended_turn_ids(commit):
            tx.turn_inputs.defer_turns(self.session_id, ended)
        require_stamped()
        result = RuntimeCommitResult(
            head_revision=revision + 1,
            checkpoint_ref=encoded.checkpoint_ref,
            manifest=encoded.manifest,
        )
        if stamp is not None:
            tx.turn_commits.add(
                self.session_id,
                stamp,
                result,
                now_ms=tx.now_ms,
                nodes=_inserted_rows(plan, lookup),
                usage=usage,
            )
        self._release(tx, lease, commit.release_session_execution_lease)
        return result

    def _name_blobs(
        self,
        tx: SessionTransaction,
        commit: RuntimeCommit,
        revision: int,
        oldest: Sequence[NamedBlob],
    ) -> None:
        encoded = commit.checkpoint.encoded
        named = dict.fromkeys((encoded.checkpoint_ref, *encoded.manifest.part_refs()))
        tx.checkpoint_blobs.name(
            self.session_id, named, revision=revision, now_ms=tx.now_ms
        )
        let_go_of_checkpoints(
            tx,
            self._options.checkpoint_retention,
            oldest=oldest,
            head_revision=revision,
            frame_refs=frozenset(frame_state_refs(commit.agent_frames)),
        )

    def _settle_claims(
        self, tx: SessionTransaction, commit: RuntimeCommit
    ) -> Callable[[], None]:
        # Completing is the check: what a claim turns out to have owned must
        # be what the commit names, or everything is undone.
        batches = [
            (
                work,
                tx.queued_work.complete(
                    self.session_id, work.claim_id, work.lease_token
                ),
            )
            for work in commit.completed_queue_claims
        ]
        inputs = [
            (
                done,
                tx.turn_inputs.complete(
                    self.session_id, done.claim_id, done.lease_token
                ),
            )
            for done in commit.completed_turn_input_claims
        ]

        def require() -> None:
            for work, owned in batches:
                if not self._is_settled(work.session_id, owned(), work.batch_ids):
                    raise QueuedWorkClaimExpiredError(
                        session_id=work.session_id, claim_id=work.claim_id
                    )
            for done, owned in inputs:
                if not self._is_settled(done.session_id, owned(), done.input_ids):
                    raise TurnInputClaimExpiredError(
                        session_id=done.session_id, claim_id=done.claim_id
                    )

        return require

    def _is_settled(
        self, session_id: str, owned: frozenset[str], named: Sequence[str]
    ) -> bool:
        return (
            session_id == self.session_id
            and bool(owned)
            and sorted(owned) == sorted(named)
        )

    def _write_graph(
        self,
        tx: SessionTransaction,
        prepared: PreparedCommit,
        head: StoredHead | None,
        lookup: NodeLookup,
    ) -> GraphPlan:
        plan = plan_graph(
            prepared.commit.graph,
            prepared.nodes,
            lookup.nodes,
            leaf_node_id=None if head is None else head.leaf_node_id,
            live_node_count=0 if head is None else head.live_node_count,
            user_message_count=0 if head is None else head.user_message_count,
        )
        if plan.replaces_all:
            tx.graph.remove_all(self.session_id)
        tx.graph.add(
            self.session_id,
            plan.inserted,
            after_seq=lookup.last_seq,
        )
        if plan.revived_node_ids:
            tx.graph.revive(self.session_id, plan.revived_node_ids)
        return plan

    def _first_user_node_id(
        self, tx: SessionTransaction, head: StoredHead | None, plan: GraphPlan
    ) -> str | None:
        if plan.revived_node_ids:
            # One of them may be older than the first that is known.
            return first_user_node_id(tx)
        if plan.replaces_all or head is None or head.first_user_node_id is None:
            return plan.first_user_node_id()
        return head.first_user_node_id

    def _first_user_message(
        self, tx: SessionTransaction, head: StoredHead | None
    ) -> SessionNode | None:
        if head is None or head.first_user_node_id is None:
            return None
        node = tx.graph.find_live(self.session_id, head.first_user_node_id)
        if node is None:
            raise CorruptRecordError(
                record_kind="graph node",
                key=head.first_user_node_id,
                reason="the head names it as the first user message, and it is missing",
            )
        return node

    def _release(
        self,
        tx: SessionTransaction,
        lease: LeaseRow | None,
        completion: SessionExecutionLeaseCompletion | None,
    ) -> None:
        if completion is not None and lease is not None and holds(lease, completion):
            tx.execution_leases.put(
                self.session_id, LeaseRow(fencing_token=lease.fencing_token)
            )

    def _collect_when_due(self, head_revision: int) -> None:
        every = self._options.gc_policy.auto_run_every_commits
        if not every or head_revision % every:
            return
        try:
            self._collect()
        except LashStoreError:
            # The turn has landed; its caller must not take it for lost.
            _log.exception("automatic garbage collection failed")

    def save_session_meta(self, meta: SessionMeta) -> None:
        """
        Save the session's metadata in place of any other. Safe to retry.

        Raises:
            InvalidArgumentError: It holds what cannot be stored.
            SessionBindingMismatchError: It is another session's.
        """
        meta_json = check_meta(meta)
        self._refuse_other_session(meta.session_id)
        self._options.refuse_record("the session meta", meta_json)
        self._write(lambda tx: tx.session_meta.put(self.session_id, meta_json))

    def _seed_session_meta(self, meta: SessionMeta) -> None:
        meta_json = check_meta(meta)
        self._options.refuse_record("the session meta", meta_json)
        self._write(lambda tx: tx.session_meta.add(self.session_id, meta_json))

    def load_session_meta(self) -> SessionMeta | None:
        """
        Return the session's metadata; None if none was saved.

        Raises:
            CorruptRecordError: It is damaged.
        """
        return self._read(lambda tx: tx.session_meta.find(self.session_id))

    def load_picker_info(self) -> SessionPickerInfo | None:
        """
        Return the session's line in a list, without reading its graph: the
        counts are kept, and the first user message is found by an index.
        None if no metadata was saved.

        Raises:
            CorruptRecordError: The metadata, the head or that node is damaged.
        """
        return self._read(self._picker_info)

    def _picker_info(self, tx: SessionTransaction) -> SessionPickerInfo | None:
        meta = tx.session_meta.find(self.session_id)
        if meta is None:
            return None
        head = tx.heads.find(self.session_id)
        first = self._first_user_message(tx, head)
        return SessionPickerInfo(
            session_id=self.session_id,
            cwd=meta.cwd,
            relation=meta.relation,
            first_user_message="" if first is None else message_text(first),
            user_message_count=0 if head is None else head.user_message_count,
        )

    def load_usage_deltas(self) -> tuple[TokenLedgerEntry, ...]:
        """
        Return every usage delta ever booked, unmerged, in order.

        Raises:
            CorruptRecordError: A row is damaged.
        """
        return self._read(lambda tx: tx.usage.list_deltas(self.session_id))

    def append_usage_deltas(self, entries: Iterable[TokenLedgerEntry]) -> None:
        """
        Book usage outside a commit. Not idempotent: a retry books again.

        Raises:
            InvalidArgumentError: A counter or a sum is out of range.
        """
        deltas = check_usage(entries)
        self._write(lambda tx: tx.usage.book(self.session_id, deltas))

    def copy_head_from(self, source: "CommitStore") -> RuntimeCommitResult | None:
        """
        Take over another session's head: its revision, graph, checkpoint
        with all blobs, and usage, read at one instant and written in one
        transaction.

        Returns:
            The head's result; None if the source has no head, and then
            nothing was written.

        Raises:
            HeadRevisionConflictError: This session has a head.
            InvalidArgumentError: The source is this very session.
            CorruptRecordError: The source is damaged.
        """
        require_record("the source", source, CommitStore)
        if source is self:
            msg = "a session cannot take over its own head"
            raise InvalidArgumentError(msg)
        copy = source._read(read_copy)  # noqa: SLF001, the same class
        if copy is None:
            return None
        return self._write(lambda tx: write_copy(tx, copy))


def first_user_node_id(tx: SessionTransaction) -> str | None:
    """
    Search the first live user message of a session.
    """
    node = tx.graph.first_user_message(tx.session_id)
    return None if node is None else node.node_id


def stamp_attachments(
    tx: SessionTransaction, attachment_ids: Iterable[str]
) -> Callable[[], None]:
    """
    Mark attachments as committed.

    Returns:
        What must be called before the transaction ends. It raises
        `AttachmentNotFoundError` if one is unknown or about to be removed.
    """
    wanted = list(dict.fromkeys(attachment_ids))
    if not wanted:
        return lambda: None
    stamped = tx.attachments.commit(tx.session_id, wanted, now_ms=tx.now_ms)

    def require() -> None:
        found = stamped()
        for attachment_id in wanted:
            if attachment_id not in found:
                raise AttachmentNotFoundError(attachment_id=attachment_id)

    return require


def _inserted_rows(plan: GraphPlan, lookup: NodeLookup) -> SeqSpan:
    if not plan.inserted:
        return NO_ROWS
    return SeqSpan(first=lookup.last_seq + 1, count=len(plan.inserted))
