"""
The frame of a transaction: settings, BEGIN, COMMIT, and the way back.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from lashstore.errors import BackendError
from lashstore.failures import driver_error
from lashstore.repos._run import PIPELINE, THROUGH_CORE, Runner, asks_core

from .failures import ROLLED_BACK, is_lost
from .pipeline import Pipeline, Receiver, Statement
from .pool import Server

_BEGIN = {
    False: Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    True: Statement("BEGIN ISOLATION LEVEL READ COMMITTED"),
}
_COMMIT = Statement("COMMIT")
_ROLLBACK = Statement("ROLLBACK")
_STATEMENT_TIMEOUT_MS = 30_000
_MAX_TIMEOUT_MS = 2**31 - 1


def _settings_of(plan_cache_mode: str) -> sa.Select[Any]:
    # Without fresh statistics the planner may read a whole table where an index
    # gives a row; all our statements look rows up (contract D25).
    return sa.select(
        *(
            sa.func.set_config(sa.literal_column(f"'{name}'"), value, sa.true())
            for name, value in (
                ("lock_timeout", sa.bindparam("lock_timeout", type_=sa.Text)),
                ("statement_timeout", sa.bindparam("statement_timeout", type_=sa.Text)),
                ("enable_seqscan", sa.literal_column("'off'")),
                ("enable_hashjoin", sa.literal_column("'off'")),
                ("enable_mergejoin", sa.literal_column("'off'")),
                ("enable_sort", sa.literal_column("'off'")),
                ("jit", sa.literal_column("'off'")),
                ("plan_cache_mode", sa.literal_column(f"'{plan_cache_mode}'")),
            )
        )
    )


# A session's statements say themselves which plans may be kept; all others are
# planned each time: a plan kept from when a table was tiny would go on looking
# through all rows for one of them.
_SETTINGS = {True: _settings_of("auto"), False: _settings_of("force_custom_plan")}


class Progress:
    """
    How far a transaction has come.
    """

    # Whether COMMIT may have reached the server.
    is_committing: bool = False


@contextmanager
def connected(server: Server, *, through_core: bool) -> Iterator[sa.Connection]:
    """
    Lend a connection; one that is lost or in an unknown state is closed.
    """
    pool = server.engine.pool
    connection = server.engine.connect()
    try:
        if through_core:
            connection = connection.execution_options(**{THROUGH_CORE: True})
        yield connection
    except BaseException as error:
        if is_lost(driver_error(error)):
            server.dialect.lost_at = time.monotonic()
            connection.invalidate()
        elif not isinstance(error, Exception):
            # Interrupted, wherever that was: who knows what it waits for.
            connection.invalidate()
        raise
    finally:
        connection.close()
        if server.is_closed:
            # It went back to a pool that nobody looks after any more.
            pool.dispose()


@contextmanager
def begun(
    connection: sa.Connection,
    progress: Progress,
    *,
    is_write: bool,
    keeps_plans: bool,
    busy_timeout_ms: int,
) -> Iterator[Runner]:
    """
    Begin a transaction, and commit it when the context ends.

    Args:
        keeps_plans: Whether its statements say themselves which of their plans
            may be kept.

        busy_timeout_ms: How long to wait for a lock.
    """
    driver: Any = connection.connection.driver_connection
    timeouts = _timeouts(busy_timeout_ms)
    if asks_core(connection):
        # Core looks at each result at once.
        driver.autocommit = False
        driver.isolation_level = _isolation(is_write=is_write)
        driver.read_only = not is_write
        rows = Runner(connection)
        rows.execute(_SETTINGS[False], timeouts)
        yield rows
        if driver.info.transaction_status == TransactionStatus.INERROR:
            raise BackendError(ROLLED_BACK)
        progress.is_committing = is_write
        connection.commit()
    else:
        dialect: Any = connection.dialect
        pipeline: Pipeline = connection.info[PIPELINE]
        pipeline.open(
            may_prepare=driver.is_direct and not dialect.has_proxy,
            keeps_plans=keeps_plans,
        )
        try:
            pipeline.send(_BEGIN[is_write], (), Receiver())
            rows = Runner(connection)
            rows.execute(_SETTINGS[keeps_plans], timeouts)
            yield rows
            progress.is_committing = is_write
            _commit(pipeline, progress)
        except Exception:
            pipeline.abandon(_ROLLBACK)
            raise
    driver.used_at = time.monotonic()


def _commit(pipeline: Pipeline, progress: Progress) -> None:
    committed = Receiver()
    pipeline.send(_COMMIT, (), committed)
    try:
        pipeline.close()
    except psycopg.Error as error:
        # What the server said of a statement before COMMIT means that it never
        # came to that.
        if error.sqlstate and pipeline.is_awaited(committed):
            progress.is_committing = False
        raise
    if committed.result.command_status != b"COMMIT":
        raise BackendError(ROLLED_BACK)


def _timeouts(busy_timeout_ms: int) -> dict[str, Any]:
    # 0 would be no bound at all.
    busy_ms = max(1, busy_timeout_ms)
    return {
        "lock_timeout": str(min(busy_ms, _MAX_TIMEOUT_MS)),
        "statement_timeout": str(min(_STATEMENT_TIMEOUT_MS + busy_ms, _MAX_TIMEOUT_MS)),
    }


def _isolation(*, is_write: bool) -> IsolationLevel:
    return IsolationLevel.READ_COMMITTED if is_write else IsolationLevel.REPEATABLE_READ
