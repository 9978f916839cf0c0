"""
Connections to SQLite files: their pragmas, their modes, the switch to WAL.

* sqlite3 of Python 3.11 would open transactions by itself, and only before
  DML, so a read and the write after it would not be one transaction. It is
  told not to (`isolation_level`), and the engines say BEGIN.
* The busy handler does not cover the switch to WAL; it is retried here.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .failures import DatabaseGoneError, driver_error, is_busy, translate
from .model.options import StoreOptions
from .openfiles import LockingConnection, connect_locking


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


def connect_writing(target: Path | None, options: StoreOptions) -> Any:
    """
    Open the file at *target* for reading and writing; None: a new database in
    memory.

    Raises:
        DatabaseGoneError: There is no such file.
    """
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


READING: dict[str, Any] = {
    "uri": True,
    "isolation_level": None,
    "check_same_thread": False,
    "timeout": 1.0,
}


def connect_immutable(path: Path) -> Any:
    """
    Open the file at *path* for reading, creating nothing and taking no locks:
    only under `bypassing_locks`, while it has no WAL.
    """
    return _read_carefully(
        sqlite3.connect(
            f"{read_name(path)}&immutable=1", factory=LockingConnection, **READING
        )
    )


def connect_reading(path: Path) -> Any:
    """
    Open the file at *path* for reading under SQLite's locks; the index of a
    WAL that is there is read, but not written.
    """
    name = read_name(path)
    if has_wal(path):
        name += "&readonly_shm=1"
    return _read_carefully(connect_locking(path, name, **READING))


def read_name(path: Path) -> str:
    """
    Return SQLite's name for a file that is only to be read.
    """
    return f"file:{quote(str(path))}?mode=ro"


def _read_carefully(connection: sqlite3.Connection) -> sqlite3.Connection:
    return _with_pragmas(
        connection, "trusted_schema = OFF", "query_only = ON", "cache_size = -500"
    )


def connect_in_wal(path: Path, options: StoreOptions) -> Any:
    """
    Open the file at *path* for reading and writing, and switch it to WAL if
    it is not; others may do so too.

    Raises:
        DatabaseGoneError: There is no such file.
        StoreBusyError: They did for too long.
    """
    deadline = time.monotonic() + options.busy_timeout_ms / 1000
    pause = 0.001
    while True:
        try:
            return _entering_wal(connect_writing(path, options))
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise translate(error, path) from driver_error(error)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _entering_wal(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            # Heard only while the file is empty: before anything else.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
