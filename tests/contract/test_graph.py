"""
The session graph: nodes, the leaf and the two read scopes.
"""

import msgspec
import pytest

from lashstore import (
    ActivePath,
    CorruptRecordError,
    DuplicateNodeError,
    FullGraph,
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    InvalidArgumentError,
    SessionGraph,
    SessionNode,
    UnknownNodeError,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    message_chain,
    message_node,
)


def apply(store, delta):
    """
    Commit a graph delta alone.
    """
    return store.commit_runtime_state(make_commit(acquire_lease(store), graph=delta))


def replacement(*nodes, leaf=None):
    """
    A delta that makes these nodes the whole graph.
    """
    return GraphReplace(graph=SessionGraph(nodes=nodes, leaf_node_id=leaf))


def leaf_of(store):
    """
    The leaf as the head has it.
    """
    return store.load_session_head_meta().leaf_node_id


def ids(graph):
    """
    The ids of a graph's nodes, in order.
    """
    return [node.node_id for node in graph.nodes]


def test_nodes_read_back_whole(backend):
    """
    Every member of a node is returned as it was given.
    """
    store = backend.open_store()
    root = message_node("m1")
    node = SessionNode(
        node_id="p/1 é",
        parent_node_id="m1",
        agent_frame_id="frame",
        caused_by={"type": "turn", "ids": [1, None]},
        timestamp="not parsed",
        kind="host.own",
        payload=["any", {"JSON": 1.5, "nul": "\0"}],
    )

    apply(store, GraphAppend(nodes=(root, node)))
    store = backend.reopen(store)

    assert node == store.load_node("p/1 é")
    assert (root, node) == store.load_session().graph.nodes


def test_unknown_node_is_none(store):
    """
    No such node is an answer, before and after the first commit.
    """
    assert None is store.load_node("m1")
    commit_nodes(store, message_node("m1"))
    assert None is store.load_node("m2")


def test_append_makes_its_last_node_the_leaf(store):
    """
    Without a leaf of its own an append moves the leaf to its last node.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    apply(store, GraphAppend(nodes=message_chain("m3", "m4", parent="m2")))

    assert "m4" == leaf_of(store)
    assert "m4" == store.load_session().graph.leaf_node_id


def test_append_with_a_leaf(store):
    """
    The leaf may be a node of the append or a stored one.
    """
    apply(store, GraphAppend(nodes=message_chain("m1", "m2"), leaf_node_id="m1"))
    assert "m1" == leaf_of(store)

    apply(store, GraphAppend(nodes=(message_node("m3"),), leaf_node_id="m2"))
    assert "m2" == leaf_of(store)


def test_unchanged_keeps_the_leaf(store):
    """
    A commit that does not touch the graph keeps its leaf and nodes.
    """
    nodes = message_chain("m1", "m2")
    commit_nodes(store, *nodes)

    apply(store, GraphUnchanged())

    assert SessionGraph(nodes=nodes, leaf_node_id="m2") == store.load_session().graph


def test_unchanged_moves_the_leaf(store):
    """
    A commit may move the leaf alone.
    """
    commit_nodes(store, *message_chain("m1", "m2"))

    apply(store, GraphUnchanged(leaf_node_id="m1"))

    assert "m1" == leaf_of(store)
    assert ["m1"] == ids(store.load_session(ActivePath()).graph)


def test_replace_replaces_everything(store):
    """
    After a replacement only its nodes are there, tombstones included.
    """
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    store.tombstone_nodes(["m2"])
    nodes = (message_node("m3", content="new"), message_node("m2", content="new"))

    apply(store, replacement(*nodes, leaf="m3"))

    assert nodes == store.load_session().graph.nodes
    assert ("m3", 2) == (
        leaf_of(store),
        store.load_session_head_meta().graph_node_count,
    )
    assert None is store.load_node("m1")


def test_replace_can_leave_no_leaf(store):
    """
    A replacement without a leaf leaves the session without one.
    """
    commit_nodes(store, message_node("m1"))

    apply(store, replacement(message_node("n1")))
    apply(store, GraphUnchanged())

    session = store.load_session(ActivePath())
    assert None is leaf_of(store)
    assert SessionGraph() == session.graph
    assert ["n1"] == ids(store.load_session().graph)


def test_replace_with_nothing_empties_the_graph(store):
    """
    An empty replacement leaves an empty graph.
    """
    commit_nodes(store, *message_chain("m1", "m2"))

    apply(store, replacement())

    assert SessionGraph() == store.load_session().graph
    assert 0 == store.load_session_head_meta().graph_node_count


@pytest.mark.parametrize(
    ("delta", "missing"),
    [
        (GraphAppend(nodes=(message_node("n1", parent="gone"),)), "gone"),
        (GraphAppend(nodes=(message_node("n1"),), leaf_node_id="gone"), "gone"),
        (GraphAppend(nodes=(message_node("n1", parent="dead"),)), "dead"),
        (GraphAppend(nodes=(message_node("n1"),), leaf_node_id="dead"), "dead"),
        (GraphUnchanged(leaf_node_id="gone"), "gone"),
        (GraphUnchanged(leaf_node_id="dead"), "dead"),
        (replacement(message_node("n1", parent="m1")), "m1"),
        (replacement(message_node("n1"), leaf="m1"), "m1"),
        (replacement(leaf="m1"), "m1"),
    ],
)
def test_parents_and_leaves_must_be_live(store, delta, missing):
    """
    A parent or leaf that is no live node is refused, and nothing changes.
    """
    commit_nodes(store, message_node("m1"), message_node("dead"))
    apply(store, GraphUnchanged(leaf_node_id="m1"))
    store.tombstone_nodes(["dead"])
    before = store.load_session()

    with pytest.raises(UnknownNodeError) as caught:
        apply(store, delta)

    assert missing == caught.value.node_id
    assert before == store.load_session()


def test_parent_may_come_later_in_its_commit(store):
    """
    A parent may stand behind its child in the same commit.
    """
    child, parent = message_node("child", parent="parent"), message_node("parent")

    apply(store, GraphAppend(nodes=(child, parent), leaf_node_id="child"))

    assert ["child", "parent"] == ids(store.load_session().graph)
    assert ["parent", "child"] == ids(store.load_session(ActivePath()).graph)


@pytest.mark.parametrize(
    "nodes",
    [
        (message_node("a", parent="a"),),
        (message_node("a", parent="b"), message_node("b", parent="a")),
        (
            message_node("root"),
            message_node("a", parent="c"),
            message_node("b", parent="a"),
            message_node("c", parent="b"),
        ),
    ],
    ids=["self", "two", "three"],
)
@pytest.mark.parametrize("make", [lambda *n: GraphAppend(nodes=n), replacement])
def test_cycles_are_refused(store, nodes, make):
    """
    Nodes that are their own ancestors are refused.
    """
    with pytest.raises(InvalidArgumentError):
        apply(store, make(*nodes))

    assert None is store.load_session()


def test_several_roots_are_fine(store):
    """
    A session may hold several trees.
    """
    commit_nodes(store, message_node("a"), message_node("b"))
    commit_nodes(store, message_node("c", parent="a"))

    assert ["a", "c"] == ids(store.load_session(ActivePath()).graph)
    assert ["a", "b", "c"] == ids(store.load_session().graph)


def test_equal_node_again_is_accepted(store):
    """
    Appending a stored node again adds nothing and moves the leaf to it.
    """
    nodes = message_chain("m1", "m2")
    commit_nodes(store, *nodes)

    result = commit_nodes(store, nodes[0])

    assert 2 == result.head_revision
    assert SessionGraph(nodes=nodes, leaf_node_id="m1") == store.load_session().graph
    assert 2 == store.load_session_head_meta().graph_node_count


def test_equal_node_beside_new_ones(store):
    """
    A host may send a turn's earlier nodes along with its new ones.
    """
    nodes = message_chain("m1", "m2", "m3")
    commit_nodes(store, *nodes[:2])

    commit_nodes(store, *nodes)

    assert SessionGraph(nodes=nodes, leaf_node_id="m3") == store.load_session().graph


@pytest.mark.parametrize(
    "changes",
    [
        {"parent_node_id": None},
        {"parent_node_id": "m0"},
        {"agent_frame_id": "frame"},
        {"caused_by": {"type": "turn"}},
        {"timestamp": "2027-01-01T00:00:00Z"},
        {"kind": "event"},
        {"payload": {"role": "user", "content": "other"}},
    ],
    ids=str,
)
def test_stored_node_with_other_content_is_refused(store, changes):
    """
    A stored id with any other member is a duplicate, and nothing changes.
    """
    stored = message_node("m2", parent="m1")
    commit_nodes(store, message_node("m0"), message_node("m1"), stored)
    before = store.load_session()

    with pytest.raises(DuplicateNodeError) as caught:
        commit_nodes(
            store, message_node("m3"), msgspec.structs.replace(stored, **changes)
        )

    assert "m2" == caught.value.node_id
    assert before == store.load_session()


def test_one_commit_with_one_id_twice(store):
    """
    Two nodes of one commit cannot share an id and differ.
    """
    with pytest.raises(DuplicateNodeError):
        commit_nodes(store, message_node("m1"), message_node("m1", content="other"))

    assert None is store.load_session()


def test_equal_node_lifts_its_tombstone(store):
    """
    Appending a tombstoned node again brings it back.
    """
    nodes = message_chain("m1", "m2")
    commit_nodes(store, *nodes)
    store.tombstone_nodes(["m2"])

    commit_nodes(store, nodes[1])

    assert nodes[1] == store.load_node("m2")
    assert ["m1", "m2"] == ids(store.load_session().graph)
    assert 2 == store.load_session_head_meta().graph_node_count


def test_other_node_does_not_lift_a_tombstone(store):
    """
    A tombstoned id with other content stays a duplicate.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    store.tombstone_nodes(["m2"])

    with pytest.raises(DuplicateNodeError):
        commit_nodes(store, message_node("m2", content="other"))

    assert None is store.load_node("m2")


def test_vacuumed_id_is_free_again(store):
    """
    A node that was vacuumed leaves its id to another.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    store.tombstone_nodes(["m2"])
    store.vacuum()

    commit_nodes(store, message_node("m2", parent="m1", content="other"))

    assert "other" == store.load_node("m2").payload["content"]


def test_kept_leaf_may_be_tombstoned(store):
    """
    A commit that keeps the leaf passes, tombstoned or not.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    store.tombstone_nodes(["m2"])

    result = apply(store, GraphUnchanged())

    assert 2 == result.head_revision
    assert "m2" == leaf_of(store)
    assert ["m1"] == ids(store.load_session().graph)
    assert 1 == store.load_session_head_meta().graph_node_count


def test_full_graph_is_in_insertion_order(backend):
    """
    A full read returns all branches in the order they were stored.
    """
    store = backend.open_store()
    commit_nodes(store, message_node("z"), message_node("y", parent="z"))
    commit_nodes(store, message_node("x", parent="z"))
    commit_nodes(store, message_node("a", parent="y"))
    store = backend.reopen(store)

    graph = store.load_session(FullGraph()).graph

    assert ["z", "y", "x", "a"] == ids(graph)
    assert "a" == graph.leaf_node_id
    assert graph == store.load_session().graph


def test_active_path_is_root_to_leaf(backend):
    """
    A path read returns the leaf's ancestors and nothing else.
    """
    store = backend.open_store()
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    commit_nodes(store, message_node("b2", parent="m1"))
    store = backend.reopen(store)

    head = store.load_session(ActivePath()).graph
    other = store.load_session(ActivePath(leaf_node_id="m3")).graph

    assert (["m1", "b2"], "b2") == (ids(head), head.leaf_node_id)
    assert (["m1", "m2", "m3"], "m3") == (ids(other), other.leaf_node_id)
    assert store.load_session().graph.active_path() == head.nodes


def test_active_path_of_an_unknown_leaf_is_empty(store):
    """
    A leaf that does not exist has no path, and is named all the same.
    """
    commit_nodes(store, message_node("m1"))

    graph = store.load_session(ActivePath(leaf_node_id="nowhere")).graph

    assert SessionGraph(nodes=(), leaf_node_id="nowhere") == graph


def test_tombstone_ends_a_path(store):
    """
    A path ends behind a tombstoned node.
    """
    commit_nodes(store, *message_chain("m1", "m2", "m3", "m4"))
    store.tombstone_nodes(["m2"])

    assert ["m3", "m4"] == ids(store.load_session(ActivePath()).graph)
    assert ["m1", "m3", "m4"] == ids(store.load_session().graph)
    assert ["m3", "m4"] == [
        node.node_id for node in store.load_session().graph.active_path()
    ]


def test_tombstoned_leaf_has_no_path(store):
    """
    A path from a tombstoned leaf is empty.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    store.tombstone_nodes(["m2"])

    graph = store.load_session(ActivePath()).graph

    assert SessionGraph(nodes=(), leaf_node_id="m2") == graph


def test_scope_changes_nothing_but_the_graph(store):
    """
    Both scopes return the same head, checkpoint and ledger.
    """
    commit_nodes(store, *message_chain("m1", "m2"))
    full, path = store.load_session(), store.load_session(ActivePath())

    assert msgspec.structs.replace(full, graph=SessionGraph()) == (
        msgspec.structs.replace(path, graph=SessionGraph())
    )


def test_node_count_is_of_live_nodes(store):
    """
    A head counts the live nodes at its commit.
    """
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    assert 3 == store.load_session_head_meta().graph_node_count

    store.tombstone_nodes(["m3"])
    commit_nodes(store, message_node("m4", parent="m2"))
    assert 3 == store.load_session_head_meta().graph_node_count


def test_long_path(store):
    """
    A path of thousands of nodes is read whole.
    """
    names = [f"m{n:05}" for n in range(5000)]
    commit_nodes(store, *message_chain(*names))

    assert names == ids(store.load_session(ActivePath()).graph)


@pytest.mark.requires("is_damageable")
def test_missing_parent_is_damage(backend):
    """
    A path whose parent row is gone raises; it does not end early.
    """
    store = backend.open_store()
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    store = backend.drop_rows(store, "m2")

    with pytest.raises(CorruptRecordError):
        store.load_session(ActivePath())


@pytest.mark.requires("is_damageable")
def test_missing_node_is_damage(backend):
    """
    A full read counts its nodes against the head.
    """
    store = backend.open_store()
    commit_nodes(store, *message_chain("m1", "m2", "m3"))
    commit_nodes(store, message_node("branch", parent="m1"))
    store = backend.drop_rows(store, "m3")

    with pytest.raises(CorruptRecordError):
        store.load_session()


def test_graph_walks_its_path():
    """
    A graph's path follows parents as far as they are in the graph.
    """
    nodes = (message_node("b", parent="outside"), message_node("c", parent="b"))

    assert nodes == SessionGraph(nodes=nodes, leaf_node_id="c").active_path()
    assert () == SessionGraph(nodes=nodes).active_path()
    assert () == SessionGraph(nodes=nodes, leaf_node_id="x").active_path()


def test_graph_with_a_cycle_is_damage():
    """
    A cyclic path raises instead of going round.
    """
    nodes = (message_node("a", parent="b"), message_node("b", parent="a"))

    with pytest.raises(CorruptRecordError):
        SessionGraph(nodes=nodes, leaf_node_id="a").active_path()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hello", "hello"),
        ("  padded \n", "padded"),
        (
            [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
            "one\n\ntwo",
        ),
        ([{"type": "text", "text": "  "}, {"type": "text", "text": "two"}], "two"),
        ([{"type": "image", "id": 1}], "[Image attached]"),
        (
            [{"type": "text", "text": "see"}, {"type": "image"}],
            "see\n\n[Image attached]",
        ),
        ([], ""),
    ],
)
def test_first_user_message(content, text):
    """
    The first message of the user's is shown as text, images as a mark.
    """
    graph = SessionGraph(
        nodes=(
            message_node("m1", role="assistant", content="no"),
            message_node("e1", kind="event", content="no"),
            message_node("m2", content=content),
            message_node("m3", content="later"),
        ),
        leaf_node_id="m1",
    )

    assert text == graph.first_user_message()
    assert 2 == graph.user_message_count()


def test_graph_without_user_messages():
    """
    No message of the user's is an empty text and a zero.
    """
    graph = SessionGraph(nodes=(message_node("m1", role="assistant"),))

    assert ("", 0) == (graph.first_user_message(), graph.user_message_count())
