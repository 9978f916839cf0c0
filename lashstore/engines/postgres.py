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

from .schema import create_tables, find_version, has_tables, require_version

T = TypeVar("T")

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, psycopg.Error)

# First in 64-bit advisory locks of ours: "lash" in ASCII.
_LOCK_SPACE = 0x6C617368
_CREATION_LOCK = 1
_ATTEMPTS = 8
_FIRST_PAUSE_S = 0.002
_IDLE_PING_S = 5.0
_PREPARE_AFTER = 5
_POOL_TIMEOUT_S = 30
_OWN_OPTIONS = ("schema", "pool_size")
_BEGIN = {
    False: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    True: "BEGIN ISOLATION LEVEL READ COMMITTED",
}
_STATEMENT_TIMEOUT_MS = 30_000
_POOL_SIZE = 16
_CONNECT_TIMEOUT_S = 10

_UNDONE = frozenset({"40001", "40P01"})
_BUSY = frozenset({"55P03", "57014", "53300", "25P03", "57P05", "25006"})
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
# Without fresh statistics the planner may read a whole table where an index
# gives a row; all our statements look rows up (contract D25).
_settings = sa.select(
    *(
        sa.func.set_config(name, value, sa.true())
        for name, value in (
            ("lock_timeout", sa.bindparam("lock_timeout", type_=sa.Text)),
            ("statement_timeout", sa.bindparam("statement_timeout", type_=sa.Text)),
            ("enable_seqscan", sa.literal_column("'off'")),
            ("enable_hashjoin", sa.literal_column("'off'")),
            ("enable_mergejoin", sa.literal_column("'off'")),
            ("jit", sa.literal_column("'off'")),
        )
    )
)


class ServerDialect(PGDialect_psycopg):
    """
    psycopg, asking an idle connection only now and then whether it lives.
    """

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        # Compiled by repositories' runner; see lashstore.repos._run.
        self.statements: dict[Any, Any] = {}
        self.schema: str | None = None

    def do_ping(self, dbapi_connection: Any) -> bool:
        """
        Tell whether a pooled connection lives. One that was used a moment
        ago is taken for alive: if it is not, its transaction is begun anew.
        """
        used_at = getattr(dbapi_connection, "used_at", 0.0)
        if time.monotonic() - used_at < _IDLE_PING_S:
            return not dbapi_connection.closed
        alive: bool = super().do_ping(dbapi_connection)  # type: ignore[no-untyped-call]
        return alive


sa.dialects.registry.register(
    "postgresql.lashstore", ServerDialect.__module__, ServerDialect.__name__
)


class Server:
    """
    A process's pool of connections to one database, shared by its stores.
    """

    def __init__(self, url: sa.URL) -> None:
        # Without the password: it goes into error messages.
        self.name = url.render_as_string()
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
                "connect_timeout": _CONNECT_TIMEOUT_S,
                # Behind a proxy a prepared statement may be another server
                # connection's; see `_inspect`.
                "prepare_threshold": None,
                "application_name": "lashstore",
            },
        )
        schema = url.query.get("schema")
        if schema is not None:
            self.engine = self.engine.execution_options(
                schema_translate_map={None: schema}
            )
        self.schema = None if schema is None else str(schema)
        dialect: Any = self.engine.dialect
        dialect.schema = self.schema
        sa.event.listen(self.engine, "connect", _inspect)

    def close(self) -> None:
        """
        Close every idle connection; one in use is closed when it is done.
        """
        self.engine.dispose()


def _pool_size(url: sa.URL) -> int:
    given = str(url.query.get("pool_size", _POOL_SIZE))
    if not given.isdecimal() or int(given) < 1:
        msg = f"pool_size must be a number from 1 up, not {given!r}"
        raise InvalidArgumentError(msg)
    return int(given)


def _inspect(driver: Any, _record: Any) -> None:
    # A proxy makes up the process id it tells its clients.
    with driver.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    driver.rollback()
    driver.is_direct = pid == driver.info.backend_pid
    if driver.is_direct:
        driver.prepare_threshold = _PREPARE_AFTER


_servers: dict[tuple[int, str], Server] = {}
_users: dict[Server, int] = {}
_servers_lock = threading.Lock()


def _acquire(url: sa.URL) -> Server:
    # By process: a forked one must not write to its parent's sockets.
    key = (os.getpid(), url.render_as_string(hide_password=False))
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
    return url


class _Transaction:
    """
    What is known of the transaction that a thread is in.
    """

    def __init__(self, rows: Runner) -> None:
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
    def clock(self) -> Clock:
        """
        The server's clock.
        """
        self._needs_time = self._identity is not None
        return ServerClock(self)

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
                self._thread.transaction = _Transaction(rows)
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

    def _connected(self, *, through_core: bool) -> sa.Connection:
        connection = self._server.engine.connect()
        if through_core:
            connection = connection.execution_options(**{THROUGH_CORE: True})
        return connection

    def _guard(self, rows: Runner, *, is_write: bool) -> Callable[[], None]:
        identity = self._identity
        if identity is None:
            return _nothing
        found = SessionRepository(rows).ask_incarnation(
            identity.session_id, to_write=is_write
        )

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
            rows.execute(_settings, self._timeouts())
            yield rows
            progress.is_committing = is_write
            connection.commit()
        else:
            driver.autocommit = True
            with driver.pipeline() as pipeline:
                connection.info[PIPELINE] = pipeline
                driver.execute(_BEGIN[is_write])
                rows = Runner(connection)
                rows.execute(_settings, self._timeouts())
                yield rows
                progress.is_committing = is_write
                committed = driver.execute("COMMIT")
            if committed.statusmessage != "COMMIT":
                msg = "the server rolled the transaction back"
                raise BackendError(msg)
        driver.used_at = time.monotonic()

    def _timeouts(self) -> dict[str, Any]:
        return {
            "lock_timeout": str(self._options.busy_timeout_ms),
            "statement_timeout": str(
                _STATEMENT_TIMEOUT_MS + self._options.busy_timeout_ms
            ),
        }

    def _translated(self, error: Exception, progress: "_Progress") -> Exception:
        if self.is_closed:
            return StoreClosedError()
        cause: Any = driver_error(error)
        state = getattr(cause, "sqlstate", None)
        if is_lost(cause):
            if progress.is_committing:
                msg = (
                    f"{self._server.name}: the connection was lost while the "
                    "transaction was committed, which it may be or not: look "
                    "before you repeat what is not idempotent"
                )
                return BackendError(msg)
            msg = f"{self._server.name} cannot be reached: try again ({cause})"
            return _UndoneError(StoreBusyError(msg), attempts=2)
        if state in _UNDONE:
            msg = f"{self._server.name}: others were always first: try again ({cause})"
            return _UndoneError(StoreBusyError(msg))
        if state in _BUSY or isinstance(error, sa.exc.TimeoutError):
            msg = f"{self._server.name} is busy: try again ({cause})"
            return StoreBusyError(msg)
        if state == _LONG_KEY:
            msg = f"an id, key or name is too long for PostgreSQL: {cause}"
            return InvalidArgumentError(msg)
        return BackendError(f"{self._server.name} failed: {cause}")


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
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(("08", "57P0")) and state != "57P05"


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
    database = ServerDatabase(_acquire(url), options)
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
