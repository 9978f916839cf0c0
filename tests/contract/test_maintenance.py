"""
Maintenance: tombstones, vacuum and garbage collection.
"""

import pytest

from lashstore import (
    ActivePath,
    GcPolicy,
    GcReport,
    GraphUnchanged,
    HydratedCheckpoint,
    InputIdTarget,
    InvalidArgumentError,
    LashStoreError,
    StoreOptions,
    VacuumReport,
)
from lashstore.testing import (
    acquire_lease,
    active_turn_draft,
    commit_nodes,
    make_commit,
    message_chain,
    message_node,
    next_turn_draft,
    turn_work_draft,
)


def commit(store, **fields):
    """
    Commit under a long lease.
    """
    return store.commit_runtime_state(make_commit(acquire_lease(store), **fields))


def ids(store):
    """
    The ids of the live nodes.
    """
    return [node.node_id for node in store.load_session().graph.nodes]


def test_tombstoned_nodes_vanish_from_reads(backend):
    """
    A tombstone hides its node from every read.
    """
    store = backend.open_store()
    commit_nodes(store, *message_chain("m1", "m2", "m3"))

    assert 1 == store.tombstone_nodes(["m2"])
    store = backend.reopen(store)

    assert None is store.load_node("m2")
    assert ["m1", "m3"] == ids(store)
    assert "m3" == store.load_session_head_meta().leaf_node_id
    assert 1 == store.load_session_head_meta().head_revision


def test_tombstones_are_counted_once(store):
    """
    Only newly marked nodes count; unknown and marked ones are passed over.
    """
    commit_nodes(store, *message_chain("m1", "m2", "m3"))

    assert 2 == store.tombstone_nodes(["m1", "m2", "m1", "unknown"])
    assert 1 == store.tombstone_nodes(iter(["m2", "m3"]))
    assert 0 == store.tombstone_nodes(["m1", "m2", "m3"])
    assert 0 == store.tombstone_nodes([])


def test_tombstones_need_no_head(store):
    """
    A session without a graph has nothing to mark.
    """
    assert 0 == store.tombstone_nodes(["m1"])


@pytest.mark.parametrize("node_id", ["a\0b", "\ud800", 1, None], ids=ascii)
def test_tombstone_of_what_is_no_id(store, node_id):
    """
    An id that cannot be one is refused, and nothing is marked.
    """
    commit_nodes(store, message_node("m1"))

    with pytest.raises(InvalidArgumentError):
        store.tombstone_nodes(["m1", node_id])

    assert ["m1"] == ids(store)


def test_vacuum_removes_tombstoned_nodes(backend):
    """
    A vacuum removes the marked nodes that no live node needs.
    """
    store = backend.open_store()
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    store.tombstone_nodes(["m2", "m3"])
    commit(store, graph=GraphUnchanged(leaf_node_id="m1"))

    assert VacuumReport(removed_node_count=2) == store.vacuum()
    store = backend.reopen(store)
    assert VacuumReport() == store.vacuum()
    assert ["m1"] == ids(store)


def test_vacuum_keeps_the_parent_of_a_live_node(store):
    """
    A marked node stays stored while a live node names it as parent.
    """
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    store.tombstone_nodes(["m1", "m2"])

    assert 1 == store.vacuum().removed_node_count
    path = store.load_session(ActivePath()).graph
    assert ["m3"] == [node.node_id for node in path.nodes]
    assert ["m3"] == ids(store)

    store.tombstone_nodes(["m3"])
    commit_nodes(store, message_node("n1"))
    assert 2 == store.vacuum().removed_node_count


def test_vacuum_removes_final_inputs(backend):
    """
    A vacuum removes cancelled and completed inputs and no other.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    gone = store.enqueue_pending_turn_input(next_turn_draft("gone"))
    store.cancel_pending_turn_input(InputIdTarget(input_id=gone.input_id))
    store.enqueue_pending_turn_input(next_turn_draft("done"))
    done = store.claim_next_turn_inputs(lease.fence(), lease.owner, 1000, 1)
    commit(store, completed_turn_input_claims=(done.completion(),))
    store.enqueue_pending_turn_input(next_turn_draft("held"))
    held = store.claim_next_turn_inputs(lease.fence(), lease.owner, 1000, 1)
    kept = (
        store.enqueue_pending_turn_input(active_turn_draft("t1", "active")),
        store.enqueue_pending_turn_input(next_turn_draft("next")),
    )
    store = backend.reopen(store)

    assert VacuumReport(removed_turn_input_count=2) == store.vacuum()
    assert VacuumReport() == store.vacuum()
    assert kept == store.list_pending_turn_inputs()
    commit(store, completed_turn_input_claims=(held.completion(),))


def test_vacuum_of_a_new_session(store):
    """
    Where nothing is, nothing is removed.
    """
    assert VacuumReport() == store.vacuum()


def test_vacuum_spares_queued_work(store):
    """
    Queued work has no remains to remove.
    """
    batch = store.enqueue_queued_work(turn_work_draft())

    assert VacuumReport() == store.vacuum()
    assert (batch,) == store.list_queued_work()


FULL = HydratedCheckpoint(
    turn_state={"n": 1},
    tool_state={"tool": 1},
    plugin_snapshot={"plugin": 1},
    execution_state=b"execution",
)


def test_collection_keeps_what_the_head_reaches(backend):
    """
    The head's checkpoint and its three parts stay; the rest goes.
    """
    store = backend.open_store()
    commit(store, checkpoint=FULL)
    garbage = store.put_blob(b"garbage")
    store = backend.reopen(store)

    report = store.gc_unreachable()

    assert GcReport(root_count=1, retained_blob_count=4, deleted_blob_count=1) == report
    assert None is store.get_blob(garbage)
    checkpoint = store.load_session().checkpoint
    assert ({"tool": 1}, {"plugin": 1}, b"execution") == (
        checkpoint.tool_state,
        checkpoint.plugin_snapshot,
        checkpoint.execution_state,
    )
    assert 0 == store.gc_unreachable().deleted_blob_count


def test_collection_takes_old_checkpoints(store):
    """
    A checkpoint is garbage once the head has another.
    """
    old = commit(store, checkpoint=FULL)
    commit(store, checkpoint=HydratedCheckpoint(turn_state={"n": 2}))

    assert 4 == store.gc_unreachable().deleted_blob_count
    assert None is store.get_checkpoint(old.checkpoint_ref)


def test_collection_keeps_parts_carried_by_ref(store):
    """
    A part that the new checkpoint carries by its ref stays.
    """
    old = commit(store, checkpoint=FULL)
    commit(
        store,
        checkpoint=HydratedCheckpoint(tool_state_ref=old.manifest.tool_state_ref),
    )

    store.gc_unreachable()

    assert {"tool": 1} == store.load_session().checkpoint.tool_state


def test_collection_keeps_states_of_agent_frames(store):
    """
    An execution state that a frame of the head names stays.
    """
    state = store.put_typed_blob(b"state of a frame")
    commit(
        store,
        agent_frames=(
            {"frame_id": "f1", "execution_state_ref": state},
            {"frame_id": "f2"},
        ),
    )

    store.gc_unreachable()
    assert b"state of a frame" == store.get_typed_blob(state)

    commit(store)
    store.gc_unreachable()
    assert None is store.get_typed_blob(state)


def test_collection_keeps_artifacts(store):
    """
    What an artifact points at stays; what it pointed at before goes.
    """
    module = store.put_module_artifact(b"module")
    store.put_artifact_bytes("ref", b"old")
    store.put_artifact_bytes("ref", b"new")
    store.put_process_execution_env("ref", b"env")

    report = store.gc_unreachable()

    assert GcReport(root_count=3, retained_blob_count=3, deleted_blob_count=1) == report
    assert (b"module", b"new", b"env") == (
        store.get_module_artifact(module),
        store.get_artifact_bytes("ref"),
        store.get_process_execution_env("ref"),
    )


def test_collection_of_a_session_without_a_head(store):
    """
    Without a head every blob that nothing points at goes.
    """
    assert GcReport() == store.gc_unreachable()
    store.put_checkpoint(FULL)

    assert GcReport(deleted_blob_count=4) == store.gc_unreachable()


def test_collection_stays_in_its_session(backend):
    """
    Another session's blobs are not this one's garbage.
    """
    other = backend.open_store("other")
    ref = other.put_blob(b"content")

    assert GcReport() == backend.open_store().gc_unreachable()
    assert b"content" == other.get_blob(ref)


def test_collected_content_can_be_stored_again(store):
    """
    Content that was collected is not taken for stored.
    """
    ref = store.put_blob(b"content")
    store.gc_unreachable()

    assert ref == store.put_blob(b"content")
    assert b"content" == store.get_blob(ref)


@pytest.mark.requires("is_damageable")
def test_collection_with_a_damaged_head_deletes_nothing(backend):
    """
    A head that cannot be read aborts the collection.
    """
    store = backend.open_store()
    commit(store, config={"marker": "HEADMARK"}, checkpoint=FULL)
    garbage = store.put_blob(b"garbage")
    store = backend.damage(store, "HEADMARK", "HEADMARX")

    with pytest.raises(LashStoreError):
        store.gc_unreachable()

    assert b"garbage" == store.get_blob(garbage)


@pytest.mark.requires("is_damageable")
def test_collection_with_a_damaged_manifest_deletes_nothing(backend):
    """
    A manifest that cannot be read aborts the collection.
    """
    store = backend.open_store()
    commit(
        store,
        checkpoint=HydratedCheckpoint(
            turn_state={"m": "MANIMARK"}, tool_state={"t": 1}
        ),
    )
    garbage = store.put_blob(b"garbage")
    store = backend.damage(store, "MANIMARK", "MANIMARX")

    with pytest.raises(LashStoreError):
        store.gc_unreachable()

    assert b"garbage" == store.get_blob(garbage)


def test_collection_runs_by_itself(backend):
    """
    With a policy garbage goes with every n-th commit, enqueues in between or
    not.
    """
    store = backend.open_store(
        options=StoreOptions(gc_policy=GcPolicy(auto_run_every_commits=2))
    )
    garbage = store.put_blob(b"garbage")
    store.enqueue_queued_work(turn_work_draft())
    commit(store)
    assert b"garbage" == store.get_blob(garbage)
    for _ in range(3):
        store.enqueue_queued_work(turn_work_draft())

    commit(store)

    assert None is store.get_blob(garbage)


@pytest.mark.parametrize("interval", [None, 0])
def test_collection_does_not_run_by_itself(backend, interval):
    """
    Without a policy garbage stays until asked for.
    """
    store = backend.open_store(
        options=StoreOptions(gc_policy=GcPolicy(auto_run_every_commits=interval))
    )
    garbage = store.put_blob(b"garbage")
    for _ in range(4):
        commit(store)

    assert b"garbage" == store.get_blob(garbage)


@pytest.mark.requires("is_damageable")
def test_automatic_collection_never_fails_a_commit(backend):
    """
    A commit stands, whatever becomes of the collection after it.
    """
    options = StoreOptions(gc_policy=GcPolicy(auto_run_every_commits=1))
    store = backend.open_store(options=options)
    store.put_artifact_bytes("ref", b"CONTENT1")
    backend.damage(store, "CONTENT1", "CONTENT2").close()
    store = backend.open_store(options=options)

    assert 1 == commit(store).head_revision
