"""
Connections to SQLite files: their pragmas, their modes, the switch to WAL.

* sqlite3 of Python 3.11 would open transactions by itself, and only before
  DML, so a read and the write after it would not be one transaction. It is
  told not to (`isolation_level`), and the engines say BEGIN.
* The busy handler does not cover the switch to WAL; it is retried here.
"""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .failures import DatabaseGoneError, driver_error, is_busy, translate
from .filesystems import may_use_wal
from .model.options import StoreOptions
from .openfiles import LockingConnection, connect_locking

_WAL_HEADER_BYTES = 32


def is_absent(path: Path) -> bool:
    """
    Tell whether there is no database at *path*: no file, or an empty one.
    """
    return find_file(path) is None


def find_file(path: Path) -> os.stat_result | None:
    """
    Return what the operating system knows of the database at *path*; None:
    there is none, as `is_absent` says.
    """
    try:
        # os.stat: pathlib takes as long again, at every opening.
        found = os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if found.st_size else None


def has_wal(path: Path) -> bool:
    """
    Tell whether the database at *path* has a WAL with something in it.
    """
    try:
        # A header alone holds nothing. Left by a writer that was killed, it
        # makes SQLite's readers without a writable index give up with
        # "locking protocol".
        return Path(f"{path}-wal").stat().st_size > _WAL_HEADER_BYTES
    except FileNotFoundError:
        return False


def connect_writing(
    target: Path | None, options: StoreOptions, *, is_wal_safe: bool | None = None
) -> Any:
    """
    Open the file at *target* for reading and writing; None: a new database in
    memory.

    Args:
        is_wal_safe: Of `may_use_wal`; None: it has to be asked.

    Raises:
        DatabaseGoneError: There is no such file.
        UnsafeFileSystemError: As `may_use_wal`.
    """
    how: dict[str, Any] = {
        "isolation_level": None,
        "check_same_thread": False,
        "timeout": options.busy_timeout_ms / 1000,
        "cached_statements": 256,
    }
    journal: tuple[str, ...] = ()
    if target is None:
        connection = sqlite3.connect(":memory:", factory=LockingConnection, **how)
    else:
        if is_wal_safe is None:
            is_wal_safe = may_use_wal(target, options)
        if not is_wal_safe:
            # Unlike deleting it, truncating a journal survives a power cut
            # with synchronous=FULL. The mode is each connection's own.
            journal = ("journal_mode = TRUNCATE",)
        # mode=rw: a file that is gone is not made again behind our back.
        name = f"file:{quote(str(target))}?mode=rw"
        try:
            connection = connect_locking(target, name, uri=True, **how)
        except FileNotFoundError as error:
            raise DatabaseGoneError(str(target)) from error
    return _with_pragmas(
        connection,
        *journal,
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
        # At once: one by one they take as long as opening the file.
        connection.executescript("".join(f"PRAGMA {pragma};" for pragma in pragmas))
    except UnicodeDecodeError as error:
        # SQLite's message quotes damaged bytes.
        connection.close()
        raise sqlite3.DatabaseError(str(error)) from error
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
    it is not; others may do so too. Where a WAL is not safe, switch it back
    instead.

    Raises:
        DatabaseGoneError: There is no such file.
        StoreBusyError: They did for too long.
        UnsafeFileSystemError: As `may_use_wal`.
    """
    is_safe = may_use_wal(path, options)
    deadline = time.monotonic() + options.busy_timeout_ms / 1000
    pause = 0.001
    while True:
        try:
            if not is_safe:
                _switch_from_wal(path, options)
                return connect_writing(path, options, is_wal_safe=False)
            return _entering_wal(connect_writing(path, options, is_wal_safe=True))
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise translate(error, path) from driver_error(error)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _enter_auto_vacuum(connection: sqlite3.Connection) -> None:
    # Heard only while the file is empty: before anything else.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


def _switch_from_wal(path: Path, options: StoreOptions) -> None:
    # Alone on the file from the first look at it: then SQLite keeps the WAL's
    # index in its own memory instead of sharing it.
    connection = _with_pragmas(
        connect_locking(
            path,
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=options.busy_timeout_ms / 1000,
        ),
        "locking_mode = EXCLUSIVE",
    )
    try:
        _enter_auto_vacuum(connection)
        connection.execute("PRAGMA journal_mode = TRUNCATE").fetchone()
    finally:
        connection.close()


def _entering_wal(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            _enter_auto_vacuum(connection)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
