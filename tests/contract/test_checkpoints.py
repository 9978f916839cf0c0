"""
Checkpoints: small state inline, snapshots by value or by the ref of before.
"""

import pytest

from lashstore import (
    CorruptRecordError,
    HydratedCheckpoint,
    InvalidArgumentError,
    RecordVersionError,
    SessionCheckpoint,
    UnknownBlobError,
)
from lashstore.testing import acquire_lease, commit_nodes, make_commit, message_node

NOWHERE = "0" * 64
FULL = HydratedCheckpoint(
    turn_state={"turn_index": 3, "é": [None, True, 1.5]},
    tool_state={"generation": 7, "tools": {"a": {}}},
    plugin_snapshot={"plugins": {"p": [1, 2]}},
    plugin_snapshot_revision=11,
    execution_state=bytes(range(256)),
)
SNAPSHOTS = ("tool_state", "plugin_snapshot", "execution_state")


def commit(store, checkpoint):
    """
    Commit a checkpoint alone.
    """
    return store.commit_runtime_state(
        make_commit(acquire_lease(store), checkpoint=checkpoint)
    )


def values(checkpoint):
    """
    A checkpoint's values without its refs.
    """
    return (
        checkpoint.turn_state,
        checkpoint.tool_state,
        checkpoint.plugin_snapshot,
        checkpoint.plugin_snapshot_revision,
        checkpoint.execution_state,
    )


def test_checkpoint_reads_back(backend):
    """
    A committed checkpoint comes back whole, with the refs of its snapshots.
    """
    store = backend.open_store()
    result = commit(store, FULL)
    store = backend.reopen(store)

    checkpoint = store.load_session().checkpoint

    assert values(FULL) == values(checkpoint)
    assert (
        result.manifest.tool_state_ref,
        result.manifest.plugin_snapshot_ref,
        result.manifest.execution_state_ref,
    ) == (
        checkpoint.tool_state_ref,
        checkpoint.plugin_snapshot_ref,
        checkpoint.execution_state_ref,
    )


def test_put_checkpoint_reads_back(backend):
    """
    A checkpoint may be stored without a commit.
    """
    store = backend.open_store()
    stored = store.put_checkpoint(FULL)
    store = backend.reopen(store)

    assert values(FULL) == values(store.get_checkpoint(stored.checkpoint_ref))
    assert None is store.load_session()


def test_put_and_commit_give_one_ref(store):
    """
    Equal checkpoints have equal refs, however they were stored.
    """
    stored = store.put_checkpoint(FULL)

    assert stored.checkpoint_ref == commit(store, FULL).checkpoint_ref
    assert stored.checkpoint_ref == commit(store, FULL).checkpoint_ref


def test_ref_ignores_key_order(store):
    """
    The order of keys does not show in a checkpoint's ref.
    """
    one = store.put_checkpoint(
        HydratedCheckpoint(turn_state={"a": 1, "b": 2}, tool_state={"c": 3, "d": 4})
    )
    two = store.put_checkpoint(
        HydratedCheckpoint(turn_state={"b": 2, "a": 1}, tool_state={"d": 4, "c": 3})
    )

    assert one == two


@pytest.mark.parametrize(
    "other",
    [
        HydratedCheckpoint(turn_state={"n": 2}),
        HydratedCheckpoint(turn_state={"n": 1}, plugin_snapshot_revision=0),
        HydratedCheckpoint(turn_state={"n": 1}, tool_state={}),
        HydratedCheckpoint(turn_state={"n": 1}, execution_state=b""),
    ],
)
def test_different_checkpoints_have_different_refs(store, other):
    """
    Any difference shows in the ref.
    """
    one = store.put_checkpoint(HydratedCheckpoint(turn_state={"n": 1}))

    assert one.checkpoint_ref != store.put_checkpoint(other).checkpoint_ref


def test_unknown_checkpoint_is_none(store):
    """
    No such checkpoint is an answer.
    """
    assert None is store.get_checkpoint(NOWHERE)


def test_empty_checkpoint(store):
    """
    A checkpoint with nothing in it is one all the same.
    """
    result = commit(store, HydratedCheckpoint())

    assert SessionCheckpoint(turn_state={}) == result.manifest
    assert HydratedCheckpoint() == store.load_session().checkpoint


def test_manifest_names_its_parts(store):
    """
    The manifest holds the small state and the refs of the snapshots' values.
    """
    stored = store.put_checkpoint(FULL)
    manifest = stored.manifest

    assert (1, FULL.turn_state, 11) == (
        manifest.schema_version,
        manifest.turn_state,
        manifest.plugin_snapshot_revision,
    )
    assert FULL.tool_state == store.get_typed_blob(manifest.tool_state_ref)
    assert FULL.plugin_snapshot == store.get_typed_blob(manifest.plugin_snapshot_ref)
    assert FULL.execution_state == store.get_typed_blob(manifest.execution_state_ref)


def test_manifest_is_a_blob(store):
    """
    The checkpoint ref is the ref of the manifest as a map.
    """
    stored = store.put_checkpoint(FULL)

    as_map = store.get_typed_blob(stored.checkpoint_ref)

    assert {
        "schema_version": 1,
        "turn_state": FULL.turn_state,
        "tool_state_ref": stored.manifest.tool_state_ref,
        "plugin_snapshot_ref": stored.manifest.plugin_snapshot_ref,
        "plugin_snapshot_revision": 11,
        "execution_state_ref": stored.manifest.execution_state_ref,
    } == as_map


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_absent_value_keeps_its_ref(backend, name):
    """
    A commit without a snapshot's value carries the old one by its ref.
    """
    store = backend.open_store()
    first = commit(store, FULL)
    ref = getattr(first.manifest, f"{name}_ref")

    commit(store, HydratedCheckpoint(turn_state={"n": 2}, **{f"{name}_ref": ref}))
    store = backend.reopen(store)

    checkpoint = store.load_session().checkpoint
    assert getattr(FULL, name) == getattr(checkpoint, name)
    assert ref == getattr(checkpoint, f"{name}_ref")
    assert {"n": 2} == checkpoint.turn_state


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_present_value_beats_the_ref(store, name):
    """
    A value that is given is stored, whatever ref stands beside it.
    """
    old = store.put_checkpoint(FULL)
    ref = getattr(old.manifest, f"{name}_ref")
    value = b"new" if name == "execution_state" else {"new": 1}

    commit(store, HydratedCheckpoint(**{name: value, f"{name}_ref": ref}))

    checkpoint = store.load_session().checkpoint
    assert value == getattr(checkpoint, name)
    assert ref != getattr(checkpoint, f"{name}_ref")


def test_neither_value_nor_ref_drops_the_snapshot(store):
    """
    A snapshot that is not mentioned is not in the next checkpoint.
    """
    commit(store, FULL)
    commit(store, HydratedCheckpoint(turn_state={"n": 2}))

    assert HydratedCheckpoint(turn_state={"n": 2}) == store.load_session().checkpoint


@pytest.mark.parametrize("value", [{}, [], 0, False, ""], ids=repr)
@pytest.mark.parametrize("name", ["tool_state", "plugin_snapshot"])
def test_falsy_values_are_present(store, name, value):
    """
    Only None is absent; an empty value is a value.
    """
    result = commit(store, HydratedCheckpoint(**{name: value}))

    assert None is not getattr(result.manifest, f"{name}_ref")
    assert repr(value) == repr(getattr(store.load_session().checkpoint, name))


def test_empty_execution_state_is_present(store):
    """
    No bytes are bytes.
    """
    result = commit(store, HydratedCheckpoint(execution_state=b""))

    assert None is not result.manifest.execution_state_ref
    assert b"" == store.load_session().checkpoint.execution_state


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_ref_the_session_does_not_have(backend, name):
    """
    A ref without a value must be stored in this session; nothing is written.
    """
    store = backend.open_store()
    elsewhere = backend.open_store("other").put_checkpoint(FULL)
    commit_nodes(store, message_node("m1"))
    before = store.load_session()
    ref = getattr(elsewhere.manifest, f"{name}_ref")
    checkpoint = HydratedCheckpoint(turn_state={"lost": 1}, **{f"{name}_ref": ref})

    with pytest.raises(UnknownBlobError) as caught:
        commit(store, checkpoint)
    with pytest.raises(UnknownBlobError):
        store.put_checkpoint(checkpoint)

    assert ref == caught.value.blob_ref
    assert before == store.load_session()
    assert 0 == store.gc_unreachable().deleted_blob_count


def test_refs_of_two_sessions_are_apart(backend):
    """
    A blob of one session is not there in another.
    """
    ref = backend.open_store("other").put_checkpoint(FULL).checkpoint_ref

    assert None is backend.open_store().get_checkpoint(ref)


@pytest.mark.parametrize("revision", [0, 2**63 - 1])
def test_plugin_revision_is_a_counter(store, revision):
    """
    A plugin revision is kept over the whole range of counters.
    """
    commit(store, HydratedCheckpoint(plugin_snapshot_revision=revision))

    assert revision == store.load_session().checkpoint.plugin_snapshot_revision


@pytest.mark.parametrize(
    "checkpoint",
    [
        HydratedCheckpoint(plugin_snapshot_revision=-1),
        HydratedCheckpoint(plugin_snapshot_revision=2**63),
        HydratedCheckpoint(turn_state={"x": float("nan")}),
        HydratedCheckpoint(turn_state={"x": "\ud800"}),
        HydratedCheckpoint(tool_state=[float("inf")]),
        HydratedCheckpoint(tool_state={1: 2}),
        HydratedCheckpoint(plugin_snapshot={"x": {1, 2}}),
        HydratedCheckpoint(plugin_snapshot=object()),
    ],
)
def test_checkpoint_that_cannot_be_stored(store, checkpoint):
    """
    What is no plain data is refused before anything is written.
    """
    with pytest.raises(InvalidArgumentError):
        commit(store, checkpoint)
    with pytest.raises(InvalidArgumentError):
        store.put_checkpoint(checkpoint)

    assert None is store.load_session()
    assert 0 == store.gc_unreachable().deleted_blob_count


@pytest.mark.parametrize(
    "manifest",
    [
        {"schema_version": 2, "turn_state": {}},
        {"turn_state": {}},
        {"schema_version": "1", "turn_state": {}},
        {"schema_version": -1, "turn_state": {}},
    ],
)
def test_manifest_of_another_version(store, manifest):
    """
    A manifest of another version, or of none, is refused by name.
    """
    ref = store.put_typed_blob(manifest)

    with pytest.raises(RecordVersionError) as caught:
        store.get_checkpoint(ref)

    assert ("SessionCheckpoint", 1) == (caught.value.record_kind, caught.value.expected)
    assert ("schema_version" not in manifest) == (caught.value.actual is None)


def test_manifest_that_is_none(store):
    """
    A blob that is no manifest is damage, not an empty checkpoint.
    """
    for value in ([1, 2], "text", None):
        with pytest.raises(CorruptRecordError):
            store.get_checkpoint(store.put_typed_blob(value))
    with pytest.raises(CorruptRecordError):
        store.get_checkpoint(store.put_blob(b"\xc1 no msgpack"))


@pytest.mark.requires("is_damageable")
@pytest.mark.parametrize("name", ["checkpoint", *SNAPSHOTS])
def test_lost_part_is_damage(backend, name):
    """
    A head whose checkpoint or snapshot is gone does not read as empty.
    """
    store = backend.open_store()
    result = commit(store, FULL)
    ref = (
        result.checkpoint_ref
        if name == "checkpoint"
        else getattr(result.manifest, f"{name}_ref")
    )
    store = backend.drop_rows(store, ref)

    with pytest.raises(CorruptRecordError):
        store.load_session()
