"""
The session's execution lease.
"""

import msgspec

from lashstore.errors import SessionExecutionLeaseExpiredError
from lashstore.model.claims import new_token
from lashstore.model.leases import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LeaseRow,
    SessionExecutionLease,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    check_owner,
    decide_claim,
    extend,
    holds,
    is_valid_fence,
)
from lashstore.model.record import require_counter, require_record

from .handle import StoreHandle, check_fence
from .transaction import SessionTransaction

LeaseOutcome = LeaseAcquired[SessionExecutionLease] | LeaseBusy[SessionExecutionLease]


class LeaseStore(StoreHandle):
    """
    The part of `Store` that says who runs the session.
    """

    def try_claim_session_execution_lease(
        self, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> LeaseOutcome:
        """
        Take the session's lease if nobody holds it, or extend it if this
        incarnation does. A live lease is never taken from its holder, alive
        or dead: see `reclaim_session_execution_lease`.

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
            InvalidArgumentError: The owner or the time cannot be stored.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError, ReadOnlyStoreError: As for every write.
        """
        return self._claim(owner, lease_ttl_ms, observed=None)

    def reclaim_session_execution_lease(
        self,
        owner: LeaseOwnerIdentity,
        observed_holder: SessionExecutionLeaseFence,
        lease_ttl_ms: int,
    ) -> LeaseOutcome:
        """
        Take the lease from a holder that is provably dead.

        Only the very lease that was observed is taken, and only if its
        holder's process is gone from this host; a free or expired lease is
        taken as by a claim.

        Args:
            observed_holder: The fence of the lease that `LeaseBusy` showed.

        Returns:
            As `try_claim_session_execution_lease`.
        """
        check_fence(observed_holder)
        return self._claim(owner, lease_ttl_ms, observed=observed_holder)

    def _claim(
        self,
        owner: LeaseOwnerIdentity,
        ttl_ms: int,
        *,
        observed: SessionExecutionLeaseFence | None,
    ) -> LeaseOutcome:
        check_owner(owner)
        require_counter("lease_ttl_ms", ttl_ms)
        token = new_token()

        def operation(tx: SessionTransaction) -> LeaseOutcome:
            outcome = decide_claim(
                tx.execution_leases.find(self.session_id),
                owner,
                session_id=self.session_id,
                token=token,
                now_ms=tx.now_ms,
                ttl_ms=ttl_ms,
                observed=observed,
            )
            if isinstance(outcome, LeaseAcquired):
                self._put_lease(tx, outcome.lease)
            return outcome

        return self._write(operation)

    def renew_session_execution_lease(
        self, fence: SessionExecutionLeaseFence, lease_ttl_ms: int
    ) -> SessionExecutionLease:
        """
        Extend a lease that is still held; it is never shortened.

        Returns:
            The lease with its first `claimed_at_ms`. Safe to retry.

        Raises:
            SessionExecutionLeaseExpiredError: It is not held by this fence
                any more; stop the turn.
        """
        check_fence(fence)
        require_counter("lease_ttl_ms", lease_ttl_ms)

        def operation(tx: SessionTransaction) -> SessionExecutionLease:
            row = tx.execution_leases.find(self.session_id)
            is_held = is_valid_fence(
                row, fence, session_id=self.session_id, now_ms=tx.now_ms
            )
            if row is None or row.lease is None or not is_held:
                raise SessionExecutionLeaseExpiredError(session_id=fence.session_id)
            extended = extend(row.lease, now_ms=tx.now_ms, ttl_ms=lease_ttl_ms)
            self._put_lease(tx, extended)
            return extended

        return self._write(operation)

    def release_session_execution_lease(
        self, completion: SessionExecutionLeaseCompletion
    ) -> None:
        """
        Give the lease back; nothing happens if it is not this one any more,
        so a newer holder is never freed. Safe to retry.

        Raises:
            SessionBindingMismatchError: It is another session's.
        """
        require_record("the completion", completion, SessionExecutionLeaseCompletion)
        self._refuse_other_session(completion.session_id)

        def operation(tx: SessionTransaction) -> None:
            row = tx.execution_leases.find(self.session_id)
            if row is not None and holds(row, completion):
                tx.execution_leases.put(
                    self.session_id, msgspec.structs.replace(row, lease=None)
                )

        self._write(operation)

    def _put_lease(self, tx: SessionTransaction, lease: SessionExecutionLease) -> None:
        tx.execution_leases.put(
            self.session_id,
            LeaseRow(fencing_token=lease.fencing_token, lease=lease),
        )
