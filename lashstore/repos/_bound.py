"""
What every open transaction has: repositories over one runner, and one time.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import sqlalchemy as sa

from lashstore.clock import Clock

from ._run import Runner, kept_on

R = TypeVar("R")


class Bound(Generic[R]):
    """
    A repository as an attribute of a transaction. It is made when it is first
    asked for, since most transactions need few, and shared by all that run on
    the same runner, since it has no state.
    """

    def __init__(self, kind: Callable[[Runner], R]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, transaction: None, owner: type) -> "Bound[R]": ...

    @overload
    def __get__(self, transaction: "BoundTransaction", owner: type) -> R: ...

    def __get__(self, transaction: Any, owner: type) -> Any:
        if transaction is None:
            return self
        repository = transaction.repositories.get(self._kind)
        if repository is None:
            repository = self._kind(transaction.rows)
            transaction.repositories[self._kind] = repository
        # From now on the attribute is found without asking here.
        transaction.__dict__[self._name] = repository
        return repository


class BoundTransaction:
    """
    The base of what groups the repositories of one open connection.
    """

    def __init__(
        self, connection: sa.Connection, clock: Clock, rows: Runner | None = None
    ) -> None:
        """
        Args:
            rows: What runs the statements; None: what the connection keeps,
                or a new one.
        """
        self.repositories: dict[Any, Any] = {}
        if rows is None:
            kept = kept_on(connection)
            if kept is None:
                rows = Runner(connection)
            else:
                rows, self.repositories = kept.runner, kept.repositories
        self.rows = rows
        self._clock = clock
        self._now_ms: int | None = None

    @property
    def now_ms(self) -> int:
        """
        The operation's time: read once, when it is first needed.
        """
        if self._now_ms is None:
            self._now_ms = self._clock.now_ms()
        return self._now_ms
