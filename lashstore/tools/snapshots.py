"""
Consistent copies of database files, and putting finished files in place.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lashstore.connections import is_absent
from lashstore.engines.sqlite import open_any_version
from lashstore.errors import AlreadyExistsError
from lashstore.failures import driver_error, translate
from lashstore.files import folder_lock

_LOCK_TIMEOUT_MS = 15_000
_SIDECARS = ("-wal", "-shm", "-journal")


def copy_database(source: Path, destination: Path) -> None:
    """
    Copy one instant of a database into a new file, while hosts write or not.

    Pages are copied as they are, damaged ones too; an unchanged source gives
    the same bytes again. The copy has mode 0600, needs no WAL and is durable.

    Raises:
        StoreNotFoundError, NotALashStoreError, BackendError: The source
            cannot be opened.
        StoreBusyError: It kept changing; retry.
        AlreadyExistsError: There is something at *destination*.
    """
    make_empty(destination)
    database = open_any_version(source)

    def copy(connection: sa.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        # No connection of ours is on the copy but this one.
        target = sqlite3.connect(destination, isolation_level=None)
        try:
            target.execute("PRAGMA synchronous = OFF")
            driver.backup(target)
        finally:
            target.close()

    try:
        database.read(copy)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    finally:
        database.close()
    sync_file(destination)


def make_empty(path: Path) -> None:
    """
    Make an empty file of mode 0600, and its folder of mode 0700.

    Raises:
        AlreadyExistsError: There is something.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError as error:
        raise AlreadyExistsError(path=str(path)) from error
    except OSError as error:
        raise translate(error, path) from error


def sync_file(path: Path) -> None:
    """
    Wait until a file's content is on the disk.
    """
    # Not a database that anybody of this process has open: closing the handle
    # would drop its locks.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_free(path: Path) -> None:
    """
    Raises:
        AlreadyExistsError: There is a database at *path*, or what is left of
            one: its WAL would be taken for the new file's.
    """
    for suffix in ("", *_SIDECARS):
        beside = Path(f"{path}{suffix}")
        if beside.exists() and not (suffix == "" and is_absent(beside)):
            raise AlreadyExistsError(path=str(beside))


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """
    Give the path of a file to fill; when the context ends, it stands at
    *path*, whole and durable. After any exception nothing is there.

    Raises:
        AlreadyExistsError: There is something at *path*.
        BackendError: The disk failed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    require_free(path)
    make_empty(temporary)
    try:
        yield temporary
        _place(temporary, path)
    except (OSError, sqlite3.Error) as error:
        raise translate(error, path) from driver_error(error)
    finally:
        for suffix in ("", *_SIDECARS):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def _place(temporary: Path, path: Path) -> None:
    sync_file(temporary)
    # Under the lock that makes and deletes files, so that nobody meets a
    # database of the same name half-way.
    with folder_lock(path.parent, _LOCK_TIMEOUT_MS):
        require_free(path)
        path.unlink(missing_ok=True)
        temporary.rename(path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """
    Wait until a folder's names are on the disk.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
