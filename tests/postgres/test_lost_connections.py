"""
Connections that end in the middle, and what may be said of the work in them.
"""

import gc
import os
import threading
import warnings

import psycopg
import pytest
import sqlalchemy as sa

from lashstore import (
    BackendError,
    InvalidArgumentError,
    QueuedWorkBatchDraft,
    SessionStoreFactory,
    Store,
    StoreBusyError,
    StoreClosedError,
    StoreOptions,
    TurnWorkPayload,
)
from lashstore.engines.postgres import pool, transactions
from lashstore.engines.postgres.pipeline import Statement

WORK = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),))


def _kill_all(server):
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE application_name = 'lashstore'"
        )


def _kill_inside(server, store, times):
    """
    Enqueue on *store*, whose connection dies that often in the middle.
    """
    runs = []

    def operation(tx):
        runs.append(None)
        tx.sessions.next_admission_seq(store.session_id)
        if len(runs) <= times:
            _kill_all(server)
        return tx.sessions.next_admission_seq(store.session_id)

    return store._write(operation), len(runs)


def test_a_connection_lost_before_commit_is_run_again(clean, open_store):
    """
    Nothing of the first run is left, so nothing is doubled.
    """
    store = open_store("one")

    assert _kill_inside(clean, store, 1) == (2, 2)
    assert store.enqueue_queued_work(WORK).enqueue_seq == 3


def test_what_was_lost_with_its_commit_is_run_again_if_it_cannot_have_landed(
    clean, open_store
):
    """
    Writes and COMMIT are sent together; the server's answer to a write says
    that it never came to COMMIT.
    """
    store = open_store("one")
    runs = []

    def operation(tx):
        runs.append(None)
        seq = tx.sessions.next_admission_seq("one")
        if len(runs) == 1:
            _kill_all(clean)
        tx.sessions.raise_admission_seq("one", seq + 10)
        return seq

    assert store._write(operation) == 1
    assert len(runs) == 2
    assert store.enqueue_queued_work(WORK).enqueue_seq == 12


def test_a_connection_lost_again_is_the_caller_s_to_know(clean, open_store):
    """
    A second loss ends it: busy, with nothing written.
    """
    store = open_store("one")

    with pytest.raises(StoreBusyError):
        _kill_inside(clean, store, 9)
    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_lost_read_is_run_again(clean, open_store):
    """
    Reading changes nothing, so it may be done twice.
    """
    store = open_store("one")
    runs = []

    def operation(tx):
        runs.append(None)
        if len(runs) == 1:
            _kill_all(clean)
        return tx.queued_work.list_all("one")

    assert store._read(operation) == ()
    assert len(runs) == 2


def test_a_pool_of_dead_connections_is_no_hurdle(clean, open_store):
    """
    Where one connection was lost, the others are asked before they are used.
    """
    store = open_store("one")
    barrier = threading.Barrier(6)

    def read(_tx):
        barrier.wait(30)

    threads = [threading.Thread(target=store._read, args=(read,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    _kill_all(clean)

    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def _completes(kind, message):
    return kind == b"C" and message[5:] == b"COMMIT\0"


def test_a_lost_answer_to_commit_is_told(wire, clean, open_store):
    """
    The commit has landed, and its caller learns that it may have.
    """
    store = open_store("one", wire.url(clean.url()))
    wire.cut = lambda is_client, kind, message: (
        not is_client and _completes(kind, message)
    )

    with pytest.raises(BackendError, match="may be or not"):
        store.enqueue_queued_work(WORK)

    wire.cut = lambda *_: False
    assert len(store.list_queued_work()) == 1


def test_a_commit_that_never_arrived_is_told_alike(wire, clean, open_store):
    """
    Nobody on this side can tell the two apart.
    """
    store = open_store("one", wire.url(clean.url()))
    name = Statement("COMMIT").name
    wire.cut = lambda is_client, kind, message: (
        is_client and kind == b"B" and name in message
    )

    with pytest.raises(BackendError, match="may be or not") as caught:
        store.enqueue_queued_work(WORK)

    wire.cut = lambda *_: False
    assert not caught.value.retryable
    assert store.list_queued_work() == ()
    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_lost_answer_to_a_read_s_commit_is_no_matter(wire, clean, open_store):
    """
    A read has nothing that could have landed: it is run again.
    """
    store = open_store("one", wire.url(clean.url()))
    cuts = []

    def cut(is_client, kind, message):
        if not is_client and _completes(kind, message) and not cuts:
            cuts.append(None)
            return True
        return False

    wire.cut = cut
    assert store.list_queued_work() == ()
    assert cuts


def test_nobody_there_is_busy(sockets):
    """
    A server that does not answer may be back in a moment.
    """
    address = f"postgresql+psycopg://u:secret@/db?host={sockets}&password=hidden"

    with pytest.raises(StoreBusyError) as caught:
        Store.open(address, "one")

    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_refusal_is_not_worth_a_retry(clean):
    """
    A database that is not there will not be there the next time.
    """
    address = sa.make_url(clean.url()).set(database="nowhere")

    with pytest.raises(BackendError, match="does not exist") as caught:
        Store.open(address.render_as_string(hide_password=False), "one")

    assert not caught.value.retryable


def test_no_message_shows_a_password(clean, open_store):
    """
    Not where it stands before the host, and not among the options.
    """
    address = sa.make_url(clean.url()).set(password="secret")
    address = address.update_query_dict({"sslpassword": "hidden"})
    shown = []
    with SessionStoreFactory(address.render_as_string(False)) as factory:
        with pytest.raises(InvalidArgumentError) as caught:
            factory.path_for_session("one")
        shown.append(str(caught.value))
        store = factory.create_store("one")
        with pytest.raises(BackendError) as caught:
            store._read(
                lambda tx: tx.sessions._connection.execute_once(
                    sa.text("SELECT 1 / 0 AS n"), {}
                ).all()
            )
        shown.append(str(caught.value))
    with pytest.raises(InvalidArgumentError) as caught:
        Store.open_readonly(address.render_as_string(False))
    shown.append(str(caught.value))

    assert not [text for text in shown if "secret" in text or "hidden" in text]
    assert "host=" in shown[0]


def test_an_exhausted_pool_is_busy(clean, open_store, monkeypatch):
    """
    A thread that can have no connection in time is told to come again.
    """
    monkeypatch.setattr(pool, "_POOL_TIMEOUT_S", 0.1)
    store = open_store("one", clean.url(pool_size="1"))

    with store.transaction() as tx:
        tx.sessions.next_admission_seq("one")
        with pytest.raises(StoreBusyError):
            store.list_queued_work()

    assert store.enqueue_queued_work(WORK).enqueue_seq == 2


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_operation_leaves_nothing(interruption, clean, open_store):
    """
    It is undone, its lock is free at once, and the store goes on.
    """
    store = open_store("one", clean.url(pool_size="1"))

    def operation(tx):
        tx.sessions.next_admission_seq("one")
        raise interruption

    with pytest.raises(interruption):
        store._write(operation)

    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_forgotten_transaction_is_undone(clean, open_store):
    """
    A generator that is dropped inside a transaction gives its lock back.
    """
    store = open_store("one", clean.url(pool_size="1"))

    def forgetful():
        with store.transaction() as tx:
            yield tx.sessions.next_admission_seq("one")

    running = forgetful()
    assert next(running) == 1
    del running
    gc.collect()

    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_store_closed_meanwhile_leaks_no_connection(clean):
    """
    What was under way is finished, and its connection closed afterwards.
    """
    address = clean.url(pool_size="2")
    store = Store.open(address, "one")
    inside, closed = threading.Event(), threading.Event()

    def operation(tx):
        inside.set()
        closed.wait(30)
        return tx.sessions.next_admission_seq("one")

    thread = threading.Thread(target=store._write, args=(operation,))
    thread.start()
    inside.wait(30)
    store.close()
    closed.set()
    thread.join(60)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(one.message) for one in warned] == []
    with pytest.raises(StoreClosedError):
        store.list_queued_work()
    with Store.open(address, "one") as again:
        assert again.enqueue_queued_work(WORK).enqueue_seq == 2


def test_a_forked_child_has_connections_of_its_own(clean, open_store):
    """
    A store that crossed a fork works on both sides at once.
    """
    store = open_store("one")
    store.enqueue_queued_work(WORK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in range(20):
                store.enqueue_queued_work(WORK)
            code = 0
        finally:
            os._exit(code)
    for _ in range(20):
        store.enqueue_queued_work(WORK)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    found = [batch.enqueue_seq for batch in store.list_queued_work()]
    assert found == list(range(1, 42))


def test_many_threads_share_one_store(open_store):
    """
    Eight threads write and read through one handle: each number once.
    """
    store = open_store("one")
    failures = []

    def work():
        try:
            for _ in range(10):
                store.enqueue_queued_work(WORK)
                store.list_queued_work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failures == []
    found = [batch.enqueue_seq for batch in store.list_queued_work()]
    assert found == list(range(1, 81))


def test_a_slow_statement_is_cut_off(open_store, monkeypatch):
    """
    No statement runs longer than the bound: the caller is told to retry.
    """
    monkeypatch.setattr(transactions, "_STATEMENT_TIMEOUT_MS", 0)
    store = open_store("one", options=StoreOptions(busy_timeout_ms=50))

    with pytest.raises(StoreBusyError):
        store._read(
            lambda tx: tx.sessions._connection.execute_once(
                sa.text("SELECT pg_sleep(60) AS n"), {}
            ).all()
        )


def test_the_address_has_the_last_word(clean):
    """
    What it says of the connection is not overruled by our defaults.
    """
    address = clean.url(application_name="mine", connect_timeout="3")
    with Store.open(address, "one"), psycopg.connect(clean.base_uri) as connection:
        names = connection.execute(
            "SELECT application_name FROM pg_stat_activity WHERE datname IS NOT NULL"
        ).fetchall()

    assert ("mine",) in names
