"""
Faults at the driver: the n-th statement of a call fails in a chosen manner.

Only this process is changed. Statements reach SQLite through three doors
(`Runner`'s cursors, `LockingConnection` and its commit) and PostgreSQL
through two (`Pipeline.send`, and `psycopg.Cursor.execute` for SQLAlchemy's own).
"""

import os
import socket
import sqlite3
import types
from collections.abc import Callable
from typing import Any

from lashstore import openfiles
from lashstore.repos import _run

from . import tokens

SQLITE_MODES = ("error before", "error after", "locked")
POSTGRES_MODES = (
    "error before",
    "error after",
    "lock time-out",
    "deadlock",
    "disk full",
    "connection lost before",
    "connection lost after",
    "answer lost",
)
# ReadyForQuery, outside a transaction or inside a failed or a sound one.
_READY = b"Z\x00\x00\x00\x05"
_STATES = {
    "error before": "XX000",
    "error after": "XX000",
    "lock time-out": "55P03",
    "deadlock": "40P01",
    "disk full": "53100",
}


class Injector:
    """
    Counts the statements of a call, and spoils one.
    """

    def __init__(self) -> None:
        self.label = ""
        self.count = 0
        self.target = 0
        self.mode = ""
        self.is_listening = False
        self.hits = 0
        self.statements: list[str] = []

    def listen(self, label: str, *, target: int = 0, mode: str = "") -> None:
        """
        Count from here; *target* 0 spoils nothing.
        """
        self.label = label
        self.count, self.target, self.mode = 0, target, mode
        self.hits = 0
        self.statements = []
        self.is_listening = True
        tokens.restart(label)

    def stop(self) -> int:
        """
        Stop counting; return how many statements there were.
        """
        self.is_listening = False
        return self.count

    def is_hit(self, text: str) -> bool:
        """
        Count a statement; tell whether it is the one to spoil.
        """
        if not self.is_listening:
            return False
        if text.startswith("BEGIN"):
            # Run again by the library, it must take the same tokens.
            tokens.restart(self.label)
        self.count += 1
        self.statements.append(" ".join(text.split()[:3]))
        if self.count != self.target:
            return False
        self.hits += 1
        return True


injector = Injector()


def _sqlite_error(mode: str) -> sqlite3.OperationalError:
    is_lock = mode == "locked"
    error = sqlite3.OperationalError(
        "database is locked" if is_lock else "disk I/O error"
    )
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY if is_lock else sqlite3.SQLITE_IOERR
    error.sqlite_errorname = "injected"
    return error


def _around(text: str, do: Callable[[], Any]) -> Any:
    if not injector.is_hit(text):
        return do()
    if injector.mode == "error after":
        do()
    raise _sqlite_error(injector.mode)


def install_sqlite() -> None:
    """
    Put the injector between lashstore and sqlite3.
    """
    plain_execute = openfiles._Cursor.execute

    class Cursor(sqlite3.Cursor):
        def execute(self, text: str, *values: Any) -> Any:
            return _around(text, lambda: super(Cursor, self).execute(text, *values))

        def executemany(self, text: str, *values: Any) -> Any:
            return _around(text, lambda: super(Cursor, self).executemany(text, *values))

    def execute(self: Any, text: str, *values: Any) -> Any:
        return _around(text, lambda: plain_execute(self, text, *values))

    def commit(self: Any) -> None:
        _around("COMMIT", lambda: sqlite3.Connection.commit(self))

    shim = types.SimpleNamespace(**vars(sqlite3))
    shim.Cursor = Cursor
    _run.sqlite3 = shim  # type: ignore[attr-defined]
    openfiles._Cursor.execute = execute  # type: ignore[method-assign]
    openfiles.LockingConnection.commit = commit  # type: ignore[method-assign]


def install_postgres(admin: Any) -> None:
    """
    Put the injector between lashstore and psycopg.

    Args:
        admin: A connection to the same server, which ends others.
    """
    import psycopg

    from lashstore.engines.postgres.pipeline import Pipeline, Receiver, Statement

    plain_execute: Any = psycopg.Cursor.execute
    plain_send = Pipeline.send

    def execute(self: Any, query: Any, *values: Any, **options: Any) -> Any:
        def do() -> None:
            plain_execute(self, query, *values, **options)

        def fail(state: str) -> None:
            plain_execute(self.connection.cursor(), _raising(state))

        if self.connection is admin or not injector.is_hit(str(query)):
            do()
        else:
            _spoil(self.connection.pgconn, end, do, fail)
        return self

    def send(self: Any, statement: Any, values: Any, receiver: Any) -> None:
        def do() -> None:
            plain_send(self, statement, values, receiver)

        def fail(state: str) -> None:
            # It answers for the statement that it takes the place of.
            raising = Statement(_raising(state), is_repeated=False)
            plain_send(self, raising, (), Receiver() if receiver.missing else receiver)

        if injector.is_hit(statement.text.decode()):
            _spoil(self._server, end, do, fail)
        else:
            do()

    def end(pid: int) -> None:
        with admin.cursor() as cursor:
            plain_execute(cursor, "SELECT pg_terminate_backend(%s, 5000)", (pid,))

    psycopg.Cursor.execute = execute  # type: ignore[method-assign]
    Pipeline.send = send  # type: ignore[method-assign]


def _raising(state: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END $$"


def _spoil(
    server: Any,
    end: Callable[[int], None],
    do: Callable[[], None],
    fail: Callable[[str], None],
) -> None:
    """
    Let the statement that *do* sends go wrong as the mode says.
    """
    mode = injector.mode
    if mode == "connection lost before":
        end(server.backend_pid)
    if mode in ("connection lost before", "connection lost after", "answer lost"):
        do()
    if mode == "connection lost after":
        # Sent, not only written down to be sent.
        while server.flush():
            pass
        end(server.backend_pid)
    elif mode == "answer lost":
        _lose_answer(server)
    elif mode != "connection lost before":
        if mode == "error after":
            do()
        fail(_STATES[mode])


def _lose_answer(server: Any) -> None:
    # The server gets everything, and what it says is thrown away.
    server.pipeline_sync()
    while server.flush():
        pass
    with socket.socket(fileno=os.dup(server.socket)) as line:
        line.setblocking(True)
        line.settimeout(5)
        answer = b""
        while _READY not in answer:
            answer += line.recv(1 << 20) or _READY
        line.shutdown(socket.SHUT_RDWR)
