"""
What failures of a server mean for the transaction they end.
"""

from typing import Any

import psycopg
import sqlalchemy as sa

from lashstore.errors import (
    BackendError,
    InvalidArgumentError,
    LashStoreError,
    StoreBusyError,
)
from lashstore.failures import driver_error

from .pool import Server

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, psycopg.Error)

# How often a transaction is begun at most.
ATTEMPTS = 8
ROLLED_BACK = (
    "the server rolled the transaction back, since a statement in it had failed"
)

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


class UndoneError(Exception):
    """
    Nothing was written, and running it again may help.
    """

    def __init__(self, error: LashStoreError, *, attempts: int = ATTEMPTS) -> None:
        super().__init__(str(error))
        self.error = error
        self._attempts = attempts

    def is_final(self, attempt: int) -> bool:
        """
        Tell whether *attempt*, from 0 on, was the last of its kind.
        """
        return attempt + 1 >= self._attempts


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


def translated(error: Exception, server: Server, *, is_committing: bool) -> Exception:
    """
    Say in our terms what a driver raised: `UndoneError` where the transaction
    may be run again.

    Args:
        is_committing: Whether COMMIT may have reached the server.
    """
    cause: Any = driver_error(error)
    state = getattr(cause, "sqlstate", None)
    if is_lost(cause) and is_committing:
        msg = (
            f"{server.name}: the connection was lost while the "
            "transaction was committed, which it may be or not: look "
            "before you repeat what is not idempotent"
        )
        return BackendError(msg)
    if is_refused(cause):
        return BackendError(f"{server.name} refuses us: {cause}")
    if undone := _undone(cause, server):
        return undone
    if isinstance(cause, psycopg.errors.PipelineAborted):
        return BackendError(f"{server.name}: {ROLLED_BACK}")
    if state in _BUSY or isinstance(error, sa.exc.TimeoutError):
        msg = f"{server.name} is busy: try again ({cause})"
        return StoreBusyError(msg)
    if state == _LONG_KEY:
        msg = f"an id, key or name is too long for PostgreSQL: {cause}"
        return InvalidArgumentError(msg)
    return BackendError(f"{server.name} failed: {cause}")


def _undone(cause: Any, server: Server) -> UndoneError | None:
    state = getattr(cause, "sqlstate", None)
    if is_lost(cause):
        msg = f"{server.name} cannot be reached: try again ({cause})"
        return UndoneError(StoreBusyError(msg), attempts=2)
    if state in _MISPREPARED:
        server.dialect.has_proxy = True
        msg = f"{server.name} mixes up its connections: try again ({cause})"
        return UndoneError(StoreBusyError(msg))
    if state in _UNDONE:
        msg = f"{server.name}: others were always first: try again ({cause})"
        return UndoneError(StoreBusyError(msg))
    return None
