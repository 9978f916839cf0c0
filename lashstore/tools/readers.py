"""
What is open to be looked at: a component's database, or one session of it.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from lashstore.clock import Clock
from lashstore.errors import ContentKeyError, StoreNotFoundError
from lashstore.failures import DatabaseGoneError
from lashstore.model.session import SessionIdentity
from lashstore.store.transaction import SessionTransaction

T = TypeVar("T")


class ComponentReader:
    """
    One component of an open database, to look at.

    `place` is what to call it, without a password; `path` None: a server.
    """

    def __init__(self, database: Any, place: str, path: Path | None) -> None:
        self._database = database
        self.place = place
        self.path = path

    @property
    def clock(self) -> Clock:
        """
        The clock by which what is stored is live or not.
        """
        clock: Clock = self._database.clock_of(None)
        return clock

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot; it may be run again.

        Raises:
            StoreNotFoundError: It was removed meanwhile.
            StoreBusyError: The file kept changing; retry.
            BackendError: The database failed.
        """
        try:
            found: T = self._database.read(operation)
        except DatabaseGoneError as error:
            raise StoreNotFoundError(path=self.place) from error
        return found

    def close(self) -> None:
        """
        Let go of it; may be called twice.
        """
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SessionReader(ComponentReader):
    """
    One session, to look at.
    """

    def __init__(
        self, database: Any, place: str, path: Path | None, identity: SessionIdentity
    ) -> None:
        super().__init__(database, place, path)
        self._identity = identity
        self.session_id = identity.session_id

    @property
    def is_sealed(self) -> bool:
        """
        Whether the content of the session is sealed.
        """
        return self._identity.content_seal is not None

    def look(self, operation: Callable[[SessionTransaction], T]) -> T:
        """
        Run *operation* on one consistent snapshot of the session, its content
        included; it may be run again.

        Raises:
            ContentKeyError: The session is sealed.
            As `read`.
        """
        if self.is_sealed:
            reason = (
                f"session {self.session_id!r} is sealed, and the command line has "
                "no keys: its content is for hosts that have its cipher"
            )
            raise ContentKeyError(key_id=None, reason=reason)
        return self.look_past_seal(operation)

    def look_past_seal(self, operation: Callable[[SessionTransaction], T]) -> T:
        """
        As `look`, for what stands in the clear in a sealed session too: it
        must ask for no column of `lashstore.repos._sealing.SEALED_COLUMNS`.
        """
        clock = self.clock
        return self.read(
            lambda c: operation(SessionTransaction(c, self.session_id, clock))
        )
