"""
Process leases: one owner at a time.
"""

import msgspec

from lashstore.errors import (
    ProcessLeaseExpiredError,
    ProcessTerminalError,
    UnknownProcessError,
)
from lashstore.model.claims import new_token
from lashstore.model.leases import LeaseAcquired, LeaseOwnerIdentity, check_owner
from lashstore.model.process_leases import (
    ProcessLease,
    ProcessLeaseCompletion,
    ProcessLeaseOutcome,
    ProcessLeaseRow,
    check_lease,
    decide_claim,
    extend,
    find_held,
)
from lashstore.model.process_registration import require_process_id
from lashstore.model.record import require_counter, require_record, require_text

from .handle import RegistryHandle, RegistryTransaction


class ProcessLeaseStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that says who runs a process.
    """

    def claim_process_lease(
        self, process_id: str, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> ProcessLeaseOutcome:
        """
        Take a process's lease if nobody holds it, or extend it if this
        incarnation does. A live lease is never taken from its holder, alive
        or dead: see `reclaim_process_lease`.

        Args:
            owner: Who asks. Another incarnation of the same owner is another
                holder.

            lease_ttl_ms: How long from now the lease lives; 0: it is expired
                at once. It is never shortened by re-entry.

        Returns:
            `LeaseAcquired` with the lease; its fencing token is larger than
            any before unless this incarnation had it. Else `LeaseBusy` with
            the holder's lease. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessTerminalError: It has ended; there is nothing to run.
        """
        return self._claim(process_id, owner, lease_ttl_ms, observed=None)

    def reclaim_process_lease(
        self,
        process_id: str,
        owner: LeaseOwnerIdentity,
        observed_holder: ProcessLease,
        lease_ttl_ms: int,
    ) -> ProcessLeaseOutcome:
        """
        Take a process's lease from a holder that is provably dead.

        Only the very lease that was observed is taken, and only if its
        holder's OS process is gone from this host; a free or expired lease
        is taken as by a claim.

        Args:
            observed_holder: The lease that `LeaseBusy` showed.

        Returns:
            As `claim_process_lease`; never by re-entry.

        Raises:
            UnknownProcessError, ProcessTerminalError: As
                `claim_process_lease`.
        """
        check_lease("observed_holder", observed_holder)
        return self._claim(process_id, owner, lease_ttl_ms, observed=observed_holder)

    def _claim(
        self,
        process_id: str,
        owner: LeaseOwnerIdentity,
        ttl_ms: int,
        *,
        observed: ProcessLease | None,
    ) -> ProcessLeaseOutcome:
        require_process_id(process_id)
        check_owner(owner)
        require_counter("lease_ttl_ms", ttl_ms)
        token = new_token()

        def operation(tx: RegistryTransaction) -> ProcessLeaseOutcome:
            tx.hold(process_id)
            state = tx.processes.find_state(process_id)
            if state is None:
                raise UnknownProcessError(process_id=process_id)
            if state.is_terminal:
                raise ProcessTerminalError(process_id=process_id)
            outcome = decide_claim(
                tx.leases.find(process_id),
                owner,
                process_id=process_id,
                token=token,
                now_ms=tx.now_ms,
                ttl_ms=ttl_ms,
                observed=observed,
            )
            if isinstance(outcome, LeaseAcquired):
                _put_lease(tx, outcome.lease)
            return outcome

        return self._write(operation)

    def renew_process_lease(
        self, lease: ProcessLease, lease_ttl_ms: int
    ) -> ProcessLease:
        """
        Extend a lease that is still held; it is never shortened.

        Returns:
            The lease with its first `claimed_at_ms`. Safe to retry.

        Raises:
            ProcessLeaseExpiredError: It is not held any more; stop the work.
        """
        check_lease("the lease", lease)
        require_counter("lease_ttl_ms", lease_ttl_ms)

        def operation(tx: RegistryTransaction) -> ProcessLease:
            tx.hold(lease.process_id)
            row = tx.leases.find(lease.process_id)
            held = find_held(row, lease, now_ms=tx.now_ms)
            if held is None:
                raise ProcessLeaseExpiredError(process_id=lease.process_id)
            extended = extend(held, now_ms=tx.now_ms, ttl_ms=lease_ttl_ms)
            _put_lease(tx, extended)
            return extended

        return self._write(operation)

    def get_process_lease(self, process_id: str) -> ProcessLease | None:
        """
        Return the lease that is held on a process, expired or not; None if
        it is free, or the process unknown.
        """
        require_process_id(process_id)

        def operation(tx: RegistryTransaction) -> ProcessLease | None:
            row = tx.leases.find(process_id)
            return None if row is None else row.lease

        return self._read(operation)

    def complete_process_lease(self, completion: ProcessLeaseCompletion) -> None:
        """
        Give a lease back; nothing happens if it is not this one any more, so
        a newer holder is never freed. Safe to retry.
        """
        require_record("the completion", completion, ProcessLeaseCompletion)
        process_id = require_process_id(completion.process_id)
        require_text("lease_token", completion.lease_token)

        def operation(tx: RegistryTransaction) -> None:
            tx.hold(process_id)
            row = tx.leases.find(process_id)
            if (
                row is not None
                and row.lease is not None
                and row.lease.lease_token == completion.lease_token
            ):
                tx.leases.put(process_id, msgspec.structs.replace(row, lease=None))

        self._write(operation)


def _put_lease(tx: RegistryTransaction, lease: ProcessLease) -> None:
    tx.leases.put(
        lease.process_id,
        ProcessLeaseRow(fencing_token=lease.fencing_token, lease=lease),
    )
