"""
SQLite: every transaction, BEGIN and WAL checkpoint of a file.

The rules behind this module:

* A deferred transaction that reads and then writes can fail at once with
  SQLITE_BUSY_SNAPSHOT, whatever the timeout; so writers say BEGIN IMMEDIATE.
* SQLite before 3.51.3 can corrupt a file when a checkpoint overlaps a writer
  of another connection (https://www.sqlite.org/wal.html, "WAL-reset bug");
  so automatic checkpoints are off, and one is run only while a second
  connection holds the write lock.
"""

import functools
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, Pool, QueuePool, StaticPool

from lashstore.clock import Clock, SystemClock
from lashstore.connections import (
    connect_immutable,
    connect_in_wal,
    connect_reading,
    connect_writing,
    has_wal,
    is_absent,
)
from lashstore.dialect import Dialect
from lashstore.errors import (
    LashStoreError,
    ReadOnlyStoreError,
    StoreBusyError,
    StoreClosedError,
    StoreNotFoundError,
)
from lashstore.failures import (
    DRIVER_ERRORS,
    DatabaseGoneError,
    driver_error,
    error_code,
    is_busy,
    translate,
)
from lashstore.files import has_rollback_journal, make_file, refuse_foreign
from lashstore.filesystems import may_use_wal
from lashstore.model.options import StoreOptions, Synchronous
from lashstore.model.session import SessionIdentity
from lashstore.openfiles import bypassing_locks, file_identity
from lashstore.repos._run import KeepingConnection, Kept, Runner
from lashstore.tables import COMPONENT_TABLES, schema_versions

from .base import Seed
from .pacing import Pace
from .schema import create_tables, read_version, require_version

T = TypeVar("T")

_log = logging.getLogger(__name__)

_add_versions = sa.insert(schema_versions)

_READ_ATTEMPTS = 20
_OPEN_ATTEMPTS = 10
_HELD = 2

# What one step of giving space back moves at first and at most.
_FIRST_SHRINK_PAGES = 32
_SHRINK_PAGES = 512

_INCREMENTAL = 2

# One dialect and one statement cache for all engines: a statement is compiled
# once per process, not once per session, and 200 open sessions stay small.
sa.dialects.registry.register("sqlite.lashstore", Dialect.__module__, Dialect.__name__)
_template = sa.create_engine("sqlite+lashstore://", poolclass=NullPool)
_compiled: dict[Any, Any] = {}


def _engine(pool: Pool) -> sa.Engine:
    return sa.engine.Engine(
        pool,
        _template.dialect,
        _template.url,
        execution_options={"compiled_cache": _compiled},
    )


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


class _Held:
    """
    A connection that is kept between transactions, with the cursor that
    begins and ends them.
    """

    __slots__ = ("_execute", "_kept", "connection", "is_synced")

    def __init__(self, connection: KeepingConnection) -> None:
        self.connection = connection
        self.is_synced = True
        self._kept = Kept(connection)
        self._execute = self._kept.cursor.execute

    def begin(self, how: str) -> None:
        """
        Begin a transaction, by hand: Core would be told of it.
        """
        try:
            self._execute(how)
        except UnicodeDecodeError as error:
            # SQLite's message quotes damaged bytes of the schema.
            raise sqlite3.DatabaseError(str(error)) from error

    def commit(self) -> None:
        """
        Commit the transaction.
        """
        # Core begins a transaction of its own around its first statement,
        # which the dialect makes part of ours; then it must know that it is
        # over.
        if self.connection.in_transaction():
            self.connection.commit()
        else:
            self._execute("COMMIT")

    def close(self) -> None:
        """
        Give the connection back; what is open on it is undone.
        """
        # Whatever it was at would keep its snapshot.
        self._kept.cursor.close()
        if not self.is_synced:
            # Nobody else must get it as it is.
            self.connection.invalidate()
        self.connection.close()

    def leave_syncing(self) -> None:
        """
        Let SQLite go on from a commit without waiting for the disk.
        """
        self.is_synced = False
        # Not through `execute`, which keeps statements: this one acts when it
        # is prepared.
        self._kept.cursor.executescript("PRAGMA synchronous = NORMAL")

    def sync_again(self) -> None:
        """
        Let SQLite wait for the disk at every commit again.
        """
        self._kept.cursor.executescript("PRAGMA synchronous = FULL")
        self.is_synced = True


def _free_pages(driver: Any) -> int:
    (mode,) = driver.execute("PRAGMA auto_vacuum").fetchone()
    (free,) = driver.execute("PRAGMA freelist_count").fetchone()
    return int(free) if mode == _INCREMENTAL else 0


def _is_mostly_free(driver: Any) -> bool:
    # Pages that commits free are what the next ones need: worth giving back
    # only where they are more than a session in use turns over.
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    return _free_pages(driver) > max(_SHRINK_PAGES, int(pages) // 2)


def _free_some(driver: Any, pages: int) -> None:
    # One by one: sqlite3 of Python takes the first step of this pragma only,
    # which frees a page, however many are asked for.
    for _ in range(min(pages, _free_pages(driver))):
        driver.execute("PRAGMA incremental_vacuum(1)")


class _WriteTransaction:
    """
    A write transaction as a context: a generator would cost a small write as
    much as a statement.
    """

    __slots__ = ("_database", "_held")

    def __init__(self, database: "SqliteDatabase") -> None:
        self._database = database

    def __enter__(self) -> sa.Connection:
        self._held = self._database._begin_write()  # noqa: SLF001, its own part
        return self._held.connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._database._commit_write(self._held)  # noqa: SLF001, its own part
        else:
            self._database._undo_write(self._held, error)  # noqa: SLF001, its own part


class SqliteDatabase:
    """
    One open file, or one in memory: transactions in, typed errors out.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        path: Path | None,
        options: StoreOptions,
        immutable_pool: Pool | None = None,
        has_rollback_journal: bool = False,
    ) -> None:
        """
        Args:
            immutable_pool: For a read-only database: connections that take
                no locks, for when nobody can be writing.

            has_rollback_journal: For a read-only database: its writers use
                no WAL, and reading under SQLite's locks creates no files.
        """
        self.path = path
        self.is_readonly: bool = immutable_pool is not None
        self.has_rollback_journal = has_rollback_journal
        self._name = str(path)
        self._wal_name = f"{path}-wal"
        self._options = options
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._identity = None if path is None else file_identity(path)
        # Threads queue here in order instead of polling SQLite's lock.
        self._write_lock = threading.RLock()
        self._lock_timeout_s = options.busy_timeout_ms / 1000
        self._open_connection: sa.Connection | None = None
        # Kept between transactions: taking a connection from the pool costs
        # as much as two statements.
        self._held: list[_Held] = []
        self._reader = _engine(pool)
        self._immutable = _engine(immutable_pool) if immutable_pool else self._reader

    # A file has one session only, and the write lock is the whole file's.
    is_shared = False
    clock: Clock = SystemClock()
    notifications = None

    def clock_of(self, clock: Clock | None) -> Clock:
        """
        Return *clock*: a transaction begins with its lock; None: the host's.
        """
        return clock or self.clock

    @property
    def is_memory(self) -> bool:
        """
        Whether the content goes with this object.
        """
        return self.path is None

    def pinned(self) -> AbstractContextManager["SqliteDatabase"]:
        """
        Return this database; it has one owner and needs no pinning.
        """
        return nullcontext(self)

    def bind_to(self, identity: SessionIdentity) -> None:
        """
        Do nothing: the file is its session's.
        """

    def close(self) -> None:
        """
        Close every connection; may be called twice.
        """
        # Once, whoever comes first: a pool may not be disposed of by two.
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
        # Whoever is at work sees that it was closed, and closes its own.
        self._release_held()
        self._reader.dispose()

    def require_current(self, found: os.stat_result | None) -> None:
        """
        Args:
            found: What was found under its name a moment ago; None: it has
                to be looked for.

        Raises:
            DatabaseGoneError: The file is gone, or another one has its name.
            StoreClosedError: The database is closed.
        """
        if self._closed.is_set():
            raise StoreClosedError
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            self._require_current()

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot.
        """
        if self.is_readonly:
            return self._read_only(operation)
        if self.is_memory:
            return self._read_memory(operation)
        # Without a context manager: it would cost a tenth of a small read.
        if self._closed.is_set():
            raise StoreClosedError
        try:
            return self._read_held(operation)
        except DRIVER_ERRORS as error:
            raise self._translation(error) from driver_error(error)

    def _read_held(self, operation: Callable[[sa.Connection], T]) -> T:
        held = self._take()
        try:
            held.begin("BEGIN")
            self._require_current()
            answer = operation(held.connection)
            held.commit()
        except BaseException:
            held.close()
            raise
        self._hold(held)
        return answer

    def _take(self) -> _Held:
        try:
            return self._held.pop()
        except IndexError:
            return _Held(KeepingConnection(self._reader))

    def _hold(self, held: _Held) -> None:
        if len(self._held) >= _HELD:
            held.close()
            return
        self._held.append(held)
        if self._closed.is_set():
            self._release_held()

    def _release_held(self) -> None:
        while True:
            try:
                self._held.pop().close()
            except IndexError:
                return

    def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* in one write transaction; any exception undoes it.
        """
        return self._written(operation, self._begin_write())

    def write_unsynced(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`, but a power cut may undo it, until the next write that is
        not.

        A WAL is synced as a whole, so whatever is committed later, and waited
        for, brings this along; without a WAL nothing is left out.
        """
        return self._written(operation, self._begin_write(synced=not self._has_wal))

    @functools.cached_property
    def _has_wal(self) -> bool:
        # Only where commits wait for the disk at all.
        return (
            self.path is not None
            and self._options.synchronous is Synchronous.FULL
            and may_use_wal(self.path, self._options)
        )

    def _written(self, operation: Callable[[sa.Connection], T], held: _Held) -> T:
        try:
            answer = operation(held.connection)
        except BaseException as error:
            self._undo_write(held, error)
            raise
        self._commit_write(held)
        return answer

    def read_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `read`: SQLAlchemy can run statements in any transaction here.
        """
        return self.read(operation)

    def write_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`: SQLAlchemy can run statements in any transaction here.
        """
        return self.write(operation)

    def write_transaction(self) -> AbstractContextManager[sa.Connection]:
        """
        Hold the write lock: commit on success, roll back on any exception.

        Raises:
            StoreBusyError: The lock was not had in time.
            ReadOnlyStoreError: The database was opened read-only.
        """
        return _WriteTransaction(self)

    def _begin_write(self, *, synced: bool = True) -> _Held:
        if self.is_readonly:
            raise ReadOnlyStoreError
        self._acquire()
        try:
            held = self._begun_immediately(synced)
        except DRIVER_ERRORS as error:
            self._write_lock.release()
            raise self._translation(error) from driver_error(error)
        except BaseException:
            self._write_lock.release()
            raise
        self._open_connection = held.connection
        return held

    def _begun_immediately(self, synced: bool) -> _Held:  # noqa: FBT001, its one caller names it
        if self._closed.is_set():
            raise StoreClosedError
        held = self._take()
        try:
            if not synced:
                held.leave_syncing()
            held.begin("BEGIN IMMEDIATE")
            self._require_current()
        except BaseException:
            held.close()
            raise
        return held

    def _undo_write(self, held: _Held, raised: BaseException) -> None:
        """
        Undo a transaction; raise what the driver's error means, if it is one.
        """
        try:
            self._open_connection = None
            held.close()
            if isinstance(raised, DRIVER_ERRORS):
                raise self._translation(raised) from driver_error(raised)
        except DRIVER_ERRORS as error:
            raise self._translation(error) from driver_error(error)
        finally:
            self._write_lock.release()

    def _commit_write(self, held: _Held) -> None:
        try:
            try:
                held.commit()
                if not held.is_synced:
                    held.sync_again()
            except BaseException:
                held.close()
                raise
            finally:
                self._open_connection = None
            self._hold(held)
            self._checkpoint_when_due()
        except DRIVER_ERRORS as error:
            raise self._translation(error) from driver_error(error)
        finally:
            self._write_lock.release()

    def _acquire(self) -> None:
        if not self._write_lock.acquire(timeout=self._lock_timeout_s):
            msg = "another thread holds the write lock: try again"
            raise StoreBusyError(msg)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._acquire()
        try:
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._closed.is_set():
            raise StoreClosedError
        try:
            yield
        except DRIVER_ERRORS as error:
            raise self._translation(error) from driver_error(error)

    def _translation(self, error: Exception) -> LashStoreError:
        if self._closed.is_set():
            return StoreClosedError()
        if error_code(error) == sqlite3.SQLITE_CANTOPEN:
            self._require_current()
        return translate(error, self.path)

    def _require_current(self) -> None:
        # While a connection is open the inode cannot be reused, so an equal
        # one proves that the path still names the file we are in.
        if self.path is None:
            return
        try:
            # os.stat: pathlib takes as long again, at every transaction.
            found = os.stat(self._name)  # noqa: PTH116
            if (found.st_dev, found.st_ino) == self._identity:
                return
        except OSError:
            pass
        raise DatabaseGoneError(str(self.path))

    def _read_memory(self, operation: Callable[[sa.Connection], T]) -> T:
        # There is one connection; inside a transaction of this thread a read
        # sees what that transaction wrote.
        with self._exclusively():
            if self._open_connection is not None:
                return operation(self._open_connection)
            with self._translated():
                return self._read_held(operation)

    def _read_only(self, operation: Callable[[sa.Connection], T]) -> T:
        # Without a WAL the file is read as immutable, since every other way
        # makes SQLite create files; that a writer came in between shows.
        assert self.path is not None  # noqa: S101, only files are read-only
        for attempt in range(_READ_ATTEMPTS):
            time.sleep(attempt / 1000)
            with self._translated(), self._gone_if_missing():
                if self.has_rollback_journal or has_wal(self.path):
                    return self._read_begun(self._reader, operation)
                with bypassing_locks(self.path) as is_allowed:
                    if not is_allowed:
                        return self._read_begun(self._reader, operation)
                    before = self._signature()
                    try:
                        answer = self._read_begun(self._immutable, operation)
                    except (LashStoreError, *DRIVER_ERRORS):
                        if self._signature() == before:
                            raise
                        continue
                    if self._signature() == before:
                        return answer
        msg = f"{self.path} kept changing while it was read: try again"
        raise StoreBusyError(msg)

    @contextmanager
    def _gone_if_missing(self) -> Iterator[None]:
        # Looking at the file itself finds it gone before SQLite does.
        try:
            yield
        except FileNotFoundError as error:
            raise DatabaseGoneError(str(self.path)) from error

    def _read_begun(
        self, engine: sa.Engine, operation: Callable[[sa.Connection], T]
    ) -> T:
        with engine.begin() as connection:
            self._require_current()
            return operation(connection)

    def _signature(self) -> Any:
        assert self.path is not None  # noqa: S101, only files have one
        self._require_current()
        found = self.path.stat()
        return (has_wal(self.path), found.st_size, found.st_mtime_ns)

    def _checkpoint_when_due(self) -> None:
        if self.path is None:
            return
        try:
            # os.stat: pathlib takes longer than the call, at every write.
            if os.stat(self._wal_name).st_size <= self._options.wal_limit_bytes:  # noqa: PTH116
                return
        except FileNotFoundError:
            return
        self.checkpoint()

    def vacuum(self) -> None:
        """
        Write the file anew without its free pages.

        Raises:
            StoreBusyError: Somebody else is at work on the file.
            ReadOnlyStoreError: The database was opened read-only.
        """
        if self.is_readonly:
            raise ReadOnlyStoreError
        with self._exclusively(), self._translated():
            # Not in a transaction, which VACUUM refuses.
            connection = self._reader.raw_connection()
            try:
                connection.cursor().execute("VACUUM")
            finally:
                connection.close()

    def checkpoint(self) -> None:
        """
        Copy the WAL into the file while no one can write.

        A reader or another writer that stands in the way leaves it to the
        next one. A failure is logged and not raised: the transaction before
        it is committed, and the caller must not take it for lost.
        """
        if self.path is None:
            return
        try:
            self._checkpoint_locked()
        except DRIVER_ERRORS as error:
            if not is_busy(error):
                _log.warning("checkpoint of %s failed: %s", self.path, error)

    def shrink(self) -> None:
        """
        Give the free pages of the file back, in steps that let others write
        between them. Files made before there were such steps keep them.
        """
        if self.path is None:
            return
        with self.write_transaction() as connection:
            # A free page that comes in meanwhile waits for the next call.
            free = _free_pages(_driver(connection))
        pace = Pace(
            first=_FIRST_SHRINK_PAGES, most=_SHRINK_PAGES, checkpoint=self.checkpoint
        )
        given_back = 0
        while given_back < free:
            given_back += pace.size
            with pace.step(), self.write_transaction() as connection:
                _free_some(_driver(connection), pace.size)
        if free:
            self.checkpoint()

    def _checkpoint_locked(self) -> None:
        guard, mover = self._reader.raw_connection(), self._reader.raw_connection()
        lock, work = guard.cursor(), mover.cursor()
        try:
            # Another writer at work will checkpoint itself: do not wait.
            lock.execute("PRAGMA busy_timeout = 0")
            lock.execute("BEGIN IMMEDIATE")
            if _is_mostly_free(lock):
                _free_some(lock, _FIRST_SHRINK_PAGES)
                lock.execute("COMMIT")
                lock.execute("BEGIN IMMEDIATE")
            work.execute("PRAGMA wal_checkpoint(PASSIVE)")
            work.fetchall()
        finally:
            guard.rollback()
            lock.execute(f"PRAGMA busy_timeout = {self._options.busy_timeout_ms}")
            mover.close()
            guard.close()


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
        NullPool(lambda: connect_reading(path), dialect=_template.dialect),
        path=path,
        options=options,
        immutable_pool=NullPool(
            lambda: connect_immutable(path), dialect=_template.dialect
        ),
        has_rollback_journal=is_rollback,
    )


def open_memory(component: str, options: StoreOptions) -> SqliteDatabase:
    """
    Open a database that lives as long as the object.
    """
    pool = StaticPool(lambda: connect_writing(None, options), dialect=_template.dialect)
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
        dialect=_template.dialect,
    )
    return SqliteDatabase(pool, path=path, options=options)


def _table_names(connection: sa.Connection) -> frozenset[str]:
    # By hand: SQLAlchemy's inspection takes longer than the rest of opening.
    listed = _driver(connection).execute(
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
        lambda: connect_writing(None, StoreOptions()), dialect=_template.dialect
    )
    with _engine(pool).begin() as connection:
        create_tables(connection, component)
        driver = _driver(connection)
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
    schema, driver = _schema_of(component), _driver(connection)
    if schema_versions.name not in names:
        driver.execute(f"PRAGMA application_id = {schema.application_id}")
    for table, statement in schema.statements:
        if table not in names:
            driver.execute(statement)
    Runner(connection).execute(_add_versions, schema.versions)
