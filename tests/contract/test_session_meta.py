"""
Session metadata, and what a picker shows.
"""

import pytest

from lashstore import (
    ChildRelation,
    GraphReplace,
    InvalidArgumentError,
    RootRelation,
    SessionBindingMismatchError,
    SessionGraph,
    SessionMeta,
    SessionPickerInfo,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    message_node,
    session_meta,
)


def test_no_meta(store):
    """
    A store without metadata says so, head or not.
    """
    commit_nodes(store, message_node("m1"))

    assert None is store.load_session_meta()
    assert None is store.load_picker_info()


@pytest.mark.parametrize(
    "meta",
    [
        SessionMeta(session_id="root", session_name="", created_at=""),
        SessionMeta(
            session_id="root",
            session_name="A name é",
            created_at="unix:1700000000",
            model="model-1",
            cwd="/home/user",
            relation=ChildRelation(
                parent_session_id="parent/1", caused_by={"type": "turn", "n": [1]}
            ),
        ),
    ],
)
def test_meta_reads_back(backend, meta):
    """
    Metadata comes back as it was saved, its relation included.
    """
    store = backend.open_store()
    store.save_session_meta(meta)
    store = backend.reopen(store)

    assert meta == store.load_session_meta()


def test_meta_is_overwritten(store):
    """
    Saving again replaces the record.
    """
    store.save_session_meta(session_meta(model="one", cwd="/one"))
    store.save_session_meta(session_meta(model="two"))

    assert session_meta(model="two") == store.load_session_meta()


def test_meta_of_another_session(store):
    """
    A store refuses another session's metadata by both names.
    """
    with pytest.raises(SessionBindingMismatchError) as caught:
        store.save_session_meta(session_meta("other"))

    assert ("root", "other") == (
        caught.value.bound_session_id,
        caught.value.attempted_session_id,
    )
    assert None is store.load_session_meta()


@pytest.mark.parametrize(
    "fields",
    [
        {"session_name": "a\0b"},
        {"session_name": "\ud800"},
        {"model": "\ud800"},
        {"cwd": "\ud800"},
        {"relation": ChildRelation(parent_session_id="a\0b")},
        {"relation": ChildRelation(parent_session_id="p", caused_by=float("nan"))},
    ],
    ids=ascii,
)
def test_meta_that_cannot_be_stored(store, fields):
    """
    Text that cannot be stored is refused and nothing is saved.
    """
    with pytest.raises(InvalidArgumentError):
        store.save_session_meta(session_meta(**fields))

    assert None is store.load_session_meta()


def test_parent_of_a_session():
    """
    Only a child has a parent.
    """
    child = session_meta(relation=ChildRelation(parent_session_id="p"))

    assert "p" == child.parent_session_id
    assert None is session_meta().parent_session_id
    assert RootRelation() == session_meta().relation


def test_picker_without_messages(store):
    """
    Metadata alone is enough for a line in a picker.
    """
    relation = ChildRelation(parent_session_id="p")
    store.save_session_meta(session_meta(cwd="/here", relation=relation))

    assert (
        SessionPickerInfo(
            session_id="root",
            cwd="/here",
            relation=relation,
            first_user_message="",
            user_message_count=0,
        )
        == store.load_picker_info()
    )


def picked(store):
    """
    The two members of the picker's line that come from the graph.
    """
    info = store.load_picker_info()
    return info.first_user_message, info.user_message_count


def test_picker_counts_all_branches(backend):
    """
    The first message and the count are of the whole graph.
    """
    store = backend.open_store()
    store.save_session_meta(session_meta())
    commit_nodes(
        store,
        message_node("s", role="system", content="no"),
        message_node("u1", parent="s", content="  first  "),
        message_node("a1", parent="u1", role="assistant"),
    )
    commit_nodes(store, message_node("u2", parent="s", content="branch"))
    store = backend.reopen(store)

    assert ("first", 2) == picked(store)


def test_picker_follows_a_replacement(store):
    """
    After a replacement the picker shows the new graph.
    """
    store.save_session_meta(session_meta())
    commit_nodes(store, message_node("u1"), message_node("u2"))
    graph = SessionGraph(nodes=(message_node("u9", content="new"),), leaf_node_id="u9")
    store.commit_runtime_state(
        make_commit(acquire_lease(store), graph=GraphReplace(graph=graph))
    )

    assert ("new", 1) == picked(store)


def test_picker_counts_a_node_once(store):
    """
    A node that is appended again is not counted again.
    """
    store.save_session_meta(session_meta())
    commit_nodes(store, message_node("u1", content="one"))
    commit_nodes(store, message_node("u1", content="one"), message_node("u2"))

    assert ("one", 2) == picked(store)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\n\nb"),
        ([{"type": "image"}, {"type": "text", "text": "b"}], "[Image attached]\n\nb"),
        ([{"type": "text", "text": " "}], ""),
    ],
)
def test_picker_shows_parts(store, content, text):
    """
    Text parts are joined by blank lines, an image is a mark.
    """
    store.save_session_meta(session_meta())
    commit_nodes(store, message_node("u1", content=content))

    assert (text, 1) == picked(store)
