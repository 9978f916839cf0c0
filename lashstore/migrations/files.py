"""
Upgrading SQLite files.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from lashstore.connections import connect_writing, is_absent
from lashstore.engines.sqlite import open_any_version
from lashstore.errors import LashStoreError, StoreNotFoundError
from lashstore.failures import DRIVER_ERRORS, DatabaseGoneError, driver_error, translate
from lashstore.files import refuse_foreign
from lashstore.model.options import StoreOptions

from .chain import CHAINS
from .reports import DatabaseReport, Outcome
from .shape import created_shape, differences, shape_of
from .upgrade import current_versions, plan, upgrade

_MAGIC = b"SQLite format 3\0"


def database_files(target: Path) -> tuple[Path, ...]:
    """
    Return the databases of a root, by name; a file is its own.

    A root's databases are the files `*.db` right in it, whatever is in them,
    and any other file there that begins as a SQLite database does.

    Raises:
        StoreNotFoundError: There is nothing at *target*.
    """
    if target.is_file():
        return (target,)
    if not target.is_dir():
        raise StoreNotFoundError(path=str(target))
    return tuple(sorted(path for path in target.iterdir() if _is_database(path)))


def _is_database(path: Path) -> bool:
    if not path.is_file() or is_absent(path):
        return False
    if path.suffix == ".db":
        return True
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def inspect_file(
    path: Path, *, is_thorough: bool = False, chains: Mapping[str, Path] = CHAINS
) -> DatabaseReport:
    """
    Tell what an upgrade of a file would do; nothing is created or written.

    Args:
        is_thorough: Compare a current file with what a new one looks like.
    """

    def look(connection: sa.Connection) -> DatabaseReport:
        versions = current_versions(connection)
        steps = plan(connection, chains=chains)
        problems: tuple[str, ...] = ()
        if is_thorough and not steps:
            expected = created_shape(frozenset(versions))
            problems = differences(expected, shape_of(connection))
        outcome = Outcome.DIFFERENT if problems else Outcome.CURRENT
        return DatabaseReport(
            database=str(path),
            outcome=Outcome.OUTDATED if steps else outcome,
            versions=versions,
            steps=steps,
            problems=problems,
        )

    def inspect() -> DatabaseReport:
        database = open_any_version(path)
        try:
            return database.read(look)
        finally:
            database.close()

    return _reported(path, inspect)


def upgrade_file(
    path: Path,
    *,
    options: StoreOptions = StoreOptions(),
    chains: Mapping[str, Path] = CHAINS,
) -> DatabaseReport:
    """
    Upgrade every component of a file in one transaction.

    Killed at any moment, the file is as it was or as it is to be. A failure
    is in the report, with the file unchanged. Safe to retry.
    """

    def migrate() -> DatabaseReport:
        with _write_locked(path, options) as connection:
            versions = current_versions(connection)
            steps = upgrade(connection, chains=chains)
        return DatabaseReport(
            database=str(path),
            outcome=Outcome.UPGRADED if steps else Outcome.CURRENT,
            versions=versions,
            steps=steps,
        )

    return _reported(path, migrate)


@contextmanager
def _write_locked(path: Path, options: StoreOptions) -> Iterator[sa.Connection]:
    if is_absent(path):
        raise StoreNotFoundError(path=str(path))
    refuse_foreign(path, options.busy_timeout_ms)
    engine = sa.create_engine(
        "sqlite://", creator=lambda: _connect(path, options), poolclass=NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


def _connect(path: Path, options: StoreOptions) -> sqlite3.Connection:
    connection: sqlite3.Connection = connect_writing(path, options)
    # A table is rebuilt by dropping the old one, which must not take the
    # rows that refer to it along; references are checked before the commit.
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def _reported(path: Path, work: Callable[[], DatabaseReport]) -> DatabaseReport:
    try:
        try:
            return work()
        except (*DRIVER_ERRORS, OSError) as error:
            raise translate(error, path) from driver_error(error)
        except DatabaseGoneError as error:
            raise StoreNotFoundError(path=str(path)) from error
    except LashStoreError as error:
        return _failed(path, str(error))
    except Exception as error:  # noqa: BLE001, a migration's own; the next file is not to blame
        return _failed(path, f"{path} failed: {error!r}")


def _failed(path: Path, problem: str) -> DatabaseReport:
    return DatabaseReport(
        database=str(path), outcome=Outcome.FAILED, problems=(problem,)
    )
