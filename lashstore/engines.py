"""
SQLite databases: every pragma, lock, BEGIN, checkpoint and file of them.

The rules behind this module:

* sqlite3 of Python 3.11 would open transactions by itself, and only before
  DML, so a read and the write after it would not be one transaction. It is
  told not to, and BEGIN is said here (SQLAlchemy's documented recipe).
* A deferred transaction that reads and then writes can fail at once with
  SQLITE_BUSY_SNAPSHOT, whatever the timeout; so writers say BEGIN IMMEDIATE.
* The busy handler does not cover the switch to WAL; it is retried, once, when
  a file is made.
* SQLite before 3.51.3 can corrupt a file when a checkpoint overlaps a writer
  of another connection (https://www.sqlite.org/wal.html, "WAL-reset bug");
  so automatic checkpoints are off, and one is run only while a second
  connection holds the write lock.
* Files are made and deleted under a lock on their folder, so that nobody
  meets the WAL of a database that is being replaced.
"""

import fcntl
import logging
import os
import sqlite3
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, Pool, QueuePool, StaticPool

from .errors import (
    BackendError,
    CorruptRecordError,
    LashStoreError,
    NotALashStoreError,
    ReadOnlyStoreError,
    SchemaVersionError,
    StoreBusyError,
    StoreClosedError,
    StoreNotFoundError,
)
from .model.options import StoreOptions
from .openfiles import (
    LockingConnection,
    bypassing_locks,
    connect_locking,
    file_identity,
)
from .tables import (
    APPLICATION_ID,
    COMPONENT_TABLES,
    SCHEMA_VERSIONS,
    metadata,
    schema_versions,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_SIDECARS = ("-wal", "-shm", "-journal")
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_DRIVER_ERRORS = (sa.exc.SQLAlchemyError, sqlite3.Error)
_READ_ATTEMPTS = 20
_OPEN_ATTEMPTS = 10
_BEGIN = "lashstore_begin"

_find_version = sa.select(schema_versions.c.version).where(
    schema_versions.c.component == sa.bindparam("component")
)

# One dialect and one statement cache for all engines: a statement is compiled
# once per process, not once per session, and 200 open sessions stay small.
_template = sa.create_engine("sqlite+pysqlite://", poolclass=NullPool)
_compiled: dict[Any, Any] = {}


class DatabaseGoneError(Exception):
    """
    The file this database was opened on is gone or another one by now.
    """


class Source(Protocol):
    """
    Where a store gets its database from for the length of one operation.
    """

    def pinned(self) -> AbstractContextManager["Database"]:
        """
        Return the database, kept open until the context ends.
        """
        ...

    def close(self) -> None:
        """
        Let go of the database for good.
        """
        ...


def _engine(pool: Pool) -> sa.Engine:
    engine = sa.engine.Engine(
        pool,
        _template.dialect,
        _template.url,
        execution_options={"compiled_cache": _compiled},
    )
    sa.event.listen(engine, "begin", _say_begin)
    return engine


class Database:
    """
    One open database: transactions in, typed errors out.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        path: Path | None,
        options: StoreOptions,
        immutable_pool: Pool | None = None,
    ) -> None:
        """
        Args:
            immutable_pool: For a read-only database: connections that take
                no locks, for when nobody can be writing.
        """
        self.path = path
        self.is_readonly = immutable_pool is not None
        self._wal_name = f"{path}-wal"
        self._options = options
        self._is_closed = False
        self._identity = None if path is None else file_identity(path)
        # Threads queue here in order instead of polling SQLite's lock.
        self._write_lock = threading.RLock()
        self._open_connection: sa.Connection | None = None
        self._held_writer: sa.Connection | None = None
        self._reader = _engine(pool)
        self._immutable = _engine(immutable_pool or pool)
        self._writer = self._reader.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @property
    def is_memory(self) -> bool:
        """
        Whether the content goes with this object.
        """
        return self.path is None

    def pinned(self) -> AbstractContextManager["Database"]:
        """
        Return this database; it has one owner and needs no pinning.
        """
        return nullcontext(self)

    def close(self) -> None:
        """
        Close every connection; may be called twice.
        """
        self._is_closed = True
        # A writer at work sees that it was closed and gives its own back.
        if self._write_lock.acquire(blocking=False):
            held, self._held_writer = self._held_writer, None
            self._write_lock.release()
            if held is not None:
                held.close()
        self._reader.dispose()

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot.
        """
        if self.is_readonly:
            return self._read_only(operation)
        if self.is_memory:
            return self._read_memory(operation)
        with self._translated():
            return self._read_begun(self._reader, operation)

    def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* in one write transaction; any exception undoes it.
        """
        with self.write_transaction() as connection:
            return operation(connection)

    @contextmanager
    def write_transaction(self) -> Iterator[sa.Connection]:
        """
        Hold the write lock: commit on success, roll back on any exception.

        Raises:
            StoreBusyError: The lock was not had in time.
            ReadOnlyStoreError: The database was opened read-only.
        """
        if self.is_readonly:
            raise ReadOnlyStoreError
        with self._exclusively(), self._translated():
            connection = self._held_writer or self._writer.connect()
            # Given up until the transaction is known to have ended well.
            self._held_writer = None
            try:
                with connection.begin():
                    self._require_current()
                    self._open_connection = connection
                    yield connection
            except BaseException:
                connection.close()
                raise
            finally:
                self._open_connection = None
            self._hold_writer(connection)
            self._checkpoint_when_due()

    def _hold_writer(self, connection: sa.Connection) -> None:
        # Taking a connection from the pool for each write costs as much as
        # two statements. In memory there is only one, which reads need too.
        if self.is_memory or self._is_closed:
            connection.close()
        else:
            self._held_writer = connection

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._write_lock.acquire(timeout=self._options.busy_timeout_ms / 1000):
            msg = "another thread holds the write lock: try again"
            raise StoreBusyError(msg)
        try:
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._is_closed:
            raise StoreClosedError
        try:
            yield
        except _DRIVER_ERRORS as error:
            if self._is_closed:
                raise StoreClosedError from error
            if _code(error) == sqlite3.SQLITE_CANTOPEN:
                self._require_current()
            raise translate(error, self.path) from driver_error(error)

    def _require_current(self) -> None:
        # While a connection is open the inode cannot be reused, so an equal
        # one proves that the path still names the file we are in.
        if self.path is None:
            return
        try:
            if file_identity(self.path) == self._identity:
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
            with self._translated(), self._reader.begin() as connection:
                return operation(connection)

    def _read_only(self, operation: Callable[[sa.Connection], T]) -> T:
        # Without a WAL the file is read as immutable, since every other way
        # makes SQLite create files; that a writer came in between shows.
        assert self.path is not None  # noqa: S101, only files are read-only
        for attempt in range(_READ_ATTEMPTS):
            time.sleep(attempt / 1000)
            with self._translated():
                if has_wal(self.path):
                    return self._read_begun(self._reader, operation)
                with bypassing_locks(self.path) as is_allowed:
                    if not is_allowed:
                        return self._read_begun(self._reader, operation)
                    before = self._signature()
                    try:
                        answer = self._read_begun(self._immutable, operation)
                    except (LashStoreError, *_DRIVER_ERRORS):
                        if self._signature() == before:
                            raise
                        continue
                    if self._signature() == before:
                        return answer
        msg = f"{self.path} kept changing while it was read: try again"
        raise StoreBusyError(msg)

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

    def checkpoint(self) -> None:
        """
        Copy the WAL into the file while no one can write.

        A reader or another writer that stands in the way leaves it to the
        next one. A failure is logged and not raised: the transaction before
        it is committed, and the caller must not take it for lost.
        """
        try:
            self._checkpoint_locked()
        except _DRIVER_ERRORS as error:
            if not _is_busy(error):
                _log.warning("checkpoint of %s failed: %s", self.path, error)

    def _checkpoint_locked(self) -> None:
        guard, mover = self._reader.raw_connection(), self._reader.raw_connection()
        lock, work = guard.cursor(), mover.cursor()
        try:
            # Another writer at work will checkpoint itself: do not wait.
            lock.execute("PRAGMA busy_timeout = 0")
            lock.execute("BEGIN IMMEDIATE")
            work.execute("PRAGMA wal_checkpoint(PASSIVE)")
            work.fetchall()
        finally:
            guard.rollback()
            lock.execute(f"PRAGMA busy_timeout = {self._options.busy_timeout_ms}")
            mover.close()
            guard.close()


class DatabaseCache:
    """
    Databases kept open by path, least recently used out, one in use never.
    """

    def __init__(self, open_database: Callable[[Path], Database], limit: int) -> None:
        self._open_database = open_database
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, Database] = OrderedDict()
        self._pins: dict[Path, int] = {}
        self._is_closed = False

    @contextmanager
    def pinned(self, path: Path) -> Iterator[Database]:
        """
        Return the database at *path*, kept open until the context ends.

        Raises:
            StoreClosedError: The cache is closed.
            DatabaseGoneError: There is no such file any more.
        """
        database = self._pin(path)
        try:
            yield database
        finally:
            self._unpin(path)

    def _pin(self, path: Path) -> Database:
        with self._lock:
            if self._is_closed:
                msg = "the factory is closed: make a new one"
                raise StoreClosedError(msg)
            database = self._open.get(path)
            if database is None:
                database = self._open[path] = self._open_database(path)
            self._open.move_to_end(path)
            self._pins[path] = self._pins.get(path, 0) + 1
            return database

    def _unpin(self, path: Path) -> None:
        with self._lock:
            self._pins[path] -= 1
            if not self._pins[path]:
                del self._pins[path]
            idle = [known for known in self._open if known not in self._pins]
            surplus = len(self._open) - self._limit
            evicted = [self._open.pop(known) for known in idle[: max(0, surplus)]]
        for database in evicted:
            database.close()

    def forget(self, path: Path) -> None:
        """
        Close the database at *path*, so that the next user opens it anew.
        """
        with self._lock:
            database = self._open.pop(path, None)
        if database is not None:
            database.close()

    def close(self) -> None:
        """
        Close every database; any use after it raises `StoreClosedError`.
        """
        with self._lock:
            self._is_closed = True
            databases = list(self._open.values())
            self._open.clear()
        for database in databases:
            database.close()


class CachedSource:
    """
    A store's view of one file in a cache.
    """

    def __init__(self, cache: DatabaseCache, path: Path) -> None:
        self._cache = cache
        self._path = path

    def pinned(self) -> AbstractContextManager[Database]:
        """
        Return the database, kept open until the context ends.
        """
        return self._cache.pinned(self._path)

    def close(self) -> None:
        """
        Do nothing: the cache owns the database.
        """


def open_database(
    path: Path, component: str, options: StoreOptions, *, create: bool = True
) -> Database:
    """
    Open the database at *path*, with the tables of *component* in it.

    Args:
        path: The file. Absent or empty, it is made, with its folder.

        component: Whose tables are wanted; those of others stay as they are.

        create: False leaves an absent file absent.

    Raises:
        DatabaseGoneError: It is absent and not to be made.
        NotALashStoreError: It is some other file; it was left untouched.
        SchemaVersionError: Its tables are of another version.
        StoreBusyError: Others kept it locked; retry.
        BackendError: The file cannot be opened.
    """
    for _ in range(_OPEN_ATTEMPTS):
        try:
            return _open_once(path, component, options, create=create)
        except DatabaseGoneError:
            # Deleted this very moment.
            if not create:
                raise
        except OSError as error:
            raise translate(error, path) from driver_error(error)
    msg = f"{path} is deleted as often as it is made: try again"
    raise StoreBusyError(msg)


def _open_once(
    path: Path, component: str, options: StoreOptions, *, create: bool
) -> Database:
    if is_absent(path):
        if not create:
            raise DatabaseGoneError(str(path))
        _make_file(path, component, options)
    try:
        _refuse_foreign(path, options.busy_timeout_ms)
        database = _connect_pool(path, options)
    except FileNotFoundError as error:
        raise DatabaseGoneError(str(path)) from error
    return _prepared(database, component)


def open_readonly(path: Path, component: str) -> Database:
    """
    Open the database at *path* without ever creating or writing anything.

    Raises:
        StoreNotFoundError: There is no such file.
        NotALashStoreError: It is some other file.
        SchemaVersionError: Its tables are of another version, or missing.
    """
    options = StoreOptions()
    try:
        if is_absent(path):
            raise StoreNotFoundError(path=str(path))
        _refuse_foreign(path, options.busy_timeout_ms)
    except OSError as error:
        raise translate(error, path) from driver_error(error)
    database = Database(
        NullPool(lambda: _connect_reading(path), dialect=_template.dialect),
        path=path,
        options=options,
        immutable_pool=NullPool(
            lambda: _connect_immutable(path), dialect=_template.dialect
        ),
    )
    found = database.read(lambda connection: _version(connection, component))
    _require_version(component, found)
    return database


def open_memory(component: str, options: StoreOptions) -> Database:
    """
    Open a database that lives as long as the object.
    """
    pool = StaticPool(lambda: _connect(None, options), dialect=_template.dialect)
    return _prepared(Database(pool, path=None, options=options), component)


def _prepared(database: Database, component: str) -> Database:
    try:
        found, has_tables = database.read(
            lambda c: (_version(c, component), _has_tables(c, component))
        )
        if found is None and not has_tables:
            database.write(lambda c: _create_tables(c, component))
            found = database.read(lambda c: _version(c, component))
        _require_version(component, found)
    except BaseException:
        database.close()
        raise
    return database


def _require_version(component: str, found: str | None) -> None:
    expected = SCHEMA_VERSIONS[component]
    if found != expected:
        raise SchemaVersionError(component=component, expected=expected, found=found)


def _version(connection: sa.Connection, component: str) -> str | None:
    if not sa.inspect(connection).has_table(schema_versions.name):
        return None
    version: str | None = connection.execute(
        _find_version, {"component": component}
    ).scalar_one_or_none()
    return version


def _has_tables(connection: sa.Connection, component: str) -> bool:
    # Tables without a version are damage, which creating would hide.
    present = sa.inspect(connection).get_table_names()
    return any(table.name in present for table in COMPONENT_TABLES[component])


def _create_tables(connection: sa.Connection, component: str) -> None:
    # Another process may have been first; the write lock shows what it made.
    if not _has_tables(connection, component):
        metadata.create_all(
            connection, tables=[schema_versions, *COMPONENT_TABLES[component]]
        )


def is_absent(path: Path) -> bool:
    """
    Tell whether there is no database at *path*: no file, or an empty one.
    """
    try:
        return path.stat().st_size == 0
    except (FileNotFoundError, NotADirectoryError):
        return True


def has_wal(path: Path) -> bool:
    """
    Tell whether the database at *path* has a WAL with something in it.
    """
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _make_file(path: Path, component: str, options: StoreOptions) -> None:
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    with folder_lock(path.parent, options.busy_timeout_ms):
        if not is_absent(path):
            return
        # A WAL without its database belongs to one that was deleted.
        _remove_sidecars(path)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE))
        path.chmod(_FILE_MODE)
        try:
            database = _connect_pool(path, options)
            try:
                database.write(lambda connection: _create_tables(connection, component))
            finally:
                database.close()
        except sqlite3.Error as error:
            raise translate(error, path) from driver_error(error)
        _sync_folder(path.parent)


def remove_files(path: Path, options: StoreOptions) -> None:
    """
    Remove a database and its sidecars for good, damaged or not.

    Writers that hold the lock finish first, so that whatever they
    acknowledged came before the deletion.

    Raises:
        StoreBusyError: A writer did not finish in time.
        BackendError: A file could not be removed.
    """
    if not path.parent.is_dir():
        return
    try:
        with folder_lock(path.parent, options.busy_timeout_ms):
            holder = _hold_for_removal(path, options)
            try:
                path.unlink(missing_ok=True)
                _remove_sidecars(path)
                _sync_folder(path.parent)
            finally:
                if holder is not None:
                    holder.close()
    except OSError as error:
        raise translate(error, path) from driver_error(error)


def _hold_for_removal(path: Path, options: StoreOptions) -> Any:
    if is_absent(path):
        return None
    try:
        holder = _connect(path, options)
    except (sqlite3.Error, DatabaseGoneError):
        # Damaged beyond opening; the name makes it ours to remove.
        return None
    try:
        holder.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        holder.close()
        if _is_busy(error):
            raise translate(error, path) from driver_error(error)
        return None
    return holder


def _remove_sidecars(path: Path) -> None:
    for suffix in _SIDECARS:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def folder_lock(folder: Path, timeout_ms: int) -> Iterator[None]:
    """
    Hold the right to make and delete files in *folder*, across processes.

    Raises:
        StoreBusyError: It was not had in time.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + timeout_ms / 1000
        while not _try_flock(handle):
            if time.monotonic() > deadline:
                msg = f"{folder} is locked by another process: try again"
                raise StoreBusyError(msg)
            time.sleep(0.002)
        yield
    finally:
        os.close(handle)


def _try_flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_foreign(path: Path, timeout_ms: int) -> None:
    # From the header alone where possible, so that a file that is not ours is
    # not even opened by SQLite. See https://www.sqlite.org/fileformat2.html.
    if _is_acceptable(path):
        return
    # A file that is being made this moment looks like none of ours.
    with folder_lock(path.parent, timeout_ms):
        if not is_absent(path) and not _is_acceptable(path):
            raise NotALashStoreError(path=str(path))


def _is_acceptable(path: Path) -> bool:
    with bypassing_locks(path) as is_allowed:
        # What this process has open has been looked at before.
        return not is_allowed or _is_header_acceptable(path)


def _is_header_acceptable(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        # A journal may hold the header that belongs here.
        return Path(f"{path}-journal").exists()
    (application_id,) = struct.unpack(">I", header[68:72])
    return application_id == APPLICATION_ID or _is_ours_or_empty(path)


def _is_ours_or_empty(path: Path) -> bool:
    try:
        name = _read_name(path)
        name += "&readonly_shm=1" if has_wal(path) else "&immutable=1"
        connection = sqlite3.connect(name, factory=LockingConnection, **_READING)
        try:
            (found,) = connection.execute("PRAGMA application_id").fetchone()
            (objects,) = connection.execute(
                "SELECT count(*) FROM sqlite_master"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return bool(found == APPLICATION_ID or (found == 0 and objects == 0))


def _connect_pool(path: Path, options: StoreOptions) -> Database:
    _enter_wal(path, options)
    pool = QueuePool(
        lambda: _connect(path, options),
        pool_size=4,
        max_overflow=60,
        timeout=options.busy_timeout_ms / 1000,
        use_lifo=True,
        dialect=_template.dialect,
    )
    return Database(pool, path=path, options=options)


def _connect(target: Path | None, options: StoreOptions) -> Any:
    how: dict[str, Any] = {
        "isolation_level": None,
        "check_same_thread": False,
        "timeout": options.busy_timeout_ms / 1000,
        "cached_statements": 256,
    }
    if target is None:
        connection = sqlite3.connect(":memory:", factory=LockingConnection, **how)
    else:
        # mode=rw: a file that is gone is not made again behind our back.
        name = f"file:{quote(str(target))}?mode=rw"
        try:
            connection = connect_locking(target, name, uri=True, **how)
        except FileNotFoundError as error:
            raise DatabaseGoneError(str(target)) from error
    return _with_pragmas(
        connection,
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        f"synchronous = {options.synchronous.upper()}",
        "wal_autocheckpoint = 0",
        f"journal_size_limit = {options.wal_limit_bytes}",
        "cache_size = -2000",
    )


def _with_pragmas(connection: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


_READING: dict[str, Any] = {
    "uri": True,
    "isolation_level": None,
    "check_same_thread": False,
    "timeout": 1.0,
}


def _connect_immutable(path: Path) -> Any:
    # Creates nothing and takes no locks; only under `bypassing_locks`.
    return _read_carefully(
        sqlite3.connect(
            f"{_read_name(path)}&immutable=1", factory=LockingConnection, **_READING
        )
    )


def _connect_reading(path: Path) -> Any:
    # The index of a WAL that is there is read, but not written.
    name = _read_name(path)
    if has_wal(path):
        name += "&readonly_shm=1"
    return _read_carefully(connect_locking(path, name, **_READING))


def _read_name(path: Path) -> str:
    return f"file:{quote(str(path))}?mode=ro"


def _read_carefully(connection: sqlite3.Connection) -> sqlite3.Connection:
    return _with_pragmas(
        connection, "trusted_schema = OFF", "query_only = ON", "cache_size = -500"
    )


def _enter_wal(path: Path, options: StoreOptions) -> None:
    deadline = time.monotonic() + options.busy_timeout_ms / 1000
    pause = 0.001
    while True:
        try:
            connection = _connect(path, options)
            try:
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
                if mode != "wal":
                    connection.execute("PRAGMA journal_mode = WAL").fetchone()
                return
            finally:
                connection.close()
        except sqlite3.Error as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise translate(error, path) from driver_error(error)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _say_begin(connection: sa.Connection) -> None:
    statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101, a live connection has one
    driver.execute(statement)


def driver_error(error: BaseException) -> BaseException:
    """
    Return the driver's own error behind one of SQLAlchemy's.
    """
    return getattr(error, "orig", None) or error


def _code(error: BaseException) -> int | None:
    code = getattr(driver_error(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_busy(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: Exception, path: Path | None) -> LashStoreError:
    """
    Say in our terms what a driver or the operating system raised.
    """
    where = "the in-memory store" if path is None else str(path)
    if _is_busy(error) or isinstance(error, sa.exc.TimeoutError):
        msg = f"{where} is locked by another writer: try again"
        return StoreBusyError(msg)
    if _code(error) == sqlite3.SQLITE_NOTADB or isinstance(error, IsADirectoryError):
        return NotALashStoreError(path=where)
    cause = driver_error(error)
    if str(cause).startswith("Could not decode to UTF-8"):
        # A text column whose bytes are no text any more.
        return CorruptRecordError(record_kind="row", key=where, reason=str(cause))
    msg = f"{where} failed: {cause}"
    return BackendError(msg)
