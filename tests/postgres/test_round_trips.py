"""
How often an operation waits for the server: what a network's distance costs.

BEGIN travels with the first question, and COMMIT is one wait of its own.
"""

import pytest

from lashstore import (
    ActivePath,
    AttachmentIntent,
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionNode,
    SlotPolicy,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")
LONG_MS = 10**12
TOOLS = {"tools": {f"t{n}": "x" * 1_000 for n in range(400)}}


def _fence(store):
    return store.try_claim_session_execution_lease(OWNER, LONG_MS).lease.fence()


def _node(name, parent=None):
    return SessionNode(
        node_id=name,
        parent_node_id=parent,
        payload={"role": "user", "content": "x" * 200},
    )


def _batch():
    return QueuedWorkBatchDraft(
        payloads=(TurnWorkPayload(body=1),), slot_policy=SlotPolicy.JOIN
    )


def _input():
    return PendingTurnInputDraft(ingress=NextTurnIngress(), input={"text": "hi"})


def _attachment(n):
    return f"{n:064x}"


def _full_commit(store, fence, count, turn):
    """
    Return a commit with *count* of everything there is.
    """
    for n in range(count):
        store.enqueue_queued_work(_batch())
        store.enqueue_pending_turn_input(_input())
        store.record_attachment_intent(
            AttachmentIntent(
                attachment_id=_attachment(n), canonical_uri="u", intent_at_ms=1
            )
        )
    work = store.claim_ready_queued_work(
        fence, OWNER, QueuedWorkBoundary.IDLE, LONG_MS, count
    )
    inputs = store.claim_next_turn_inputs(fence, OWNER, LONG_MS, count)
    assert (len(work.batches), len(inputs.inputs)) == (count, count)
    head = store.load_session_head_meta()
    leaf = None if head is None else head.leaf_node_id
    names = [f"{turn}-{n}" for n in range(count)]
    parents = [leaf, *names]
    return RuntimeCommit(
        session_id=store.session_id,
        session_execution_lease=fence,
        expected_head_revision=0 if head is None else head.head_revision,
        graph=GraphAppend(
            nodes=tuple(map(_node, names, parents)), leaf_node_id=names[-1]
        ),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn": turn}, tool_state=TOOLS, execution_state=b"\0" * 50
        ),
        usage_deltas=tuple(
            TokenLedgerEntry(
                source="turn", model=f"m{n}", usage=TokenUsage(input_tokens=1)
            )
            for n in range(count)
        ),
        completed_queue_claims=(work.completion(),),
        completed_turn_input_claims=(inputs.completion(),),
        committed_attachment_ids=tuple(map(_attachment, range(count))),
        interrupted_turn_input_turn_id="earlier",
    ).stamped(turn)


def test_a_turn_waits_twice(wire, clean, open_store):
    """
    For what it meets and names, and for COMMIT; a large state that changed a
    little needs no look-up by the handle that stored the one before.
    """
    store = open_store(address=wire.url(clean.url()))
    fence = _fence(store)
    waits = []
    for number in range(4):
        tools = TOOLS["tools"] | {"t0": f"now {number}"}
        commit = RuntimeCommit(
            session_id=store.session_id,
            session_execution_lease=fence,
            expected_head_revision=number,
            graph=GraphAppend(
                nodes=(_node(f"n{number}", f"n{number - 1}" if number else None),)
            ),
            checkpoint=HydratedCheckpoint(tool_state={"tools": tools}),
            usage_deltas=(
                TokenLedgerEntry(source="turn", model="m", usage=TokenUsage()),
            ),
        ).stamped(f"turn-{number}")
        waits.append(wire.waits_of(lambda: store.commit_runtime_state(commit)))  # noqa: B023

    # The first one asks what else would tell of a head that is not there.
    assert waits == [6, 2, 2, 2]


@pytest.mark.parametrize("count", [1, 100])
def test_a_commit_that_completes_claims_waits_three_times(
    count, wire, clean, open_store
):
    """
    However much is in it: what it meets, what it names, and COMMIT.
    """
    store = open_store(address=wire.url(clean.url()))
    fence = _fence(store)
    # The tools are compressed and stored by the first.
    store.commit_runtime_state(_full_commit(store, fence, count, "first"))

    for turn in ("second", "third"):
        ready = _full_commit(store, fence, count, turn)
        # Fewer, where the server answers a long pipeline before its end is sent.
        assert wire.waits_of(lambda: store.commit_runtime_state(ready)) <= 3


def test_a_new_handle_s_first_commit_asks_what_is_stored(wire, clean, open_store):
    """
    What it need not compress it learns by one question, in a read of its own.
    """
    first = open_store(address=wire.url(clean.url()))
    fence = _fence(first)
    first.commit_runtime_state(_full_commit(first, fence, 1, "first"))
    second = open_store(address=wire.url(clean.url()))
    ready = _full_commit(second, fence, 1, "second")

    assert wire.waits_of(lambda: second.commit_runtime_state(ready)) == 3 + 2


def test_history_adds_no_wait(wire, clean, open_store):
    """
    After ten thousand commits one waits as often as after a hundred.
    """
    store = open_store(address=wire.url(clean.url()))
    fence = _fence(store)
    store.commit_runtime_state(_full_commit(store, fence, 2, "first"))
    waits = []
    for commits in (100, 10_000):
        with clean.connect() as connection:
            _multiply(connection, store.session_id, commits)
        # The head's own number of nodes is not what is measured here.
        ready = _full_commit(store, fence, 2, f"after-{commits}")
        waits.append(wire.waits_of(lambda: store.commit_runtime_state(ready)))

    assert waits == [3, 3]


def _multiply(connection, session_id, commits):
    """
    Add the rows of as many commits as there are to be, behind the store.
    """
    for table, key, seq in (
        ("session_nodes", "node_id", "seq"),
        ("session_turn_commits", "turn_id", None),
        ("session_usage", None, "seq"),
        ("session_turn_inputs", "input_id", "enqueue_seq"),
        ("session_blobs", "blob_ref", None),
    ):
        columns = [
            name
            for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = current_schema() AND table_name = %s"
                " ORDER BY ordinal_position",
                (table,),
            )
        ]
        shown = ["n" if name == seq else name for name in columns]
        shown = [
            f"'many-{commits}-' || n" if name == key else value
            for name, value in zip(columns, shown, strict=True)
        ]
        if seq is not None:
            start = f"(SELECT max({seq}) FROM {table} WHERE session_id = %s)"
        else:
            start = "(SELECT 0 WHERE %s <> '')"
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(shown)} FROM (SELECT {start} AS base) b,"
            f" LATERAL generate_series(b.base + 1, b.base + {commits}) n,"
            f" (SELECT {', '.join(c for c in columns if c != seq)} FROM {table}"
            "  WHERE session_id = %s LIMIT 1) one",
            (session_id, session_id),
        )
    connection.execute(
        "UPDATE sessions SET admission_seq ="
        " (SELECT max(enqueue_seq) FROM session_turn_inputs)"
    )


def _plain(store, _fence):
    return lambda: store.enqueue_queued_work(_batch())


def _keyed(store, _fence):
    draft = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),), source_key="k")
    return lambda: store.enqueue_queued_work(draft)


def _input_operation(store, _fence):
    return lambda: store.enqueue_pending_turn_input(_input())


def _probe(store, _fence):
    return store.load_session_head_meta


def _claim_nothing(store, fence):
    return lambda: store.claim_ready_queued_work(
        fence, OWNER, QueuedWorkBoundary.IDLE, LONG_MS, 8
    )


def _claim_work(store, fence):
    for _ in range(3):
        store.enqueue_queued_work(_batch())
    return _claim_nothing(store, fence)


def _claim_inputs(store, fence):
    for _ in range(3):
        store.enqueue_pending_turn_input(_input())
    return lambda: store.claim_next_turn_inputs(fence, OWNER, LONG_MS, 8)


def _renew_lease(store, fence):
    return lambda: store.renew_session_execution_lease(fence, LONG_MS)


def _claim_lease(store, _fence):
    return lambda: store.try_claim_session_execution_lease(OWNER, LONG_MS)


def _load(store, _fence):
    return store.load_session


def _load_path(store, _fence):
    return lambda: store.load_session(ActivePath())


def _put_blob(store, _fence):
    return lambda: store.put_blob(b"content")


def _load_node(store, _fence):
    return lambda: store.load_node("first-0")


def _list_work(store, _fence):
    return store.list_queued_work


def _replay(store, fence):
    ready = _full_commit(store, fence, 2, "again")
    store.commit_runtime_state(ready)
    return lambda: store.commit_runtime_state(ready)


WAITS = {
    _probe: 2,
    _load_node: 2,
    _list_work: 2,
    _load: 4,
    _load_path: 4,
    _plain: 2,
    _keyed: 2,
    _input_operation: 2,
    _claim_nothing: 3,
    _claim_work: 5,
    _claim_inputs: 4,
    _claim_lease: 2,
    _renew_lease: 2,
    _put_blob: 2,
    _replay: 2,
}


@pytest.mark.parametrize("operation", WAITS, ids=lambda one: one.__name__.strip("_"))
def test_other_operations_wait_as_often_as_ever(operation, wire, clean, open_store):
    """
    These numbers may fall; a change that raises one must say why.
    """
    store = open_store(address=wire.url(clean.url()))
    fence = _fence(store)
    store.commit_runtime_state(_full_commit(store, fence, 1, "first"))
    run = operation(store, fence)

    assert wire.waits_of(run) == WAITS[operation]


def test_the_server_s_clock_costs_no_wait(wire, clean, open_store):
    """
    Without a clock of the caller's, the time travels with the lock.
    """
    store = open_store(address=wire.url(clean.url()), clock=None)
    fence = _fence(store)
    store.commit_runtime_state(_full_commit(store, fence, 1, "first"))
    ready = _full_commit(store, fence, 1, "second")

    assert wire.waits_of(lambda: store.commit_runtime_state(ready)) == 3
    assert wire.waits_of(store.list_queued_work) == 2


def test_letting_go_of_checkpoints_adds_three_waits_now_and_then(
    wire, clean, open_store
):
    """
    Every eighth commit asks which checkpoints go, and removes them by two more
    questions; the others wait for what they meet, and for COMMIT.
    """
    store = open_store(address=wire.url(clean.url()))
    fence = _fence(store)
    waits = []
    for number in range(1, 33):
        commit = RuntimeCommit(
            session_id=store.session_id,
            session_execution_lease=fence,
            checkpoint=HydratedCheckpoint(tool_state={"turn": number}),
        ).stamped(f"turn-{number}")
        waits.append(wire.waits_of(lambda: store.commit_runtime_state(commit)))  # noqa: B023

    assert waits == [2] * 7 + [3] + ([2] * 7 + [5]) * 3
