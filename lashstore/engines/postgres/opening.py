"""
Opening a server's database, and making what is missing in it.
"""

import sqlalchemy as sa

from lashstore.engines.schema import (
    create_tables,
    find_version,
    has_tables,
    require_version,
)
from lashstore.model.options import StoreOptions

from .database import ServerDatabase
from .pool import acquire

# First in 64-bit advisory locks of ours: "lash" in ASCII.
_LOCK_SPACE = 0x6C617368
_CREATION_LOCK = 1


def open_server(url: sa.URL, component: str, options: StoreOptions) -> ServerDatabase:
    """
    Open a PostgreSQL database, with the tables of *component* in it.

    Args:
        url: `schema` in its query names where the tables are; without it they
            are where the server's search path leads. `pool_size`: how many
            connections this process opens at most.

    Raises:
        SchemaVersionError: Its tables are of another version.
        StoreBusyError: The server cannot be reached; retry.
        BackendError: The tables are missing and may not be made.
    """
    database = open_any_version(url, options)
    try:
        found, is_made = database.read_through_core(
            lambda c: (find_version(c, component), has_tables(c, component))
        )
        if found is None and not is_made:
            database.write_through_core(lambda c: _create(c, component))
            found = database.read_through_core(lambda c: find_version(c, component))
        require_version(component, found)
    except BaseException:
        database.close()
        raise
    return database


def open_any_version(url: sa.URL, options: StoreOptions) -> ServerDatabase:
    """
    Open a PostgreSQL database, whatever is in it; the server is asked for
    nothing yet.
    """
    return ServerDatabase(acquire(url), options)


def _create(connection: sa.Connection, component: str) -> None:
    connection.execute(
        sa.select(sa.func.pg_advisory_xact_lock(_LOCK_SPACE, _CREATION_LOCK))
    )
    schema = connection.get_execution_options().get("schema_translate_map", {})
    for name in schema.values():
        # IF NOT EXISTS would ask for the right to make it all the same.
        if not sa.inspect(connection).has_schema(name):
            connection.execute(sa.schema.CreateSchema(name))
    create_tables(connection, component)
