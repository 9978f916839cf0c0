"""
Large states through chains, retention and garbage collection, against a
model that keeps every checkpoint ever committed.
"""

import functools
import hashlib
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from lashstore import (
    ArtifactKind,
    BlobDescriptor,
    CheckpointRetention,
    GraphUnchanged,
    HydratedCheckpoint,
    RuntimeCommit,
    Store,
    StoreOptions,
    Synchronous,
    UnknownBlobError,
)
from lashstore.store import storing
from lashstore.store.recent import RecentSnapshots

from .kit import CAMPAIGN, SESSION, SHORT, StoreMachine

# Each step reads all that is kept.
FEW = settings(SHORT, max_examples=25, stateful_step_count=25)
PARTS = ("tool_state", "plugin_snapshot", "execution_state")
KEEP_ALL = CheckpointRetention(max_count=None)
EXECUTION_STATE = BlobDescriptor.for_kind(ArtifactKind.EXECUTION_STATE_SNAPSHOT)


@functools.cache
def member(place, version):
    return hashlib.shake_256(f"{place}-{version}".encode()).digest(4_200)


@functools.cache
def large(part, versions):
    """
    A state of 38 KB whose members have these versions.
    """
    members = [member(place, version) for place, version in enumerate(versions)]
    return b"".join(members) if part == "execution_state" else {"members": members}


versions = st.tuples(*[st.integers(0, 1)] * 9)
retentions = st.builds(
    CheckpointRetention,
    max_count=st.sampled_from([None, 1, 1, 2, 3, 8]),
    max_age_ms=st.sampled_from([None, None, None, 0, 100]),
)


class SnapshotMachine(StoreMachine):
    """
    Model: `committed` is every (ref, checkpoint, time) in order; `kept_from`
    is where those begin that no collection may have taken.
    """

    retention = CheckpointRetention()

    def __init__(self):
        super().__init__()
        self.committed = []
        self.kept_from = 0
        self.current = dict.fromkeys(PARTS)
        self.put_refs = {}
        self.ever_put = set()
        self.named = {}
        self.frame_ref = None
        self.turn = itertools.count()

    @initialize(shared=st.booleans(), retention=retentions)
    def begin(self, shared, retention):
        """Hold the lease; with or without memory of earlier snapshots."""
        # Where nothing is remembered, every base is read from its chain.
        self.remembered = storing.recent_snapshots
        storing.recent_snapshots = RecentSnapshots(10**6 if shared else 0)
        self.fence = self.take_lease()
        self.keep(retention)

    def teardown(self):
        storing.recent_snapshots = self.remembered
        super().teardown()

    @rule(retention=retentions)
    def keep(self, retention):
        """Open the session with another retention."""
        self.retention = retention
        if self.durable:
            self.reopen()
        else:
            self.store._options = StoreOptions(
                synchronous=Synchronous.NORMAL, checkpoint_retention=retention
            )

    def other_handle(self):
        if not self.durable:
            return self.store
        return Store.open(
            self.folder / "chat.db",
            SESSION,
            clock=self.clock,
            options=StoreOptions(
                synchronous=Synchronous.NORMAL, checkpoint_retention=self.retention
            ),
        )

    def land(self, store=None, frames=(), **values):
        """Commit parts; what is not given is carried by its ref."""
        self.current |= values
        facts = {}
        for part in PARTS:
            before = self.committed[-1][1] if self.committed else None
            ref = getattr(before, f"{part}_ref", None)
            if self.current[part] is None:
                continue
            if part not in values and ref is not None:
                facts[f"{part}_ref"] = ref
            else:
                facts[part] = self.current[part]
        turn_state = {"n": next(self.turn)}
        result = (store or self.store).commit_runtime_state(
            self.commit_of(frames, HydratedCheckpoint(turn_state=turn_state, **facts))
        )
        checkpoint = HydratedCheckpoint(
            turn_state=turn_state,
            tool_state_ref=result.manifest.tool_state_ref,
            plugin_snapshot_ref=result.manifest.plugin_snapshot_ref,
            execution_state_ref=result.manifest.execution_state_ref,
            **self.current,
        )
        self.committed.append((result.checkpoint_ref, checkpoint, self.now))
        self.frame_ref = frames[0]["execution_state_ref"] if frames else None
        if self.current["execution_state"] is not None:
            # A commit names it: it goes with its checkpoints from now on.
            self.put_refs.pop(result.manifest.execution_state_ref, None)
        self.promise()

    def commit_of(self, frames, checkpoint):
        return RuntimeCommit(
            session_id=SESSION,
            session_execution_lease=self.fence,
            agent_frames=frames,
            graph=GraphUnchanged(),
            checkpoint=checkpoint,
        )

    def promise(self):
        """Move `kept_from` past what the commit may have let go of."""
        last = len(self.committed) - 1
        count, age = self.retention.max_count, self.retention.max_age_ms
        if count is not None:
            self.kept_from = max(self.kept_from, last - count + 1)
        if age is not None:
            while (
                self.kept_from < last
                and self.committed[self.kept_from][2] < self.now - age
            ):
                self.kept_from += 1

    @rule(part=st.sampled_from(PARTS), of=versions, elsewhere=st.booleans())
    def change(self, part, of, elsewhere):
        """A part becomes one of its states, an earlier one perhaps."""
        store = self.other_handle() if elsewhere else self.store
        self.land(store, **{part: large(part, of)})
        if store is not self.store:
            store.close()

    @rule(
        part=st.sampled_from(PARTS), place=st.integers(0, 8), count=st.integers(1, 20)
    )
    def run_on(self, part, place, count):
        """Many commits, each a small change."""
        for number in range(count):
            of = [0] * 9
            of[place] = number % 7
            self.land(**{part: large(part, tuple(of))})

    @rule(part=st.sampled_from(PARTS))
    def drop(self, part):
        """A part is not there any more."""
        self.land(**{part: None})

    @rule(count=st.integers(1, 10))
    def carry(self, count):
        """Everything is carried by its ref."""
        for _ in range(count):
            self.land()

    @rule()
    def frame(self):
        """A frame of the head names the execution state, which goes."""
        before = self.committed[-1][1] if self.committed else None
        if before is None or before.execution_state is None:
            return
        frame = {"frame_id": "f", "execution_state_ref": before.execution_state_ref}
        for _ in range(3):
            self.land(frames=(frame,), execution_state=None)
        self.put_refs.pop(before.execution_state_ref, None)
        self.framed = before.execution_state
        self.ever_put.add(self.frame_ref)
        assert self.store.get_typed_blob(self.frame_ref) == self.framed

    @rule(of=versions)
    def put(self, of):
        """A state is put by itself, and not named by a commit yet."""
        value = large("execution_state", of)
        ref = self.store.put_typed_artifact_blob(EXECUTION_STATE, value)
        self.ever_put.add(ref)
        head = self.committed[-1][1] if self.committed else None
        if head is None or head.execution_state_ref != ref:
            self.put_refs[ref] = value

    @rule(of=versions, name=st.sampled_from("ab"))
    def name(self, of, name):
        """An artifact is a content that states may have as well."""
        content = large("execution_state", of)
        self.store.put_artifact_bytes(name, content)
        self.named[name] = content
        self.ever_put.add(hashlib.sha256(content).hexdigest())

    @rule(elsewhere=st.booleans())
    def collect(self, elsewhere):
        """Only what the head or an artifact leads to is left."""
        store = self.other_handle() if elsewhere else self.store
        store.gc_unreachable()
        if store is not self.store:
            store.close()
        self.put_refs = {}
        head = self.committed[-1] if self.committed else None
        self.kept_from = max(len(self.committed) - 1, 0)
        for ref, _, _ in self.committed[:-1]:
            assert head[0] == ref or self.store.get_checkpoint(ref) is None
        assert self.store.gc_unreachable().deleted_blob_count == 0

    @rule()
    def refuse_unknown(self):
        """A ref that is not there is refused, and nothing changes."""
        checkpoint = HydratedCheckpoint(
            tool_state=large("tool_state", (1,) * 9), plugin_snapshot_ref="0" * 64
        )
        with pytest.raises(UnknownBlobError):
            self.store.commit_runtime_state(self.commit_of((), checkpoint))

    @invariant()
    def head_reads(self):
        """The head's checkpoint is the last that was committed."""
        read = self.store.load_session()
        if not self.committed:
            assert read is None
            return
        assert read.checkpoint == self.committed[-1][1]

    @invariant()
    def kept_checkpoints_read(self):
        """What must be kept is equal; what may be gone is gone or equal."""
        for place, (ref, checkpoint, _) in enumerate(self.committed[-60:]):
            read = self.store.get_checkpoint(ref)
            must = place + max(len(self.committed) - 60, 0) >= self.kept_from
            assert read == checkpoint or (read is None and not must)
        for ref, _, _ in self.committed[:-60]:
            self.store.get_checkpoint(ref)

    @invariant()
    def other_blobs_read(self):
        """Blobs put by themselves, named and framed ones are there."""
        for ref, value in self.put_refs.items():
            assert self.store.get_typed_blob(ref) == value
        for name, content in self.named.items():
            assert self.store.get_artifact_bytes(name) == content
        if self.frame_ref is not None:
            assert self.store.get_typed_blob(self.frame_ref) == self.framed

    @invariant()
    def every_blob_reads(self):
        """No blob lacks a base, and chains are bounded."""
        with self.store.transaction() as tx:
            refs = [entry.blob_ref for entry in tx.blobs.list_page(SESSION, "")]
            contents = tx.blobs.list_contents(SESSION, refs)
            depths = tx.blobs.list_depths(SESSION, refs)
        assert set(contents) == set(refs) == set(depths)
        assert all(0 <= depth <= 16 for depth in depths.values())

    @rule()
    def settle(self):
        """With one checkpoint kept, only what somebody needs is there."""
        before, self.retention = self.retention, CheckpointRetention(max_count=1)
        self.keep(self.retention)
        # Sixty-four a commit: the backlog is gone within some commits.
        for _ in range(4 + len(self.committed) // 15):
            self.land()
        self.keep(before)
        _, head, _ = self.committed[-1]
        needed = {self.committed[-1][0], *self.ever_put}
        needed |= {getattr(head, f"{part}_ref") for part in PARTS} - {None}
        with self.store.transaction() as tx:
            refs = [entry.blob_ref for entry in tx.blobs.list_page(SESSION, "")]
            rows = tx.blobs.list_rows(SESSION, sorted(needed & set(refs)))
        assert set(refs) == {row.blob_ref for row in rows}


class MemorySnapshotMachine(SnapshotMachine):
    """
    The same in memory.
    """

    durable = False


@pytest.mark.parametrize("machine", [SnapshotMachine, MemorySnapshotMachine])
def test_snapshots_follow_their_model(machine):
    """
    Any interleaving: kept checkpoints read back equal, others are gone.
    """
    run_state_machine_as_test(machine, settings=FEW)


@pytest.mark.campaign
def test_many_snapshots_follow_their_model():
    """
    The same at length.
    """
    run_state_machine_as_test(SnapshotMachine, settings=CAMPAIGN)
