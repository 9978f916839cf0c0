"""
The tables of a component in an open database: which version, and making them.
"""

import sqlalchemy as sa

from lashstore.errors import SchemaVersionError
from lashstore.repos._run import Runner
from lashstore.tables import (
    COMPONENT_TABLES,
    SCHEMA_VERSIONS,
    metadata,
    schema_versions,
)

_find_version = sa.select(schema_versions.c.version).where(
    schema_versions.c.component == sa.bindparam("component")
)


def _schema(connection: sa.Connection) -> str | None:
    return connection.schema_for_object(schema_versions)


def find_version(connection: sa.Connection, component: str) -> str | None:
    """
    Return the version of a component's tables; None if they have none.
    """
    if not sa.inspect(connection).has_table(
        schema_versions.name, schema=_schema(connection)
    ):
        return None
    return read_version(connection, component)


def read_version(connection: sa.Connection, component: str) -> str | None:
    """
    As `find_version`, where the table of versions is known to be there.
    """
    version: str | None = (
        Runner(connection)
        .execute(_find_version, {"component": component})
        .scalar_one_or_none()
    )
    return version


def require_version(component: str, found: str | None) -> None:
    """
    Raises:
        SchemaVersionError: It is not the version of this lashstore.
    """
    expected = SCHEMA_VERSIONS[component]
    if found != expected:
        raise SchemaVersionError(component=component, expected=expected, found=found)


def has_tables(connection: sa.Connection, component: str) -> bool:
    """
    Tell whether any table of a component is there: tables without a version
    are damage, which creating would hide.
    """
    present = sa.inspect(connection).get_table_names(schema=_schema(connection))
    return any(table.name in present for table in COMPONENT_TABLES[component])


def create_tables(connection: sa.Connection, component: str) -> None:
    """
    Make a component's tables, unless somebody else was first; the caller
    holds the lock that shows it.
    """
    if not has_tables(connection, component):
        metadata.create_all(
            connection, tables=[schema_versions, *COMPONENT_TABLES[component]]
        )
