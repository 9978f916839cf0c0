"""
Which database files this process has open, to keep SQLite's locks alive.

POSIX drops all locks a process holds on a file when it closes any handle on
it (https://www.sqlite.org/howtocorrupt.html, section 2.2). SQLite minds that
for its own connections, except immutable ones; Python's `open()` does not.
So a file is read around SQLite's locks only while no connection of this
process has it open, and no connection is made meanwhile.
"""

import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FileIdentity = tuple[int, int]

_changed = threading.Condition()
_connected: Counter[FileIdentity] = Counter()
_bypassed: Counter[FileIdentity] = Counter()


def file_identity(path: Path) -> FileIdentity:
    """
    Return what tells a file from every other one that exists.
    """
    # os.stat: pathlib takes as long again, at every opening.
    found = os.stat(path)  # noqa: PTH116
    return (found.st_dev, found.st_ino)


class _Cursor(sqlite3.Cursor):
    # A message of SQLite's that quotes damaged bytes fails to decode in
    # sqlite3, which then raises that failure instead of its own error.
    def execute(self, *arguments: Any) -> "_Cursor":
        try:
            super().execute(*arguments)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(str(error)) from error
        return self


class LockingConnection(sqlite3.Connection):
    """
    A connection that takes SQLite's locks, and is counted while it is open.
    """

    identity: FileIdentity | None = None

    def cursor(self, factory: Any = _Cursor) -> Any:
        """
        Make a cursor.
        """
        return super().cursor(factory)

    def execute(self, *arguments: Any) -> Any:
        """
        Run a statement on a cursor of its own.
        """
        return self.cursor().execute(*arguments)

    def close(self) -> None:
        """
        Close the connection.
        """
        super().close()
        self._forget()

    def __del__(self) -> None:
        # Dropping a connection closes it too; a count that stayed would speak
        # for whatever file gets the inode next.
        self._forget()

    def _forget(self) -> None:
        identity, self.identity = self.identity, None
        if identity is not None:
            with _changed:
                _leave(_connected, identity)


def connect_locking(path: Path, name: str, **options: Any) -> LockingConnection:
    """
    Open *path* by the SQLite name *name*, once nobody reads around the locks.
    """
    identity = file_identity(path)
    with _changed:
        _changed.wait_for(lambda: not _bypassed[identity])
        _connected[identity] += 1
    try:
        connection = sqlite3.connect(name, factory=LockingConnection, **options)
    except BaseException:
        with _changed:
            _leave(_connected, identity)
        raise
    connection.identity = identity
    return connection


@contextmanager
def bypassing_locks(path: Path) -> Iterator[bool]:
    """
    Say whether *path* may be read around SQLite's locks until the context
    ends; if not, a connection of this process has it open.
    """
    identity = file_identity(path)
    with _changed:
        is_allowed = not _connected[identity]
        if is_allowed:
            _bypassed[identity] += 1
    try:
        yield is_allowed
    finally:
        if is_allowed:
            with _changed:
                _leave(_bypassed, identity)


def _leave(counter: Counter[FileIdentity], identity: FileIdentity) -> None:
    counter[identity] -= 1
    if counter[identity] <= 0:
        del counter[identity]
    _changed.notify_all()


def _forget_after_fork() -> None:
    # A child has none of its parent's locks, and must not use its
    # connections: https://www.sqlite.org/howtocorrupt.html, section 2.6.
    _connected.clear()
    _bypassed.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
