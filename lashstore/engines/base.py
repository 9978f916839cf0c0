"""
What the stores ask of a database, whichever engine it is on.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, TypeVar

import sqlalchemy as sa

from lashstore.clock import Clock
from lashstore.model.session import SessionIdentity

T = TypeVar("T")

# What a new file gets with its tables, in one transaction; None: nothing.
Seed: TypeAlias = Callable[[sa.Connection], None] | None


class Notifications(Protocol):
    """
    Messages of other hosts about what they wrote.
    """

    @property
    def is_heard(self) -> bool:
        """
        Whether messages arrive now.
        """
        ...

    def subscribed(
        self, topic: str, wake: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """
        Call *wake*, on another thread, at every message on *topic*, and
        whenever one may have been missed.
        """
        ...


class Database(Protocol):
    """
    One open database: transactions in, typed errors out.
    """

    @property
    def is_memory(self) -> bool:
        """
        Whether the content goes with this object.
        """
        ...

    @property
    def is_shared(self) -> bool:
        """
        Whether it holds many sessions, and other hosts' too.
        """
        ...

    @property
    def clock(self) -> Clock:
        """
        The clock of a store that was given none.
        """
        ...

    @property
    def notifications(self) -> Notifications | None:
        """
        How it tells of what others write; None: nobody tells.
        """
        ...

    def clock_of(self, clock: Clock | None) -> Clock:
        """
        Return the clock of a store: *clock*, which inside a transaction is
        read once its lock is held; None: the database's own.
        """
        ...

    def pinned(self) -> AbstractContextManager["Database"]:
        """
        Return this database; it has one owner and needs no pinning.
        """
        ...

    def bind_to(self, identity: SessionIdentity) -> None:
        """
        Make every later transaction one of a session's: a shared database
        then raises `DatabaseGoneError` once this making of the session is
        gone, and its writers wait for each other.
        """
        ...

    def require_current(self, found: os.stat_result | None) -> None:
        """
        Args:
            found: What was found under its name a moment ago; None: it has
                to be looked for.

        Raises:
            DatabaseGoneError: The file is gone, or another one has its name;
                on a server each transaction finds that out.
            StoreClosedError: The database is closed.
        """
        ...

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot.

        It may run more than once: on a server, a connection can be lost.
        """
        ...

    def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* in one write transaction; any exception undoes it.

        It may run more than once: a server may undo a transaction for
        another one's sake.
        """
        ...

    def write_unsynced(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`, but a power cut may undo it, until the next write that is
        not: for what is worth nothing to whoever comes after one. Others see
        it at once, and the death of a process undoes nothing.
        """
        ...

    def read_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `read`, for statements that SQLAlchemy itself runs: reflection, and
        results that are fetched piece by piece.
        """
        ...

    def write_through_core(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`, for statements that SQLAlchemy itself runs.
        """
        ...

    def write_transaction(self) -> AbstractContextManager[sa.Connection]:
        """
        Commit when the context ends; roll back on any exception.
        """
        ...

    def checkpoint(self) -> None:
        """
        Bring what was written to where it stays, where the database does not
        do it by itself.
        """
        ...

    def shrink(self) -> None:
        """
        Give space that nothing needs any more back to the file system, where
        the database does not do it by itself.
        """
        ...

    def close(self) -> None:
        """
        Close every connection; may be called twice.
        """
        ...


class Source(Protocol):
    """
    Where a store gets its database from for the length of one operation.
    """

    def pinned(self) -> AbstractContextManager[Database]:
        """
        Return the database, kept open until the context ends.
        """
        ...

    def close(self) -> None:
        """
        Let go of the database for good.
        """
        ...


_SHOWN_OPTIONS = ("host", "port", "schema")


def shown_url(url: sa.URL) -> str:
    """
    Return an address for a message: without its password, which may stand
    among its options too.
    """
    shown = {name: url.query[name] for name in _SHOWN_OPTIONS if name in url.query}
    return url.set(query=shown).render_as_string()
