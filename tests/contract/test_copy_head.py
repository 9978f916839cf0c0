"""
Copying a head: one session begins where another one stands.
"""

import pytest

from lashstore import (
    ActivePath,
    GraphUnchanged,
    HeadRevisionConflictError,
    HydratedCheckpoint,
    PersistedSession,
    Store,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    make_usage,
    message_chain,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

FULL = HydratedCheckpoint(
    turn_state={"n": 1},
    tool_state={"tool": "x" * 10_000},
    plugin_snapshot={"plugin": 1},
    plugin_snapshot_revision=4,
    execution_state=b"execution",
)


@pytest.fixture(name="source")
def _source(backend):
    source = backend.open_store("source")
    commit_nodes(source, *message_chain("m1", "m2"))
    source.commit_runtime_state(
        make_commit(
            acquire_lease(source),
            message_node("b2", parent="m1"),
            config={"c": 1},
            agent_frames=({"frame_id": "f"},),
            current_agent_frame_id="f",
            checkpoint=FULL,
            usage_deltas=(
                make_usage(input_tokens=1),
                make_usage(),
                make_usage(input_tokens=2),
            ),
        )
    )
    return source


def renamed(session, session_id):
    """
    A session's read under another id.
    """
    members = {name: getattr(session, name) for name in session.__struct_fields__}
    return PersistedSession(**(members | {"session_id": session_id}))


def test_copy_is_equal_but_for_its_id(backend, source):
    """
    Head, revision, graph, checkpoint and usage are those of the source.
    """
    before = source.load_session()
    target = backend.open_store("target")

    result = target.copy_head_from(source)
    target = backend.reopen(target)

    assert renamed(before, "target") == target.load_session()
    assert source.load_usage_deltas() == target.load_usage_deltas()
    assert (2, before.checkpoint_ref) == (result.head_revision, result.checkpoint_ref)
    assert {"n": 1} == result.manifest.turn_state
    assert 3 == target.load_session_head_meta().graph_node_count
    assert before == source.load_session()


def test_copy_stands_alone(backend, source):
    """
    The copy needs the source no more, and both go on apart.
    """
    target = backend.open_store("target")
    target.copy_head_from(source)
    source.close()

    target.gc_unreachable()
    commit_nodes(target, message_node("t3", parent="b2"))

    path = target.load_session(ActivePath()).graph.nodes
    assert ["m1", "b2", "t3"] == [node.node_id for node in path]


def test_copied_blobs_are_the_targets(backend, source):
    """
    All parts of the checkpoint are in the target, through its collections.
    """
    target = backend.open_store("target")
    target.copy_head_from(source)
    target.gc_unreachable()
    source.close()

    checkpoint = target.load_session().checkpoint

    assert (FULL.tool_state, FULL.plugin_snapshot, FULL.execution_state) == (
        checkpoint.tool_state,
        checkpoint.plugin_snapshot,
        checkpoint.execution_state,
    )


def test_copy_takes_the_states_of_frames(backend, source):
    """
    An execution state that a frame names is in the target, too.
    """
    state = source.put_typed_blob(b"state of a frame")
    source.commit_runtime_state(
        make_commit(
            acquire_lease(source),
            agent_frames=({"frame_id": "f", "execution_state_ref": state},),
        )
    )
    target = backend.open_store("target")

    target.copy_head_from(source)
    target.gc_unreachable()

    assert b"state of a frame" == target.get_typed_blob(state)


def test_copy_keeps_the_revision(backend, source):
    """
    The next commit to the copy counts on from the source's revision.
    """
    target = backend.open_store("target")
    target.copy_head_from(source)
    commit = make_commit(
        acquire_lease(target), message_node("t3"), expected_head_revision=2
    )

    assert 3 == target.commit_runtime_state(commit).head_revision


def test_copy_of_a_session_without_a_head(backend):
    """
    Where there is no head nothing is copied.
    """
    target = backend.open_store("target")

    assert None is target.copy_head_from(backend.open_store("source"))
    assert None is target.load_session()


def test_copy_onto_a_head(backend, source):
    """
    A session that has a head is not overwritten.
    """
    target = backend.open_store("target")
    commit_nodes(target, message_node("t1"))
    before = target.load_session()

    with pytest.raises(HeadRevisionConflictError) as caught:
        target.copy_head_from(source)

    assert 1 == caught.value.actual
    assert before == target.load_session()


def test_copy_leaves_work_and_meta(backend, source):
    """
    Leases, queues, inputs and metadata stay with their session.
    """
    source.save_session_meta(session_meta("source"))
    source.enqueue_queued_work(turn_work_draft())
    source.enqueue_pending_turn_input(next_turn_draft())
    target = backend.open_store("target")

    target.copy_head_from(source)

    assert None is target.load_session_meta()
    assert () == target.list_queued_work()
    assert () == target.list_pending_turn_inputs()
    assert 1 == acquire_lease(target).fencing_token


def test_copy_of_a_graph_with_tombstones(backend, source):
    """
    What is tombstoned in the source is not live in the copy.
    """
    source.tombstone_nodes(["m1"])
    target = backend.open_store("target")

    target.copy_head_from(source)

    assert source.load_session().graph == target.load_session().graph
    assert (
        source.load_session(ActivePath()).graph
        == target.load_session(ActivePath()).graph
    )
    assert None is target.load_node("m1")


def test_copy_of_a_moved_leaf(backend, source):
    """
    A moved leaf is copied as it is.
    """
    source.commit_runtime_state(
        make_commit(acquire_lease(source), graph=GraphUnchanged(leaf_node_id="m2"))
    )
    target = backend.open_store("target")

    target.copy_head_from(source)

    assert "m2" == target.load_session().graph.leaf_node_id


def test_copy_keeps_single_entries(backend):
    """
    Usage keeps its order and its single entries.
    """
    source, target = backend.open_store("source"), backend.open_store("target")
    commit_nodes(source, message_node("m1"))
    entries = tuple(make_usage(model=f"m{n % 3}", input_tokens=n) for n in range(50))
    source.append_usage_deltas(entries)

    target.copy_head_from(source)

    assert entries == target.load_usage_deltas()


@pytest.mark.requires("has_plain_stores")
def test_copy_between_engines(backend, clock, source):
    """
    The source may live anywhere.
    """
    with Store.memory("target", clock=clock) as target:
        target.copy_head_from(source)

        assert renamed(source.load_session(), "target") == target.load_session()
