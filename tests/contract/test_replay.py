"""
Replay: a stamped turn lands once, however often it is sent.
"""

import os
import subprocess
import sys
import threading

import msgspec
import pytest

from lashstore import (
    GraphAppend,
    GraphReplace,
    GraphUnchanged,
    HydratedCheckpoint,
    InvalidArgumentError,
    LeaseAcquired,
    LeaseBusy,
    QueuedWorkBoundary,
    QueuedWorkCompletion,
    RuntimeCommit,
    SessionExecutionLeaseExpiredError,
    SessionGraph,
    TurnCommitConflictError,
    TurnCommitStamp,
    TurnInputCompletion,
)
from lashstore.testing import (
    acquire_lease,
    active_turn_draft,
    commit_nodes,
    make_commit,
    make_owner,
    make_usage,
    message_chain,
    message_node,
    turn_work_draft,
)

NODES = message_chain("m1", "m2")
QUEUE = QueuedWorkCompletion(
    session_id="root", claim_id="c", lease_token="t", batch_ids=("b1", "b2")
)
INPUTS = TurnInputCompletion(
    session_id="root", claim_id="c", lease_token="t", input_ids=("i1",)
)
TURN = RuntimeCommit(
    session_id="root",
    config={"model": "m"},
    agent_frames=({"frame_id": "f"},),
    current_agent_frame_id="f",
    graph=GraphAppend(nodes=NODES),
    checkpoint=HydratedCheckpoint(turn_state={"n": 1}, execution_state=b"\x00\xff"),
    usage_deltas=(make_usage(input_tokens=1),),
    completed_queue_claims=(QUEUE,),
    completed_turn_input_claims=(INPUTS,),
    interrupted_turn_input_turn_id="t0",
    committed_attachment_ids=("a" * 64,),
)


def changed(**fields):
    """
    The turn with some members changed.
    """
    return msgspec.structs.replace(TURN, **fields)


def appended(*nodes):
    """
    The turn with other nodes.
    """
    return changed(graph=GraphAppend(nodes=nodes))


def test_turn_sent_again_returns_the_stored_result(backend):
    """
    The second sending of a turn changes nothing and returns the first's result.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    turn = make_commit(
        lease, *NODES, usage_deltas=(make_usage(input_tokens=1),)
    ).stamped("t1")

    first = store.commit_runtime_state(turn)
    store = backend.reopen(store)
    again = store.commit_runtime_state(turn)

    assert first == again
    assert 1 == store.load_session().head_revision
    assert 1 == len(store.load_usage_deltas())
    assert NODES == store.load_session().graph.nodes


def test_replay_returns_its_own_revision(store):
    """
    A replay that comes late returns the result of then, not of now.
    """
    lease = acquire_lease(store)
    turn = make_commit(lease, message_node("m1")).stamped("t1")
    first = store.commit_runtime_state(turn)
    commit_nodes(store, message_node("m2", parent="m1"))

    again = store.commit_runtime_state(turn)

    assert first == again
    assert 2 == store.load_session().head_revision
    assert "m2" == store.load_session().graph.leaf_node_id


def test_replay_needs_no_lease(store, clock):
    """
    The answer to a replay needs neither a fence nor a live lease.
    """
    lease = acquire_lease(store, ttl_ms=100)
    turn = make_commit(lease, message_node("m1")).stamped("t1")
    first = store.commit_runtime_state(turn)
    clock.advance(1000)
    acquire_lease(store, make_owner("other"))

    unfenced = msgspec.structs.replace(turn, session_execution_lease=None)

    assert first == store.commit_runtime_state(turn)
    assert first == store.commit_runtime_state(unfenced)


def test_replay_checks_no_revision(store):
    """
    The revision a replayed turn expected is long past, and that is well.
    """
    lease = acquire_lease(store)
    turn = make_commit(lease, message_node("m1"), expected_head_revision=0).stamped(
        "t1"
    )
    first = store.commit_runtime_state(turn)

    assert first == store.commit_runtime_state(turn)


def test_replay_checks_no_claims(store):
    """
    A replayed turn's claims are spent, and that is well.
    """
    lease = acquire_lease(store)
    store.enqueue_queued_work(turn_work_draft())
    claim = store.claim_ready_queued_work(
        lease.fence(), lease.owner, QueuedWorkBoundary.IDLE, 1000, 1
    )
    turn = make_commit(lease, completed_queue_claims=(claim.completion(),)).stamped(
        "t1"
    )
    first = store.commit_runtime_state(turn)

    assert first == store.commit_runtime_state(turn)


def test_replay_releases_its_lease(store):
    """
    A replay that carries a release frees the lease; it is the one effect.
    """
    lease = acquire_lease(store)
    turn = make_commit(lease, message_node("m1")).stamped("t1")
    first = store.commit_runtime_state(turn)

    again = store.commit_runtime_state(
        msgspec.structs.replace(
            turn, release_session_execution_lease=lease.completion()
        )
    )

    outcome = store.try_claim_session_execution_lease(make_owner("next"), 1000)
    assert first == again
    assert isinstance(outcome, LeaseAcquired)


def test_replay_never_frees_a_newer_lease(store, clock):
    """
    A late replay's release does not touch the lease of whoever came after.
    """
    lease = acquire_lease(store, ttl_ms=100)
    turn = make_commit(
        lease, release_session_execution_lease=lease.completion()
    ).stamped("t1")
    store.commit_runtime_state(turn)
    acquire_lease(store, make_owner("new"))

    store.commit_runtime_state(turn)

    outcome = store.try_claim_session_execution_lease(make_owner("third"), 1000)
    assert isinstance(outcome, LeaseBusy)


def test_replay_has_no_other_effect(store):
    """
    A replay completes no claim and defers no input.
    """
    lease = acquire_lease(store)
    turn = make_commit(lease, message_node("m1")).stamped("t1")
    store.commit_runtime_state(turn)
    late = store.enqueue_pending_turn_input(active_turn_draft("t1"))

    store.commit_runtime_state(turn)

    assert (late,) == store.list_pending_turn_inputs()


def test_turn_with_other_content_conflicts(backend):
    """
    A committed turn's id with another hash is a conflict that changes nothing.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    store.commit_runtime_state(make_commit(lease, message_node("m1")).stamped("t1"))
    store = backend.reopen(store)
    before = store.load_session()
    other = make_commit(lease, message_node("m1", content="other")).stamped("t1")

    with pytest.raises(TurnCommitConflictError) as caught:
        store.commit_runtime_state(other)

    assert ("root", "t1") == (caught.value.session_id, caught.value.turn_id)
    assert before == store.load_session()


def test_turns_are_told_apart_by_id(store):
    """
    Equal content under another turn id is another turn.
    """
    lease = acquire_lease(store)
    commit = make_commit(lease, config={"same": True})

    first = store.commit_runtime_state(commit.stamped("t1"))
    second = store.commit_runtime_state(commit.stamped("t2"))

    assert (1, 2) == (first.head_revision, second.head_revision)


def test_turn_run_again_is_a_replay(store, clock):
    """
    A turn that is run anew, with new node ids, times and lease, lands once.
    """
    lease = acquire_lease(store, make_owner("first"), ttl_ms=100)
    first = store.commit_runtime_state(
        make_commit(lease, *message_chain("m1", "m2")).stamped("t1")
    )
    clock.advance(100)
    lease = acquire_lease(store, make_owner("second"))
    nodes = tuple(
        msgspec.structs.replace(node, timestamp="2027-07-07T07:07:07Z")
        for node in message_chain("x1", "x2")
    )

    again = store.commit_runtime_state(
        make_commit(lease, *nodes, expected_head_revision=0).stamped("t1")
    )

    assert first == again
    assert "m2" == store.load_session().graph.leaf_node_id
    assert None is store.load_node("x1")


def test_rejected_turn_is_not_stamped(store):
    """
    A turn that failed can be sent again, and lands.
    """
    lease = acquire_lease(store)
    turn = make_commit(lease, message_node("m1"), session_execution_lease=None)
    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(turn.stamped("t1"))

    result = store.commit_runtime_state(
        make_commit(lease, message_node("m1")).stamped("t1")
    )

    assert 1 == result.head_revision


@pytest.mark.parametrize("count", [4])
def test_concurrent_sendings_land_once(backend, count):
    """
    Of equal turns sent at once one lands, and all get its result.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    turn = make_commit(
        lease,
        message_node("m1"),
        expected_head_revision=0,
        release_session_execution_lease=lease.completion(),
    ).stamped("t1")
    stores = [backend.open_store() for _ in range(count)]
    results = []
    threads = [
        threading.Thread(
            target=lambda s=s: results.append(s.commit_runtime_state(turn))
        )
        for s in stores
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * count == [result.head_revision for result in results]
    assert 1 == len(set(map(repr, results)))


def test_stamp_names_session_turn_and_hash():
    """
    `stamped` fills the stamp with the commit's session and its hash.
    """
    stamped = TURN.stamped("t1")

    assert (
        TurnCommitStamp(
            session_id="root",
            turn_id="t1",
            turn_commit_hash=TURN.turn_commit_hash(),
        )
        == stamped.turn_commit
    )
    assert TURN == msgspec.structs.replace(stamped, turn_commit=None)


def test_hash_is_64_hex_digits():
    """
    A turn's hash is a SHA-256 in lower-case hex.
    """
    digest = TURN.turn_commit_hash()

    assert 64 == len(digest)
    assert set(digest) <= set("0123456789abcdef")


N1, N2 = NODES
REPLACE = msgspec.structs.replace


@pytest.mark.parametrize(
    "other",
    [
        changed(session_id="other"),
        changed(config={"model": "n"}),
        changed(agent_frames=({"frame_id": "g"},)),
        changed(agent_frames=()),
        changed(current_agent_frame_id="g"),
        changed(
            checkpoint=HydratedCheckpoint(
                turn_state={"n": 2}, execution_state=b"\x00\xff"
            )
        ),
        changed(
            checkpoint=HydratedCheckpoint(
                turn_state={"n": 1}, execution_state=b"\x00\xfe"
            )
        ),
        changed(checkpoint=HydratedCheckpoint(turn_state={"n": 1})),
        changed(
            checkpoint=HydratedCheckpoint(
                turn_state={"n": 1}, execution_state=b"\x00\xff", tool_state={}
            )
        ),
        changed(
            checkpoint=HydratedCheckpoint(
                turn_state={"n": 1},
                execution_state=b"\x00\xff",
                plugin_snapshot_revision=1,
            )
        ),
        changed(usage_deltas=(make_usage(input_tokens=2),)),
        changed(usage_deltas=()),
        changed(completed_queue_claims=(REPLACE(QUEUE, batch_ids=("b1",)),)),
        changed(completed_queue_claims=()),
        changed(completed_turn_input_claims=(REPLACE(INPUTS, input_ids=("i2",)),)),
        changed(completed_turn_input_claims=()),
        changed(interrupted_turn_input_turn_id=None),
        changed(interrupted_turn_input_turn_id="t00"),
        changed(committed_attachment_ids=("b" * 64,)),
        changed(committed_attachment_ids=()),
        changed(graph=GraphUnchanged()),
        changed(graph=GraphReplace(graph=SessionGraph(nodes=NODES, leaf_node_id="m2"))),
        changed(graph=GraphAppend(nodes=NODES, leaf_node_id="m1")),
        appended(N1),
        appended(N2, N1),
        appended(N1, REPLACE(N2, kind="event")),
        appended(N1, REPLACE(N2, payload={"role": "assistant", "content": "other"})),
        appended(N1, REPLACE(N2, agent_frame_id="f")),
        appended(N1, REPLACE(N2, caused_by={"type": "turn"})),
        appended(N1, REPLACE(N2, parent_node_id=None)),
        appended(REPLACE(N1, parent_node_id="m0"), N2),
    ],
    ids=lambda _: None,
)
def test_hash_covers_the_turn(other):
    """
    Every part of a turn's content is part of its hash.
    """
    assert TURN.turn_commit_hash() != other.turn_commit_hash()


LEASE_OWNER = make_owner()


@pytest.mark.parametrize(
    "other",
    [
        changed(expected_head_revision=7),
        changed(
            turn_commit=TurnCommitStamp(
                session_id="root", turn_id="t", turn_commit_hash="h"
            )
        ),
        changed(
            completed_queue_claims=(REPLACE(QUEUE, claim_id="d", lease_token="u"),)
        ),
        changed(
            completed_turn_input_claims=(
                REPLACE(INPUTS, claim_id="d", lease_token="u"),
            )
        ),
        appended(*message_chain("x1", "x2")),
        appended(*(REPLACE(node, timestamp="later") for node in NODES)),
        changed(graph=GraphAppend(nodes=NODES, leaf_node_id="m2")),
    ],
    ids=[
        "revision",
        "stamp",
        "queue claim",
        "input claim",
        "node ids",
        "times",
        "default leaf",
    ],
)
def test_hash_leaves_out_what_a_new_run_changes(other):
    """
    Revisions, stamps, claims, node ids and times are no part of a turn.
    """
    assert TURN.turn_commit_hash() == other.turn_commit_hash()


def test_hash_leaves_out_leases(store):
    """
    Neither the fence nor the release is part of a turn.
    """
    lease = acquire_lease(store)
    bare = RuntimeCommit(session_id="root")

    fenced = make_commit(lease, release_session_execution_lease=lease.completion())

    assert bare.turn_commit_hash() == fenced.turn_commit_hash()


def test_hash_ignores_key_order():
    """
    Equal values hash alike, whatever the order of their keys.
    """
    one = changed(config={"a": 1, "b": {"c": 2, "d": 3}})
    two = changed(config={"b": {"d": 3, "c": 2}, "a": 1})

    assert one.turn_commit_hash() == two.turn_commit_hash()


@pytest.mark.parametrize(
    "name", ["node_id", "parent_node_id", "leaf_node_id", "timestamp", "id"]
)
def test_hash_never_scrubs_payloads(name):
    """
    A payload's own members count, whatever they are called.
    """
    one, two = (
        appended(message_node("m1", payload={"role": "user", "parts": [], name: value}))
        for value in ("x", "y")
    )

    assert one.turn_commit_hash() != two.turn_commit_hash()


def test_hash_counts_a_checkpoint_value_by_its_ref(store):
    """
    A state given by value and the same one given by ref hash alike.
    """
    stored = store.put_checkpoint(
        HydratedCheckpoint(
            tool_state={"t": [1]}, plugin_snapshot={"p": 2}, execution_state=b"e"
        )
    )
    by_value = HydratedCheckpoint(
        tool_state={"t": [1]}, plugin_snapshot={"p": 2}, execution_state=b"e"
    )
    by_ref = HydratedCheckpoint(
        tool_state_ref=stored.manifest.tool_state_ref,
        plugin_snapshot_ref=stored.manifest.plugin_snapshot_ref,
        execution_state_ref=stored.manifest.execution_state_ref,
    )

    one, two = changed(checkpoint=by_value), changed(checkpoint=by_ref)

    assert one.turn_commit_hash() == two.turn_commit_hash()


def test_hash_is_the_same_in_every_process():
    """
    Another process, with other hash seeds, hashes alike.
    """
    script = (
        "from lashstore import RuntimeCommit\n"
        "c = RuntimeCommit(session_id='root', config={'b': 1, 'a': 2})\n"
        "print(c.turn_commit_hash())"
    )
    expected = RuntimeCommit(
        session_id="root", config={"a": 2, "b": 1}
    ).turn_commit_hash()

    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert {expected} == printed


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {1: 2}, {1, 2}]
)
def test_hash_refuses_what_cannot_be_stored(value):
    """
    A turn that could not be stored cannot be stamped either.
    """
    with pytest.raises(InvalidArgumentError):
        RuntimeCommit(session_id="root", config={"v": value}).stamped("t1")
