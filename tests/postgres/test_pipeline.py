"""
Values, names and amounts on the way to the server and back.
"""

import enum

import psycopg
import pytest
import sqlalchemy as sa

from lashstore import BackendError, QueuedWorkBatchDraft, StoreOptions, TurnWorkPayload
from lashstore.engines.postgres import open_any_version
from lashstore.engines.postgres.pipeline import Pipeline, Receiver, Statement
from lashstore.repos._dialect import BIND, texts
from lashstore.repos._run import Runner

WORK = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),))


@pytest.fixture(name="database")
def _database(clean):
    """
    Return a database without a session.
    """
    database = open_any_version(sa.make_url(clean.url()), StoreOptions())
    yield database
    database.close()


class Colour(enum.StrEnum):
    RED = "r"


ECHOES = [
    (sa.Text, "", ""),
    (sa.Text, 'a"b\\c{}, é\U0001f600', 'a"b\\c{}, é\U0001f600'),
    (sa.Text, Colour.RED, "r"),
    (sa.Text, None, None),
    (sa.BigInteger, -(2**63), -(2**63)),
    (sa.BigInteger, 2**63 - 1, 2**63 - 1),
    (sa.BigInteger, True, 1),
    (sa.LargeBinary, b"\0\xff'\\", b"\0\xff'\\"),
    (sa.LargeBinary, memoryview(b"ab"), b"ab"),
    (sa.LargeBinary, bytearray(b"ab"), b"ab"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), ECHOES)
def test_a_value_comes_back_as_it_was(kind, value, expected, database):
    """
    By numbers and by formats that depend on the column's type.
    """
    bound = BIND("value", type_=kind)
    # A column of its type, as a statement's values have: bytes have no cast.
    echo = sa.select(sa.cast(bound, kind).label("echo"), BIND("n", type_=sa.Integer))
    (row,) = database.read(
        lambda c: Runner(c).execute_once(echo, {"value": value, "n": 7}).all()
    )

    assert row.echo == expected
    assert tuple(row)[1] == 7


@pytest.mark.parametrize(
    "listed", [[], [""], ["a", 'b"', "c\\", "{d,e}", "NULL", " f ", "é"]]
)
def test_a_list_of_texts_comes_back_as_it_was(listed, database):
    """
    Whatever the texts hold that means something in an array.
    """
    echo = sa.select(sa.func.unnest(texts("listed")).label("one"))
    rows = database.read(
        lambda c: Runner(c).execute_once(echo, {"listed": listed}).all()
    )

    assert [row.one for row in rows] == listed


def test_what_no_column_holds_is_refused(database):
    """
    Before anything of it is sent.
    """
    echo = sa.select(BIND("value", type_=sa.Text))

    with pytest.raises(TypeError, match="complex"):
        database.read(lambda c: Runner(c).execute_once(echo, {"value": 1j}))


def test_much_is_sent_and_answered_at_once(database):
    """
    Neither side waits for the other to read: ten megabytes each way, in
    thousands of statements of which only the last is asked.
    """
    echo = sa.select(BIND("value", type_=sa.Text).label("echo"))
    text = "x" * 5_000

    def operation(connection):
        rows = Runner(connection)
        many = [{"value": f"{number}{text}"} for number in range(2_000)]
        sent = rows.execute(echo, many)
        count = sent.rowcount
        return count, sent.all()

    count, rows = database.read(operation)

    assert count == 2_000
    assert [row.echo for row in rows] == [f"1999{text}"]


def test_a_failure_shows_with_the_next_answer(open_store):
    """
    And all that was sent behind it is in vain, also where it is caught.
    """
    store = open_store("one")
    broken = sa.select(sa.literal_column("1") / BIND("n", type_=sa.Integer))
    caught = []

    def operation(tx):
        rows = tx.sessions._connection
        rows.execute_once(broken, {"n": 0})
        try:
            tx.sessions.next_admission_seq("one")
        except psycopg.Error as error:
            caught.append(error.sqlstate)
        tx.sessions.next_admission_seq("one")

    with pytest.raises(BackendError, match="rolled the transaction back"):
        store._write(operation)

    assert caught == ["22012"]
    assert store.enqueue_queued_work(WORK).enqueue_seq == 1


def test_a_name_whose_statement_was_refused_is_free(clean):
    """
    What the server could not prepare it is told again, once it can.
    """
    statement = Statement("SELECT n FROM made_later")
    with clean.connect() as driver:
        pipeline = Pipeline(driver)
        pipeline.open(may_prepare=True, keeps_plans=True)
        pipeline.send(statement, (), Receiver())
        with pytest.raises(psycopg.errors.UndefinedTable):
            pipeline.close()
        pipeline.abandon(Statement("ROLLBACK"))
        driver.execute("CREATE TEMPORARY TABLE made_later AS SELECT 5 AS n")
        answer = Receiver()
        for _ in range(2):
            pipeline.open(may_prepare=True, keeps_plans=True)
            pipeline.send(statement, (), answer)
            pipeline.close()
        found = pipeline.rows(answer.result, tuple)

    assert found == [(5,)]
    assert answer.rowcount == 2


def test_a_name_never_means_another_text():
    """
    Not in another process either, which may share a server connection with us
    behind a proxy.
    """
    names = {Statement(f"SELECT {n}").name for n in range(100)}

    assert len(names) == 100
    assert Statement("SELECT 1").name == b"lash_e004ebd5b5532a4b85984a62f8ad48a8"


def test_nothing_follows_a_sync_before_its_answer(wire, clean, open_store):
    """
    Not where BEGIN failed either: a proxy may lend the connection to another
    client as soon as it is idle.
    """
    store = open_store(address=wire.url(clean.url()))
    store.load_session_head_meta()
    # As if it were another server connection, on which nothing has a name.
    raw = store._source.server.engine.raw_connection()
    raw.driver_connection.execute("DEALLOCATE ALL")
    raw.driver_connection.commit()
    raw.close()
    said = []
    wire.cut = lambda is_client, kind, _: said.append((is_client, kind))

    assert store.load_session_head_meta() is None

    is_answered = True
    syncs = errors = 0
    for is_client, kind in said:
        if is_client:
            assert is_answered, said
            is_answered = kind != b"S"
            syncs += kind == b"S"
        else:
            is_answered = is_answered or kind == b"Z"
            errors += kind == b"E"
    assert 1 == errors < syncs
