"""
Who waits for whom, and what is run again.
"""

import threading
import time

import psycopg
import pytest
import sqlalchemy as sa

from lashstore import (
    BackendError,
    InvalidArgumentError,
    ManualClock,
    QueuedWorkBatchDraft,
    SessionDeletedError,
    SessionStoreFactory,
    StoreBusyError,
    StoreOptions,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

WORK = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),))
QUICK = StoreOptions(busy_timeout_ms=50)


def _in_thread(work):
    """
    Run *work* in a thread; return how to have its result.
    """
    found = []

    def run():
        try:
            found.append((True, work()))
        except BaseException as error:
            found.append((False, error))

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(60)
        assert not thread.is_alive()
        ((is_good, answer),) = found
        if not is_good:
            raise answer
        return answer

    return result


def test_other_sessions_never_wait(open_store):
    """
    While one session's writer holds its lock, another one's commits.
    """
    held = open_store("held")
    other = open_store("other", options=QUICK)

    with held.transaction() as tx:
        tx.sessions.next_admission_seq("held")
        other.enqueue_queued_work(WORK)
        other.put_blob(b"content")
        other.append_usage_deltas(
            [TokenLedgerEntry(source="s", model="m", usage=TokenUsage(input_tokens=1))]
        )

    assert len(other.list_queued_work()) == 1


@pytest.mark.parametrize("busy_timeout_ms", [0, 50])
def test_a_second_writer_gives_up_in_time(busy_timeout_ms, open_store):
    """
    It waits as long as it may, not for ever, and readers do not wait at all.
    """
    held = open_store("held")
    options = StoreOptions(busy_timeout_ms=busy_timeout_ms)
    second = open_store("held", options=options)

    with held.transaction() as tx:
        tx.sessions.next_admission_seq("held")
        with pytest.raises(StoreBusyError):
            second.enqueue_queued_work(WORK)
        assert second.list_queued_work() == ()
    second.enqueue_queued_work(WORK)

    assert [batch.enqueue_seq for batch in second.list_queued_work()] == [2]


def test_a_second_writer_waits_for_the_first(clean, open_store):
    """
    It goes on when the first is done, and sees what that one wrote.
    """
    first, second = open_store("one"), open_store("one")

    with first.transaction() as tx:
        assert tx.sessions.next_admission_seq("one") == 1
        result = _in_thread(lambda: second.enqueue_queued_work(WORK))
        _until_somebody_waits(clean)

    assert result().enqueue_seq == 2


def test_a_clock_is_read_behind_the_lock(clean, open_store):
    """
    Whoever waits decides by the time when it is its turn, also by a clock
    that was passed (contract D8).
    """
    clock = ManualClock(1_000)
    first, second = open_store("one"), open_store("one", clock=clock)

    with first.transaction() as tx:
        tx.sessions.next_admission_seq("one")
        result = _in_thread(lambda: second._write(lambda tx: tx.now_ms))
        _until_somebody_waits(clean)
        clock.advance(5)

    assert result() == 1_005


def _until_somebody_waits(server, count=1):
    with server.connect() as connection:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            ).fetchone()
            if waiting >= count:
                return
    pytest.fail("nobody waits")


def test_a_deadlock_is_run_again(clean, open_store):
    """
    The transaction that the server chose as the victim of a real deadlock
    lands in the end, once.
    """
    store = open_store("one")
    runs = []
    with clean.connect() as outside:
        outside.execute("CREATE TABLE IF NOT EXISTS bystander (n int)")
        # The victim is whoever notices first: let it not be the outsider.
        outside.execute("SET deadlock_timeout = '60s'")
        outside.execute("BEGIN")
        outside.execute("LOCK TABLE bystander")

        def operation(tx):
            runs.append(None)
            if len(runs) == 1:
                tx.sessions._connection.execute_once(
                    sa.text(f'LOCK TABLE "{clean.schema}".bystander'), {}
                )
            return tx.sessions.next_admission_seq("one")

        result = _in_thread(lambda: store._write(operation))
        _until_somebody_waits(clean)
        # The store holds the session's row and waits for the table.
        outside.execute("SELECT FROM sessions WHERE session_id = 'one' FOR UPDATE")
        outside.execute("ROLLBACK")

        assert result() == 1
        outside.execute("DROP TABLE bystander")
    assert len(runs) == 2


def _raise(state):
    return sa.text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")


def test_a_real_serialization_failure_is_run_again(clean, open_store):
    """
    A write to a row that changed since the snapshot is undone and repeated.
    """
    store = open_store("one")
    runs = []

    def operation(tx):
        runs.append(None)
        rows = tx.sessions._connection
        if len(runs) == 1:
            # In such a transaction the server has no choice but to fail.
            rows.execute_once(sa.text("COMMIT"), {})
            rows.execute_once(sa.text("BEGIN ISOLATION LEVEL REPEATABLE READ"), {})
            assert tx.sessions.find("one") is not None
            with clean.connect() as outside:
                outside.execute("UPDATE sessions SET admission_seq = 7")
        return tx.sessions.next_admission_seq("one")

    assert store._write(operation) == 8
    assert len(runs) == 2


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_being_undone_for_ever_ends(state, open_store):
    """
    After eight attempts the caller is told to come again.
    """
    store = open_store("one")
    runs = []

    def operation(tx):
        runs.append(None)
        tx.sessions._connection.execute_once(_raise(state), {})

    with pytest.raises(StoreBusyError) as caught:
        store._write(operation)

    assert len(runs) == 8
    assert caught.value.__cause__.sqlstate == state
    store.enqueue_queued_work(WORK)


def test_a_caller_s_transaction_is_never_run_again(open_store):
    """
    Its body is the caller's, so he repeats it.
    """
    store = open_store("one")

    with pytest.raises(StoreBusyError), store.transaction() as tx:
        tx.sessions.next_admission_seq("one")
        tx.sessions._connection.execute_once(_raise("40001"), {})

    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_passed_over_failure_undoes_everything(open_store):
    """
    A transaction in which a statement failed cannot commit, and says so.
    """
    store = open_store("one")

    with pytest.raises(BackendError, match="rolled the transaction back"):
        with store.transaction() as tx:
            tx.sessions.next_admission_seq("one")
            with pytest.raises(psycopg.errors.DivisionByZero):
                tx.sessions._connection.execute_once(
                    sa.text("SELECT 1 / 0 AS n"), {}
                ).all()

    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_the_same_under_a_tracer(open_store):
    """
    SQLAlchemy's own way, which tracers take, tells no rollback for a commit.
    """
    store = open_store("one")
    listener = [sa.Engine, "before_cursor_execute", lambda *_: None]
    sa.event.listen(*listener)
    try:
        with pytest.raises(BackendError, match="rolled the transaction back"):
            with store.transaction() as tx:
                tx.sessions.next_admission_seq("one")
                with pytest.raises(sa.exc.DataError):
                    tx.sessions._connection.execute_once(
                        sa.text("SELECT 1 / 0 AS n"), {}
                    )
        assert store.enqueue_queued_work(WORK).enqueue_seq == 1
    finally:
        sa.event.remove(*listener)


def test_reading_inside_a_transaction(open_store):
    """
    A thread inside a transaction reads what was committed before it, and
    may not write.
    """
    store = open_store("one")

    with store.transaction() as tx:
        tx.sessions.next_admission_seq("one")
        assert store.list_queued_work() == ()
        with pytest.raises(InvalidArgumentError):
            store.enqueue_queued_work(WORK)
        # The transaction is still the thread's.
        assert tx.sessions.next_admission_seq("one") == 2


def test_deletion_waits_for_the_writer_at_work(clean, open_store):
    """
    The writer's transaction lands first, and is deleted with the rest.
    """
    store = open_store("one")
    with SessionStoreFactory(clean.url()) as factory:
        with store.transaction() as tx:
            tx.sessions.next_admission_seq("one")
            deleted = _in_thread(lambda: factory.delete_session("one"))
            _until_somebody_waits(clean)
            waiting = _in_thread(lambda: open_store("one").enqueue_queued_work(WORK))
            _until_somebody_waits(clean, 2)
        deleted()
        with pytest.raises(SessionDeletedError):
            waiting()

        assert factory.open_existing_store("one") is None
        with pytest.raises(SessionDeletedError):
            store.list_queued_work()


def test_an_old_handle_stays_dead(clean, open_store):
    """
    Neither reading nor writing, nor a transaction, reaches the new session
    of the same name.
    """
    old = open_store("one")
    old.enqueue_queued_work(WORK)
    with SessionStoreFactory(clean.url()) as factory:
        factory.delete_session("one")
        fresh = factory.create_store("one")

        for use in (
            old.list_queued_work,
            old.load_session_head_meta,
            lambda: old.enqueue_queued_work(WORK),
            lambda: old.put_blob(b"from the grave"),
            lambda: old.append_usage_deltas([]),
        ):
            with pytest.raises(SessionDeletedError):
                use()
        with pytest.raises(SessionDeletedError), old.transaction() as tx:
            tx.sessions.next_admission_seq("one")

        assert fresh.list_queued_work() == ()
        assert fresh.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_reader_finishes_what_it_began(clean, open_store):
    """
    A read that began before the deletion sees the whole session.
    """
    store = open_store("one")
    store.enqueue_queued_work(WORK)
    with SessionStoreFactory(clean.url()) as factory:

        def operation(tx):
            head = tx.heads.find("one")
            factory.delete_session("one")
            return head, tx.queued_work.list_all("one")

        head, batches = store._read(operation)

    assert head is None
    assert len(batches) == 1
    with pytest.raises(SessionDeletedError):
        store.list_queued_work()
