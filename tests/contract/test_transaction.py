"""
Transactions: one an operation, one clock reading, one writer at a time.
"""

import contextlib
import threading

import pytest

from lashstore import (
    ArtifactKind,
    AttachmentIntent,
    BackendError,
    BlobDescriptor,
    CheckpointKind,
    HeadRevisionConflictError,
    HydratedCheckpoint,
    InputIdTarget,
    InvalidArgumentError,
    LashStoreError,
    QueuedWorkBoundary,
    Store,
    StoreBusyError,
    StoreOptions,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    make_owner,
    make_usage,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

REPOSITORIES = (
    "heads",
    "graph",
    "checkpoints",
    "blobs",
    "usage",
    "turn_commits",
    "execution_leases",
    "queued_work",
    "turn_inputs",
    "attachments",
    "artifacts",
    "session_meta",
)


def test_transaction_offers_the_repositories(store):
    """
    Every repository of the session is at hand.
    """
    with store.transaction() as tx:
        missing = [name for name in REPOSITORIES if not hasattr(tx, name)]

    assert [] == missing


def writes(store):
    """
    Every writing method, as a call that would succeed on its own.
    """
    lease = acquire_lease(store)
    fence, owner = lease.fence(), make_owner()
    store.enqueue_queued_work(turn_work_draft())
    store.enqueue_pending_turn_input(next_turn_draft())
    work = store.claim_ready_queued_work(fence, owner, QueuedWorkBoundary.IDLE, 1000, 1)
    said = store.claim_next_turn_inputs(fence, owner, 1000, 1)
    intent = AttachmentIntent(attachment_id="0" * 64, canonical_uri="u", intent_at_ms=1)
    descriptor = BlobDescriptor(kind=ArtifactKind.GENERIC_BLOB)
    return {
        "commit_runtime_state": lambda: store.commit_runtime_state(make_commit(lease)),
        "save_session_meta": lambda: store.save_session_meta(session_meta()),
        "append_usage_deltas": lambda: store.append_usage_deltas(
            [make_usage(input_tokens=1)]
        ),
        "put_blob": lambda: store.put_blob(b"x"),
        "put_artifact_blob": lambda: store.put_artifact_blob(descriptor, b"y"),
        "put_typed_blob": lambda: store.put_typed_blob("x"),
        "put_typed_artifact_blob": lambda: store.put_typed_artifact_blob(
            descriptor, "y"
        ),
        "put_checkpoint": lambda: store.put_checkpoint(HydratedCheckpoint()),
        "put_module_artifact": lambda: store.put_module_artifact(b"x"),
        "put_artifact_bytes": lambda: store.put_artifact_bytes("r", b"x"),
        "put_process_execution_env": lambda: store.put_process_execution_env("r", b"x"),
        "try_claim_session_execution_lease": lambda: (
            store.try_claim_session_execution_lease(owner, 1000)
        ),
        "reclaim_session_execution_lease": lambda: (
            store.reclaim_session_execution_lease(owner, fence, 1000)
        ),
        "renew_session_execution_lease": lambda: store.renew_session_execution_lease(
            fence, 1000
        ),
        "release_session_execution_lease": lambda: (
            store.release_session_execution_lease(lease.completion())
        ),
        "enqueue_queued_work": lambda: store.enqueue_queued_work(turn_work_draft()),
        "claim_leading_ready_session_command": lambda: (
            store.claim_leading_ready_session_command(fence, owner, 1000)
        ),
        "claim_ready_queued_work": lambda: store.claim_ready_queued_work(
            fence, owner, QueuedWorkBoundary.IDLE, 1000, 1
        ),
        "claim_ready_queued_work_by_batch_ids": lambda: (
            store.claim_ready_queued_work_by_batch_ids(
                fence, owner, QueuedWorkBoundary.IDLE, 1000, ["b"]
            )
        ),
        "renew_queued_work_claim": lambda: store.renew_queued_work_claim(work, 1000),
        "abandon_queued_work_claim": lambda: store.abandon_queued_work_claim(work),
        "cancel_queued_work_batch": lambda: store.cancel_queued_work_batch("b"),
        "enqueue_pending_turn_input": lambda: store.enqueue_pending_turn_input(
            next_turn_draft()
        ),
        "cancel_pending_turn_input": lambda: store.cancel_pending_turn_input(
            InputIdTarget(input_id="i")
        ),
        "cancel_pending_turn_inputs": lambda: store.cancel_pending_turn_inputs(
            [InputIdTarget(input_id="i")]
        ),
        "cancel_pending_turn_input_suffix": lambda: (
            store.cancel_pending_turn_input_suffix(InputIdTarget(input_id="i"))
        ),
        "claim_active_turn_inputs": lambda: store.claim_active_turn_inputs(
            fence, owner, "t", CheckpointKind.AFTER_WORK, 1000, 1
        ),
        "claim_next_turn_inputs": lambda: store.claim_next_turn_inputs(
            fence, owner, 1000, 1
        ),
        "renew_turn_input_claim": lambda: store.renew_turn_input_claim(said, 1000),
        "abandon_turn_input_claim": lambda: store.abandon_turn_input_claim(said),
        "redefer_orphaned_turn_inputs": lambda: store.redefer_orphaned_turn_inputs(
            fence
        ),
        "record_attachment_intent": lambda: store.record_attachment_intent(intent),
        "commit_attachment_refs": lambda: store.commit_attachment_refs(["0" * 64]),
        "forget_attachment": lambda: store.forget_attachment("0" * 64),
        "tombstone_nodes": lambda: store.tombstone_nodes(["m1"]),
        "vacuum": store.vacuum,
        "gc_unreachable": store.gc_unreachable,
    }


def test_writing_method_inside_is_refused(store):
    """
    A method that would wait for its own transaction is refused at once.
    """
    calls = writes(store)
    accepted = []

    with store.transaction():
        for name, call in calls.items():
            try:
                call()
            except InvalidArgumentError:
                continue
            accepted.append(name)

    assert [] == accepted


def test_refused_method_leaves_the_store_usable(store):
    """
    After the refusal, in and after the transaction, all is as before.
    """
    with store.transaction():
        with pytest.raises(InvalidArgumentError):
            store.put_blob(b"x")

    assert 1 == commit_nodes(store, message_node("m1")).head_revision


def test_error_inside_propagates(store):
    """
    An exception ends the transaction and reaches the caller.
    """

    class HostError(Exception):
        """
        The host's own.
        """

    with pytest.raises(HostError), store.transaction():
        raise HostError

    assert 1 == commit_nodes(store, message_node("m1")).head_revision


def test_other_threads_wait_their_turn(store):
    """
    Another thread's write begins when the transaction ends.
    """
    done = threading.Event()

    def write():
        commit_nodes(store, message_node("m1"))
        done.set()

    thread = threading.Thread(target=write)
    with store.transaction():
        thread.start()
        assert not done.wait(0.05)
    thread.join()

    assert 1 == store.load_session().head_revision


class CountingClock:
    """
    A clock that counts its readings, and moves with each.
    """

    def __init__(self) -> None:
        self.readings = 0

    def now_ms(self) -> int:
        """
        Return the time, a little later than the last.
        """
        self.readings += 1
        return 1_000_000 + self.readings


@pytest.mark.parametrize("is_file", [True, False])
def test_clock_is_read_once_an_operation(tmp_path, is_file):
    """
    An operation decides and stores by one reading of the clock.
    """
    clock = CountingClock()
    store = (
        Store.open(tmp_path / "root.db", "root", clock=clock)
        if is_file
        else Store.memory(clock=clock)
    )
    more_than_one = []
    with store:
        for name, call in writes(store).items():
            clock.readings = 0
            with contextlib.suppress(LashStoreError):
                call()
            if clock.readings > 1:
                more_than_one.append((name, clock.readings))

    assert [] == more_than_one


def test_lease_times_come_from_one_reading(tmp_path):
    """
    A lease lasts exactly as long as asked, on a clock that never stands still.
    """
    with Store.open(tmp_path / "root.db", "root", clock=CountingClock()) as store:
        lease = acquire_lease(store, ttl_ms=500)

    assert 500 == lease.expires_at_ms - lease.claimed_at_ms


def run_all(*calls):
    """
    Run calls at once, one a thread; return their results and errors.
    """
    barrier = threading.Barrier(len(calls))
    results = []

    def run(call):
        barrier.wait()
        try:
            results.append(call())
        except LashStoreError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_concurrent_commits_all_count(backend):
    """
    Commits from many handles land one after another, none is lost.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    handles = [backend.open_store() for _ in range(6)]

    results = run_all(
        *(
            lambda h=handle, n=number: h.commit_runtime_state(
                make_commit(lease, message_node(f"m{n}"))
            )
            for number, handle in enumerate(handles)
        )
    )

    assert [1, 2, 3, 4, 5, 6] == sorted(result.head_revision for result in results)
    assert 6 == len(store.load_session().graph.nodes)


def test_concurrent_commits_on_one_revision(backend):
    """
    Of commits that expect one revision exactly one lands.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    handles = [backend.open_store() for _ in range(6)]

    results = run_all(
        *(
            lambda h=handle, n=number: h.commit_runtime_state(
                make_commit(lease, message_node(f"m{n}"), expected_head_revision=0)
            )
            for number, handle in enumerate(handles)
        )
    )

    conflicts = [one for one in results if isinstance(one, HeadRevisionConflictError)]
    assert [(0, 1)] * 5 == [(error.expected, error.actual) for error in conflicts]
    assert 1 == len(store.load_session().graph.nodes)


def test_concurrent_claims_take_work_once(backend):
    """
    A batch and an input are each held by one claim, however many want them.
    """
    store = backend.open_store()
    fence = acquire_lease(store).fence()
    handles = [backend.open_store() for _ in range(6)]
    for number in range(3):
        store.enqueue_queued_work(turn_work_draft(number))
        store.enqueue_pending_turn_input(next_turn_draft(number))

    works = run_all(
        *(
            lambda h=handle: h.claim_ready_queued_work(
                fence, make_owner(), QueuedWorkBoundary.IDLE, 1000, 1
            )
            for handle in handles
        )
    )
    inputs = run_all(
        *(
            lambda h=handle: h.claim_next_turn_inputs(fence, make_owner(), 1000, 1)
            for handle in handles
        )
    )

    assert [0, 1, 2] == sorted(
        claim.batches[0].items[0].payload.body for claim in works if claim
    )
    assert [0, 1, 2] == sorted(claim.inputs[0].input for claim in inputs if claim)


def test_concurrent_submissions_of_one_key(backend):
    """
    One source key submitted at once from everywhere is one row.
    """
    store = backend.open_store()
    handles = [backend.open_store() for _ in range(6)]

    batches = run_all(
        *(
            lambda h=handle: h.enqueue_queued_work(turn_work_draft(source_key="k"))
            for handle in handles
        )
    )
    inputs = run_all(
        *(
            lambda h=handle: h.enqueue_pending_turn_input(
                next_turn_draft(source_key="k")
            )
            for handle in handles
        )
    )

    assert list(store.list_queued_work()) * 6 == batches
    assert list(store.list_pending_turn_inputs()) * 6 == inputs


def test_reads_are_snapshots(backend):
    """
    A read never mixes two commits: its head and graph belong together.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    reader = backend.open_store()
    torn = []
    done = threading.Event()

    def read():
        while not done.is_set():
            session = reader.load_session()
            if session and len(session.graph.nodes) != session.head_revision:
                torn.append(session)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(30):
        store.commit_runtime_state(make_commit(lease, message_node(f"m{number}")))
    done.set()
    thread.join()

    assert [] == torn


@pytest.mark.requires("has_files")
def test_lock_that_is_not_had_is_busy(backend):
    """
    A lock another process keeps is a retryable error; reads go on.
    """
    store = backend.open_store(options=StoreOptions(busy_timeout_ms=20))
    commit_nodes(store, message_node("m1"))
    with backend.connect(backend.path_of("root")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError) as caught:
            store.put_blob(b"x")
        assert 1 == store.load_session().head_revision
        other.execute("ROLLBACK")

    assert caught.value.retryable
    assert store.put_blob(b"x")


@pytest.mark.requires("has_files")
def test_other_failures_are_backend_errors(backend):
    """
    A driver's error never escapes as such; it is the cause of one of ours.
    """
    store = backend.open_store()
    store.append_usage_deltas([make_usage("SOURCE01", input_tokens=1)])
    with backend.connect(backend.path_of("root")) as other:
        tables = other.execute(
            "SELECT DISTINCT m.name FROM sqlite_master m, pragma_table_info(m.name) c "
            "WHERE m.type = 'table' AND c.name = 'input_tokens'"
        ).fetchall()
        for (table,) in tables:
            other.execute(f"DROP TABLE {table}")
    assert tables

    for call in (
        store.load_usage_deltas,
        lambda: store.append_usage_deltas([make_usage(input_tokens=1)]),
    ):
        with pytest.raises(BackendError) as caught:
            call()
        assert None is not caught.value.__cause__
        assert not caught.value.retryable
