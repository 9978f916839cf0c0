"""
Queued work of a session.
"""

from collections.abc import Callable, Iterator, Sequence

from lashstore.errors import (
    BackendError,
    QueuedWorkClaimExpiredError,
)
from lashstore.model.claims import grant, is_claimable, new_token
from lashstore.model.leases import (
    LeaseOwnerIdentity,
    SessionExecutionLeaseFence,
    check_owner,
)
from lashstore.model.queue import (
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    QueuedWorkClaim,
    check_draft,
    check_queue_claim,
    is_session_command,
    runnable_prefix,
    with_expiry,
)
from lashstore.model.record import (
    deadline_ms,
    require_counter,
    require_record,
    require_text,
)
from lashstore.repos.queue import BatchRow, batch_from_removed

from .handle import StoreHandle, check_fence
from .transaction import SessionTransaction

Selection = Callable[[Iterator[BatchRow]], Sequence[BatchRow]]


class QueueStore(StoreHandle):
    """
    The part of `Store` that keeps work until a turn does it.
    """

    def enqueue_queued_work(self, draft: QueuedWorkBatchDraft) -> QueuedWorkBatch:
        """
        Append a batch to the queue. No lease is needed.

        Returns:
            The stored batch. With a source key that names a batch still
            queued, that batch, whatever the new payload: so a draft with a
            source key is safe to retry, and one without is not.

        Raises:
            InvalidArgumentError: The draft is empty, mixes commands and turn
                work, or holds what cannot be stored.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError, ReadOnlyStoreError: As for every write.
        """
        work_class, payloads_json = check_draft(draft)
        self._options.refuse_record("a batch", payloads_json)
        batch_id = f"qwb:{new_token()}"

        def operation(tx: SessionTransaction) -> QueuedWorkBatch:
            seq = tx.sessions.next_batch_seq(self.session_id, draft.source_key)
            if seq is None:
                return tx.queued_work.get_by_source_key(
                    self.session_id, str(draft.source_key)
                )
            return tx.queued_work.add(
                self.session_id,
                batch_id,
                draft,
                work_class=work_class,
                payloads_json=payloads_json,
                enqueue_seq=seq,
                now_ms=tx.now_ms,
            )

        return self._write(operation)

    def claim_leading_ready_session_command(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        lease_ttl_ms: int,
    ) -> QueuedWorkClaim | None:
        """
        Claim the first ready batch if it is a session command.

        Returns:
            A claim on that one batch; None if nothing is ready, or turn work
            comes first.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """

        def lead(rows: Iterator[BatchRow]) -> Sequence[BatchRow]:
            head = next(rows, None)
            return [head] if head and is_session_command(head.candidate) else []

        return self._claim_work(fence, owner, lease_ttl_ms, lead)

    def claim_ready_queued_work(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkBoundary,
        lease_ttl_ms: int,
        max_batches: int,
    ) -> QueuedWorkClaim | None:
        """
        Claim the leading turn work that one turn may take.

        The first ready batch decides: a session command, or work that waits
        for the turn's end at a checkpoint, is not skipped; an exclusive batch
        comes alone; a joining one brings its like right behind it.

        Args:
            owner: Who will do the work; it need not be the fence's owner.

            boundary: Where the claimer stands.

            max_batches: At most so many; 0 claims nothing and checks nothing.

        Returns:
            The claim, its batches in queue order; None if none may run.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """
        require_record("the boundary", boundary, QueuedWorkBoundary)
        require_counter("max_batches", max_batches)
        return self._claim_work(
            fence,
            owner,
            lease_ttl_ms,
            lambda rows: runnable_prefix(rows, boundary, max_batches),
            is_empty=max_batches == 0,
        )

    def claim_ready_queued_work_by_batch_ids(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkBoundary,
        lease_ttl_ms: int,
        batch_ids: Sequence[str],
    ) -> QueuedWorkClaim | None:
        """
        Claim exactly these batches if they are what may run next, in this
        order; earlier work is never skipped.

        Returns:
            The claim; None if the next runnable batches are others, and then
            nothing was claimed. No ids: None.

        Raises:
            SessionExecutionLeaseExpiredError: The fence does not prove the
                session's lease now.
        """
        require_record("the boundary", boundary, QueuedWorkBoundary)
        wanted = [require_text("a batch id", batch_id) for batch_id in batch_ids]

        def exactly(rows: Iterator[BatchRow]) -> Sequence[BatchRow]:
            prefix = runnable_prefix(rows, boundary, len(wanted))
            found = [row.batch.batch_id for row in prefix]
            return prefix if found == wanted else ()

        return self._claim_work(
            fence, owner, lease_ttl_ms, exactly, is_empty=not wanted
        )

    def _claim_work(
        self,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        ttl_ms: int,
        select: Selection,
        *,
        is_empty: bool = False,
    ) -> QueuedWorkClaim | None:
        check_fence(fence)
        check_owner(owner)
        require_counter("lease_ttl_ms", ttl_ms)
        if is_empty:
            return None

        def operation(tx: SessionTransaction) -> QueuedWorkClaim | None:
            self._require_fence(tx, fence)
            claimable = (
                row
                for row in tx.queued_work.candidates(
                    self.session_id, owner, now_ms=tx.now_ms
                )
                if is_claimable(row.hold, owner, tx.now_ms)
            )
            selected = select(claimable)
            return self._grant_work(tx, owner, ttl_ms, selected) if selected else None

        return self._write(operation)

    def _grant_work(
        self,
        tx: SessionTransaction,
        owner: LeaseOwnerIdentity,
        ttl_ms: int,
        selected: Sequence[BatchRow],
    ) -> QueuedWorkClaim:
        head = selected[0]
        granted = grant(
            "qwc",
            owner,
            head_seq=head.batch.enqueue_seq,
            now_ms=tx.now_ms,
            ttl_ms=ttl_ms,
        )
        ids = [row.batch.batch_id for row in selected]
        require_reached(tx.queued_work.grant(self.session_id, granted, ids), ids)
        return QueuedWorkClaim(
            session_id=self.session_id,
            claim_id=granted.claim_id,
            owner=owner,
            lease_token=granted.token,
            fencing_token=head.fencing_token + 1,
            claimed_at_ms=granted.claimed_at_ms,
            expires_at_ms=granted.expires_at_ms,
            batches=tuple(row.batch for row in selected),
        )

    def renew_queued_work_claim(
        self, claim: QueuedWorkClaim, lease_ttl_ms: int
    ) -> QueuedWorkClaim:
        """
        Extend a claim that is still live and whole; it is never shortened.

        Raises:
            QueuedWorkClaimExpiredError: It expired, lost a batch, or is
                another session's; nothing was extended.
        """
        check_queue_claim(claim)
        require_counter("lease_ttl_ms", lease_ttl_ms)
        expired = QueuedWorkClaimExpiredError(
            session_id=claim.session_id, claim_id=claim.claim_id
        )
        if claim.session_id != self.session_id:
            raise expired

        def operation(tx: SessionTransaction) -> QueuedWorkClaim:
            renewed = tx.queued_work.renew_claim(
                self.session_id,
                claim.claim_id,
                claim.lease_token,
                now_ms=tx.now_ms,
                expires_at_ms=deadline_ms(tx.now_ms, lease_ttl_ms),
            )
            if not renewed.keys or renewed.keys != {
                batch.batch_id for batch in claim.batches
            }:
                raise expired
            return with_expiry(claim, renewed.expires_at_ms)

        return self._write(operation)

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim) -> None:
        """
        Give a claim's batches back to the queue; nothing happens to those it
        does not own any more. Safe to retry.

        Raises:
            SessionBindingMismatchError: It is another session's.
        """
        check_queue_claim(claim)
        self._refuse_other_session(claim.session_id)
        self._write(
            lambda tx: tx.queued_work.abandon_claim(
                self.session_id, claim.claim_id, claim.lease_token
            )
        )

    def cancel_queued_work_batch(self, batch_id: str) -> QueuedWorkBatch | None:
        """
        Remove a batch from the queue.

        Returns:
            The removed batch; None if there is none, or a live claim has it.

        Raises:
            CorruptRecordError: The batch was damaged; it is removed all the
                same, so that it does not block the queue for ever.
        """
        require_text("batch_id", batch_id)
        row = self._write(
            lambda tx: tx.queued_work.remove_unclaimed(
                self.session_id, batch_id, now_ms=tx.now_ms
            )
        )
        return None if row is None else batch_from_removed(self.session_id, row)

    def list_queued_work(self) -> tuple[QueuedWorkBatch, ...]:
        """
        Return every batch, claimed or not, in queue order.

        Raises:
            CorruptRecordError: A batch is damaged; its id is the key, and
                `cancel_queued_work_batch` removes it.
        """
        return self._read(lambda tx: tx.queued_work.list_all(self.session_id))

    def list_pending_queued_work(self) -> tuple[QueuedWorkBatch, ...]:
        """
        Return the batches no live claim has, in queue order.

        Raises:
            CorruptRecordError: As `list_queued_work`.
        """
        return self._read(
            lambda tx: tx.queued_work.list_unclaimed(self.session_id, now_ms=tx.now_ms)
        )


def require_reached(count: int, keys: Sequence[str]) -> None:
    """
    Check that an update hit the rows it was decided on.

    Raises:
        BackendError: It did not; the transaction is undone.
    """
    if count != len(keys):
        msg = f"an update of {len(keys)} rows reached {count}: nothing was changed"
        raise BackendError(msg)
