"""
Commits, the graph, checkpoints and their blobs against a plain model.
"""

import copy
import hashlib

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from lashstore import (
    ActivePath,
    AttachmentIntent,
    AttachmentNotFoundError,
    DuplicateNodeError,
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    HeadRevisionConflictError,
    HydratedCheckpoint,
    InvalidArgumentError,
    RuntimeCommit,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    SessionGraph,
    SessionMeta,
    SessionNode,
    TokenLedgerEntry,
    TokenUsage,
    TurnCommitConflictError,
    UnknownBlobError,
    UnknownNodeError,
)

from .kit import CAMPAIGN, SESSION, StoreMachine, short

# Large enough to be compressed, too small, and not compressible at all.
TOOL_STATES = (
    {"generation": 1, "tools": {}},
    {"generation": 2, "tools": {f"t{n}": {"member": True} for n in range(400)}},
    {"bytes": b"\x00\xff" * 40, "n": -(2**63), "f": 1.5},
)
PLUGIN_SNAPSHOTS = ({"plugins": {}}, {"plugins": {"p": "x" * 6_000}})
EXECUTION_STATES = (
    b"",
    b"\x00\x01",
    b"state " * 2_000,
    b"".join(hashlib.sha256(bytes([n])).digest() for n in range(200)),
)
UNKNOWN_REF = "0" * 64
NODE_IDS = tuple(f"n{n}" for n in range(20))

usages = st.builds(
    lambda source, model, a, b, r: TokenLedgerEntry(
        source=source,
        model=model,
        usage=TokenUsage(input_tokens=a, output_tokens=b, reasoning_output_tokens=r),
    ),
    st.sampled_from(["turn", "compaction"]),
    st.sampled_from(["m1", "m2"]),
    st.sampled_from([0, 0, 5]),
    st.sampled_from([0, 7]),
    st.sampled_from([0, 3]),
)


def message(node_id, parent, text, role="user"):
    return SessionNode(
        node_id=node_id,
        parent_node_id=parent,
        timestamp="2026-01-01T00:00:00Z",
        payload={"role": role, "content": text},
    )


class CommitMachine(StoreMachine):
    """
    Model: `nodes` in insertion order with their tombstones, `usage`, the
    head, committed `turns`, and which blob refs are stored.
    """

    commits = Bundle("commits")

    def __init__(self):
        super().__init__()
        self.nodes = {}
        self.buried = set()
        self.leaf = None
        self.head = None
        self.usage = []
        self.turns = {}
        self.turn_number = 0
        self.stored_refs = set()
        self.values = {}
        self.refs_by_value = {}
        self.manifests = {}
        self.intents = {}
        self.stamped_ids = set()
        self.artifacts = {}

    @initialize()
    def begin(self):
        """Hold the lease, keep a lost one, and be listed by a picker."""
        self.stale, self.fence = self.take_two_leases()
        self.store.save_session_meta(
            SessionMeta(session_id=SESSION, session_name="chat", created_at="unix:1")
        )

    @property
    def revision(self):
        return 0 if self.head is None else self.head["revision"]

    @property
    def live(self):
        return {key for key in self.nodes if key not in self.buried}

    def apply_graph(self, delta):
        """
        Apply a delta to copies; return them, or the error it must raise.
        """
        nodes, buried, leaf = dict(self.nodes), set(self.buried), self.leaf
        live = self.live
        if isinstance(delta, GraphUnchanged):
            if delta.leaf_node_id is not None:
                if delta.leaf_node_id not in live:
                    return UnknownNodeError
                leaf = delta.leaf_node_id
            return nodes, buried, leaf
        if isinstance(delta, GraphReplace):
            own = {node.node_id for node in delta.graph.nodes}
            wanted = [node.parent_node_id for node in delta.graph.nodes]
            wanted.append(delta.graph.leaf_node_id)
            if any(one is not None and one not in own for one in wanted):
                return UnknownNodeError
            return (
                {n.node_id: n for n in delta.graph.nodes},
                set(),
                delta.graph.leaf_node_id,
            )
        own = {node.node_id for node in delta.nodes}
        for node in delta.nodes:
            known = nodes.get(node.node_id)
            if known is not None and known != node:
                return DuplicateNodeError
        wanted = [node.parent_node_id for node in delta.nodes]
        wanted.append(delta.leaf_node_id)
        if any(one is not None and one not in own | live for one in wanted):
            return UnknownNodeError
        for node in delta.nodes:
            nodes.setdefault(node.node_id, node)
            buried.discard(node.node_id)
        if delta.leaf_node_id is not None:
            leaf = delta.leaf_node_id
        elif delta.nodes:
            leaf = delta.nodes[-1].node_id
        return nodes, buried, leaf

    def checkpoint_error(self, checkpoint):
        for name in ("tool_state", "plugin_snapshot", "execution_state"):
            ref = getattr(checkpoint, f"{name}_ref")
            if (
                getattr(checkpoint, name) is None
                and ref is not None
                and ref not in self.stored_refs
            ):
                return UnknownBlobError
        return None

    def learn_checkpoint(self, checkpoint, result):
        """Check the refs a commit made; return the checkpoint as read back."""
        facts = {
            "turn_state": checkpoint.turn_state,
            "plugin_snapshot_revision": checkpoint.plugin_snapshot_revision,
        }
        manifest = result.manifest
        assert manifest.schema_version == 1
        assert manifest.turn_state == checkpoint.turn_state
        assert manifest.plugin_snapshot_revision == checkpoint.plugin_snapshot_revision
        for name in ("tool_state", "plugin_snapshot", "execution_state"):
            value = getattr(checkpoint, name)
            ref = getattr(manifest, f"{name}_ref")
            if value is None:
                assert ref == getattr(checkpoint, f"{name}_ref")
            else:
                assert len(ref) == 64
                assert self.refs_by_value.setdefault(repr(value), ref) == ref
                self.values[ref] = value
                self.stored_refs.add(ref)
            facts[f"{name}_ref"] = ref
            facts[name] = None if ref is None else self.values[ref]
        self.stored_refs.add(result.checkpoint_ref)
        hydrated = HydratedCheckpoint(**facts)
        known = self.manifests.setdefault(result.checkpoint_ref, hydrated)
        assert known == hydrated
        return hydrated

    def draw_delta(self, data, *, sound):
        kind = data.draw(st.sampled_from(["append"] * 6 + ["unchanged", "replace"]))
        ids = st.sampled_from(NODE_IDS)
        if kind == "unchanged":
            if sound:
                ids = st.sampled_from([None, *sorted(self.live)])
            return GraphUnchanged(leaf_node_id=data.draw(st.one_of(st.none(), ids)))
        if kind == "replace":
            count = data.draw(st.integers(0, 4))
            nodes = [
                message(
                    NODE_IDS[n],
                    data.draw(st.sampled_from([None, *NODE_IDS[:n]])),
                    "replaced",
                    data.draw(st.sampled_from(["user", "assistant"])),
                )
                for n in range(count)
            ]
            own = [node.node_id for node in nodes]
            strange = [] if sound else [NODE_IDS[-1]]
            leaf = data.draw(st.sampled_from([None, *own, *own, *strange]))
            return GraphReplace(
                graph=SessionGraph(nodes=tuple(nodes), leaf_node_id=leaf)
            )
        nodes, taken = [], set()
        for _ in range(data.draw(st.integers(1, 3))):
            again = data.draw(st.integers(0, 9))
            stored = [key for key in self.nodes if key not in taken]
            if again == 0 and stored:
                old = self.nodes[data.draw(st.sampled_from(stored))]
                parent_is_sound = old.parent_node_id in self.live | taken | {None}
                if parent_is_sound:
                    taken.add(old.node_id)
                    nodes.append(old)
                continue
            free = [each for each in NODE_IDS if each not in self.nodes]
            if sound and free:
                ids = st.sampled_from(free)
            node_id = data.draw(ids)
            if node_id in taken:
                continue
            strange = [] if sound else [NODE_IDS[0], NODE_IDS[-1]]
            parents = [*sorted(self.live), *taken, *strange] or [None]
            parent = data.draw(st.sampled_from(parents))
            if parent == node_id:
                continue
            # A stored node re-appended over a buried parent is a question
            # the contract leaves open.
            known = self.nodes.get(node_id)
            if known is not None and known.parent_node_id not in self.live | taken | {
                None
            }:
                continue
            taken.add(node_id)
            role = data.draw(st.sampled_from(["user", "assistant"]))
            nodes.append(message(node_id, parent, f"text of {node_id}", role))
        if not nodes:
            return GraphUnchanged()
        parents = {node.node_id: node.parent_node_id for node in nodes}
        for start in parents:
            at, steps = start, 0
            while at in parents and steps <= len(parents):
                at, steps = parents[at], steps + 1
            if steps > len(parents):
                return GraphUnchanged()
        leaf = data.draw(
            st.sampled_from(
                [None, *taken, *([] if sound else [NODE_IDS[-1]])]
                + sorted(self.live)[:2]
            )
        )
        return GraphAppend(nodes=tuple(nodes), leaf_node_id=leaf)

    def draw_checkpoint(self, data, *, sound):
        facts = {
            "turn_state": data.draw(st.sampled_from([{}, {"turn_index": 1}, [1, "x"]]))
        }
        for name, values in (
            ("tool_state", TOOL_STATES),
            ("plugin_snapshot", PLUGIN_SNAPSHOTS),
            ("execution_state", EXECUTION_STATES),
        ):
            choice = data.draw(
                st.sampled_from(["none", "value", "keep", "keep", "unknown"])
            )
            if choice == "value":
                facts[name] = data.draw(st.sampled_from(values))
            elif choice == "keep":
                known = sorted(
                    ref
                    for ref, value in self.values.items()
                    if any(value == one for one in values)
                    and (ref in self.stored_refs or not sound)
                )
                if known:
                    facts[f"{name}_ref"] = data.draw(st.sampled_from(known))
            elif choice == "unknown" and not sound:
                facts[f"{name}_ref"] = UNKNOWN_REF
        facts["plugin_snapshot_revision"] = data.draw(
            st.sampled_from([None, 0, 2**63 - 1])
        )
        return HydratedCheckpoint(**facts)

    @rule(
        target=commits,
        data=st.data(),
        usage=st.lists(usages, max_size=3),
        stamp=st.booleans(),
        expected=st.sampled_from([None, "actual"]),
        attach=st.sampled_from([(), ("known",)]),
        frame_ref=st.booleans(),
    )
    def commit(self, data, usage, stamp, expected, attach, frame_ref):
        """Commit what can land: everything at once."""
        delta = self.draw_delta(data, sound=True)
        checkpoint = self.draw_checkpoint(data, sound=True)
        return self.send(
            data, delta, checkpoint, usage, stamp, expected, "held", attach, frame_ref
        )

    @rule(
        target=commits,
        data=st.data(),
        usage=st.lists(usages, max_size=3),
        stamp=st.booleans(),
        expected=st.sampled_from([None, "actual", "actual", "actual", -1, 1]),
        fenced=st.sampled_from(["held"] * 4 + ["stale", "none"]),
        attach=st.sampled_from([(), ("known",), ("unknown",)]),
    )
    def commit_anything(self, data, usage, stamp, expected, fenced, attach):
        """Commit what may have flaws: the first error, and nothing happens."""
        delta = self.draw_delta(data, sound=False)
        checkpoint = self.draw_checkpoint(data, sound=False)
        return self.send(
            data, delta, checkpoint, usage, stamp, expected, fenced, attach, False
        )

    @rule(target=commits, data=st.data())
    def revive(self, data):
        """Append a buried node again: its tombstone is lifted, in its place."""
        found = [
            self.nodes[key]
            for key in sorted(self.buried)
            if self.nodes[key].parent_node_id in self.live | {None}
        ]
        if not found:
            return multiple()
        delta = GraphAppend(nodes=(data.draw(st.sampled_from(found)),))
        return self.send(
            data, delta, HydratedCheckpoint(), (), True, "actual", "held", (), False
        )

    def send(
        self, data, delta, checkpoint, usage, stamp, expected, fenced, attach, frame_ref
    ):
        frames = ({"frame_id": "f", "status": "active"},)
        stored_states = sorted(
            ref for ref in self.stored_refs if isinstance(self.values.get(ref), bytes)
        )
        if frame_ref and stored_states:
            ref = data.draw(st.sampled_from(stored_states))
            frames[0]["execution_state_ref"] = ref
        wanted = self.revision
        if expected in (-1, 1):
            wanted = max(0, self.revision + expected)
        attachment_ids = tuple(
            min(self.intents) if name == "known" else hashlib.sha256(b"?").hexdigest()
            for name in attach
            if name == "unknown" or self.intents
        )
        commit = RuntimeCommit(
            session_id=SESSION,
            expected_head_revision=None if expected is None else wanted,
            session_execution_lease={
                "held": self.fence,
                "stale": self.stale,
                "none": None,
            }[fenced],
            config={"model": "m", "n": self.revision},
            agent_frames=frames,
            current_agent_frame_id="f",
            graph=delta,
            checkpoint=checkpoint,
            usage_deltas=tuple(usage),
            committed_attachment_ids=attachment_ids,
        )
        if stamp:
            self.turn_number += 1
            commit = commit.stamped(f"turn-{self.turn_number}")

        planned = self.apply_graph(delta)
        problem = None
        if fenced != "held":
            problem = {SessionExecutionLeaseExpiredError}
        elif expected is not None and wanted != self.revision:
            problem = {HeadRevisionConflictError}
        else:
            # The contract orders the checks above, not those of the writes.
            wrong = {
                self.checkpoint_error(checkpoint),
                planned if isinstance(planned, type) else None,
                AttachmentNotFoundError
                if set(attachment_ids) - set(self.intents)
                else None,
            } - {None}
            problem = wrong or None
        if problem is not None:
            with pytest.raises(tuple(problem)) as caught:
                self.store.commit_runtime_state(commit)
            if isinstance(caught.value, HeadRevisionConflictError):
                assert caught.value.expected == wanted
                assert caught.value.actual == self.revision
            return multiple()

        result = self.store.commit_runtime_state(commit)
        assert result.head_revision == self.revision + 1
        hydrated = self.learn_checkpoint(checkpoint, result)
        self.nodes, self.buried, self.leaf = planned
        self.usage.extend(usage)
        for attachment_id in attachment_ids:
            self.stamped_ids.add(attachment_id)
        self.head = {
            "revision": result.head_revision,
            "config": commit.config,
            "frames": copy.deepcopy(frames),
            "checkpoint_ref": result.checkpoint_ref,
            "checkpoint": hydrated,
            "count": len(self.live),
        }
        if stamp:
            self.turns[commit.turn_commit.turn_id] = (commit, result)
        return commit

    @rule(data=st.data(), lease=st.sampled_from(["held", "stale", "none"]))
    def replay(self, data, lease):
        """A committed turn sent again: its first result, nothing else."""
        if not self.turns:
            return
        commit, result = self.turns[data.draw(st.sampled_from(sorted(self.turns)))]
        fences = {"held": self.fence, "stale": self.stale, "none": None}
        again = msgspec.structs.replace(
            commit, session_execution_lease=fences[lease], expected_head_revision=None
        )
        assert self.store.commit_runtime_state(again) == result

    @rule(data=st.data())
    def conflict(self, data):
        """A committed turn with other content, or another session's stamp."""
        if not self.turns:
            return
        commit, _ = self.turns[data.draw(st.sampled_from(sorted(self.turns)))]
        other = msgspec.structs.replace(commit, config={"other": self.revision})
        with pytest.raises(TurnCommitConflictError):
            self.store.commit_runtime_state(other.stamped(commit.turn_commit.turn_id))
        foreign = msgspec.structs.replace(
            commit,
            turn_commit=msgspec.structs.replace(
                commit.turn_commit, session_id="another"
            ),
        )
        with pytest.raises(TurnCommitConflictError):
            self.store.commit_runtime_state(foreign)
        with pytest.raises(SessionBindingMismatchError):
            self.store.commit_runtime_state(
                msgspec.structs.replace(commit, session_id="another")
            )

    @rule()
    def cycle(self):
        """Parents that close a cycle are refused."""
        ring = (message("ring-1", "ring-2", "a"), message("ring-2", "ring-1", "b"))
        for delta in (
            GraphAppend(nodes=ring),
            GraphReplace(graph=SessionGraph(nodes=ring, leaf_node_id="ring-1")),
            GraphAppend(nodes=(message("ring-3", "ring-3", "c"),)),
        ):
            with pytest.raises(InvalidArgumentError):
                self.plain_commit(self.fence, graph=delta)

    @rule(
        data=st.data(),
        strange=st.lists(st.sampled_from([*NODE_IDS, "never"]), max_size=2),
    )
    def tombstone(self, data, strange):
        """Tombstones: only what was live is newly marked."""
        ids = strange
        if self.live:
            ids = [data.draw(st.sampled_from(sorted(self.live))), *strange]
        fresh = set(ids) & self.live
        assert self.store.tombstone_nodes(ids) == len(fresh)
        self.buried |= fresh

    @rule()
    def vacuum(self):
        """Vacuum: buried nodes go, but for the parents of live ones."""
        needed = {self.nodes[key].parent_node_id for key in self.live}
        gone = self.buried - needed
        report = self.store.vacuum()
        assert report.removed_node_count == len(gone)
        assert report.removed_turn_input_count == 0
        self.nodes = {key: node for key, node in self.nodes.items() if key not in gone}
        self.buried -= gone

    @rule(entries=st.lists(usages, max_size=2))
    def book_usage(self, entries):
        """Usage may be booked without a commit."""
        self.store.append_usage_deltas(entries)
        self.usage.extend(entries)

    @rule(content=st.sampled_from([b"a", b"b" * 5_000]))
    def put_blob(self, content):
        """A blob's ref is the hash of its content."""
        ref = self.store.put_blob(content)
        assert ref == hashlib.sha256(content).hexdigest()
        assert self.store.get_blob(ref) == content
        self.stored_refs.add(ref)

    @rule(content=st.sampled_from([b"pinned", b"z" * 9_000]), ref=st.sampled_from("xy"))
    def put_artifact(self, content, ref):
        """An artifact pins its blob."""
        self.store.put_artifact_bytes(ref, content)
        self.stored_refs.add(hashlib.sha256(content).hexdigest())
        self.artifacts[ref] = hashlib.sha256(content).hexdigest()

    @rule(data=st.data(), state=st.sampled_from(EXECUTION_STATES))
    def keep_by_frame(self, data, state):
        """A state that only an agent frame still names survives a GC."""
        for checkpoint, named in (
            (HydratedCheckpoint(execution_state=state), False),
            (HydratedCheckpoint(turn_state={"turn_index": 2}), True),
        ):
            self.send(
                data, GraphUnchanged(), checkpoint, (), False, None, "held", (), named
            )
        self.collect()

    @rule()
    def collect(self):
        """GC: the head's checkpoint, its parts, frames and artifacts stay."""
        roots = set(self.artifacts.values())
        if self.head is not None:
            hydrated = self.head["checkpoint"]
            roots |= {
                self.head["checkpoint_ref"],
                hydrated.tool_state_ref,
                hydrated.plugin_snapshot_ref,
                hydrated.execution_state_ref,
            } - {None}
            roots |= {
                frame["execution_state_ref"]
                for frame in self.head["frames"]
                if "execution_state_ref" in frame
            }
        report = self.store.gc_unreachable()
        assert report.retained_blob_count == len(roots)
        assert report.deleted_blob_count == len(self.stored_refs - roots)
        self.stored_refs &= roots
        assert self.store.gc_unreachable().deleted_blob_count == 0
        for ref in sorted(set(self.values) - self.stored_refs):
            assert self.store.get_blob(ref) is None
            assert self.store.get_typed_blob(ref) is None

    @rule(name=st.sampled_from(["one", "two"]))
    def intend(self, name):
        """An attachment's intent comes before its commit."""
        attachment_id = hashlib.sha256(name.encode()).hexdigest()
        uri = f"sha256:{attachment_id}"
        if attachment_id in self.stamped_ids:
            return
        self.store.record_attachment_intent(
            AttachmentIntent(
                attachment_id=attachment_id, canonical_uri=uri, intent_at_ms=self.now
            )
        )
        self.intents[attachment_id] = self.now

    @rule()
    def list_attachments(self):
        """Uncommitted attachments are those no commit has stamped."""
        listed = self.store.list_uncommitted_attachments(2**63 - 1)
        assert {entry.attachment_id: entry.intent_at_ms for entry in listed} == {
            key: at for key, at in self.intents.items() if key not in self.stamped_ids
        }

    def path_to(self, leaf):
        path = []
        while leaf in self.live:
            path.append(self.nodes[leaf])
            leaf = self.nodes[leaf].parent_node_id
        return tuple(reversed(path))

    @rule(leaf=st.sampled_from([None, *NODE_IDS]))
    def read_path(self, leaf):
        """The active path: root to leaf, ending at a tombstone."""
        read = self.store.load_session(ActivePath(leaf_node_id=leaf))
        if self.head is None:
            assert read is None
            return
        effective = self.leaf if leaf is None else leaf
        assert read.graph.leaf_node_id == effective
        assert read.graph.nodes == self.path_to(effective)

    @rule(node_id=st.sampled_from([*NODE_IDS, "never"]))
    def read_node(self, node_id):
        """One node, if it is live."""
        expected = self.nodes[node_id] if node_id in self.live else None
        assert self.store.load_node(node_id) == expected

    @rule()
    def read_blobs(self):
        """Every stored value reads back; every stored manifest too."""
        for ref in sorted(set(self.values) & self.stored_refs):
            assert self.store.get_typed_blob(ref) == self.values[ref]
        if self.head is not None:
            ref = self.head["checkpoint_ref"]
            assert self.store.get_checkpoint(ref) == self.head["checkpoint"]
            manifest = self.store.get_typed_blob(ref)
            assert manifest["turn_state"] == self.head["checkpoint"].turn_state

    def ledger(self):
        merged = {}
        for entry in self.usage:
            if entry.usage.input_tokens + entry.usage.output_tokens == 0:
                continue
            sums = merged.setdefault((entry.source, entry.model), [0, 0, 0])
            sums[0] += entry.usage.input_tokens
            sums[1] += entry.usage.output_tokens
            sums[2] += entry.usage.reasoning_output_tokens
        return tuple(
            TokenLedgerEntry(
                source=source,
                model=model,
                usage=TokenUsage(
                    input_tokens=a, output_tokens=b, reasoning_output_tokens=r
                ),
            )
            for (source, model), (a, b, r) in merged.items()
        )

    @invariant()
    def session_agrees(self):
        """A full read shows the model: graph, head, checkpoint, ledger."""
        read = self.store.load_session()
        head = self.store.load_session_head_meta()
        assert list(self.store.load_usage_deltas()) == self.usage
        if self.head is None:
            assert read is None
            assert head is None
            return
        live = tuple(node for key, node in self.nodes.items() if key in self.live)
        assert read.graph.nodes == live
        assert read.graph.leaf_node_id == head.leaf_node_id == self.leaf
        assert read.session_id == head.session_id == SESSION
        assert read.head_revision == head.head_revision == self.head["revision"]
        assert read.config == head.config == self.head["config"]
        assert read.agent_frames == head.agent_frames == self.head["frames"]
        assert read.current_agent_frame_id == head.current_agent_frame_id == "f"
        assert read.checkpoint_ref == head.checkpoint_ref == self.head["checkpoint_ref"]
        assert read.checkpoint == self.head["checkpoint"]
        assert head.graph_node_count == self.head["count"]
        assert read.token_ledger == self.ledger()

    @invariant()
    def picker_agrees(self):
        """The picker counts the user's live messages of every branch."""
        if not hasattr(self, "fence"):
            return
        texts = [
            node.payload["content"]
            for key, node in self.nodes.items()
            if key in self.live and node.payload["role"] == "user"
        ]
        info = self.store.load_picker_info()
        assert info.user_message_count == len(texts)
        assert info.first_user_message == (texts[0] if texts else "")


class MemoryCommitMachine(CommitMachine):
    """The same, in memory."""

    durable = False


class ServerCommitMachine(CommitMachine):
    """The same, on a server."""

    on_server = True


@pytest.mark.parametrize(
    "machine", [CommitMachine, MemoryCommitMachine, ServerCommitMachine]
)
def test_commits_follow_their_model(machine):
    """
    Any program of commits, tombstones, replays and GC goes as the model.
    """
    run_state_machine_as_test(machine, settings=short(machine))


@pytest.mark.campaign
@pytest.mark.parametrize(
    "machine", [CommitMachine, MemoryCommitMachine, ServerCommitMachine]
)
def test_commits_follow_their_model_for_long(machine):
    """
    The same with many more programs.
    """
    run_state_machine_as_test(machine, settings=CAMPAIGN)
