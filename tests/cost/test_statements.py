"""
Statements, plans and instructions of each operation, with little history
and with much.
"""

import pytest

from lashstore import (
    ActivePath,
    ActiveTurnIngress,
    AttachmentIntent,
    CheckpointKind,
    GraphAppend,
    HydratedCheckpoint,
    InputCancelled,
    InputIdTarget,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SourceKeyTarget,
)
from lashstore.engines.pacing import Adaptive
from lashstore.store import maintenance

from .history import (
    FAR_MS,
    LITTLE,
    MUCH,
    NOW_MS,
    OWNER,
    SESSION,
    attachment_id,
    fence_of,
    node,
    open_file,
    usage,
    work,
)
from .meter import complaints, metering, plans, tracing

IDLE = QueuedWorkBoundary.IDLE


def _commit(fence, **facts):
    return RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        expected_head_revision=1,
        graph=GraphAppend(nodes=(node("new-1", "p10"), node("new-2", "new-1"))),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn_index": 2},
            tool_state={"generation": 2, "text": "x" * 20_000},
        ),
        usage_deltas=(usage(1),),
        **facts,
    )


def _claim_work(store, fence):
    return store.claim_ready_queued_work(fence, OWNER, IDLE, 1_000, 8)


def _claim_inputs(store, fence):
    return store.claim_next_turn_inputs(fence, OWNER, 1_000, 8)


def commit(store, fence):
    ready = _commit(fence).stamped("turn-2")
    return lambda: store.commit_runtime_state(ready)


def commit_that_completes(store, fence):
    ready = _commit(
        fence,
        completed_queue_claims=(_claim_work(store, fence).completion(),),
        completed_turn_input_claims=(_claim_inputs(store, fence).completion(),),
        interrupted_turn_input_turn_id="t1",
        committed_attachment_ids=(attachment_id("one"), attachment_id("two")),
    ).stamped("turn-2")
    return lambda: store.commit_runtime_state(ready)


def replay(store, fence):
    ready = _commit(fence).stamped("turn-2")
    store.commit_runtime_state(ready)
    return lambda: store.commit_runtime_state(ready)


def reappend(store, fence):
    store.commit_runtime_state(_commit(fence))
    again = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        graph=GraphAppend(nodes=(node("new-1", "p10"), node("new-2", "new-1"))),
    )
    return lambda: store.commit_runtime_state(again)


def claim_lease(store, _fence):
    return lambda: store.try_claim_session_execution_lease(OWNER, 1_000)


def reclaim_lease(store, fence):
    return lambda: store.reclaim_session_execution_lease(OWNER, fence, 1_000)


def renew_lease(store, fence):
    return lambda: store.renew_session_execution_lease(fence, 1_000)


def release_lease(store, _fence):
    held = store.try_claim_session_execution_lease(OWNER, 1_000).lease
    return lambda: store.release_session_execution_lease(held.completion())


def enqueue_batch(store, _fence):
    return lambda: store.enqueue_queued_work(work())


def enqueue_keyed_batch(store, _fence):
    return lambda: store.enqueue_queued_work(work("fresh"))


def enqueue_known_batch(store, _fence):
    return lambda: store.enqueue_queued_work(work("join-1"))


def claim_work(store, fence):
    return lambda: _claim_work(store, fence)


def claim_command(store, fence):
    for batch in store.list_queued_work()[:2]:
        store.cancel_queued_work_batch(batch.batch_id)
    return lambda: store.claim_leading_ready_session_command(fence, OWNER, 1_000)


def claim_work_by_ids(store, fence):
    ids = [batch.batch_id for batch in store.list_queued_work()[:2]]
    return lambda: store.claim_ready_queued_work_by_batch_ids(
        fence, OWNER, IDLE, 1_000, ids
    )


def renew_work(store, fence):
    claim = _claim_work(store, fence)
    return lambda: store.renew_queued_work_claim(claim, 2_000)


def abandon_work(store, fence):
    claim = _claim_work(store, fence)
    return lambda: store.abandon_queued_work_claim(claim)


def cancel_batch(store, _fence):
    batch_id = store.list_queued_work()[0].batch_id
    return lambda: store.cancel_queued_work_batch(batch_id)


def enqueue_input(store, _fence):
    draft = PendingTurnInputDraft(
        ingress=ActiveTurnIngress(turn_id="t1"),
        input={"text": "hi"},
        source_key="fresh",
    )
    return lambda: store.enqueue_pending_turn_input(draft)


def enqueue_known_input(store, _fence):
    draft = PendingTurnInputDraft(
        ingress=NextTurnIngress(), input={"text": "next-1"}, source_key="next-1"
    )
    return lambda: store.enqueue_pending_turn_input(draft)


def claim_inputs(store, fence):
    return lambda: _claim_inputs(store, fence)


def claim_active_inputs(store, fence):
    return lambda: store.claim_active_turn_inputs(
        fence, OWNER, "t1", CheckpointKind.AFTER_WORK, 1_000, 8
    )


def renew_inputs(store, fence):
    claim = _claim_inputs(store, fence)
    return lambda: store.renew_turn_input_claim(claim, 2_000)


def abandon_inputs(store, fence):
    claim = _claim_inputs(store, fence)
    return lambda: store.abandon_turn_input_claim(claim)


def cancel_input(store, _fence):
    def run():
        outcome = store.cancel_pending_turn_input(InputIdTarget(input_id="next-1"))
        assert isinstance(outcome, InputCancelled)

    return run


def cancel_input_by_key(store, _fence):
    return lambda: store.cancel_pending_turn_input(SourceKeyTarget(source_key="next-1"))


def cancel_inputs(store, _fence):
    targets = [InputIdTarget(input_id="next-1"), SourceKeyTarget(source_key="active-1")]
    return lambda: store.cancel_pending_turn_inputs(targets)


def cancel_suffix(store, _fence):
    return lambda: store.cancel_pending_turn_input_suffix(
        InputIdTarget(input_id="next-2")
    )


def redefer(store, fence):
    return lambda: store.redefer_orphaned_turn_inputs(fence)


def list_inputs(store, _fence):
    return store.list_pending_turn_inputs


def load_head_meta(store, _fence):
    return store.load_session_head_meta


def load_path(store, _fence):
    def run():
        read = store.load_session(ActivePath(leaf_node_id="p10"))
        assert len(read.graph.nodes) == 11

    return run


def load_node(store, _fence):
    return lambda: store.load_node("p5")


def load_picker_info(store, _fence):
    return store.load_picker_info


def load_meta(store, _fence):
    return store.load_session_meta


def put_blob(store, _fence):
    return lambda: store.put_blob(b"new content")


def get_checkpoint(store, _fence):
    ref = store.load_session_head_meta().checkpoint_ref
    return lambda: store.get_checkpoint(ref)


def put_checkpoint(store, _fence):
    return lambda: store.put_checkpoint(HydratedCheckpoint(tool_state={"x": 1}))


def put_artifact(store, _fence):
    return lambda: store.put_artifact_bytes("ref", b"content")


def append_usage(store, _fence):
    return lambda: store.append_usage_deltas([usage(1), usage(2)])


def record_intent(store, _fence):
    intent = AttachmentIntent(
        attachment_id=attachment_id("new"), canonical_uri="u", intent_at_ms=NOW_MS
    )
    return lambda: store.record_attachment_intent(intent)


def commit_refs(store, _fence):
    return lambda: store.commit_attachment_refs(
        [attachment_id("one"), attachment_id("two")]
    )


def list_uncommitted(store, _fence):
    return lambda: store.list_uncommitted_attachments(NOW_MS)


def forget(store, _fence):
    return lambda: store.forget_attachment(attachment_id("one"))


def tombstone(store, _fence):
    return lambda: store.tombstone_nodes(["p1", "p2", "never"])


def full_read(store, _fence):
    return store.load_session


def list_queue(store, _fence):
    return store.list_queued_work


def list_pending_queue(store, _fence):
    return store.list_pending_queued_work


def load_usage(store, _fence):
    return store.load_usage_deltas


def vacuum(store, _fence):
    return store.vacuum


def collect(store, _fence):
    return store.gc_unreachable


CONSTANT = (
    commit,
    commit_that_completes,
    replay,
    reappend,
    claim_lease,
    reclaim_lease,
    renew_lease,
    release_lease,
    enqueue_batch,
    enqueue_keyed_batch,
    enqueue_known_batch,
    claim_work,
    claim_command,
    claim_work_by_ids,
    renew_work,
    abandon_work,
    cancel_batch,
    enqueue_input,
    enqueue_known_input,
    claim_inputs,
    claim_active_inputs,
    renew_inputs,
    abandon_inputs,
    cancel_input,
    cancel_input_by_key,
    cancel_inputs,
    cancel_suffix,
    redefer,
    list_inputs,
    load_head_meta,
    load_path,
    load_node,
    load_picker_info,
    load_meta,
    put_blob,
    get_checkpoint,
    put_checkpoint,
    put_artifact,
    append_usage,
    record_intent,
    commit_refs,
    list_uncommitted,
    forget,
    tombstone,
)

# Their answer or their work is the whole: the cost grows with the rows, the
# number of statements and the plans must not.
WHOLE = (full_read, list_queue, list_pending_queue, load_usage, vacuum)


def _meter(path, operation):
    store = open_file(path)
    run = operation(store, fence_of(store))
    with metering() as meter:
        run()
    store.close()
    return meter


@pytest.mark.parametrize("operation", CONSTANT, ids=lambda op: op.__name__)
def test_history_costs_nothing(operation, session_copies):
    """
    The same statements and nearly the same work, however much is stored.
    """
    little, much = (_meter(path, operation) for path in session_copies)

    assert little.texts() == much.texts()
    # A b-tree of 10,000 rows is one or two levels deeper; instructions do
    # not see depth, so what remains is rows touched.
    assert much.instructions <= 1.2 * little.instructions + 100


@pytest.mark.parametrize("operation", WHOLE, ids=lambda op: op.__name__)
def test_whole_reads_take_as_many_statements(operation, session_copies, monkeypatch):
    """
    Reading or sweeping everything takes no statement per row; a vacuum takes
    some per step.
    """
    monkeypatch.setattr(maintenance, "_FIRST_ROWS", 1_000_000)
    monkeypatch.setattr(Adaptive, "adapt", lambda *_: None)
    little, much = (_meter(path, operation) for path in session_copies)

    assert len(little.statements) == len(much.statements)


@pytest.mark.parametrize("operation", CONSTANT + WHOLE, ids=lambda op: op.__name__)
def test_plans_use_indexes(operation, session_copies):
    """
    No statement scans a table or sorts rows that an index has in order.
    """
    _, much = session_copies
    meter = _meter(much, operation)
    found = plans(much, meter)

    assert found
    wrong = {text: bad for text, lines in found if (bad := complaints(text, lines))}
    assert wrong == {}


@pytest.mark.parametrize("operation", CONSTANT, ids=lambda op: op.__name__)
def test_unwatched_operations_run_the_same(operation, session_copies):
    """
    What the meters above see is what runs when nobody meters.
    """
    watched, _ = session_copies
    unwatched = watched.with_name("unwatched.db")
    unwatched.write_bytes(watched.read_bytes())

    meter = _meter(watched, operation)
    with tracing() as traced:
        store = open_file(unwatched)
        run = operation(store, fence_of(store))
        traced.clear()
        run()
    found = len(traced)
    store.close()

    assert found > 0
    assert found == sum(
        len(parameters) if executemany else 1
        for _, parameters, executemany in meter.statements
    )


@pytest.mark.parametrize("max_batches", [1, 8])
def test_scheduled_batches_hide_nothing(max_batches, session_copies):
    """
    Batches that are not due yet, however many, hide no ready one behind.
    """
    counts = []
    for path in session_copies:
        store = open_file(path)
        fence = fence_of(store)
        for batch in store.list_queued_work():
            if batch.available_at_ms < FAR_MS:
                store.cancel_queued_work_batch(batch.batch_id)
        ready = store.enqueue_queued_work(work("at the end"))
        with metering() as meter:
            claim = store.claim_ready_queued_work(
                fence, OWNER, IDLE, 1_000, max_batches
            )
        store.close()
        assert claim.batches == (ready,)
        counts.append(meter.texts())

    assert counts[0] == counts[1]


def test_claimed_batches_hide_nothing(session_copies):
    """
    Batches under live claims, more than any scan window, hide no free one.
    """
    store = open_file(session_copies[0])
    fence = fence_of(store)
    for batch in store.list_queued_work():
        store.cancel_queued_work_batch(batch.batch_id)
    for _ in range(300):
        store.enqueue_queued_work(work())
        assert _claim_work(store, fence) is not None
    free = store.enqueue_queued_work(work())

    claim = _claim_work(store, fence)

    store.close()
    assert claim.batches == (free,)


def test_other_turns_inputs_hide_nothing(session_copies):
    """
    Inputs of other turns and boundaries, however many, hide no own one.
    """
    store = open_file(session_copies[0])
    fence = fence_of(store)
    for n in range(300):
        ingress = (
            ActiveTurnIngress(turn_id="other")
            if n % 2
            else ActiveTurnIngress(
                turn_id="mine", min_boundary=CheckpointKind.BEFORE_COMPLETION
            )
        )
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(ingress=ingress, input=n)
        )
    mine = store.enqueue_pending_turn_input(
        PendingTurnInputDraft(ingress=ActiveTurnIngress(turn_id="mine"), input="mine")
    )

    claim = store.claim_active_turn_inputs(
        fence, OWNER, "mine", CheckpointKind.AFTER_WORK, 1_000, 8
    )

    store.close()
    assert [taken.input_id for taken in claim.inputs] == [mine.input_id]


def _bulk_meter(path, count):
    store = open_file(path)
    fence = fence_of(store)
    names = [attachment_id(f"bulk-{n}") for n in range(count)]
    for name in names:
        store.record_attachment_intent(
            AttachmentIntent(attachment_id=name, canonical_uri="u", intent_at_ms=NOW_MS)
        )
    ids = [f"bulk-{n}" for n in range(count)]
    for name in ids:
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(ingress=NextTurnIngress(), input=1, input_id=name)
        )
    store.cancel_pending_turn_inputs(
        [InputIdTarget(input_id="next-1"), InputIdTarget(input_id="next-2")]
    )
    with metering() as meter:
        claim = store.claim_next_turn_inputs(fence, OWNER, 1_000, 64)
        store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=fence,
                graph=GraphAppend(nodes=tuple(node(name, "p10") for name in ids)),
                usage_deltas=tuple(usage(n) for n in range(count)),
                completed_turn_input_claims=(claim.completion(),),
                committed_attachment_ids=tuple(names),
            )
        )
        store.tombstone_nodes(ids)
        store.cancel_pending_turn_inputs([InputIdTarget(input_id=name) for name in ids])
    store.close()
    assert len(claim.inputs) == count
    return meter


def test_bulk_writes_take_no_statement_per_row(session_copies):
    """
    Forty nodes, inputs and attachments take the statements that two take.
    """
    few, _ = session_copies
    many = few.with_name("many.db")
    many.write_bytes(few.read_bytes())

    assert len(_bulk_meter(few, 2).statements) == len(_bulk_meter(many, 40).statements)


def test_sizes_are_as_advertised(history_file):
    """
    The two files differ by what the tests say they differ by.
    """
    assert (LITTLE, MUCH) == (10, 10_000)
    assert history_file(MUCH).stat().st_size > 20 * history_file(LITTLE).stat().st_size
