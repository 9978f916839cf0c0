"""
What a database looks like, so that two can be compared to the last CHECK.

alembic's own comparison misses changed CHECK expressions and the predicates
of partial indexes; reflection sees them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from lashstore.model.record import Json
from lashstore.tables import COMPONENT_TABLES, metadata, schema_versions

_unlogged = sa.text(
    "SELECT relname FROM pg_class WHERE relname = ANY(:names) "
    "AND pg_table_is_visible(oid) AND relpersistence = 'u'"
)
_triggers = sa.text(
    "SELECT relname, tgname, pg_get_triggerdef(t.oid) AS definition "
    "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE relname = ANY(:names) AND pg_table_is_visible(c.oid) AND NOT tgisinternal"
)


def shape_of(connection: sa.Connection, *, names: frozenset[str] | None = None) -> Json:
    """
    Return what a reader of a database can tell about its schema, as plain
    data: tables with columns, keys, CHECKs, indexes and their predicates,
    STRICT, triggers, versions, the application id, and whatever else is in
    it.

    Args:
        names: Of these tables only, wherever the search path leads to them.
    """
    if connection.dialect.server_version_info is None:
        # Our engines never ask for it; reflecting options needs it.
        connection.dialect.initialize(connection)
    inspector = sa.inspect(connection)
    if names is None:
        present = inspector.get_table_names()
    else:
        present = [name for name in names if inspector.has_table(name)]
    shape: dict[str, Json] = {
        "tables": {name: _table(inspector, name) for name in sorted(present)}
    }
    if schema_versions.name in present:
        shape["versions"] = {
            row.component: row.version
            for row in connection.execute(sa.select(schema_versions))
        }
    if connection.dialect.name == "sqlite":
        shape |= _file_shape(connection, inspector)
    else:
        shape |= _server_shape(connection, present)
    return shape


def _file_shape(connection: sa.Connection, inspector: sa.Inspector) -> dict[str, Json]:
    return {
        "views": sorted(inspector.get_view_names()),
        "application_id": connection.exec_driver_sql(
            "PRAGMA application_id"
        ).scalar_one(),
        "triggers": {
            row.name: row.sql
            for row in connection.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            )
        },
    }


def _server_shape(connection: sa.Connection, names: Sequence[str]) -> dict[str, Json]:
    listed = {"names": list(names)}
    return {
        # Emptied by a crash of the server.
        "unlogged": sorted(connection.scalars(_unlogged, listed)),
        "triggers": {
            f"{row.relname}.{row.tgname}": row.definition
            for row in connection.execute(_triggers, listed)
        },
    }


def _table(inspector: sa.Inspector, name: str) -> Json:
    table: dict[str, Json] = {
        "columns": {
            column["name"]: {
                # The order is part of what `SELECT *` and INSERT see.
                "position": position,
                "type": repr(column["type"]),
                "nullable": column["nullable"],
                "default": column["default"],
                "computed": repr(column.get("computed")),
                "identity": repr(column.get("identity")),
            }
            for position, column in enumerate(inspector.get_columns(name))
        },
        "primary key": _plain(inspector.get_pk_constraint(name)),
        "unique": _by_name(inspector.get_unique_constraints(name)),
        "checks": _by_name(inspector.get_check_constraints(name)),
        "foreign keys": _by_name(inspector.get_foreign_keys(name)),
        "indexes": _by_name(inspector.get_indexes(name)),
    }
    if inspector.dialect.name == "sqlite":
        # On a server they are for its owner to tune.
        table["options"] = _plain(inspector.get_table_options(name))
    return table


def _by_name(found: Sequence[Any]) -> Json:
    return {str(each["name"]): _plain(each) for each in found}


def _plain(value: Any) -> Json:
    if isinstance(value, dict):
        return {
            str(key): _plain(each)
            for key, each in value.items()
            if key not in {"comment", "name"}
        }
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return str(value)


@cache
def created_shape(components: frozenset[str]) -> Json:
    """
    Return the shape of a new SQLite database with these components.
    """
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            make_tables(connection, components)
            return shape_of(connection)
    finally:
        engine.dispose()


def make_tables(connection: sa.Connection, components: frozenset[str]) -> None:
    """
    Make the tables of these components as a new database has them.
    """
    tables = [schema_versions]
    for component in components:
        tables += COMPONENT_TABLES[component]
    metadata.create_all(connection, tables=tables)


def differences(expected: Json, found: Json, where: str = "") -> tuple[str, ...]:
    """
    Return a line for every place where two shapes differ, in order; none if
    they are equal.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        lines: tuple[str, ...] = ()
        for key in sorted(expected.keys() | found.keys()):
            path = f"{where}/{key}"
            if key not in found:
                lines += (f"{path} is missing",)
            elif key not in expected:
                lines += (f"{path} is not lashstore's",)
            else:
                lines += differences(expected[key], found[key], path)
        return lines
    if expected == found:
        return ()
    return (f"{where} is {found!r} instead of {expected!r}",)
