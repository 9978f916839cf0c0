"""
A real server, really migrated: whole, atomically, one at a time.
"""

import secrets
import threading
from functools import partial

import psycopg
import pytest
import sqlalchemy as sa

from lashstore import SchemaVersionError, Store, StoreOptions
from lashstore.engines import parse_target
from lashstore.migrations.chain import CHAINS
from lashstore.migrations.reports import Outcome
from lashstore.migrations.servers import inspect_server, upgrade_server
from lashstore.migrations.shape import differences, make_tables, shape_of
from lashstore.migrations.upgrade import upgrade
from lashstore.tables import COMPONENT_TABLES, metadata

from .make_golden import fill
from .older import CHAIN, make_older_on_server
from .test_upgrade import read_everything

OLDER = {**CHAINS, "session": CHAIN}
inspect_older = partial(inspect_server, chains=OLDER)
upgrade_older = partial(upgrade_server, chains=OLDER)
EACH = [(component,) for component in COMPONENT_TABLES]


@pytest.fixture(name="schema")
def _schema(postgres):
    """
    Return the name of a schema that is not there yet, and needs quoting.
    """
    name = f'Mine "{secrets.token_hex(4)}'
    yield name
    with psycopg.connect(postgres.base_uri, autocommit=True) as connection:
        quoted = psycopg.sql.Identifier(name)
        connection.execute(
            psycopg.sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(quoted)
        )


@pytest.fixture(name="connect")
def _connect(postgres, schema):
    def connect():
        connection = psycopg.connect(postgres.base_uri, autocommit=True)
        connection.execute(
            psycopg.sql.SQL("SET search_path = {}").format(
                psycopg.sql.Identifier(schema)
            )
        )
        return connection

    return connect


@pytest.fixture(name="url")
def _url(postgres, schema):
    """
    Return the address of a schema with a little of every component.
    """
    url = parse_target(postgres.url()).update_query_dict({"schema": schema})
    fill(url.render_as_string(hide_password=False))
    return url


def target_of(url):
    return url.render_as_string(hide_password=False)


def dump(connect):
    """
    Return every row, table and index of the schema.
    """
    with connect() as connection:
        schema = connection.execute("SELECT current_schema()").fetchone()[0]
        tables = connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = %s ORDER BY 1, ordinal_position",
            (schema,),
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY 1",
            (schema,),
        ).fetchall()
        rows = {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            for name in {row[0] for row in tables}
        }
    return tables, indexes, rows


@pytest.mark.parametrize("components", [*EACH, tuple(COMPONENT_TABLES)])
def test_migrations_build_the_metadata(postgres, components):
    """
    What the chains build from nothing on a server is what `create_all` does.
    """
    engine = sa.create_engine(
        postgres.base_uri.replace("postgresql://", "postgresql+psycopg://")
    )
    shapes = []
    for make in (
        lambda connection: upgrade(connection, components),
        lambda connection: make_tables(connection, frozenset(components)),
    ):
        with engine.connect() as connection:
            # Temporary, and gone with the transaction.
            connection.exec_driver_sql("SET LOCAL search_path = pg_temp")
            make(connection)
            shapes.append(shape_of(connection, names=frozenset(metadata.tables)))
            connection.rollback()
    engine.dispose()

    assert () == differences(*shapes)
    assert len(shapes[0]["tables"]) == 1 + sum(
        len(COMPONENT_TABLES[each]) for each in components
    )


def test_current_schema_is_left_alone(url, connect):
    """
    A schema that is current is found to be what a new one is, and not written.
    """
    before = dump(connect)

    assert Outcome.CURRENT == inspect_server(url, is_thorough=True).outcome
    report = upgrade_server(url)

    assert (Outcome.CURRENT, ()) == (report.outcome, report.steps)
    assert {"effect": "1", "process": "1", "session": "1", "trigger": "1"} == (
        report.versions
    )
    assert before == dump(connect)


def test_older_schema_is_upgraded(postgres, url, schema, connect):
    """
    A schema of an older version is refused by name, then upgraded with its
    data, and then looks like a new one.
    """
    make_older_on_server(connect)
    older = dump(connect)
    with pytest.raises(SchemaVersionError) as refused:
        Store.open(target_of(url), "golden")
    assert ("0", "1") == (refused.value.found, refused.value.expected)

    planned = inspect_older(url)
    assert older == dump(connect)
    report = upgrade_older(url)

    assert (Outcome.OUTDATED, Outcome.UPGRADED) == (planned.outcome, report.outcome)
    assert planned.steps == report.steps
    assert planned.versions == report.versions
    assert [("session", "0", "1")] == [
        (step.component, step.from_version, step.to_version) for step in report.steps
    ]
    read_everything(target_of(url))
    assert () == inspect_server(url, is_thorough=True).problems
    assert Outcome.CURRENT == upgrade_older(url).outcome


def test_failing_migration_changes_nothing(url, connect):
    """
    An error in the middle undoes all of it, DDL included.
    """
    make_older_on_server(connect)
    with connect() as connection:
        # The new CHECK refuses what the old one took.
        connection.execute("UPDATE session_blobs SET compression = 'lz4'")
    before = dump(connect)

    report = upgrade_older(url)

    assert Outcome.FAILED == report.outcome
    assert "ck_session_blobs_compression_known" in report.problems[0]
    assert before == dump(connect)


def test_upgraders_wait_for_each_other(url, connect):
    """
    Of several at once one upgrades, and the others find it done.
    """
    make_older_on_server(connect)
    start = threading.Barrier(4)
    reports = []

    def race():
        start.wait()
        reports.append(upgrade_older(url))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["current"] * 3 + ["upgraded"] == sorted(each.outcome for each in reports)
    read_everything(target_of(url))


def test_locked_schema_fails(url, connect):
    """
    A host at work makes the upgrade fail after the lock wait.
    """
    make_older_on_server(connect)
    with connect() as holder, holder.transaction():
        holder.execute("SELECT * FROM session_blobs FOR UPDATE")

        report = upgrade_older(url, options=StoreOptions(busy_timeout_ms=50))

    assert Outcome.FAILED == report.outcome
    assert "lock timeout" in report.problems[0]
    assert "0" == inspect_older(url).versions["session"]


def test_killed_upgrade_changes_nothing(url, connect):
    """
    A server process that is killed at work leaves the schema as it was, and
    the library runs the upgrade again by itself.
    """
    make_older_on_server(connect)
    with connect() as holder, holder.transaction():
        holder.execute("SELECT * FROM session_blobs FOR UPDATE")
        reports = []
        thread = threading.Thread(
            target=lambda: reports.append(
                upgrade_older(url, options=StoreOptions(busy_timeout_ms=60_000))
            )
        )
        thread.start()
        with connect() as killer:
            killed = 0
            while not killed:
                killed = killer.execute(
                    "SELECT count(pg_terminate_backend(a.pid)) FROM pg_locks l"
                    " JOIN pg_stat_activity a USING (pid)"
                    " WHERE NOT granted AND application_name = 'lashstore'"
                ).fetchone()[0]
    thread.join()

    assert Outcome.UPGRADED == reports[0].outcome
    read_everything(target_of(url))


def test_newer_schema_is_refused(url, connect):
    """
    A version no migration leads from is named, and nothing is changed.
    """
    with connect() as connection:
        connection.execute("UPDATE schema_versions SET version = '7'")
    before = dump(connect)

    report = upgrade_server(url)

    assert Outcome.FAILED == report.outcome
    assert "version 7" in report.problems[0]
    assert before == dump(connect)


def test_nothing_there(postgres):
    """
    A schema without our tables is not made by asking.
    """
    url = parse_target(postgres.url("nobodys"))

    for work in (inspect_server, upgrade_server):
        report = work(url)
        assert Outcome.FAILED == report.outcome
        assert "there is no session store at" in report.problems[0]
    with postgres.connect() as connection:
        assert connection.execute("SELECT to_regnamespace('nobodys')").fetchone() == (
            None,
        )


CHANGES = {
    "index predicate": (
        "DROP INDEX ix_session_nodes_tombstoned;"
        "CREATE INDEX ix_session_nodes_tombstoned ON session_nodes"
        " (session_id, node_id) WHERE is_tombstoned = 0",
        "/tables/session_nodes/indexes/ix_session_nodes_tombstoned/dialect_options/"
        "postgresql_where is '(is_tombstoned = 0)' instead of '(is_tombstoned = 1)'",
    ),
    "missing index": (
        "DROP INDEX ix_session_nodes_seq",
        "/tables/session_nodes/indexes/ix_session_nodes_seq is missing",
    ),
    "missing table": (
        "DROP TABLE session_usage",
        "/tables/session_usage is missing",
    ),
    "CHECK": (
        "ALTER TABLE session_usage DROP CONSTRAINT ck_session_usage_counters",
        "/tables/session_usage/checks/ck_session_usage_counters is missing",
    ),
    "column": (
        "ALTER TABLE session_usage ADD COLUMN more TEXT",
        "/tables/session_usage/columns/more is not lashstore's",
    ),
    "type": (
        "ALTER TABLE session_heads ALTER COLUMN head_revision TYPE INTEGER",
        "/tables/session_heads/columns/head_revision/type is 'INTEGER()' instead of "
        "'BIGINT()'",
    ),
    "collation": (
        'ALTER TABLE session_nodes ALTER COLUMN node_id TYPE TEXT COLLATE "default"',
        "/tables/session_nodes/columns/node_id/type is 'TEXT()' instead of "
        "\"TEXT(collation='C')\"",
    ),
    "unlogged": (
        "ALTER TABLE session_usage SET UNLOGGED",
        "/unlogged is ['session_usage'] instead of []",
    ),
    "foreign key": (
        "ALTER TABLE process_leases DROP CONSTRAINT fk_process_leases_process_id",
        "/tables/process_leases/foreign keys/fk_process_leases_process_id is missing",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_comparison_sees(url, connect, change):
    """
    Every kind of difference is named by its place.
    """
    script, line = CHANGES[change]
    with connect() as connection:
        connection.execute(script)
    before = dump(connect)

    report = inspect_server(url, is_thorough=True)

    assert Outcome.DIFFERENT == report.outcome
    assert line in report.problems
    assert before == dump(connect)


def test_triggers_are_compared(url, connect):
    """
    A trigger on a table of ours is a difference.
    """
    with connect() as connection:
        connection.execute(
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NEW; END'"
        )
        connection.execute(
            "CREATE TRIGGER t BEFORE INSERT ON session_nodes"
            " FOR EACH ROW EXECUTE FUNCTION nothing()"
        )

    assert ("/triggers/session_nodes.t is not lashstore's",) == (
        inspect_server(url, is_thorough=True).problems
    )


def test_what_is_its_owners_is_no_difference(url, connect):
    """
    Tables of others, and what tunes ours, are nobody's problem.
    """
    with connect() as connection:
        connection.execute("CREATE TABLE mine (a text)")
        connection.execute("ALTER TABLE session_nodes SET (fillfactor = 90)")

    assert () == inspect_server(url, is_thorough=True).problems
