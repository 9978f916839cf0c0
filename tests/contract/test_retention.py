"""
Which past checkpoints a session keeps, and what commits let go of.
"""

import pytest

from lashstore import (
    ArtifactKind,
    BlobDescriptor,
    CheckpointRetention,
    GcPolicy,
    HydratedCheckpoint,
    StoreOptions,
    Synchronous,
)
from lashstore.testing import acquire_lease, make_commit

from .snapshot_kit import KEEP_ALL, blob_count, commit, state, states

# They look beneath the stores.
pytestmark = pytest.mark.requires("is_transparent")


def keeping(max_count=None, max_age_ms=None):
    """
    Options with a retention.
    """
    return StoreOptions(
        synchronous=Synchronous.NORMAL,
        checkpoint_retention=CheckpointRetention(
            max_count=max_count, max_age_ms=max_age_ms
        ),
    )


def is_kept(store, result):
    """
    Tell whether a committed checkpoint is there, whole.
    """
    return store.get_checkpoint(result.checkpoint_ref) is not None


def commit_number(store, number, **parts):
    """
    Commit a checkpoint like no other.
    """
    return commit(store, turn_state={"n": number}, tool_state={"n": number}, **parts)


def test_default_keeps_a_few(store):
    """
    By default eight are kept at least, and never sixteen.
    """
    results = [commit_number(store, number) for number in range(100)]

    kept = [is_kept(store, result) for result in results]
    assert [True] * 8 == kept[-8:]
    assert 8 <= sum(kept) < 16
    assert sorted(kept) == kept


@pytest.mark.parametrize("max_count", [1, 2, 3, 5, 8, 20])
def test_count_is_kept_after_every_commit(backend, max_count):
    """
    The last checkpoints are kept, and fewer than twice as many, after every
    commit; the others are gone as if they had never been.
    """
    store = backend.open_store(options=keeping(max_count))
    results = []
    for number in range(50):
        results.append(commit_number(store, number))
        kept = [is_kept(store, result) for result in results]
        assert all(kept[-max_count:])
        assert sum(kept) <= max_count + min(max_count, 8) - 1
        assert 2 * sum(kept) == blob_count(store)


def test_nothing_is_let_go_of_without_limits(backend):
    """
    Without limits every checkpoint is kept until it is collected.
    """
    store = backend.open_store(options=KEEP_ALL)
    results = [commit_number(store, number) for number in range(50)]

    assert all(is_kept(store, result) for result in results)


def test_age_is_counted_from_the_last_commit_that_had_it(backend):
    """
    What is too old is gone eight commits later at the latest, what is not
    is kept however many there are.
    """
    store = backend.open_store(options=keeping(max_age_ms=1_000))
    results = [commit_number(store, number) for number in range(100)]
    assert all(is_kept(store, result) for result in results)

    backend.clock.advance(600)
    carried = results[-1].manifest.tool_state_ref
    results.append(commit(store, turn_state={"n": "carried"}, tool_state_ref=carried))
    backend.clock.advance(600)
    results += [commit_number(store, number) for number in range(100, 140)]

    assert [False] * 100 + [True] * 41 == [is_kept(store, each) for each in results]


def test_clock_that_went_back_keeps_more(backend):
    """
    A checkpoint from the future is let go of once its time has passed.
    """
    store = backend.open_store(options=keeping(max_age_ms=1_000))
    backend.clock.advance(10_000)
    future = commit_number(store, "future")
    backend.clock.advance(-10_000)
    results = [commit_number(store, number) for number in range(20)]
    assert is_kept(store, future)

    backend.clock.advance(12_000)
    results += [commit_number(store, number) for number in range(20, 40)]

    assert not is_kept(store, future)
    assert not is_kept(store, results[0])


def test_head_is_kept_whatever_its_age(backend):
    """
    The head's checkpoint is never let go of.
    """
    store = backend.open_store(options=keeping(max_count=1, max_age_ms=0))
    for number in range(20):
        backend.clock.advance(10_000)
        commit_number(store, number)
        assert {"n": number} == store.load_session().checkpoint.tool_state


def test_carried_parts_are_kept(backend):
    """
    A part that checkpoints carry on by its ref, or by an equal value, stays.
    """
    store = backend.open_store(options=keeping(max_count=2))
    ref = commit(store, tool_state={"t": 1}).manifest.tool_state_ref
    for number in range(20):
        commit(
            store,
            turn_state={"n": number},
            **({"tool_state_ref": ref} if number % 2 else {"tool_state": {"t": 1}}),
        )

    assert {"t": 1} == store.load_session().checkpoint.tool_state


def test_same_checkpoint_again_counts_as_its_last(backend):
    """
    A checkpoint that was committed twice is as old as the last time.
    """
    store = backend.open_store(options=keeping(max_count=4))
    for number in range(40):
        commit_number(store, number)
        first = commit_number(store, "again")

    assert is_kept(store, first)


def test_what_a_frame_names_is_kept(backend):
    """
    An execution state stays while a frame of the head names it, and goes
    when no frame does any more.
    """
    store = backend.open_store(options=keeping(max_count=2))
    ref = commit(store, execution_state=b"of a frame").manifest.execution_state_ref
    lease = acquire_lease(store)

    def commit_framed(number, frames):
        store.commit_runtime_state(
            make_commit(
                lease,
                agent_frames=frames,
                checkpoint=HydratedCheckpoint(turn_state={"n": number}),
            )
        )

    for number in range(20):
        commit_framed(number, ({"frame_id": "f", "execution_state_ref": ref},))
    assert b"of a frame" == store.get_typed_blob(ref)

    for number in range(20):
        commit_framed(number, ())
    assert None is store.get_typed_blob(ref)


def test_what_an_artifact_names_is_kept(backend):
    """
    A name keeps its content, which checkpoints had as well.
    """
    store = backend.open_store(options=keeping(max_count=1))
    ref = commit(store, tool_state={"t": 1}).manifest.tool_state_ref
    content = store.get_blob(ref)
    store.put_artifact_bytes("ref", content)
    for number in range(10):
        commit_number(store, number)

    assert content == store.get_artifact_bytes("ref")
    store.gc_unreachable()
    assert content == store.get_artifact_bytes("ref")


def test_blobs_put_by_themselves_are_kept(store):
    """
    Only a garbage collection takes what no commit named.
    """
    refs = [store.put_blob(b"alone"), store.put_typed_blob({"alone": 1})]
    stored = store.put_checkpoint(HydratedCheckpoint(tool_state={"alone": 2}))
    for number in range(40):
        commit_number(store, number)

    assert None not in [store.get_blob(ref) for ref in refs]
    assert {"alone": 2} == store.get_checkpoint(stored.checkpoint_ref).tool_state


def test_blob_put_again_is_kept(store):
    """
    Whoever puts what an old checkpoint had may commit its ref later on.
    """
    ref = commit(store, execution_state=b"again").manifest.execution_state_ref
    descriptor = BlobDescriptor.for_kind(ArtifactKind.EXECUTION_STATE_SNAPSHOT)
    assert ref == store.put_typed_artifact_blob(descriptor, b"again")
    for number in range(40):
        commit_number(store, number)

    commit(store, execution_state_ref=ref)
    assert b"again" == store.load_session().checkpoint.execution_state
    for number in range(40):
        commit_number(store, number)
    assert None is store.get_blob(ref)


def test_checkpoint_put_with_a_ref_keeps_its_part(store):
    """
    A part that a checkpoint outside a commit carries stays with it.
    """
    ref = commit(store, tool_state={"t": 1}).manifest.tool_state_ref
    stored = store.put_checkpoint(HydratedCheckpoint(tool_state_ref=ref))
    for number in range(40):
        commit_number(store, number)

    assert {"t": 1} == store.get_checkpoint(stored.checkpoint_ref).tool_state


def test_chain_goes_when_its_last_link_goes(backend):
    """
    Bases stay as long as a kept state needs them, and not longer.
    """
    store = backend.open_store(options=keeping(max_count=2))
    made = list(states(15))
    for number, each in enumerate(made):
        result = commit(store, turn_state={"n": number}, tool_state=each)
        assert each == store.get_checkpoint(result.checkpoint_ref).tool_state
    assert 15 < blob_count(store) <= 18

    for number in range(4):
        commit_number(store, number)

    assert blob_count(store) <= 6


def test_chain_that_branches(backend):
    """
    A base with two successors goes with the second.
    """
    store = backend.open_store(options=keeping(max_count=1))
    trunk = [0] * 40
    commit(store, tool_state=state(*trunk))
    for number in range(1, 8):
        branch = list(trunk)
        branch[number] = number
        commit(store, turn_state={"n": number}, tool_state=state(*branch))
        commit(store, turn_state={"b": number}, tool_state=state(*trunk))
        assert state(*trunk) == store.load_session().checkpoint.tool_state
    commit_number(store, 1)
    commit_number(store, 2)

    assert blob_count(store) == 2


def test_session_that_commits_for_ever_does_not_grow(store):
    """
    After three hundred changes of a large state there are no more blobs
    than after fifty, nor rows about them.
    """
    counts = []
    for number, each in enumerate(states(300)):
        commit(store, turn_state={"n": number}, tool_state=each)
        with store.transaction() as tx:
            oldest = tx.checkpoint_blobs.ask_oldest(tx.session_id)()
            counts.append((tx.blobs.count(tx.session_id), len(oldest)))

    assert max(counts[50:]) <= max(counts[:50])
    assert max(counts)[0] < 70


@pytest.mark.requires("has_many_handles")
def test_lower_limit_is_reached_by_and_by(backend):
    """
    A session that kept everything lets go of some with every eighth commit.
    """
    store = backend.open_store(options=KEEP_ALL)
    for number in range(300):
        commit_number(store, number)
    store = backend.open_store(options=keeping(max_count=8))
    counts = []
    for number in range(300, 500):
        commit_number(store, number)
        counts.append(blob_count(store))

    assert 600 - 200 < counts[8]
    assert counts[-1] < 32


def test_replay_outlives_its_checkpoint(store):
    """
    A committed turn is answered although its checkpoint is gone.
    """
    lease = acquire_lease(store)
    turn = make_commit(
        lease, checkpoint=HydratedCheckpoint(tool_state={"t": 1})
    ).stamped("t1")
    result = store.commit_runtime_state(turn)
    for number in range(40):
        commit_number(store, number)

    assert result == store.commit_runtime_state(turn)
    assert not is_kept(store, result)
    assert {"n": 39} == store.load_session().checkpoint.tool_state


def test_refused_commit_lets_go_of_nothing(backend):
    """
    What a commit removes comes back if it does not land.
    """
    store = backend.open_store(options=keeping(max_count=1))
    before = commit_number(store, 1)

    class HostError(Exception):
        """
        The host's own.
        """

    def fail(*_arguments, **_facts):
        raise HostError

    store._release = fail
    with pytest.raises(HostError):
        commit_number(store, 2)
    del store._release

    assert is_kept(store, before)
    assert 2 == blob_count(store)


def test_copied_head_is_let_go_of_in_time(backend):
    """
    What a session took over with a head goes like what it committed.
    """
    source = backend.open_store("source")
    for number, each in enumerate(states(6)):
        commit(source, turn_state={"n": number}, tool_state=each)
    copy = backend.open_store("copy", options=keeping(max_count=1))
    copy.copy_head_from(source)

    for number in range(10):
        commit_number(copy, number)

    assert 2 == blob_count(copy)


def test_automatic_collection_and_retention_agree(backend):
    """
    Both at once leave the head whole.
    """
    store = backend.open_store(
        options=StoreOptions(
            synchronous=Synchronous.NORMAL,
            gc_policy=GcPolicy(auto_run_every_commits=3),
            checkpoint_retention=CheckpointRetention(max_count=2),
        )
    )
    for number, each in enumerate(states(40)):
        commit(store, turn_state={"n": number}, tool_state=each)
        assert each == store.load_session().checkpoint.tool_state


@pytest.mark.parametrize(
    "limits", [{"max_count": 0}, {"max_count": -1}, {"max_age_ms": -1}]
)
def test_limits_that_are_none(limits):
    """
    A session keeps one checkpoint at least, and ages are not negative.
    """
    with pytest.raises(ValueError, match="must"):
        CheckpointRetention(**limits)
