"""
What every part of `ProcessRegistry` is built on.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lashstore.clock import Clock, ask_ahead
from lashstore.deployment import ComponentDatabase, DeploymentStore
from lashstore.errors import ProcessLeaseExpiredError, UnknownProcessError
from lashstore.model.process_leases import ProcessLease, find_held
from lashstore.repos._bound import Bound, BoundTransaction
from lashstore.repos._process_rows import StoredProcess
from lashstore.repos.handle_grants import HandleGrantRepository
from lashstore.repos.notifications import NotificationRepository
from lashstore.repos.process_events import ProcessEventRepository
from lashstore.repos.process_leases import ProcessLeaseRepository
from lashstore.repos.processes import ProcessRepository

from .changes import ChangeHub, topic_of_process

T = TypeVar("T")


class RegistryTransaction(BoundTransaction):
    """
    The registry's repositories, bound to one open connection.
    """

    processes: Bound[ProcessRepository] = Bound(ProcessRepository)
    events: Bound[ProcessEventRepository] = Bound(ProcessEventRepository)
    grants: Bound[HandleGrantRepository] = Bound(HandleGrantRepository)
    notifications: Bound[NotificationRepository] = Bound(NotificationRepository)
    leases: Bound[ProcessLeaseRepository] = Bound(ProcessLeaseRepository)

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
        if self.rows.locks_rows:
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
