"""
Connections of a file that are kept between transactions, over one dialect.
"""

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, Pool

from lashstore.dialect import Dialect
from lashstore.repos._run import KeepingConnection, Kept

# One dialect and one statement cache for all engines: a statement is compiled
# once per process, not once per session, and 200 open sessions stay small.
sa.dialects.registry.register("sqlite.lashstore", Dialect.__module__, Dialect.__name__)
TEMPLATE = sa.create_engine("sqlite+lashstore://", poolclass=NullPool)
_compiled: dict[Any, Any] = {}


def engine_over(pool: Pool) -> sa.Engine:
    """
    Return an engine with connections of *pool* and the one dialect of all.
    """
    return sa.engine.Engine(
        pool,
        TEMPLATE.dialect,
        TEMPLATE.url,
        execution_options={"compiled_cache": _compiled},
    )


def driver_of(connection: sa.Connection) -> Any:
    """
    Return the connection of sqlite3 under one of SQLAlchemy's.
    """
    return connection.connection.driver_connection


class HeldConnection:
    """
    A connection that is kept between transactions, with the cursor that
    begins and ends them.
    """

    __slots__ = ("_execute", "_kept", "connection", "is_synced")

    def __init__(self, connection: KeepingConnection) -> None:
        self.connection = connection
        self.is_synced = True
        self._kept = Kept(connection)
        self._execute = self._kept.cursor.execute

    def begin(self, how: str) -> None:
        """
        Begin a transaction, by hand: Core would be told of it.
        """
        try:
            self._execute(how)
        except UnicodeDecodeError as error:
            # SQLite's message quotes damaged bytes of the schema.
            raise sqlite3.DatabaseError(str(error)) from error

    def commit(self) -> None:
        """
        Commit the transaction.
        """
        # Core begins a transaction of its own around its first statement,
        # which the dialect makes part of ours; then it must know that it is
        # over.
        if self.connection.in_transaction():
            self.connection.commit()
        else:
            self._execute("COMMIT")

    def close(self) -> None:
        """
        Give the connection back; what is open on it is undone.
        """
        # Whatever it was at would keep its snapshot.
        self._kept.cursor.close()
        if not self.is_synced:
            # Nobody else must get it as it is.
            self.connection.invalidate()
        self.connection.close()

    def leave_syncing(self) -> None:
        """
        Let SQLite go on from a commit without waiting for the disk.
        """
        self.is_synced = False
        # Not through `execute`, which keeps statements: this one acts when it
        # is prepared.
        self._kept.cursor.executescript("PRAGMA synchronous = NORMAL")

    def sync_again(self) -> None:
        """
        Let SQLite wait for the disk at every commit again.
        """
        self._kept.cursor.executescript("PRAGMA synchronous = FULL")
        self.is_synced = True
