"""
One open file: its transactions and WAL checkpoints, errors in our terms.
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
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import Pool

from lashstore.clock import Clock, SystemClock
from lashstore.connections import (
    has_wal,
)
from lashstore.engines.pacing import Pace
from lashstore.errors import (
    LashStoreError,
    ReadOnlyStoreError,
    StoreBusyError,
    StoreClosedError,
)
from lashstore.failures import (
    DRIVER_ERRORS,
    DatabaseGoneError,
    driver_error,
    error_code,
    is_busy,
    translate,
)
from lashstore.filesystems import may_use_wal
from lashstore.model.options import StoreOptions, Synchronous
from lashstore.model.session import SessionIdentity
from lashstore.openfiles import bypassing_locks, file_identity
from lashstore.repos._run import KeepingConnection

from .connection import HeldConnection, driver_of, engine_over
from .space import (
    FIRST_SHRINK_PAGES,
    SHRINK_PAGES,
    free_pages,
    free_some,
    is_mostly_free,
)

T = TypeVar("T")

_log = logging.getLogger(__name__)

_READ_ATTEMPTS = 20
_HELD = 2


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
        self._held: list[HeldConnection] = []
        self._reader = engine_over(pool)
        self._immutable = (
            engine_over(immutable_pool) if immutable_pool else self._reader
        )

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

    def _take(self) -> HeldConnection:
        try:
            return self._held.pop()
        except IndexError:
            return HeldConnection(KeepingConnection(self._reader))

    def _hold(self, held: HeldConnection) -> None:
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

    def _written(
        self, operation: Callable[[sa.Connection], T], held: HeldConnection
    ) -> T:
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

    def _begin_write(self, *, synced: bool = True) -> HeldConnection:
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

    def _begun_immediately(self, synced: bool) -> HeldConnection:  # noqa: FBT001, its one caller names it
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

    def _undo_write(self, held: HeldConnection, raised: BaseException) -> None:
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

    def _commit_write(self, held: HeldConnection) -> None:
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
            free = free_pages(driver_of(connection))
        pace = Pace(
            first=FIRST_SHRINK_PAGES, most=SHRINK_PAGES, checkpoint=self.checkpoint
        )
        given_back = 0
        while given_back < free:
            given_back += pace.size
            with pace.step(), self.write_transaction() as connection:
                free_some(driver_of(connection), pace.size)
        if free:
            self.checkpoint()

    def _checkpoint_locked(self) -> None:
        guard, mover = self._reader.raw_connection(), self._reader.raw_connection()
        lock, work = guard.cursor(), mover.cursor()
        try:
            # Another writer at work will checkpoint itself: do not wait.
            lock.execute("PRAGMA busy_timeout = 0")
            lock.execute("BEGIN IMMEDIATE")
            if is_mostly_free(lock):
                free_some(lock, FIRST_SHRINK_PAGES)
                lock.execute("COMMIT")
                lock.execute("BEGIN IMMEDIATE")
            work.execute("PRAGMA wal_checkpoint(PASSIVE)")
            work.fetchall()
        finally:
            guard.rollback()
            lock.execute(f"PRAGMA busy_timeout = {self._options.busy_timeout_ms}")
            mover.close()
            guard.close()
