"""
PostgreSQL: one database for all sessions and stores, shared by many hosts.

The rules behind this module:

* One pool a process and URL. Its connections carry nothing from one
  transaction to the next, so a transaction-pooling proxy may stand between:
  settings are local to the transaction, locks are row locks, and statements
  are prepared only where the connection is known to be direct.
* A session's writers wait for its row in `sessions`, which they lock first.
  Under READ COMMITTED each later statement sees what the one before them
  committed. Readers get one snapshot (REPEATABLE READ) and wait for nobody.
* Statements are sent in a pipeline and waited for when an answer is needed
  (https://www.psycopg.org/psycopg3/docs/advanced/pipeline.html).
* What the server undid for another transaction's sake (40001, 40P01), or lost
  before COMMIT was sent, is run again a bounded number of times. A COMMIT
  whose answer was lost is never repeated: nobody knows what became of it.
"""

import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import QueuePool

from lashstore.clock import Clock
from lashstore.errors import (
    BackendError,
    InvalidArgumentError,
    LashStoreError,
    StoreBusyError,
    StoreClosedError,
)
from lashstore.failures import DatabaseGoneError, driver_error
from lashstore.model.options import StoreOptions
from lashstore.model.session import SessionIdentity
from lashstore.repos._run import PIPELINE, THROUGH_CORE, Answer, Runner, asks_core
from lashstore.repos.sessions import SessionRepository

from .base import shown_url
from .notifications import KEEPALIVES, Notifications
from .pipeline import Pipeline, Receiver, Statement
from .schema import create_tables, find_version, has_tables, require_version
from .sent import SentStatement, StatementSentOnce

T = TypeVar("T")

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, psycopg.Error)

# First in 64-bit advisory locks of ours: "lash" in ASCII.
_LOCK_SPACE = 0x6C617368
_CREATION_LOCK = 1
_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.002
_IDLE_PING_S = 5.0
_POOL_TIMEOUT_S = 30
_OWN_OPTIONS = ("schema", "pool_size")
_BEGIN = {
    False: Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    True: Statement("BEGIN ISOLATION LEVEL READ COMMITTED"),
}
_COMMIT = Statement("COMMIT")
_ROLLBACK = Statement("ROLLBACK")
_STATEMENT_TIMEOUT_MS = 30_000
_POOL_SIZE = 16
_CONNECT_TIMEOUT_S = 10

_MAX_TIMEOUT_MS = 2**31 - 1
# A server that vanished without a word is noticed within about a minute.
_CONNECT_ARGUMENTS = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "application_name": "lashstore",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_MAX_NAME_BYTES = 63

_UNDONE = frozenset({"40001", "40P01"})
_BUSY = frozenset({"55P03", "57014", "53300", "25P03", "25006"})
# A prepared statement that this connection had, or had not: a proxy gave us
# another server connection.
_MISPREPARED = frozenset({"26000", "42P05"})
# What a server says when it refuses a connection for good. libpq tells no
# SQLSTATE of it; in another language than English, it counts as unreachable.
_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
)
_LONG_KEY = "54000"

_now = sa.select(
    sa.cast(
        sa.func.floor(
            sa.func.extract("epoch", sa.func.clock_timestamp())
            * sa.literal_column("1000")
        ),
        sa.BigInteger,
    )
)
_ROLLED_BACK = (
    "the server rolled the transaction back, since a statement in it had failed"
)


def _settings_of(plan_cache_mode: str) -> sa.Select[Any]:
    # Without fresh statistics the planner may read a whole table where an index
    # gives a row; all our statements look rows up (contract D25).
    return sa.select(
        *(
            sa.func.set_config(sa.literal_column(f"'{name}'"), value, sa.true())
            for name, value in (
                ("lock_timeout", sa.bindparam("lock_timeout", type_=sa.Text)),
                ("statement_timeout", sa.bindparam("statement_timeout", type_=sa.Text)),
                ("enable_seqscan", sa.literal_column("'off'")),
                ("enable_hashjoin", sa.literal_column("'off'")),
                ("enable_mergejoin", sa.literal_column("'off'")),
                ("enable_sort", sa.literal_column("'off'")),
                ("jit", sa.literal_column("'off'")),
                ("plan_cache_mode", sa.literal_column(f"'{plan_cache_mode}'")),
            )
        )
    )


# A session's statements say themselves which plans may be kept; all others are
# planned each time: a plan kept from when a table was tiny would go on looking
# through all rows for one of them.
_SETTINGS = {True: _settings_of("auto"), False: _settings_of("force_custom_plan")}


class ServerDialect(PGDialect_psycopg):
    """
    psycopg, asking an idle connection only now and then whether it lives.
    """

    supports_statement_cache = True
    # What repositories' statements are compiled to.
    statement_kind = SentStatement
    once_kind = StatementSentOnce

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        # libpq knows parameters by their numbers, psycopg's cursors by name.
        self.numbered = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        # Compiled by repositories' runner; see lashstore.repos._run.
        self.statements: dict[Any, Any] = {}
        self.schema: str | None = None
        # When a connection was last found dead: the others may be, too.
        self.lost_at = 0.0
        # Whether statements were seen to reach other server connections than
        # those they were prepared on.
        self.has_proxy = False

    def do_ping(self, dbapi_connection: Any) -> bool:
        """
        Tell whether a pooled connection lives. One that was used a moment
        ago is taken for alive: if it is not, its transaction is begun anew.
        """
        used_at = getattr(dbapi_connection, "used_at", 0.0)
        is_fresh = time.monotonic() - used_at < _IDLE_PING_S
        if is_fresh and used_at > self.lost_at:
            return not dbapi_connection.closed
        alive: bool = super().do_ping(dbapi_connection)  # type: ignore[no-untyped-call]
        return alive

    def do_rollback(self, dbapi_connection: Any) -> None:
        """
        Undo what a connection is in the middle of, if it is.
        """
        if dbapi_connection.pgconn.transaction_status != TransactionStatus.IDLE:
            super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]


sa.dialects.registry.register(
    "postgresql.lashstore", ServerDialect.__module__, ServerDialect.__name__
)


class Server:
    """
    A process's pool of connections to one database, shared by its stores.
    """

    def __init__(self, url: sa.URL) -> None:
        # It goes into error messages.
        self.name = shown_url(url)
        self.is_closed = False
        self.engine = sa.create_engine(
            url.set(drivername="postgresql+lashstore").difference_update_query(
                _OWN_OPTIONS
            ),
            poolclass=QueuePool,
            pool_size=_pool_size(url),
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            pool_pre_ping=True,
            pool_use_lifo=True,
            connect_args={
                # What the address says itself comes first.
                **{
                    name: value
                    for name, value in _CONNECT_ARGUMENTS.items()
                    if name not in url.query
                },
                # Whatever the role's or the environment's default is.
                "client_encoding": "utf8",
                # Behind a proxy a prepared statement may be another server
                # connection's; see `_inspect`.
                "prepare_threshold": None,
            },
        )
        schema = url.query.get("schema")
        if schema is not None:
            self.engine = self.engine.execution_options(
                schema_translate_map={None: schema}
            )
        self.schema = None if schema is None else str(schema)
        dialect: Any = self.engine.dialect
        dialect.schema = dialect.numbered.schema = self.schema
        sa.event.listen(self.engine, "connect", _inspect)
        self.notifications = Notifications(self._connect_listening, self.schema)

    def _connect_listening(self) -> psycopg.Connection:
        dialect: Any = self.engine.dialect
        given, named = dialect.create_connect_args(self.engine.url)
        options: dict[str, Any] = {
            "application_name": "lashstore",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            **KEEPALIVES,
            # What the URL says goes first.
            **named,
        }
        return psycopg.connect(
            *given, **options, autocommit=True, prepare_threshold=None
        )

    def close(self) -> None:
        """
        Close every idle connection; one in use is closed when it is done.
        """
        self.is_closed = True
        self.notifications.close()
        self.engine.dispose()

    def forget_connections(self) -> None:
        """
        Leave every connection to the process this one was forked from.
        """
        self.engine.dispose(close=False)


def _pool_size(url: sa.URL) -> int:
    given = str(url.query.get("pool_size", _POOL_SIZE))
    if not given.isdecimal() or int(given) < 1:
        msg = f"pool_size must be a number from 1 up, not {given!r}"
        raise InvalidArgumentError(msg)
    return int(given)


def _inspect(driver: Any, record: Any) -> None:
    try:
        _require_utf8(driver)
        # A proxy makes up the process id it tells its clients.
        with driver.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        driver.rollback()
    except BaseException:
        driver.close()
        raise
    driver.is_direct = pid == driver.info.backend_pid
    record.info[PIPELINE] = Pipeline(driver)


def _require_utf8(driver: Any) -> None:
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = (
            f"the database's encoding is {encoding}, which cannot hold every "
            "text: make one with ENCODING 'UTF8'"
        )
        raise BackendError(msg)


_servers: dict[str, Server] = {}
_users: dict[Server, int] = {}
_servers_lock = threading.Lock()


def _acquire(url: sa.URL) -> Server:
    key = url.render_as_string(hide_password=False)
    with _servers_lock:
        server = _servers.get(key)
        if server is None:
            server = _servers[key] = Server(url)
        _users[server] = _users.get(server, 0) + 1
        return server


def _release(server: Server) -> None:
    with _servers_lock:
        _users[server] -= 1
        if _users[server]:
            return
        del _users[server]
        for key in [key for key, known in _servers.items() if known is server]:
            del _servers[key]
    server.close()


def _forked() -> None:
    # A child that wrote to its parent's sockets would answer for it.
    global _servers_lock  # noqa: PLW0603, another thread may have held it
    _servers_lock = threading.Lock()
    for server in _users:
        server.forget_connections()


os.register_at_fork(after_in_child=_forked)


def parse_url(target: str) -> sa.URL:
    """
    Read the address of a PostgreSQL database.

    Raises:
        InvalidArgumentError: It is none, or one of another engine.
    """
    try:
        url = sa.make_url(target)
    except sa.exc.ArgumentError as error:
        msg = f"this is no database URL: {error}"
        raise InvalidArgumentError(msg) from error
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        msg = (
            f"{url.drivername!r} is no engine of lashstore: give a path, or "
            "postgresql+psycopg://user@host/database"
        )
        raise InvalidArgumentError(msg)
    _check_schema(url.query.get("schema", "public"))
    return url


def _check_schema(name: str | tuple[str, ...]) -> None:
    # A longer name would be cut by the server, and a pg_ one refused.
    if (
        not isinstance(name, str)
        or not 1 <= len(name.encode()) <= _MAX_NAME_BYTES
        or name.startswith("pg_")
    ):
        msg = (
            f"schema must be one name of at most {_MAX_NAME_BYTES} bytes that "
            f"does not begin with 'pg_', not {name!r}"
        )
        raise InvalidArgumentError(msg)


class _Transaction:
    """
    What is known of the transaction that a thread is in.
    """

    def __init__(
        self, rows: Runner, await_lock: Callable[[], None] = lambda: None
    ) -> None:
        self.await_lock = await_lock
        self._rows = rows
        self._time: Answer[int] | None = None

    def ask_time(self) -> Answer[int]:
        """
        Ask the server for its time now, in milliseconds.
        """
        self._time = self._rows.execute(_now).scalar_one
        return self._time

    def now_ms(self) -> int:
        """
        Return the time that was asked for, or ask.
        """
        return (self._time or self.ask_time())()


class ServerClock:
    """
    The database server's clock, read in the caller's transaction if it is in
    one.
    """

    def __init__(self, database: "ServerDatabase") -> None:
        self._database = database

    def now_ms(self) -> int:
        """
        Return the server's wall-clock milliseconds since the Unix epoch.
        """
        return self._database.now_ms()

    def ask(self) -> None:
        """
        Ask in the caller's transaction, without waiting for the answer.
        """
        self._database.ask_time()


class ClockBehindLock:
    """
    A caller's clock, read once the caller's transaction has its lock.
    """

    def __init__(self, database: "ServerDatabase", clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def now_ms(self) -> int:
        """
        Return the clock's milliseconds since the Unix epoch.
        """
        self._database.await_lock()
        return self._clock.now_ms()


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
            _release(self._server)

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
        return self.read(lambda connection: _Transaction(Runner(connection)).now_ms())

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
        for attempt in range(_ATTEMPTS):
            try:
                with self._begun(
                    is_write=is_write, through_core=through_core
                ) as connection:
                    return operation(connection)
            except _UndoneError as undone:
                if attempt + 1 == _ATTEMPTS or undone.is_final(attempt):
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
        except _UndoneError as undone:
            raise undone.error from undone.__cause__

    @contextmanager
    def _begun(
        self, *, is_write: bool, through_core: bool = False
    ) -> Iterator[sa.Connection]:
        if self.is_closed:
            raise StoreClosedError
        progress = _Progress()
        outer = getattr(self._thread, "transaction", None)
        try:
            with (
                self._connected(through_core=through_core) as connection,
                self._in_pipeline(connection, progress, is_write=is_write) as rows,
            ):
                guard = self._guard(rows, is_write=is_write)
                self._thread.transaction = _Transaction(rows, guard)
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

    @contextmanager
    def _connected(self, *, through_core: bool) -> Iterator[sa.Connection]:
        dialect: Any = self._server.engine.dialect
        pool = self._server.engine.pool
        connection = self._server.engine.connect()
        try:
            if through_core:
                connection = connection.execution_options(**{THROUGH_CORE: True})
            yield connection
        except BaseException as error:
            if is_lost(driver_error(error)):
                dialect.lost_at = time.monotonic()
                connection.invalidate()
            elif not isinstance(error, Exception):
                # Interrupted, wherever that was: who knows what it waits for.
                connection.invalidate()
            raise
        finally:
            connection.close()
            if self._server.is_closed:
                # It went back to a pool that nobody looks after any more.
                pool.dispose()

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

    @contextmanager
    def _in_pipeline(
        self, connection: sa.Connection, progress: "_Progress", *, is_write: bool
    ) -> Iterator[Runner]:
        driver: Any = connection.connection.driver_connection
        if asks_core(connection):
            # Core looks at each result at once.
            driver.autocommit = False
            driver.isolation_level = _isolation(is_write=is_write)
            driver.read_only = not is_write
            rows = Runner(connection)
            rows.execute(_SETTINGS[False], self._timeouts())
            yield rows
            if driver.info.transaction_status == TransactionStatus.INERROR:
                raise BackendError(_ROLLED_BACK)
            progress.is_committing = is_write
            connection.commit()
        else:
            dialect: Any = connection.dialect
            pipeline: Pipeline = connection.info[PIPELINE]
            keeps_plans = self._identity is not None
            pipeline.open(
                may_prepare=driver.is_direct and not dialect.has_proxy,
                keeps_plans=keeps_plans,
            )
            try:
                pipeline.send(_BEGIN[is_write], (), Receiver())
                rows = Runner(connection)
                rows.execute(_SETTINGS[keeps_plans], self._timeouts())
                yield rows
                progress.is_committing = is_write
                _commit(pipeline, progress)
            except Exception:
                pipeline.abandon(_ROLLBACK)
                raise
        driver.used_at = time.monotonic()

    def _timeouts(self) -> dict[str, Any]:
        # 0 would be no bound at all.
        busy_ms = max(1, self._options.busy_timeout_ms)
        return {
            "lock_timeout": str(min(busy_ms, _MAX_TIMEOUT_MS)),
            "statement_timeout": str(
                min(_STATEMENT_TIMEOUT_MS + busy_ms, _MAX_TIMEOUT_MS)
            ),
        }

    def _translated(self, error: Exception, progress: "_Progress") -> Exception:
        cause: Any = driver_error(error)
        state = getattr(cause, "sqlstate", None)
        if is_lost(cause) and progress.is_committing:
            msg = (
                f"{self._server.name}: the connection was lost while the "
                "transaction was committed, which it may be or not: look "
                "before you repeat what is not idempotent"
            )
            return BackendError(msg)
        if self.is_closed:
            return StoreClosedError()
        if is_refused(cause):
            return BackendError(f"{self._server.name} refuses us: {cause}")
        if undone := self._undone(cause):
            return undone
        if isinstance(cause, psycopg.errors.PipelineAborted):
            return BackendError(f"{self._server.name}: {_ROLLED_BACK}")
        if state in _BUSY or isinstance(error, sa.exc.TimeoutError):
            msg = f"{self._server.name} is busy: try again ({cause})"
            return StoreBusyError(msg)
        if state == _LONG_KEY:
            msg = f"an id, key or name is too long for PostgreSQL: {cause}"
            return InvalidArgumentError(msg)
        return BackendError(f"{self._server.name} failed: {cause}")

    def _undone(self, cause: Any) -> "_UndoneError | None":
        name, state = self._server.name, getattr(cause, "sqlstate", None)
        if is_lost(cause):
            msg = f"{name} cannot be reached: try again ({cause})"
            return _UndoneError(StoreBusyError(msg), attempts=2)
        if state in _MISPREPARED:
            dialect: Any = self._server.engine.dialect
            dialect.has_proxy = True
            msg = f"{name} mixes up its connections: try again ({cause})"
            return _UndoneError(StoreBusyError(msg))
        if state in _UNDONE:
            msg = f"{name}: others were always first: try again ({cause})"
            return _UndoneError(StoreBusyError(msg))
        return None


class _Progress:
    is_committing = False


class _UndoneError(Exception):
    """
    Nothing was written, and running it again may help.
    """

    def __init__(self, error: LashStoreError, *, attempts: int = _ATTEMPTS) -> None:
        super().__init__(str(error))
        self.error = error
        self._attempts = attempts

    def is_final(self, attempt: int) -> bool:
        """
        Tell whether *attempt*, from 0 on, was the last of its kind.
        """
        return attempt + 1 >= self._attempts


def _commit(pipeline: Pipeline, progress: _Progress) -> None:
    committed = Receiver()
    pipeline.send(_COMMIT, (), committed)
    try:
        pipeline.close()
    except psycopg.Error as error:
        # What the server said of a statement before COMMIT means that it never
        # came to that.
        if error.sqlstate and pipeline.is_awaited(committed):
            progress.is_committing = False
        raise
    if committed.result.command_status != b"COMMIT":
        raise BackendError(_ROLLED_BACK)


def _nothing() -> None:
    pass


def _isolation(*, is_write: bool) -> IsolationLevel:
    return IsolationLevel.READ_COMMITTED if is_write else IsolationLevel.REPEATABLE_READ


def is_lost(error: Any) -> bool:
    """
    Tell whether a driver's error means that there is no connection.
    """
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:
        return isinstance(
            error, psycopg.OperationalError | psycopg.InterfaceError
        ) and not isinstance(error, psycopg.errors.PipelineAborted)
    return state.startswith(("08", "57P0"))


def is_refused(error: BaseException) -> bool:
    """
    Tell whether the server will not have us, however often we ask.
    """
    return isinstance(error, psycopg.OperationalError) and any(
        refusal in str(error) for refusal in _REFUSALS
    )


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
    return ServerDatabase(_acquire(url), options)


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
