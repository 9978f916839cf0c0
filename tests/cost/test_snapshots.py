"""
What large states cost: statements, plans, bytes and memory.
"""

import hashlib
import re

import pytest

from lashstore import CheckpointRetention, HydratedCheckpoint, RuntimeCommit
from lashstore.engines.pacing import Adaptive, Pace
from lashstore.model.deltas import Base
from lashstore.store import garbage
from lashstore.store.recent import RecentSnapshots

from .history import LITTLE, MUCH, SESSION, fence_of, open_file
from .meter import complaints, metering, plans


def _state(number, size=64_000):
    return {
        f"m{place}": hashlib.shake_256(
            f"{place}-{number if number % 40 == place else 0}".encode()
        ).digest(size // 40)
        for place in range(40)
    }


def _commit(store, fence, number, **parts):
    parts = parts or {"tool_state": _state(number)}
    return store.commit_runtime_state(
        RuntimeCommit(
            session_id=SESSION,
            session_execution_lease=fence,
            checkpoint=HydratedCheckpoint(turn_state={"n": number}, **parts),
        )
    )


def _meter_commits(path, count):
    """
    Return what each of *count* commits of a large state sends.
    """
    store = open_file(path)
    fence = fence_of(store)
    meters = []
    for number in range(count):
        with metering() as meter:
            _commit(store, fence, number)
        meters.append(meter)
    store.close()
    return meters


def test_history_costs_a_large_state_nothing(session_copies):
    """
    Sixty commits of a large state send the same statements with much
    history as with little, those included that let go of checkpoints.
    """
    little, much = (_meter_commits(path, 60) for path in session_copies)

    assert [meter.texts() for meter in little] == [meter.texts() for meter in much]
    for few, many in zip(little, much, strict=True):
        assert many.instructions <= 1.2 * few.instructions + 100


def test_own_history_costs_a_large_state_nothing(session_copies):
    """
    The second hundred commits cost no more than the first, one by one or
    together: only the end of a chain adds a statement a link.
    """
    meters = _meter_commits(session_copies[0], 200)
    counts = [len(meter.statements) for meter in meters]
    work = [meter.instructions for meter in meters]

    assert max(counts[100:]) <= max(counts[:100]) + 2
    assert max(counts) <= min(counts) + 8 + 2 * 16
    assert sum(counts[100:]) <= 1.05 * sum(counts[:100])
    assert sum(work[100:]) <= 1.2 * sum(work[:100])


def test_plans_of_large_states_use_indexes(session_copies):
    """
    Neither storing differences, nor reading a chain, nor letting go scans.
    """
    _, much = session_copies
    store = open_file(much)
    fence = fence_of(store)
    with metering() as meter:
        for number in range(40):
            _commit(store, fence, number)
        store.load_session_head_meta()
        ref = store.load_session_head_meta().checkpoint_ref
        store.get_checkpoint(ref)
        store.put_typed_blob({"m": 1})
        store.put_typed_blob({"m": 1})
    store.close()
    found = plans(much, meter)
    wrong = {text: bad for text, lines in found if (bad := complaints(text, lines))}

    assert any("RECURSIVE" in text for text, _ in found)
    assert any(text.startswith("DELETE FROM session_blobs") for text, _ in found)
    assert wrong == {}


@pytest.mark.parametrize("links", [1, 3, 16])
def test_chain_is_read_in_two_statements(session_copies, links):
    """
    A chain takes one statement more than a whole content, however long.
    """
    store = open_file(session_copies[0])
    fence = fence_of(store)
    for number in range(links + 1):
        result = _commit(store, fence, number)
    with metering() as meter:
        assert store.get_typed_blob(result.manifest.tool_state_ref) == _state(links)
    store.close()

    assert len(meter.statements) == 2


@pytest.fixture(name="large_steps")
def _large_steps(monkeypatch):
    """
    Steps of two hundred from the first one on, however long each takes.
    """
    monkeypatch.setattr(garbage, "_FIRST_STEP_BLOBS", 200)
    monkeypatch.setattr(Adaptive, "adapt", lambda *_: None)


@pytest.mark.usefixtures("large_steps")
def test_collection_takes_statements_a_step(session_copies):
    """
    A collection takes a few statements a page of a thousand and a step of
    two hundred, and none a row; no step removes more.
    """
    counts = []
    for path in session_copies:
        store = open_file(path)
        with metering() as meter:
            report = store.gc_unreachable()
        store.close()
        counts.append(len(meter.statements))
        removals = [
            parameters
            for text, parameters, _ in meter.statements
            if text.startswith("DELETE FROM session_blobs")
        ]
        for parameters in removals:
            assert max(str(each).count(",") for each in parameters) < 200
        assert len(removals) == -(-report.deleted_blob_count // 200)

    assert report.deleted_blob_count > MUCH
    assert counts[0] < 20
    assert counts[1] < counts[0] + MUCH / 200 * 4 + MUCH / 1_000 * 4


def test_collection_of_what_is_kept_scans_nothing_twice(session_copies):
    """
    A second collection reads pages and writes nothing.
    """
    store = open_file(session_copies[1])
    store.gc_unreachable()
    with metering() as meter:
        store.gc_unreachable()
    store.close()

    assert not [text for text in meter.texts() if re.match("DELETE|UPDATE", text)]
    assert len(meter.statements) < 20


def test_plans_of_a_collection_follow_keys(session_copies):
    """
    Pages and steps are found by their keys.
    """
    _, much = session_copies
    store = open_file(much)
    with metering() as meter:
        store.gc_unreachable()
    store.close()
    found = plans(much, meter)
    wrong = {text: bad for text, lines in found if (bad := complaints(text, lines))}

    assert wrong == {}


def _stored_bytes(path, states, retention):
    store = open_file(path)
    store._options = type(store._options)(
        synchronous=store._options.synchronous, checkpoint_retention=retention
    )
    fence = fence_of(store)
    for number, state in enumerate(states):
        _commit(store, fence, number, tool_state=state)
    with store.transaction() as tx:
        rows = tx.blobs.list_page(SESSION, "")
        total = sum(entry.stored_bytes for entry in rows)
    assert len(rows) < 1_000
    assert store.load_session().checkpoint.tool_state == state
    store.close()
    return total


@pytest.mark.parametrize(
    ("max_count", "share"), [(8, 1 / 60), (None, 1 / 8)], ids=["default", "all"]
)
def test_changing_state_takes_what_changed(session_copies, max_count, share):
    """
    A state of 128 KB that changes by a fortieth, 200 times: what is left is
    a small share of all that was committed, retention or not.
    """
    total = _stored_bytes(
        session_copies[0],
        (_state(number, 128_000) for number in range(200)),
        CheckpointRetention(max_count=max_count),
    )

    assert total < 200 * 128_000 * share


@pytest.mark.parametrize(
    ("max_count", "share"), [(8, 1 / 100), (None, 1 / 12)], ids=["default", "all"]
)
def test_growing_state_takes_what_it_grew(session_copies, max_count, share):
    """
    A conversation that grows by 1 KB to 256 KB takes a small share of the
    sum of its states.
    """
    texts = [hashlib.shake_256(b"%d" % n).hexdigest(512) for n in range(256)]
    total = _stored_bytes(
        session_copies[0],
        ({"messages": texts[:number]} for number in range(256)),
        CheckpointRetention(max_count=max_count),
    )

    assert total < sum(1_024 * number for number in range(256)) * share


def _base(name, size):
    return Base(blob_ref=name, content=bytes(size), chain_depth=0, whole_bytes=1)


def test_memory_for_snapshots_is_bounded():
    """
    However many sessions keep a snapshot, together they keep the limit, the
    latest ones; a snapshot that is larger than all of it is not kept.
    """
    kept = RecentSnapshots(limit_bytes=1_000)
    for number in range(100):
        kept.put(f"session-{number}", _base("r", 90))
    kept.put("large", _base("r", 1_001))

    assert kept.kept_bytes == 990
    assert kept.find("session-99", "r") == _base("r", 90)
    assert kept.find("session-0", "r") is None
    assert kept.find("large", "r") is None


def test_used_snapshots_stay():
    """
    What was asked for last goes last, and what was put anew counts once.
    """
    kept = RecentSnapshots(limit_bytes=100)
    kept.put("a", _base("r", 40))
    kept.put("b", _base("r", 40))
    kept.find("a", "r")
    kept.put("a", _base("r", 50))
    kept.put("c", _base("r", 50))

    assert kept.kept_bytes == 100
    assert kept.find("b", "r") is None
    kept.remove("a", "r")
    kept.remove("never", "r")
    assert kept.kept_bytes == 50


def test_snapshots_of_one_chain_do_not_pile_up(session_copies, monkeypatch):
    """
    A session keeps its last large state in memory, not those before.
    """
    # Of its own: the process's holds what other tests' sessions left.
    kept = RecentSnapshots(limit_bytes=16 * 2**20)
    monkeypatch.setattr("lashstore.store.storing.recent_snapshots", kept)
    store = open_file(session_copies[0])
    fence = fence_of(store)
    _commit(store, fence, 0)
    before = kept.kept_bytes
    for number in range(1, 6):
        _commit(store, fence, number)
    store.close()

    assert kept.kept_bytes == before > 0


def test_steps_learn_their_size():
    """
    A slow one halves the next number, a quick one doubles it, within bounds.
    """
    number = Adaptive(first=4, most=10)
    sizes = []
    for seconds in (0.001, 0.001, 0.007, 0.5, 0.5, 0.5, 0.5, 0.5, 0.001):
        number.adapt(seconds)
        sizes.append(number.value)

    assert [8, 10, 10, 5, 2, 1, 1, 1, 2] == sizes


def test_checkpoints_come_after_some_steps(monkeypatch):
    """
    After four at first, outside of any step; each checkpoint and each step
    teaches its own number.
    """
    learnt = []
    monkeypatch.setattr(Adaptive, "adapt", lambda number, _: learnt.append(number))
    done = []
    pace = Pace(first=25, most=200, checkpoint=lambda: done.append("checkpoint"))
    for _ in range(9):
        with pace.step():
            done.append(pace.size)

    steps = [25] * 4
    assert [*steps, "checkpoint", *steps, "checkpoint", 25] == done
    size, between = learnt[0], learnt[4]
    assert size is not between
    assert [*[size] * 4, between, *[size] * 4, between, size] == learnt


def test_sizes_differ(session_copies):
    """
    The two files differ by their history.
    """
    assert LITTLE < MUCH
    little, much = (path.stat().st_size for path in session_copies)
    assert much > 20 * little
