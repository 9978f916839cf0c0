"""
Snapshots stored as differences to their predecessors.
"""

import pytest

from lashstore import (
    ArtifactKind,
    BlobDescriptor,
    BlobProfile,
    CorruptRecordError,
    HydratedCheckpoint,
    StoreOptions,
    Synchronous,
    UnknownBlobError,
)
from lashstore.store import storing

from .snapshot_kit import (
    KEEP_ALL,
    PART_BYTES,
    blob_count,
    commit,
    noise,
    row_of,
    state,
    states,
    stored,
)

# They look beneath the stores.
pytestmark = pytest.mark.requires("is_transparent")

PARTS = ("tool_state", "plugin_snapshot", "execution_state")


def value_of(part, *versions):
    """
    A state as the part takes it.
    """
    made = state(*versions)
    return b"".join(made.values()) if part == "execution_state" else made


@pytest.mark.parametrize("part", PARTS)
def test_changed_part_is_stored_as_a_difference(backend, part):
    """
    A part of which a twentieth changed takes less than a tenth.
    """
    store = backend.open_store()
    first = commit(store, **{part: value_of(part, *[0] * 20)})
    second = commit(store, **{part: value_of(part, *[0] * 19, 1)})
    store = backend.reopen(store)

    row = row_of(store, second, part)
    assert (getattr(first.manifest, f"{part}_ref"), 1) == (
        row.base_ref,
        row.chain_depth,
    )
    assert len(row.content) < PART_BYTES / 10
    assert value_of(part, *[0] * 19, 1) == getattr(
        store.load_session().checkpoint, part
    )
    assert value_of(part, *[0] * 20) == getattr(
        store.get_checkpoint(first.checkpoint_ref), part
    )


def test_parts_follow_their_own_predecessors(store):
    """
    Each part is a difference to the same part of the head's checkpoint.
    """
    values = [
        {
            part: value_of(part, place, *[version] * 20)
            for place, part in enumerate(PARTS)
        }
        for version in (0, 0)
    ]
    for place, part in enumerate(PARTS):
        values[1][part] = value_of(part, f"{place}-new", *[0] * 20)
    first, second = (commit(store, **each) for each in values)

    assert [getattr(first.manifest, f"{part}_ref") for part in PARTS] == [
        row_of(store, second, part).base_ref for part in PARTS
    ]


def test_every_state_of_a_long_chain_reads_back(backend):
    """
    Chains end at sixteen links, and every state of every chain is there.
    """
    store = backend.open_store(options=KEEP_ALL)
    made = list(states(40))
    results = [commit(store, tool_state=each) for each in made]
    store = backend.reopen(store)

    depths = [row_of(store, result).chain_depth for result in results]
    assert [*range(17), *range(17), *range(6)] == depths
    assert made == [
        store.get_checkpoint(result.checkpoint_ref).tool_state for result in results
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (state(*[0] * 20), state(*[1] * 20)),
        (state(*[0] * 20, size=20_000), state(*[0] * 19, 1, size=20_000)),
        ({"text": "x" * 200_000}, {"text": "x" * 200_000 + "y"}),
    ],
    ids=["unlike", "small", "compressible"],
)
def test_what_a_difference_would_not_save_is_stored_whole(store, before, after):
    """
    Content unlike its predecessor, small content, and content that is small
    once compressed have no base.
    """
    commit(store, tool_state=before)
    result = commit(store, tool_state=after)

    assert None is row_of(store, result).base_ref
    assert after == store.load_session().checkpoint.tool_state


def test_profile_without_compression_has_no_differences(backend):
    """
    LOW_LATENCY stores every snapshot whole.
    """
    store = backend.open_store(
        options=StoreOptions(
            blob_profile=BlobProfile.LOW_LATENCY, synchronous=Synchronous.NORMAL
        )
    )
    results = [commit(store, tool_state=each) for each in states(3)]

    assert [(None, "none")] * 3 == [
        (row.base_ref, row.compression)
        for row in (row_of(store, result) for result in results)
    ]


def test_compact_profile_has_differences(backend):
    """
    COMPACT, too, stores what changed.
    """
    store = backend.open_store(
        options=StoreOptions(
            blob_profile=BlobProfile.COMPACT, synchronous=Synchronous.NORMAL
        )
    )
    results = [commit(store, tool_state=each) for each in states(3)]

    assert [0, 1, 2] == [row_of(store, result).chain_depth for result in results]


def test_content_that_comes_back_is_stored_once(store):
    """
    A state that returns to what it was adds no blob but its manifest.
    """
    one, two = states(2)
    first = commit(store, turn_state={"n": 1}, tool_state=one)
    commit(store, turn_state={"n": 2}, tool_state=two)
    count = blob_count(store)

    third = commit(store, turn_state={"n": 3}, tool_state=one)

    assert first.manifest.tool_state_ref == third.manifest.tool_state_ref
    assert count + 1 == blob_count(store)
    assert one == store.load_session().checkpoint.tool_state


def test_first_part_after_none_is_stored_whole(store):
    """
    Where the head has no such part there is nothing to be different from.
    """
    one, two = states(2)
    commit(store, tool_state=one)
    commit(store)

    assert None is row_of(store, commit(store, tool_state=two)).base_ref


def test_blobs_put_by_themselves_are_stored_whole(store):
    """
    Only parts of commits are differences.
    """
    one, two = states(2)
    descriptor = BlobDescriptor.for_kind(ArtifactKind.TOOL_STATE)
    commit(store, tool_state=one)

    ref = store.put_typed_artifact_blob(descriptor, two)
    checkpoint = store.put_checkpoint(
        HydratedCheckpoint(plugin_snapshot=two | {"x": 1})
    )

    assert None is stored(store, ref).base_ref
    assert None is stored(store, checkpoint.manifest.plugin_snapshot_ref).base_ref


@pytest.mark.requires("has_many_handles")
def test_two_handles_build_one_chain(backend):
    """
    Hosts that take turns continue each other's chain.
    """
    handles = [backend.open_store(options=KEEP_ALL) for _ in range(2)]
    made = list(states(8))
    results = [
        commit(handles[number % 2], tool_state=each) for number, each in enumerate(made)
    ]

    for store in handles:
        assert list(range(8)) == [
            row_of(store, result).chain_depth for result in results
        ]
        assert made == [
            store.get_checkpoint(result.checkpoint_ref).tool_state for result in results
        ]


def between_look_up_and_lock(monkeypatch, act):
    """
    Let *act* run once, after the look-up for a commit and before its lock.
    """
    compress, pending = storing.compress, [act]

    def compress_later(*arguments):
        if pending:
            pending.pop()()
        return compress(*arguments)

    monkeypatch.setattr(storing, "compress", compress_later)


def test_base_that_is_collected_meanwhile(backend, monkeypatch):
    """
    A commit whose base is gone when it has the lock stores the whole.
    """
    store = backend.open_store()
    one, two = states(2)
    base_ref = commit(store, tool_state=one).manifest.tool_state_ref
    other = backend.open_store()

    def collect():
        commit(other, turn_state={"moved": True})
        other.gc_unreachable()

    between_look_up_and_lock(monkeypatch, collect)
    result = commit(store, tool_state=two)

    assert None is stored(store, base_ref)
    assert None is row_of(store, result).base_ref
    assert two == backend.reopen(store).load_session().checkpoint.tool_state
    assert 3 == result.head_revision


def test_base_that_is_stored_anew_meanwhile(backend, monkeypatch):
    """
    The depth counted is that of the base as it is stored when it is used.
    """
    store = backend.open_store(options=KEEP_ALL)
    one, two, three = states(3)
    commit(store, tool_state=one)
    base_ref = commit(store, tool_state=two).manifest.tool_state_ref
    other = backend.open_store(options=KEEP_ALL)

    def collect():
        commit(other, turn_state={"moved": True})
        other.gc_unreachable()
        commit(other, tool_state=two)

    between_look_up_and_lock(monkeypatch, collect)
    result = commit(store, tool_state=three)

    assert 0 == stored(store, base_ref).chain_depth
    assert (base_ref, 1) == (
        row_of(store, result).base_ref,
        row_of(store, result).chain_depth,
    )
    assert three == store.load_session().checkpoint.tool_state


def test_part_that_was_stored_and_is_collected_meanwhile(backend, monkeypatch):
    """
    Content that was found stored, and is gone under the lock, is stored.
    """
    store = backend.open_store()
    first = noise("first", PART_BYTES)
    commit(store, execution_state=first)
    commit(store, execution_state=noise("second", PART_BYTES))
    other = backend.open_store()

    def collect():
        other.gc_unreachable()

    between_look_up_and_lock(monkeypatch, collect)
    commit(store, tool_state=state(0), execution_state=first)

    assert first == backend.reopen(store).load_session().checkpoint.execution_state


def test_missing_ref_is_still_refused(store, monkeypatch):
    """
    A ref without its value must exist when the lock is had.
    """
    one, two = states(2)
    ref = commit(store, plugin_snapshot=one).manifest.plugin_snapshot_ref
    commit(store, tool_state=one)
    commit(store, turn_state={"moved": True})

    between_look_up_and_lock(monkeypatch, store.gc_unreachable)
    with pytest.raises(UnknownBlobError):
        commit(store, tool_state=two, plugin_snapshot_ref=ref)

    assert {"moved": True} == store.load_session().checkpoint.turn_state


def test_collection_keeps_bases(backend):
    """
    What the head's part is a difference to stays with it.
    """
    store = backend.open_store(options=KEEP_ALL)
    made = list(states(5))
    results = [commit(store, tool_state=each) for each in made]
    store = backend.reopen(store)

    report = store.gc_unreachable()

    assert (1, 6, 4) == (
        report.root_count,
        report.retained_blob_count,
        report.deleted_blob_count,
    )
    assert made[-1] == store.load_session().checkpoint.tool_state
    assert made[0] == store.get_typed_blob(results[0].manifest.tool_state_ref)
    assert 0 == store.gc_unreachable().deleted_blob_count


def test_collection_takes_whole_chains(store):
    """
    A chain that nothing leads to goes in one collection, all of it.
    """
    for each in states(12):
        commit(store, tool_state=each)
    commit(store)

    store.gc_unreachable()

    assert 1 == blob_count(store)


def test_artifact_keeps_the_chain_of_its_blob(store):
    """
    A name given to a difference keeps what it is a difference to.
    """
    made = list(states(4))
    for each in made:
        result = commit(store, tool_state=each)
    content = store.get_blob(result.manifest.tool_state_ref)
    store.put_artifact_bytes("ref", content)
    commit(store)

    store.gc_unreachable()

    assert content == store.get_artifact_bytes("ref")
    store.put_artifact_bytes("ref", b"other")
    store.gc_unreachable()
    assert 2 == blob_count(store)


def test_copied_head_brings_its_chain(backend):
    """
    A session that takes over a head can read it without the first one.
    """
    source = backend.open_store()
    made = list(states(6))
    for each in made:
        commit(source, tool_state=each)
    copy = backend.open_store("copy")

    copy.copy_head_from(source)
    copy = backend.reopen(copy)

    assert made[-1] == copy.load_session().checkpoint.tool_state
    for each in states(60):
        commit(copy, tool_state=each | {"copy": 1})
    commit(copy)
    assert blob_count(copy) < 60


@pytest.mark.requires("is_damageable")
def test_unreadable_predecessor_does_not_stop_a_commit(backend):
    """
    A commit that brings the whole value heals a session whose part is lost.
    """
    store = backend.open_store()
    one, two = states(2)
    ref = commit(store, tool_state=one).manifest.tool_state_ref
    store = backend.drop_rows(store, ref)
    with pytest.raises(CorruptRecordError):
        store.load_session()

    commit(store, tool_state=two)

    assert two == store.load_session().checkpoint.tool_state
