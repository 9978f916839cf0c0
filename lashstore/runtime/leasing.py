"""
Leases as whoever keeps them sees them, a session's and a process's alike.
"""

import os
import platform
import time
import uuid
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from lashstore.errors import (
    BackendError,
    LashStoreError,
    LeaseExpiredError,
    ProcessLeaseExpiredError,
    SessionExecutionLeaseExpiredError,
    StoreBusyError,
)
from lashstore.model.leases import (
    LeaseAcquired,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    SessionExecutionLease,
)
from lashstore.model.options import LeaseTimings
from lashstore.model.process_leases import ProcessLease, ProcessLeaseCompletion
from lashstore.processes import ProcessRegistry
from lashstore.store import Store

L = TypeVar("L")

# A failed renewal is tried again this many times within an interval.
RETRIES_PER_INTERVAL = 10


class LeaseHeldError(LashStoreError):
    """
    Somebody else holds the lease and did not let go in time.
    """

    what: str
    holder: LeaseOwnerIdentity

    def __init__(self, *, what: str, holder: LeaseOwnerIdentity) -> None:
        super().__init__(
            f"{what} is being run by {describe(holder)}: try again when that has ended",
            what=what,
            holder=holder,
        )


def describe(owner: LeaseOwnerIdentity) -> str:
    """
    Return an owner as a person may look for it.
    """
    liveness = owner.liveness
    if isinstance(liveness, LocalProcessLiveness):
        return f"{owner.owner_id} (process {liveness.pid} on {liveness.host_id})"
    return owner.owner_id


def this_process(owner_id: str = "host") -> LeaseOwnerIdentity:
    """
    Return a new owner whose death hosts on this machine can prove.

    Each call is another incarnation: call it once for a host and its leases.
    """
    return LeaseOwnerIdentity.local_process(
        owner_id, f"{os.getpid()}-{uuid.uuid4().hex}", platform.node() or "localhost"
    )


class Leasing(Protocol[L]):
    """
    One lease that can be had.
    """

    what: str

    def claim(self, ttl_ms: int) -> L | LeaseOwnerIdentity:
        """
        Return the lease, or who has it; from a holder that is provably dead
        it is taken.
        """
        ...

    def renew(self, lease: L, ttl_ms: int) -> L:
        """
        Extend it.
        """
        ...

    def release(self, lease: L) -> None:
        """
        Give it back; nothing happens if it is somebody else's by now.
        """
        ...

    def expired(self) -> LeaseExpiredError:
        """
        Return what to raise when it is lost.
        """
        ...


class SessionLeasing:
    """
    The execution lease of a store's session.
    """

    def __init__(self, store: Store, owner: LeaseOwnerIdentity) -> None:
        self.what: str = f"session {store.session_id!r}"
        self._store = store
        self._owner = owner

    def claim(self, ttl_ms: int) -> SessionExecutionLease | LeaseOwnerIdentity:
        """
        See `Leasing.claim`.
        """
        outcome = self._store.try_claim_session_execution_lease(self._owner, ttl_ms)
        if not isinstance(outcome, LeaseAcquired):
            outcome = self._store.reclaim_session_execution_lease(
                self._owner, outcome.holder.fence(), ttl_ms
            )
        if isinstance(outcome, LeaseAcquired):
            return outcome.lease
        return outcome.holder.owner

    def renew(self, lease: SessionExecutionLease, ttl_ms: int) -> SessionExecutionLease:
        """
        See `Leasing.renew`.
        """
        return self._store.renew_session_execution_lease(lease.fence(), ttl_ms)

    def release(self, lease: SessionExecutionLease) -> None:
        """
        See `Leasing.release`.
        """
        self._store.release_session_execution_lease(lease.completion())

    def expired(self) -> LeaseExpiredError:
        """
        See `Leasing.expired`.
        """
        return SessionExecutionLeaseExpiredError(session_id=self._store.session_id)


class ProcessLeasing:
    """
    The lease of one process.
    """

    def __init__(
        self, registry: ProcessRegistry, process_id: str, owner: LeaseOwnerIdentity
    ) -> None:
        self.what: str = f"process {process_id!r}"
        self._registry = registry
        self._process_id = process_id
        self._owner = owner

    def claim(self, ttl_ms: int) -> ProcessLease | LeaseOwnerIdentity:
        """
        See `Leasing.claim`.
        """
        registry, process_id = self._registry, self._process_id
        outcome = registry.claim_process_lease(process_id, self._owner, ttl_ms)
        if not isinstance(outcome, LeaseAcquired):
            outcome = registry.reclaim_process_lease(
                process_id, self._owner, outcome.holder, ttl_ms
            )
        if isinstance(outcome, LeaseAcquired):
            return outcome.lease
        return outcome.holder.owner

    def renew(self, lease: ProcessLease, ttl_ms: int) -> ProcessLease:
        """
        See `Leasing.renew`.
        """
        return self._registry.renew_process_lease(lease, ttl_ms)

    def release(self, lease: ProcessLease) -> None:
        """
        See `Leasing.release`.
        """
        self._registry.complete_process_lease(
            ProcessLeaseCompletion(
                process_id=lease.process_id, lease_token=lease.lease_token
            )
        )

    def expired(self) -> LeaseExpiredError:
        """
        See `Leasing.expired`.
        """
        return ProcessLeaseExpiredError(process_id=self._process_id)


class Kept(Generic[L]):
    """
    Something renewed beside the work, and whether it is lost.

    What is lost stays lost: a passing failure of the database is no loss
    until the time that was last granted is over.
    """

    def __init__(
        self,
        lease: L,
        renew: Callable[[L], L],
        expired: Callable[[], LeaseExpiredError],
        *,
        timings: LeaseTimings,
        granted_at_s: float,
    ) -> None:
        """
        Args:
            granted_at_s: By `time.monotonic`, no later than it was granted.
        """
        self.lease: L = lease
        self.loss: BaseException | None = None
        self._renew = renew
        self._expired = expired
        self._ttl_s = timings.ttl_ms / 1000
        self._interval_s = timings.renew_interval_ms / 1000
        self._ends_at_s = granted_at_s + self._ttl_s

    def renew(self) -> float:
        """
        Renew it; return how many seconds later to do it again.
        """
        begun_at_s = time.monotonic()
        try:
            self.lease = self._renew(self.lease)
        except (StoreBusyError, BackendError) as error:
            if time.monotonic() >= self._ends_at_s:
                self.loss = error
            return self._interval_s / RETRIES_PER_INTERVAL
        except Exception as error:  # noqa: BLE001, raised by `require`
            self.loss = error
        else:
            self._ends_at_s = begun_at_s + self._ttl_s
        return self._interval_s

    def require(self) -> L:
        """
        Return it as it was last renewed.

        Raises:
            LeaseExpiredError: It is lost, for the reason chained to it.
        """
        if self.loss is not None:
            raise self._expired() from self.loss
        return self.lease
