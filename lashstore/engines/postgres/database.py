"""
A server's database as a component or a session sees it.
"""

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import sqlalchemy as sa

from lashstore.clock import Clock
from lashstore.engines.notifications import Notifications
from lashstore.errors import StoreClosedError
from lashstore.failures import DatabaseGoneError, driver_error
from lashstore.model.options import StoreOptions
from lashstore.model.session import SessionIdentity
from lashstore.repos._run import Runner
from lashstore.repos.sessions import SessionRepository

from .clocks import ClockBehindLock, ServerClock, TransactionTime
from .failures import ATTEMPTS, DRIVER_ERRORS, UndoneError, is_lost, translated
from .pool import Server, release
from .transactions import Progress, begun, connected

T = TypeVar("T")

_FIRST_PAUSE_S = 0.002


class ServerDatabase:
    """
    A component's or a session's view of a PostgreSQL database.
    """

    is_memory = False
    is_shared = True

    def __init__(
        self,
        server: Server,
        options: StoreOptions,
        *,
        parent: "ServerDatabase | None" = None,
        identity: SessionIdentity | None = None,
    ) -> None:
        """
        Args:
            parent: Whose share of the server this one uses, and with which
                it is closed; None: it has one of its own.

            identity: The session whose row every transaction begins with.
        """
        self._server = server
        self._options = options
        self._parent = parent
        self._identity = identity
        self._is_closed = False
        self._needs_time = False
        self._thread = threading.local()

    @property
    def server(self) -> Server:
        """
        The pool it uses.
        """
        return self._server

    @property
    def notifications(self) -> Notifications:
        """
        What other hosts tell on this server.
        """
        return self._server.notifications

    @property
    def clock(self) -> Clock:
        """
        The server's clock.
        """
        self._needs_time = self._identity is not None
        return ServerClock(self)

    def clock_of(self, clock: Clock | None) -> Clock:
        """
        Return *clock*, read behind the lock; None: the server's.
        """
        return self.clock if clock is None else ClockBehindLock(self, clock)

    def await_lock(self) -> None:
        """
        Wait for the lock of this thread's transaction, if it is in one.
        """
        transaction = getattr(self._thread, "transaction", None)
        if transaction is not None:
            transaction.await_lock()

    def pinned(self) -> AbstractContextManager["ServerDatabase"]:
        """
        Return this database; the pool bounds what is open.
        """
        return nullcontext(self)

    def bind_to(self, identity: SessionIdentity) -> None:
        """
        Begin every later transaction with a session's row.
        """
        self._identity = identity

    def view_of(self, identity: SessionIdentity) -> "ServerDatabase":
        """
        Return the database as one session's, open as long as this one is.
        """
        return ServerDatabase(
            self._server, self._options, parent=self, identity=identity
        )

    def checkpoint(self) -> None:
        """
        Do nothing: the server has checkpoints of its own.
        """

    def shrink(self) -> None:
        """
        Do nothing: the server's autovacuum gives space back.
        """

    def close(self) -> None:
        """
        Let go of the server; may be called twice. What is under way goes on.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._parent is None:
            release(self._server)

    @property
    def is_closed(self) -> bool:
        """
        Whether it, or what it is a view of, was closed.
        """
        return self._is_closed or (self._parent is not None and self._parent.is_closed)

    def now_ms(self) -> int:
        """
        Return the server's time, as of this thread's transaction's asking.
        """
        transaction = getattr(self._thread, "transaction", None)
        if transaction is not None:
            now_ms: int = transaction.now_ms()
            return now_ms
        return self.read(
            lambda connection: TransactionTime(Runner(connection)).now_ms()
        )

    def ask_time(self) -> None:
        """
        Ask for the server's time in this thread's transaction, if it is in
        one: what it decides by from now on.
        """
        transaction = getattr(self._thread, "transaction", None)
        if transaction is not None:
            transaction.ask_time()

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot.

        Raises:
            StoreBusyError: The server cannot be reached, or has no time.
        """
        return self._retried(operation, is_write=False)

    def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* in one write transaction; any exception undoes it.

        Raises:
            StoreBusyError: A lock was not had in time, the transaction was
                undone for others' sake too often, or the server cannot be
                reached; nothing was written.
            BackendError: The connection was lost while it was committed: it
                may be written or not.
        """
        return self._retried(operation, is_write=True)

    def require_current(self, found: os.stat_result | None) -> None:
        """
        Do nothing: each transaction asks for the session's row first.
        """

    def write_unsynced(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`: what a server syncs is the server's own business.
        """
        return self.write(operation)

    def read_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `read`, for statements of SQLAlchemy's own: reflection, DDL.
        """
        return self._retried(operation, is_write=False, through_core=True)

    def write_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`, for statements of SQLAlchemy's own: reflection, DDL.
        """
        return self._retried(operation, is_write=True, through_core=True)

    def _retried(
        self,
        operation: Callable[[sa.Connection], T],
        *,
        is_write: bool,
        through_core: bool = False,
    ) -> T:
        pause_s = _FIRST_PAUSE_S
        for attempt in range(ATTEMPTS):
            try:
                with self._begun(
                    is_write=is_write, through_core=through_core
                ) as connection:
                    return operation(connection)
            except UndoneError as undone:
                if attempt + 1 == ATTEMPTS or undone.is_final(attempt):
                    raise undone.error from undone.__cause__
            time.sleep(random.uniform(0, pause_s))  # noqa: S311, spreads retries
            pause_s *= 2
        raise AssertionError

    @contextmanager
    def write_transaction(self) -> Iterator[sa.Connection]:
        """
        Commit when the context ends; roll back on any exception.

        Raises:
            StoreBusyError: As `write`, but undone once is undone.
        """
        try:
            with self._begun(is_write=True) as connection:
                # Whoever else writes waits from here on.
                self.await_lock()
                yield connection
        except UndoneError as undone:
            raise undone.error from undone.__cause__

    @contextmanager
    def _begun(
        self, *, is_write: bool, through_core: bool = False
    ) -> Iterator[sa.Connection]:
        if self.is_closed:
            raise StoreClosedError
        progress = Progress()
        outer = getattr(self._thread, "transaction", None)
        try:
            with (
                connected(self._server, through_core=through_core) as connection,
                begun(
                    connection,
                    progress,
                    is_write=is_write,
                    keeps_plans=self._identity is not None,
                    busy_timeout_ms=self._options.busy_timeout_ms,
                ) as rows,
            ):
                guard = self._guard(rows, is_write=is_write)
                self._thread.transaction = TransactionTime(rows, guard)
                if is_write and self._needs_time:
                    self._thread.transaction.ask_time()
                try:
                    yield connection
                except DRIVER_ERRORS:
                    raise
                except Exception:
                    # Of a session that is gone, nothing said is true.
                    guard()
                    raise
                guard()
        except DRIVER_ERRORS as error:
            raise self._translated(error, progress) from driver_error(error)
        finally:
            self._thread.transaction = outer

    def _guard(self, rows: Runner, *, is_write: bool) -> Callable[[], None]:
        identity = self._identity
        if identity is None:
            return _nothing
        found = SessionRepository(rows).ask_incarnation(
            identity.session_id, to_write=is_write
        )

        @functools.cache
        def check() -> None:
            if found() != identity.incarnation:
                raise DatabaseGoneError(identity.session_id)

        return check

    def _translated(self, error: Exception, progress: Progress) -> Exception:
        is_unknown = progress.is_committing and is_lost(driver_error(error))
        if self.is_closed and not is_unknown:
            return StoreClosedError()
        return translated(error, self._server, is_committing=progress.is_committing)


def _nothing() -> None:
    pass
