"""
Behind a proxy that gives each transaction another server connection.

Sessions interleave on two connections, so that nothing may be left behind on
one: no setting, no prepared statement, no lock.
"""

import threading

import pytest

from lashstore import (
    ActivePath,
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    ManualClock,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    StoreBusyError,
    StoreOptions,
    TurnWorkPayload,
)

from .wire import Pooler

OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")
WORK = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),))
LONG_MS = 10**12


@pytest.fixture(name="pooler", params=[True, False], ids=["honest", "deceiving"])
def _pooler(request, clean, sockets):
    """
    Return a pooling proxy; a deceiving one looks like the server itself.
    """
    with Pooler(clean.base_uri, sockets, is_honest=request.param) as pooler:
        yield pooler


def _live(store, turns):
    """
    Do what a host does, for some turns.
    """
    fence = store.try_claim_session_execution_lease(OWNER, LONG_MS).lease.fence()
    leaf = None
    for turn in range(1, turns + 1):
        store.enqueue_queued_work(WORK)
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(ingress=NextTurnIngress(), input={"turn": turn})
        )
        work = store.claim_ready_queued_work(
            fence, OWNER, QueuedWorkBoundary.IDLE, LONG_MS, 4
        )
        inputs = store.claim_next_turn_inputs(fence, OWNER, LONG_MS, 4)
        node = SessionNode(
            node_id=f"n{turn}", parent_node_id=leaf, payload={"role": "user"}
        )
        commit = RuntimeCommit(
            session_id=store.session_id,
            session_execution_lease=fence,
            expected_head_revision=turn - 1,
            graph=GraphAppend(nodes=(node,)),
            checkpoint=HydratedCheckpoint(turn_state={"turn": turn}),
            completed_queue_claims=(work.completion(),),
            completed_turn_input_claims=(inputs.completion(),),
        ).stamped(f"turn-{turn}")
        assert store.commit_runtime_state(commit).head_revision == turn
        assert store.commit_runtime_state(commit).head_revision == turn
        leaf = node.node_id
        assert store.list_queued_work() == ()


def test_sessions_interleave_on_two_connections(pooler, clean):
    """
    Four hosts with a session each: every turn lands once, in order.
    """
    failures = []
    address = pooler.url(clean.url())
    with SessionStoreFactory(address, clock=ManualClock(1_000)) as factory:

        def work(n):
            try:
                _live(factory.create_store(f"s{n}"), 12)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)

        assert failures == []
        for n in range(4):
            read = factory.open_existing_store(f"s{n}").load_session(ActivePath())
            found = [node.node_id for node in read.graph.nodes]
            assert found == [f"n{turn}" for turn in range(1, 13)]
    assert len(set(pooler.served_by)) == 2


def test_nothing_is_left_on_a_connection(clean, sockets):
    """
    Settings end with their transaction, and no statement stays prepared.
    """
    with Pooler(clean.base_uri, sockets, size=1) as pooler:
        address = pooler.url(clean.url())
        with SessionStoreFactory(address, clock=ManualClock(1_000)) as factory:
            _live(factory.create_store("one"), 8)
        (driver,) = pooler._drivers
        for name, value in (
            ("lock_timeout", "0"),
            ("statement_timeout", "0"),
            ("enable_seqscan", "on"),
            ("transaction_isolation", "read committed"),
        ):
            assert driver.execute(f"SHOW {name}").fetchone() == (value,)
        prepared = driver.execute("SELECT count(*) FROM pg_prepared_statements")
        assert prepared.fetchone() == (0,)
        locks = driver.execute("SELECT count(*) FROM pg_locks WHERE NOT fastpath")
        assert locks.fetchone()[0] <= 1


def test_a_writer_behind_it_waits_no_longer_than_it_may(clean, sockets):
    """
    The bound on waiting is set in each transaction anew.
    """
    with Pooler(clean.base_uri, sockets, size=2) as pooler:
        address = pooler.url(clean.url())
        options = StoreOptions(busy_timeout_ms=50)
        with SessionStoreFactory(address, options=options) as factory:
            held = factory.create_store("one")
            second = factory.open_existing_store("one")
            with held.transaction() as tx:
                tx.sessions.next_admission_seq("one")
                with pytest.raises(StoreBusyError):
                    second.enqueue_queued_work(WORK)
            assert second.enqueue_queued_work(WORK).enqueue_seq == 2
