"""
What every part of `ProcessRegistry` is built on.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from lashstore.clock import Clock, ask_ahead
from lashstore.deployment import ComponentDatabase, DeploymentStore
from lashstore.errors import ProcessLeaseExpiredError, UnknownProcessError
from lashstore.model.process_leases import ProcessLease, find_held
from lashstore.repos._run import Runner
from lashstore.repos.handle_grants import HandleGrantRepository
from lashstore.repos.notifications import NotificationRepository
from lashstore.repos.process_events import ProcessEventRepository
from lashstore.repos.process_leases import ProcessLeaseRepository
from lashstore.repos.processes import ProcessRepository, StoredProcess

from .changes import ChangeHub, topic_of_process

T = TypeVar("T")


class RegistryTransaction:
    """
    The registry's repositories, bound to one open connection.
    """

    processes: ProcessRepository
    events: ProcessEventRepository
    grants: HandleGrantRepository
    notifications: NotificationRepository
    leases: ProcessLeaseRepository

    def __init__(self, connection: sa.Connection, clock: Clock) -> None:
        self._clock = clock
        self._now_ms: int | None = None
        self._rows = Runner(connection)

    def __getattr__(self, name: str) -> Any:
        # Made when it is first asked for: most transactions need few.
        kind = _REPOSITORIES.get(name)
        if kind is None:
            msg = f"a transaction has no {name!r}"
            raise AttributeError(msg, name=name, obj=self)
        repository = kind(self._rows)
        setattr(self, name, repository)
        return repository

    @property
    def now_ms(self) -> int:
        """
        The operation's time: read once, when it is first needed.
        """
        if self._now_ms is None:
            self._now_ms = self._clock.now_ms()
        return self._now_ms

    def hold(self, process_id: str) -> None:
        """
        Let no other writer at a process until the transaction ends, and take
        the time only then. Every operation that decides on what it reads of
        a process, and writes, begins with it.
        """
        self.processes.hold(process_id)
        ask_ahead(self._clock)

    def tell(self, process_ids: Sequence[str]) -> None:
        """
        Tell other hosts of processes that those who wait should look at.
        """
        # Topics are hashes, and a file has nobody to be told.
        if self._rows.locks_rows:
            self.notifications.tell([topic_of_process(each) for each in process_ids])

    def get(self, process_id: str) -> StoredProcess:
        """
        Return a process.

        Raises:
            UnknownProcessError: There is none of this id.
        """
        stored = self.processes.find(process_id)
        if stored is None:
            raise UnknownProcessError(process_id=process_id)
        return stored

    def require_known(self, process_id: str) -> None:
        """
        Raises:
            UnknownProcessError: There is no process of this id.
        """
        if not self.processes.is_known(process_id):
            raise UnknownProcessError(process_id=process_id)

    def require_fence(self, process_id: str, fence: ProcessLease | None) -> None:
        """
        Check that a fence, if one is given, proves the process's lease now.

        Raises:
            ProcessLeaseExpiredError: It does not.
        """
        if fence is None:
            return
        row = self.leases.find(process_id)
        if find_held(row, fence, now_ms=self.now_ms) is None:
            raise ProcessLeaseExpiredError(process_id=process_id)


_REPOSITORIES = RegistryTransaction.__annotations__


class RegistryHandle(DeploymentStore):
    """
    Opening, closing, and one transaction a method.
    """

    def __init__(self, database: ComponentDatabase, clock: Clock | None) -> None:
        super().__init__(database, clock)
        self._changes = ChangeHub(database.notifications)

    def close(self) -> None:
        """
        Close the registry; may be called twice.

        Any other use afterwards raises `StoreClosedError`, and so does
        whatever waits in it now.
        """
        super().close()
        self._changes.notify_all()

    def _read(self, operation: Callable[[RegistryTransaction], T]) -> T:
        return self._database.read(
            lambda c: operation(RegistryTransaction(c, self._clock))
        )

    def _write(self, operation: Callable[[RegistryTransaction], T]) -> T:
        return self._database.write(
            lambda c: operation(RegistryTransaction(c, self._clock))
        )
