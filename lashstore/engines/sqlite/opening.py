"""
Opening files: made where there is none, refused where they are not ours.
"""

import functools
import sqlite3
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from lashstore.connections import (
    connect_immutable,
    connect_in_wal,
    connect_reading,
    connect_writing,
    has_wal,
    is_absent,
)
from lashstore.engines.base import Seed
from lashstore.engines.schema import create_tables, read_version, require_version
from lashstore.errors import (
    StoreBusyError,
    StoreNotFoundError,
)
from lashstore.failures import (
    DatabaseGoneError,
    driver_error,
    translate,
)
from lashstore.files import has_rollback_journal, make_file, refuse_foreign
from lashstore.filesystems import may_use_wal
from lashstore.model.options import StoreOptions
from lashstore.repos._run import Runner
from lashstore.tables import COMPONENT_TABLES, schema_versions

from .connection import TEMPLATE, driver_of, engine_over
from .database import SqliteDatabase

_add_versions = sa.insert(schema_versions)

_OPEN_ATTEMPTS = 10


def open_database(
    path: Path,
    component: str,
    options: StoreOptions,
    *,
    create: bool = True,
    seed: Seed = None,
) -> SqliteDatabase:
    """
    Open the database at *path*, with the tables of *component* in it.

    Args:
        path: The file. Absent or empty, it is made, with its folder.

        component: Whose tables are wanted; those of others stay as they are.

        create: False leaves an absent file absent.

        seed: Called in the transaction that makes the tables of a new file.

    Raises:
        DatabaseGoneError: It is absent and not to be made.
        NotALashStoreError: It is some other file; it was left untouched.
        SchemaVersionError: Its tables are of another version.
        StoreBusyError: Others kept it locked; retry.
        BackendError: The file cannot be opened.
    """
    for _ in range(_OPEN_ATTEMPTS):
        try:
            return _open_once(path, component, options, create=create, seed=seed)
        except DatabaseGoneError:
            # Deleted this very moment.
            if not create:
                raise
        except OSError as error:
            raise translate(error, path) from driver_error(error)
    msg = f"{path} is deleted as often as it is made: try again"
    raise StoreBusyError(msg)


def _open_once(
    path: Path, component: str, options: StoreOptions, *, create: bool, seed: Seed
) -> SqliteDatabase:
    if is_absent(path):
        # Before anything is made: a file must not be left where it cannot be
        # used.
        may_use_wal(path, options)
        if not create:
            raise DatabaseGoneError(str(path))
        make_file(path, options, lambda: _fill(path, component, options, seed))
    try:
        refuse_foreign(path, options.busy_timeout_ms)
        database = _connect_pool(path, options)
    except FileNotFoundError as error:
        raise DatabaseGoneError(str(path)) from error
    return _prepared(database, component)


def open_readonly(path: Path, component: str) -> SqliteDatabase:
    """
    Open the database at *path* without ever creating or writing anything.

    Raises:
        StoreNotFoundError: There is no such file.
        NotALashStoreError: It is some other file.
        SchemaVersionError: Its tables are of another version, or missing.
        UnsafeFileSystemError: It has a WAL, where none is safe.
    """
    database = open_any_version(path)
    found, _ = database.read(lambda connection: _find_schema(connection, component))
    require_version(component, found)
    return database


def open_any_version(path: Path) -> SqliteDatabase:
    """
    Open the database at *path* as `open_readonly` does, whatever the version
    of its tables.

    Raises:
        StoreNotFoundError: There is no such file.
        NotALashStoreError: It is some other file.
        UnsafeFileSystemError: It has a WAL, where none is safe.
    """
    options = StoreOptions()
    try:
        if is_absent(path):
            raise StoreNotFoundError(path=str(path))
        if has_wal(path):
            may_use_wal(path, options)
        refuse_foreign(path, options.busy_timeout_ms)
        is_rollback = has_rollback_journal(path)
    except (OSError, sqlite3.Error) as error:
        raise translate(error, path) from driver_error(error)
    return SqliteDatabase(
        NullPool(lambda: connect_reading(path), dialect=TEMPLATE.dialect),
        path=path,
        options=options,
        immutable_pool=NullPool(
            lambda: connect_immutable(path), dialect=TEMPLATE.dialect
        ),
        has_rollback_journal=is_rollback,
    )


def open_memory(component: str, options: StoreOptions) -> SqliteDatabase:
    """
    Open a database that lives as long as the object.
    """
    pool = StaticPool(lambda: connect_writing(None, options), dialect=TEMPLATE.dialect)
    return _prepared(SqliteDatabase(pool, path=None, options=options), component)


def _connect_pool(path: Path, options: StoreOptions) -> SqliteDatabase:
    # The first of the pool's: opening one costs as much as the rest of it.
    first = [connect_in_wal(path, options)]
    pool = QueuePool(
        lambda: first.pop() if first else connect_writing(path, options),
        pool_size=4,
        max_overflow=60,
        timeout=options.busy_timeout_ms / 1000,
        use_lifo=True,
        dialect=TEMPLATE.dialect,
    )
    return SqliteDatabase(pool, path=path, options=options)


def _table_names(connection: sa.Connection) -> frozenset[str]:
    # By hand: SQLAlchemy's inspection takes longer than the rest of opening.
    listed = driver_of(connection).execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    return frozenset(name for (name,) in listed)


def _find_schema(connection: sa.Connection, component: str) -> tuple[str | None, bool]:
    names = _table_names(connection)
    is_versioned = schema_versions.name in names
    return (
        read_version(connection, component) if is_versioned else None,
        any(table.name in names for table in COMPONENT_TABLES[component]),
    )


def _prepared(database: SqliteDatabase, component: str) -> SqliteDatabase:
    try:
        found, is_made = database.read(lambda c: _find_schema(c, component))
        if found is None and not is_made:
            database.write(lambda c: _create_tables(c, component))
            found, _ = database.read(lambda c: _find_schema(c, component))
        require_version(component, found)
    except BaseException:
        database.close()
        raise
    return database


def _fill(path: Path, component: str, options: StoreOptions, seed: Seed) -> None:
    def operation(connection: sa.Connection) -> None:
        _create_tables(connection, component)
        if seed is not None:
            seed(connection)

    database = _connect_pool(path, options)
    try:
        database.write(operation)
    finally:
        database.close()


class _Schema(NamedTuple):
    """
    What makes a component's tables: statements by the table they are for, and
    its version.
    """

    statements: tuple[tuple[str, str], ...]
    versions: tuple[dict[str, str], ...]
    application_id: int


@functools.cache
def _schema_of(component: str) -> _Schema:
    # What SQLAlchemy makes in a database of its own, read back: working out
    # the statements takes longer than the rest of making a file.
    pool = StaticPool(
        lambda: connect_writing(None, StoreOptions()), dialect=TEMPLATE.dialect
    )
    with engine_over(pool).begin() as connection:
        create_tables(connection, component)
        driver = driver_of(connection)
        statements = driver.execute(
            "SELECT tbl_name, sql FROM sqlite_master"
            " WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        versions = connection.execute(sa.select(schema_versions)).mappings()
        (application_id,) = driver.execute("PRAGMA application_id").fetchone()
        found = _Schema(tuple(statements), tuple(map(dict, versions)), application_id)
    pool.dispose()
    return found


def _create_tables(connection: sa.Connection, component: str) -> None:
    """
    Make a component's tables, unless somebody else was first; the caller
    holds the lock that shows it.
    """
    names = _table_names(connection)
    if any(table.name in names for table in COMPONENT_TABLES[component]):
        return
    schema, driver = _schema_of(component), driver_of(connection)
    if schema_versions.name not in names:
        driver.execute(f"PRAGMA application_id = {schema.application_id}")
    for table, statement in schema.statements:
        if table not in names:
            driver.execute(statement)
    Runner(connection).execute(_add_versions, schema.versions)
