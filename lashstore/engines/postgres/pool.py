"""
A process's connections to a server.
"""

import os
import threading
import time
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.pool import QueuePool

from lashstore.engines.base import shown_url
from lashstore.engines.notifications import KEEPALIVES, Notifications
from lashstore.errors import BackendError
from lashstore.repos._run import PIPELINE

from .addresses import OWN_OPTIONS, pool_size
from .pipeline import Pipeline
from .sent import SentStatement, StatementSentOnce

_IDLE_PING_S = 5.0
_POOL_TIMEOUT_S = 30
_CONNECT_TIMEOUT_S = 10
# A server that vanished without a word is noticed within about a minute.
_CONNECT_ARGUMENTS = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "application_name": "lashstore",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


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
        self.numbered: Any = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        # Compiled by repositories' runner; see lashstore.repos._run.
        self.statements: dict[Any, Any] = {}
        self.schema: str | None = None
        # When a connection was last found dead: the others may be, too.
        self.lost_at: float = 0.0
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
        self.name: str = shown_url(url)
        self.is_closed: bool = False
        self.engine: sa.Engine = sa.create_engine(
            url.set(drivername="postgresql+lashstore").difference_update_query(
                OWN_OPTIONS
            ),
            poolclass=QueuePool,
            pool_size=pool_size(url),
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
        self.schema: str | None = None if schema is None else str(schema)
        dialect: Any = self.engine.dialect
        dialect.schema = dialect.numbered.schema = self.schema
        self.dialect: Any = dialect
        sa.event.listen(self.engine, "connect", _inspect)
        self.notifications: Notifications = Notifications(
            self._connect_listening, self.schema
        )

    def _connect_listening(self) -> psycopg.Connection:
        given, named = self.dialect.create_connect_args(self.engine.url)
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


def acquire(url: sa.URL) -> Server:
    """
    Return the pool of an address, for one more user.
    """
    key = url.render_as_string(hide_password=False)
    with _servers_lock:
        server = _servers.get(key)
        if server is None:
            server = _servers[key] = Server(url)
        _users[server] = _users.get(server, 0) + 1
        return server


def release(server: Server) -> None:
    """
    Let go of a pool; the last user closes it.
    """
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
