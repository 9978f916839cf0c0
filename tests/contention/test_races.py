"""
Many processes, one file: exactly one wins, and everybody agrees who.
"""

import subprocess
import sys
import threading
import time

import pytest

from lashstore import (
    InputIdTarget,
    QueuedWorkBatchDraft,
    SessionStoreFactory,
    SlotPolicy,
    Store,
    TurnWorkPayload,
)

from . import workers
from .crowd import run_crowd
from .places import PLACES, FilePlace

PROCESSES = 8
ROUNDS = 20


@pytest.fixture(name="place", params=PLACES, ids=lambda kind: kind.name)
def _place(request, tmp_path):
    """
    Return where the crowd meets, once for each engine.
    """
    place = request.param(tmp_path)
    yield place
    place.close()


def _hold(address):
    """
    Make a session and return the fence of its lease.
    """
    with workers.open_session(address) as store:
        return store.try_claim_session_execution_lease(
            workers.owner("parent"), workers.LONG_MS
        ).lease.fence()


@pytest.fixture(name="held")
def _held(place):
    """
    Return a new session's address and the fence of its lease.
    """
    address = place.database("crowd")
    return address, _hold(address)


@pytest.fixture(name="held_file")
def _held_file(tmp_path):
    """
    Return a new session's path and the fence of its lease.
    """
    path = tmp_path / "crowd.db"
    return path, _hold(path)


def test_first_open_by_many(place):
    """
    Eight processes open new databases at once, and none fails.
    """
    addresses = [place.database(turn) for turn in range(place.rounds)]
    run_crowd(workers.first_open, PROCESSES, addresses)

    for address in addresses:
        place.check(address)
        assert place.count(address, "session_blobs") == 1


def test_first_create_by_many(place):
    """
    Eight processes create one session: the first one's meta stands for all.
    """
    answers = run_crowd(workers.first_create, PROCESSES, place.root, ROUNDS)

    for turn in range(ROUNDS):
        assert len({seen[turn] for seen in answers}) == 1


def test_one_first_claimer_wins(place):
    """
    Of eight that claim a new lease exactly one has it; the rest see it.
    """
    addresses = [place.session(turn) for turn in range(place.rounds)]
    answers = run_crowd(workers.claim_lease, PROCESSES, addresses)

    for turn in range(place.rounds):
        told = [won[turn] for won in answers]
        assert [how for how, *_ in told].count("acquired") == 1
        assert len({(who, fencing) for _, who, fencing in told}) == 1
        assert told[0][2] == 1


def test_one_reclaimer_wins(place):
    """
    Of eight that can prove the holder's death exactly one takes its lease.
    """
    code = "print(open('/proc/self/stat').read().rpartition(') ')[2].split()[19])"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    started = child.communicate(timeout=60)[0].strip()
    addresses = [place.session(turn) for turn in range(place.rounds)]
    fences = []
    for address in addresses:
        with workers.open_session(address) as store:
            lease = store.try_claim_session_execution_lease(
                workers.dead_owner(child.pid, started), workers.LONG_MS
            ).lease
            fences.append(lease.fence())

    answers = run_crowd(workers.reclaim_lease, PROCESSES, addresses, fences)

    for turn in range(place.rounds):
        told = [won[turn] for won in answers]
        assert [how for how, *_ in told].count("acquired") == 1
        assert len({who for _, who, _ in told} - {"dead"}) == 1
        assert {fencing for _, _, fencing in told} == {2}


def test_compare_and_swap_loses_nothing(held, place):
    """
    Four processes commit twenty-five times each: revisions 1 to 100.
    """
    path, fence = held
    answers = run_crowd(workers.commit_in_turns, 4, str(path), fence, 25)

    landed = sorted(each for done, _ in answers for each in done)
    assert [revision for revision, _ in landed] == list(range(1, 101))
    with workers.open_session(path) as store:
        read = store.load_session()
    assert [node.node_id for node in read.graph.nodes] == [name for _, name in landed]
    assert read.graph.active_path() == read.graph.nodes
    place.check(path)


def test_each_batch_runs_once(held):
    """
    Six workers drain one queue: every batch is completed by exactly one.
    """
    path, fence = held
    with workers.open_session(path) as store:
        batches = [
            store.enqueue_queued_work(
                QueuedWorkBatchDraft(
                    payloads=(TurnWorkPayload(body=n),),
                    slot_policy=SlotPolicy.JOIN if n % 3 else SlotPolicy.EXCLUSIVE,
                )
            ).batch_id
            for n in range(90)
        ]

    answers = run_crowd(workers.drain_queue, 6, str(path), fence)

    assert sorted(one for done in answers for one in done) == sorted(batches)
    with workers.open_session(path) as store:
        assert store.list_queued_work() == ()


def test_one_key_one_batch(held):
    """
    Eight processes submit the same source keys: one batch and input each.
    """
    path, _ = held
    answers = run_crowd(workers.enqueue_same_keys, PROCESSES, str(path), ROUNDS)

    for turn in range(ROUNDS):
        assert len({told[turn][0].batch_id for told in answers}) == 1
        first = answers[0][turn]
        assert all(told[turn] == first for told in answers)
    with workers.open_session(path) as store:
        assert len(store.list_queued_work()) == ROUNDS
        pending = store.list_pending_turn_inputs()
        assert len(pending) == ROUNDS
        target = InputIdTarget(input_id=pending[0].input_id)
        assert len(store.cancel_pending_turn_input_suffix(target)) == ROUNDS


def test_checkpoints_against_writers_and_readers(held_file):
    """
    A WAL that is checkpointed every few commits stays whole and bounded.
    """
    path, fence = held_file
    counts = run_crowd(workers.write_past_checkpoints, 6, str(path), fence, 4.0)

    written = sum(count for index, count in enumerate(counts) if index % 3)
    with workers.open_session(path) as store:
        read = store.load_session()
    assert read.head_revision == written
    assert len(read.graph.nodes) == written
    FilePlace(path.parent).check(path)


def test_tiny_wal_stays_tiny(held_file):
    """
    Past its bound the WAL is reused, however long one process writes.
    """
    path, fence = held_file
    with Store.open(path, workers.SESSION, options=workers.TINY_WAL) as store:
        for n in range(300):
            store.put_blob(str(n).encode() * 1_000)
        wal = path.with_name(path.name + "-wal").stat().st_size
        store.renew_session_execution_lease(fence, workers.LONG_MS)

    assert wal < 10 * workers.TINY_WAL.wal_limit_bytes


class _Writers:
    """
    Four writers in the background: `run_crowd` blocks, so it gets a thread.
    """

    def __init__(self, root, session_id, marker):
        self._answer = None
        self._error = None
        self._root, self._session_id, self._marker = root, session_id, marker
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self._answer = run_crowd(
                workers.write_until_deleted,
                4,
                self._root,
                self._session_id,
                self._marker,
            )
        except BaseException as error:
            self._error = error

    def wait_until_started(self):
        """Return once the writers have written."""
        factory = SessionStoreFactory(self._root, options=workers.QUICK)
        store = factory.open_existing_store(self._session_id)
        deadline = time.monotonic() + 60
        while len(store.list_queued_work()) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        store.close()
        factory.close()

    def results(self):
        self._thread.join(180)
        if self._error is not None:
            raise self._error
        return self._answer


def test_delete_against_writers(place, tmp_path):
    """
    A deletion in the middle of writes ends them all and leaves nothing.
    """
    root = place.root
    for turn in range(place.deletions):
        session_id, marker = f"doomed/{turn}", tmp_path / f"made-{turn}"
        factory = SessionStoreFactory(root, options=workers.QUICK)
        factory.create_store(session_id).close()

        crowd = _Writers(root, session_id, str(marker))
        crowd.wait_until_started()
        factory.delete_session(session_id)
        _require_nothing_left(place, factory, session_id)
        assert factory.open_existing_store(session_id) is None
        fresh = factory.create_store(session_id)
        marker.touch()
        writes = crowd.results()

        assert fresh.load_session_head_meta() is None
        assert fresh.list_queued_work() == ()
        lease = fresh.try_claim_session_execution_lease(
            workers.owner("new"), workers.LONG_MS
        ).lease
        assert lease.fencing_token == 1
        fresh.close()
        address = place.root
        if isinstance(place, FilePlace):
            address = str(factory.path_for_session(session_id))
        factory.close()
        place.check(address)
        assert place.count(address, "session_blobs") == 0
        assert place.count(address, "session_queued_batches") == 0
        assert len(writes) == 4


def _require_nothing_left(place, factory, session_id):
    if isinstance(place, FilePlace):
        path = factory.path_for_session(session_id)
        left = [each.name for each in path.parent.iterdir() if path.stem in each.name]
        assert left == []
        return
    for table in ("session_blobs", "session_queued_batches"):
        assert place.count(place.root, table) == 0
