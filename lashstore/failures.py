"""
Failures of the driver and the operating system, said in our terms.
"""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from .errors import (
    BackendError,
    CorruptRecordError,
    LashStoreError,
    NotALashStoreError,
    StoreBusyError,
)

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, sqlite3.Error)


class DatabaseGoneError(Exception):
    """
    The file this database was opened on is gone or another one by now.
    """


def driver_error(error: BaseException) -> BaseException:
    """
    Return the driver's own error behind one of SQLAlchemy's.
    """
    return getattr(error, "orig", None) or error


def error_code(error: BaseException) -> int | None:
    """
    Return SQLite's primary result code; None if the error has none.
    """
    code = getattr(driver_error(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: BaseException) -> bool:
    """
    Tell whether a lock was not had.
    """
    return error_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: Exception, path: Path | None) -> LashStoreError:
    """
    Say in our terms what a driver or the operating system raised.
    """
    where = "the in-memory store" if path is None else str(path)
    if is_busy(error) or isinstance(error, sa.exc.TimeoutError):
        msg = f"{where} is locked by another writer: try again"
        return StoreBusyError(msg)
    if error_code(error) == sqlite3.SQLITE_NOTADB or isinstance(
        error, IsADirectoryError
    ):
        return NotALashStoreError(path=where)
    cause = driver_error(error)
    if str(cause).startswith("Could not decode to UTF-8"):
        # A text column whose bytes are no text any more.
        return CorruptRecordError(record_kind="row", key=where, reason=str(cause))
    msg = f"{where} failed: {cause}"
    return BackendError(msg)
