"""
Making, recognising and removing the files of SQLite databases.

Files are made and removed under a lock on their folder, so that nobody meets
the WAL of a database that is being replaced.
"""

import fcntl
import os
import shutil
import sqlite3
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .connections import (
    READING,
    connect_reading,
    connect_writing,
    has_wal,
    is_absent,
    read_name,
)
from .errors import NotALashStoreError, StoreBusyError
from .failures import DatabaseGoneError, driver_error, is_busy, translate
from .model.options import StoreOptions
from .openfiles import LockingConnection, bypassing_locks
from .tables import APPLICATION_ID

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_SIDECARS = ("-wal", "-shm", "-journal")
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


def make_folders(folder: Path) -> None:
    """
    Make a folder and those above it that are missing, each the owner's alone.
    """
    # One by one: pathlib makes the ones above with everybody's mode.
    above = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for missing in reversed(above):
        missing.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def make_file(path: Path, options: StoreOptions, fill: Callable[[], None]) -> None:
    """
    Make the file at *path* and let *fill* make it a database, unless another
    process was first.
    """
    make_folders(path.parent)
    with folder_lock(path.parent, options.busy_timeout_ms):
        if not is_absent(path):
            return
        # A WAL without its database belongs to one that was deleted.
        _remove_sidecars(path)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE))
        path.chmod(_FILE_MODE)
        try:
            fill()
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
        holder = connect_writing(path, options)
    except (sqlite3.Error, DatabaseGoneError):
        # Damaged beyond opening; the name makes it ours to remove.
        return None
    try:
        holder.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        holder.close()
        if is_busy(error):
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


def refuse_foreign(path: Path, timeout_ms: int) -> None:
    """
    Refuse a file that is no database of ours, and leave it as it is.

    Raises:
        NotALashStoreError: It is none.
    """
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
    header = _read_header(path)
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        # A journal may hold the header that belongs here.
        return Path(f"{path}-journal").exists()
    (application_id,) = struct.unpack(">I", header[68:72])
    return application_id == APPLICATION_ID or _is_ours_or_empty(path)


def _read_header(path: Path) -> bytes:
    # A file object takes several times as long, at every opening.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, _HEADER_BYTES)
    finally:
        os.close(handle)


def _is_ours_or_empty(path: Path) -> bool:
    if has_wal(path) and not Path(f"{path}-shm").exists():
        return _is_copy_ours_or_empty(path)
    return _is_described_as_ours(path)


def _is_copy_ours_or_empty(path: Path) -> bool:
    # A power cut may leave a WAL without its index, which SQLite would have
    # to write beside a file that may not be ours; so a copy is asked.
    with tempfile.TemporaryDirectory(prefix="lashstore-") as folder:
        copy = Path(folder) / "copy.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        try:
            connection = sqlite3.connect(copy)
            try:
                return _is_described(connection)
            finally:
                connection.close()
        except sqlite3.Error:
            return False


def _is_described_as_ours(path: Path) -> bool:
    try:
        name = read_name(path)
        name += "&readonly_shm=1" if has_wal(path) else "&immutable=1"
        connection = sqlite3.connect(name, factory=LockingConnection, **READING)
        try:
            return _is_described(connection)
        finally:
            connection.close()
    except sqlite3.Error:
        return False


def _is_described(connection: sqlite3.Connection) -> bool:
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(found == APPLICATION_ID or (found == 0 and objects == 0))


def has_rollback_journal(path: Path) -> bool:
    """
    Tell whether the database at *path* is in rollback mode, not in WAL mode.
    """
    with bypassing_locks(path) as is_allowed:
        if is_allowed:
            header = _read_header(path)
            # https://www.sqlite.org/fileformat2.html, the write version.
            return header[18:19] == b"\x01"
    connection = connect_reading(path)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    finally:
        connection.close()
    return bool(mode != "wal")
