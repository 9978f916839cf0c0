"""
Names, texts, schemas and encodings.
"""

import random

import psycopg
import pytest
import sqlalchemy as sa

from lashstore import (
    BackendError,
    InvalidArgumentError,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    Store,
    TurnWorkPayload,
)
from lashstore.tables import metadata


def test_every_name_fits():
    """
    PostgreSQL cuts names behind 63 bytes, and two may then be one.
    """
    names = [table.name for table in metadata.sorted_tables]
    for table in metadata.sorted_tables:
        names += [column.name for column in table.columns]
        names += [index.name for index in table.indexes]
        names += [constraint.name for constraint in table.constraints]
        dialect = sa.dialects.postgresql.dialect()
        preparer = dialect.identifier_preparer
        for constraint in table.constraints:
            names.append(preparer.format_constraint(constraint))

    assert [name for name in names if len(str(name).encode()) > 63] == []
    indexes = [ix.name for table in metadata.sorted_tables for ix in table.indexes]
    assert len(indexes) == len(set(indexes))


def test_create_all_is_enough(postgres):
    """
    What the metadata make alone is opened as it is.
    """
    schema = "made_by_hand"
    postgres.drop(schema)
    with postgres.connect() as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    url = sa.make_url(postgres.url()).difference_update_query(["schema"])
    engine = sa.create_engine(url).execution_options(
        schema_translate_map={None: schema}
    )
    metadata.create_all(engine)
    engine.dispose()

    with Store.open(postgres.url(schema), "one") as store:
        store.put_blob(b"content")
    postgres.drop(schema)


def test_two_schemas_know_nothing_of_each_other(postgres):
    """
    The same id in each of them is another session.
    """
    work = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),))
    schemas = ("left", 'Right "quoted" %s')
    for schema in schemas:
        postgres.drop(schema.replace('"', '""'))
    left = Store.open(postgres.url(schemas[0]), "one")
    address = sa.make_url(postgres.url()).update_query_dict({"schema": schemas[1]})
    right = Store.open(address.render_as_string(False), "one")
    left.enqueue_queued_work(work)

    assert len(left.list_queued_work()) == 1
    assert right.list_queued_work() == ()
    assert right.enqueue_queued_work(work).enqueue_seq == 1
    left.close()
    right.close()
    for schema in schemas:
        postgres.drop(schema.replace('"', '""'))


@pytest.mark.parametrize("schema", ["x" * 64, "é" * 32, "pg_own"])
def test_a_schema_that_cannot_be_is_refused(schema, postgres):
    """
    Before anything is asked of the server.
    """
    with pytest.raises(InvalidArgumentError, match="schema"):
        Store.open(postgres.url() + f"&schema={schema}", "one")
    address = sa.make_url(postgres.url()).update_query_dict({"schema": schema})
    with pytest.raises(InvalidArgumentError, match="schema"):
        Store.open(address.render_as_string(False), "one")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_another_encoding_is_refused(encoding, postgres):
    """
    A database that cannot hold every text is told apart at once.
    """
    name = f"lash_{encoding.lower()}"
    with psycopg.connect(postgres.base_uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        address = sa.make_url(postgres.url()).set(database=name)
        with pytest.raises(BackendError, match=encoding):
            Store.open(address.render_as_string(False), "one")
        connection.execute(f"DROP DATABASE {name}")


def test_texts(open_store):
    """
    NUL is welcome in payloads and refused in ids; surrogates nowhere.
    """
    store = open_store("é \U0001f600 one")
    draft = PendingTurnInputDraft(ingress=NextTurnIngress(), input={"a\0b": "c\0d"})
    store.enqueue_pending_turn_input(draft)

    (found,) = store.list_pending_turn_inputs()
    assert found.input == {"a\0b": "c\0d"}
    for wrong in ("a\0b", "\ud800"):
        with pytest.raises(InvalidArgumentError):
            open_store(wrong)
        with pytest.raises(InvalidArgumentError):
            store.load_node(wrong)
    with pytest.raises(InvalidArgumentError):
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(ingress=NextTurnIngress(), input="\ud800")
        )


def test_a_very_long_id_is_told(open_store):
    """
    One that no index can hold is an argument that cannot be stored.
    """
    long = random.Random(1).randbytes(3_000).hex()
    with pytest.raises(InvalidArgumentError, match="too long"):
        open_store(long)
    store = open_store("one")
    with pytest.raises(InvalidArgumentError, match="too long"):
        store.enqueue_queued_work(
            QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=1),), source_key=long)
        )
    assert store.load_node(long) is None
    assert store.list_queued_work() == ()
