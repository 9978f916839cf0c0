"""
Migrated and created databases are the same, and the comparison sees it all.
"""

import sqlite3

import pytest
import sqlalchemy as sa

from lashstore.migrations.chain import CHAINS, chain_of
from lashstore.migrations.shape import created_shape, differences, shape_of
from lashstore.migrations.upgrade import upgrade
from lashstore.tables import COMPONENT_TABLES, SCHEMA_VERSIONS, metadata

EACH = [(component,) for component in COMPONENT_TABLES]


@pytest.mark.parametrize("components", [*EACH, tuple(COMPONENT_TABLES)])
def test_migrations_build_the_metadata(components):
    """
    What the chains build from nothing is what `create_all` does.
    """
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection, components)

        assert () == differences(
            created_shape(frozenset(components)), shape_of(connection)
        )
    engine.dispose()


@pytest.mark.parametrize("component", COMPONENT_TABLES)
def test_chain_ends_at_the_current_version(component):
    """
    A version that is raised without a migration is found here.
    """
    assert SCHEMA_VERSIONS[component] == chain_of(component, CHAINS[component]).head


CHANGES = {
    "index predicate": (
        "DROP INDEX ix_session_nodes_tombstoned;"
        "CREATE INDEX ix_session_nodes_tombstoned ON session_nodes"
        " (session_id, node_id) WHERE is_tombstoned = 0",
        "/tables/session_nodes/indexes/ix_session_nodes_tombstoned/dialect_options/"
        "sqlite_where is 'is_tombstoned = 0' instead of 'is_tombstoned = 1'",
    ),
    "no predicate": (
        "DROP INDEX ix_session_nodes_tombstoned;"
        "CREATE INDEX ix_session_nodes_tombstoned ON session_nodes"
        " (session_id, node_id)",
        "/tables/session_nodes/indexes/ix_session_nodes_tombstoned/dialect_options/"
        "sqlite_where is missing",
    ),
    "missing index": (
        "DROP INDEX ix_session_nodes_seq",
        "/tables/session_nodes/indexes/ix_session_nodes_seq is missing",
    ),
    "foreign table": (
        "CREATE TABLE mine (a)",
        "/tables/mine is not lashstore's",
    ),
    "application id": (
        "PRAGMA application_id = 7",
        "/application_id is 7 instead of 1818325864",
    ),
    "trigger": (
        "CREATE TRIGGER t AFTER DELETE ON session_nodes BEGIN SELECT 1; END",
        "/triggers/t is not lashstore's",
    ),
    "view": (
        "CREATE VIEW v AS SELECT 1",
        "/views is ['v'] instead of []",
    ),
    "version": (
        "UPDATE schema_versions SET version = '9'",
        "/versions/session is '9' instead of '1'",
    ),
    "CHECK": (
        "ALTER TABLE session_usage RENAME TO u; CREATE TABLE session_usage AS"
        " SELECT * FROM u; DROP TABLE u",
        "/tables/session_usage/checks/ck_session_usage_counters is missing",
    ),
    "STRICT": (
        "ALTER TABLE session_usage RENAME TO u; CREATE TABLE session_usage AS"
        " SELECT * FROM u; DROP TABLE u",
        "/tables/session_usage/options/sqlite_strict is missing",
    ),
    "column": (
        "ALTER TABLE session_usage ADD COLUMN more TEXT",
        "/tables/session_usage/columns/more is not lashstore's",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_comparison_sees(change):
    """
    Every kind of difference is named by its place.
    """
    script, line = CHANGES[change]
    raw = sqlite3.connect(":memory:", check_same_thread=False)
    engine = sa.create_engine(
        "sqlite://", creator=lambda: raw, poolclass=sa.pool.StaticPool
    )
    with engine.begin() as connection:
        tables = [metadata.tables["schema_versions"], *COMPONENT_TABLES["session"]]
        metadata.create_all(connection, tables=tables)
    raw.executescript(script)
    with engine.connect() as connection:
        found = differences(created_shape(frozenset(["session"])), shape_of(connection))
    engine.dispose()
    raw.close()

    assert line in found


def test_check_expression_is_compared():
    """
    A CHECK of the same name with another expression is a difference.
    """
    shapes = []
    for bound in (0, 1):
        engine = sa.create_engine("sqlite://")
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE t (a INTEGER, CONSTRAINT c CHECK (a > {bound}))"
            )
            shapes.append(shape_of(connection))
        engine.dispose()

    assert ("/tables/t/checks/c/sqltext is 'a > 1' instead of 'a > 0'",) == (
        differences(*shapes)
    )
