"""
What the stores of a whole deployment share: opening, closing, and one
transaction a method.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import sqlalchemy as sa

from .clock import Clock
from .engines import Database, Notifications, open_database, open_memory, parse_target
from .errors import BackendError, InvalidArgumentError, StoreClosedError
from .failures import DatabaseGoneError
from .model.options import DurabilityTier, StoreOptions

T = TypeVar("T")


def _refuse_cipher(options: StoreOptions) -> None:
    # It would be taken for sealed, and is not.
    if options.cipher is not None:
        msg = "only sessions are sealed: open this store without a cipher"
        raise InvalidArgumentError(msg)


class ComponentDatabase:
    """
    One component's view of an open database, with typed errors only.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_closed = False
        self.durability_tier = (
            DurabilityTier.INLINE if database.is_memory else DurabilityTier.DURABLE
        )

    @classmethod
    def open(cls, target: str | Path, component: str, options: StoreOptions) -> Self:
        """
        Open a database, or make it, with the tables of *component* in it.

        Raises:
            As `lashstore.engines.open_database`.
        """
        _refuse_cipher(options)
        return cls(open_database(parse_target(target), component, options))

    @classmethod
    def memory(cls, component: str, options: StoreOptions = StoreOptions()) -> Self:
        """
        Make a database that lives as long as the object.
        """
        _refuse_cipher(options)
        return cls(open_memory(component, options))

    @property
    def clock(self) -> Clock:
        """
        The clock of a store that was given none.
        """
        return self._database.clock

    @property
    def notifications(self) -> Notifications | None:
        """
        How it tells of what others write; None: nobody tells.
        """
        return self._database.notifications

    def require_open(self) -> None:
        """
        Raises:
            StoreClosedError: It is closed.
        """
        if self._is_closed:
            raise StoreClosedError

    def close(self) -> None:
        """
        Close the database; may be called twice.
        """
        self._is_closed = True
        self._database.close()

    def read(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* on one consistent snapshot.
        """
        return self._guarded(self._database.read, operation)

    def write(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        Run *operation* in one write transaction; any exception undoes it.
        """
        return self._guarded(self._database.write, operation)

    def write_unsynced(self, operation: Callable[[sa.Connection], T]) -> T:
        """
        As `write`, but a power cut may undo it, until the next write that is
        not.
        """
        return self._guarded(self._database.write_unsynced, operation)

    def _guarded(
        self,
        run: Callable[[Callable[[sa.Connection], T]], T],
        operation: Callable[[sa.Connection], T],
    ) -> T:
        self.require_open()
        try:
            return run(operation)
        except DatabaseGoneError as error:
            msg = (
                f"{error} was removed or replaced while it was open: "
                "restore it, and open it anew"
            )
            raise BackendError(msg) from error


class DeploymentStore:
    """
    What the trigger store and the effect host are built on.
    """

    durability_tier: DurabilityTier

    def __init__(self, database: ComponentDatabase, clock: Clock | None) -> None:
        self._database = database
        self._clock = clock or database.clock
        self.durability_tier = database.durability_tier

    def close(self) -> None:
        """
        Close the store; may be called twice.

        Any other use afterwards raises `StoreClosedError`.
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
