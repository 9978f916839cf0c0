"""
What happened, and whom it meets.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from lashstore.deployment import DeploymentStore
from lashstore.errors import (
    BackendError,
    CorruptRecordError,
    OccurrenceConflictError,
    StoreBusyError,
    TriggerError,
    UnknownOccurrenceError,
)
from lashstore.model.record import (
    require_counter,
    require_optional_text,
    require_text,
    require_upper_bound,
)
from lashstore.model.trigger_rules import (
    TriggerDelivery,
    is_same_occurrence,
    plan_delivery,
    prepare_occurrence,
)
from lashstore.model.triggers import (
    TriggerDeliveryReservation,
    TriggerOccurrenceRecord,
    TriggerOccurrenceRequest,
    TriggerSubscriptionRecord,
)
from lashstore.repos.triggers import TriggerRepository

from .damaged import log_damaged


class DeliveryStore(DeploymentStore):
    """
    Recording occurrences, and reserving and acknowledging their deliveries.
    """

    def record_occurrence(
        self, request: TriggerOccurrenceRequest
    ) -> TriggerOccurrenceRecord:
        """
        Record that something happened; nothing is matched or started yet.

        Returns:
            The occurrence; if its source used the idempotency key already,
            the stored one with its first time. Safe to retry.

        Raises:
            OccurrenceConflictError: The key names an occurrence with another
                payload or source.
            InvalidArgumentError: A name is blank, or the payload or source is
                no JSON.
            CorruptRecordError: The stored occurrence is damaged.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        prepared = prepare_occurrence(request)

        def operation(connection: sa.Connection) -> TriggerOccurrenceRecord:
            repository = TriggerRepository(connection)
            is_new = repository.add_occurrence(prepared, now_ms=self._clock.now_ms())
            stored = repository.find_occurrence(prepared.occurrence_id)
            if stored is None:
                msg = f"{prepared.occurrence_id!r} was recorded and pruned: try again"
                raise StoreBusyError(msg)
            if not is_new and not is_same_occurrence(stored, prepared):
                raise OccurrenceConflictError(idempotency_key=prepared.idempotency_key)
            return stored

        return self._database.write(operation)

    def reserve_matching_deliveries(
        self, occurrence_id: str
    ) -> tuple[TriggerDeliveryReservation, ...]:
        """
        Let an occurrence meet the subscriptions that want it.

        A subscription wants occurrences of its own source type and key, from
        the millisecond of its registration on, while it is enabled. A
        damaged one is logged and left out, so that it does not stop the
        others.

        Returns:
            The deliveries this call reserved, by registrant and then oldest
            subscription first; a second call returns none of them again, but
            `pending_deliveries` does. Safe to retry.

        Raises:
            UnknownOccurrenceError: It was never recorded, or pruned.
            CorruptRecordError: The occurrence is damaged.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        require_text("occurrence_id", occurrence_id)

        def operation(
            connection: sa.Connection,
        ) -> tuple[TriggerDeliveryReservation, ...]:
            repository = TriggerRepository(connection)
            # Two hosts that let it meet subscriptions do so one by one.
            occurrence = repository.hold_occurrence(occurrence_id)
            if occurrence is None:
                raise UnknownOccurrenceError(occurrence_id=occurrence_id)
            matching = repository.list_matching(occurrence)
            log_damaged(matching.damaged)
            if not matching.intact:
                return ()
            now_ms = self._clock.now_ms()
            # Last of all: from here on, other occurrences wait for us.
            seqs = repository.next_seqs(len(matching.intact))
            deliveries = [
                plan_delivery(occurrence, subscription, seq=seq, now_ms=now_ms)
                for seq, subscription in zip(seqs, matching.intact, strict=True)
            ]
            repository.add_deliveries(deliveries)
            return tuple(
                _reservation(delivery, occurrence, subscription)
                for delivery, subscription in zip(
                    deliveries, matching.intact, strict=True
                )
            )

        return self._database.write(operation)

    def pending_deliveries(
        self, limit: int = 100
    ) -> tuple[TriggerDeliveryReservation, ...]:
        """
        Return what was reserved and not acknowledged.

        Args:
            limit: How many at most.

        Returns:
            The oldest ones, oldest first. Those of a damaged subscription are
            logged and left out.

        Raises:
            CorruptRecordError: A delivery or occurrence is damaged.
            InvalidArgumentError: The limit is negative.
        """
        require_counter("limit", limit)
        return self._database.read(
            lambda connection: _pending(TriggerRepository(connection), limit)
        )

    def acknowledge_delivery(
        self, occurrence_id: str, subscription_id: str, *, error: str | None = None
    ) -> None:
        """
        Say that a delivery's process is registered, or never will be.

        Acknowledging again changes nothing: the first word stands.

        Args:
            error: Why the process was not started; None: it was.

        Raises:
            UnknownOccurrenceError: There is no such occurrence.
            TriggerError: The two never met, or the subscription is gone.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        require_text("occurrence_id", occurrence_id)
        require_text("subscription_id", subscription_id)
        require_optional_text("error", error)

        def operation(connection: sa.Connection) -> None:
            repository = TriggerRepository(connection)
            delivery = repository.hold_delivery(occurrence_id, subscription_id)
            if delivery is None:
                if repository.find_occurrence(occurrence_id) is None:
                    raise UnknownOccurrenceError(occurrence_id=occurrence_id)
                msg = (
                    f"{subscription_id!r} has no delivery of {occurrence_id!r}: "
                    "reserve it first, or drop it if the subscription was deleted"
                )
                raise TriggerError(msg)
            if delivery.acknowledged_at_ms is not None:
                return
            acknowledged = msgspec.structs.replace(
                delivery,
                acknowledged_at_ms=self._clock.now_ms(),
                start_error=error,
            )
            if not repository.acknowledge(acknowledged):
                msg = f"acknowledging {delivery.process_id!r} reached no row"
                raise BackendError(msg)

        self._database.write(operation)

    def prune_occurrences(self, cutoff_ms: int) -> int:
        """
        Forget the occurrences before *cutoff_ms* with nothing pending, and
        their deliveries; recorded again, they would start processes again.

        Returns:
            How many there were. Safe to retry.

        Raises:
            InvalidArgumentError: The time is negative; one above the range
                means all.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        cutoff_ms = require_upper_bound("cutoff_ms", cutoff_ms)
        return self._database.write(
            lambda c: TriggerRepository(c).remove_older(cutoff_ms=cutoff_ms)
        )


def _pending(
    repository: TriggerRepository, limit: int
) -> tuple[TriggerDeliveryReservation, ...]:
    found: list[TriggerDeliveryReservation] = []
    after_seq = 0
    while len(found) < limit:
        page = repository.list_pending(after_seq=after_seq, page=limit - len(found))
        if not page:
            break
        after_seq = page[-1].seq
        found += _reservations(repository, page)
    return tuple(found)


def _reservations(
    repository: TriggerRepository, deliveries: Sequence[TriggerDelivery]
) -> list[TriggerDeliveryReservation]:
    occurrences = repository.list_occurrences(
        sorted({delivery.occurrence_id for delivery in deliveries})
    )
    for delivery in deliveries:
        if delivery.occurrence_id not in occurrences:
            raise CorruptRecordError(
                record_kind="trigger occurrence",
                key=delivery.occurrence_id,
                reason="a delivery of it is reserved, and it is missing",
            )
    read = repository.list_subscriptions(
        sorted({delivery.subscription_id for delivery in deliveries})
    )
    log_damaged(read.damaged)
    subscriptions = {record.subscription_id: record for record in read.intact}
    return [
        _reservation(
            delivery,
            occurrences[delivery.occurrence_id],
            subscriptions[delivery.subscription_id],
        )
        for delivery in deliveries
        if delivery.subscription_id in subscriptions
    ]


def _reservation(
    delivery: TriggerDelivery,
    occurrence: TriggerOccurrenceRecord,
    subscription: TriggerSubscriptionRecord,
) -> TriggerDeliveryReservation:
    return TriggerDeliveryReservation(
        occurrence=occurrence,
        subscription=subscription,
        process_id=delivery.process_id,
        payload_error=delivery.payload_error,
    )
