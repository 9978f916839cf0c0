"""
`TriggerStore`: processes that start whenever something happens.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

import msgspec
import sqlalchemy as sa

from .clock import Clock
from .deployment import ComponentDatabase, DeploymentStore
from .errors import (
    BackendError,
    CorruptRecordError,
    OccurrenceConflictError,
    StoreBusyError,
    TriggerError,
    UnknownOccurrenceError,
)
from .model.options import StoreOptions
from .model.record import (
    require_counter,
    require_optional_text,
    require_text,
    require_upper_bound,
)
from .model.trigger_rules import (
    PreparedSubscription,
    TriggerDelivery,
    is_same_occurrence,
    plan_delivery,
    prepare_filter,
    prepare_occurrence,
    prepare_subscription,
)
from .model.triggers import (
    TriggerDeliveryReservation,
    TriggerOccurrenceRecord,
    TriggerOccurrenceRequest,
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TriggerSubscriptionRecord,
)
from .repos.triggers import TriggerRepository
from .tables import TRIGGER_COMPONENT

_log = logging.getLogger(__name__)


class TriggerStore(DeploymentStore):
    """
    Subscriptions, occurrences, and the deliveries between them.

    Thread-safe; every method is one transaction. An occurrence meets each
    matching subscription once, and what it met stays listed until somebody
    acknowledges having started its process, so a host that dies in between
    loses nothing. Starting twice is harmless: the process id is a function
    of the two.

        with TriggerStore.open("triggers.db") as triggers:
            happened = triggers.record_occurrence(request)
            triggers.reserve_matching_deliveries(happened.occurrence_id)
            for delivery in triggers.pending_deliveries():
                ...  # start delivery.process_id, then acknowledge it
    """

    @classmethod
    def open(
        cls,
        target: str | Path,
        *,
        clock: Clock | None = None,
        options: StoreOptions = StoreOptions(),
    ) -> Self:
        """
        Open a trigger store's database, or make it; other components' tables in
        it stay as they are.

        Args:
            target: Path of a SQLite file; absent or empty, it is made with
                mode 0600, and missing folders with 0700. It may hold other
                components as well, such as a session. Or the address of a
                PostgreSQL database, `postgresql+psycopg://…`, with
                `?schema=NAME` for where in it; an empty one gets the tables.

            clock: None: the host's on a file, the server's on a server.

        Raises:
            NotALashStoreError: The file is something else; it was left as
                it is.
            SchemaVersionError: Its trigger tables are of another version.
            InvalidArgumentError: It is neither path nor address.
            StoreBusyError: It was locked too long, or the server cannot be
                reached; retry.
            BackendError: It cannot be opened.
        """
        database = ComponentDatabase.open(target, TRIGGER_COMPONENT, options)
        return cls(database, clock)

    @classmethod
    def memory(cls, *, clock: Clock | None = None) -> Self:
        """
        Make a trigger store that lives as long as the object.
        """
        return cls(ComponentDatabase.memory(TRIGGER_COMPONENT), clock)

    def register_subscription(
        self, draft: TriggerSubscriptionDraft
    ) -> TriggerSubscriptionRecord:
        """
        Start a process whenever something happens.

        Returns:
            The subscription, enabled, under a handle that was never used
            before. With a client key that this registrant used already, the
            stored one, whatever else the draft says, cancelled or not; only
            then is a retry safe.

        Raises:
            InvalidArgumentError: The draft could never be stored, never
                match, or never start a process: a blank name, a schema that
                is none, a target that is no engine with an object as payload,
                a label that is not the identity's.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        prepared = prepare_subscription(draft)

        def operation(connection: sa.Connection) -> TriggerSubscriptionRecord:
            repository = TriggerRepository(connection)
            stored = _find_by_client_key(repository, prepared)
            if stored is not None:
                return stored
            number = repository.next_number()
            if repository.has_other_writers:
                # Who used the key meanwhile had the numbers before us, and
                # has let go of them.
                stored = _find_by_client_key(repository, prepared)
                if stored is not None:
                    return stored
            return repository.add_subscription(
                prepared, number=number, now_ms=self._clock.now_ms()
            )

        return self._database.write(operation)

    def list_subscriptions(
        self,
        filter: TriggerSubscriptionFilter = TriggerSubscriptionFilter(),  # noqa: A002, the contract's name
    ) -> tuple[TriggerSubscriptionRecord, ...]:
        """
        Return the subscriptions that meet every condition of *filter*,
        cancelled ones included, by registrant and then oldest first.

        Raises:
            CorruptRecordError: One of them is damaged; its id is the key.
            InvalidArgumentError: The filter holds what no subscription can.
        """
        query = prepare_filter(filter)
        return self._database.read(lambda c: TriggerRepository(c).list_by(query))

    def cancel_subscription(self, session_id: str, handle: str) -> bool:
        """
        Let a session's subscription match nothing from now on.

        What it met already stays pending. It stays listed, disabled.

        Returns:
            Whether this call disabled it: False if the session has no such
            subscription, or it was cancelled before. Safe to retry.

        Raises:
            CorruptRecordError: It was damaged; it is disabled all the same.
        """
        require_text("session_id", session_id)
        require_text("handle", handle)
        return self._cancel(lambda repo: repo.hold_registered(session_id, handle))

    def cancel_subscription_by_id(self, subscription_id: str) -> bool:
        """
        As `cancel_subscription`, whoever registered it, hosts included.
        """
        require_text("subscription_id", subscription_id)
        return self._cancel(lambda repo: repo.hold_subscription(subscription_id))

    def _cancel(
        self, find: Callable[[TriggerRepository], TriggerSubscriptionRecord | None]
    ) -> bool:
        def operation(connection: sa.Connection) -> bool | CorruptRecordError:
            repository = TriggerRepository(connection)
            try:
                stored = find(repository)
            except CorruptRecordError as error:
                # Out of matching at least, or it would be tried for ever.
                repository.disable_damaged(error.key)
                return error
            if stored is None or not stored.enabled:
                return False
            repository.put_subscriptions(
                [
                    msgspec.structs.replace(
                        stored, enabled=False, updated_at_ms=self._clock.now_ms()
                    )
                ]
            )
            return True

        outcome = self._database.write(operation)
        if isinstance(outcome, CorruptRecordError):
            raise outcome
        return outcome

    def delete_session_subscriptions(self, session_id: str) -> int:
        """
        Remove what a session registered, with its deliveries, pending ones
        too; and let the processes of others wake it no more. Occurrences
        stay.

        Returns:
            How many subscriptions were removed. Safe to retry.
        """
        require_text("session_id", session_id)

        def operation(connection: sa.Connection) -> int:
            repository = TriggerRepository(connection)
            repository.hold_of_session(session_id)
            removed = repository.remove_session(session_id)
            waking = repository.list_waking(session_id)
            # A damaged one cannot fire; it must not keep a session alive.
            _log_damaged(waking.damaged)
            now_ms = self._clock.now_ms()
            repository.put_subscriptions(
                [
                    msgspec.structs.replace(
                        record, wake_target=None, updated_at_ms=now_ms
                    )
                    for record in waking.intact
                ]
            )
            return removed

        return self._database.write(operation)

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
            _log_damaged(matching.damaged)
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


def _find_by_client_key(
    repository: TriggerRepository, prepared: PreparedSubscription
) -> TriggerSubscriptionRecord | None:
    client_key = prepared.draft.client_key
    if client_key is None:
        return None
    return repository.find_by_client_key(prepared.registrant_key, client_key)


def _log_damaged(damaged: Iterable[CorruptRecordError]) -> None:
    for error in damaged:
        _log.error("%s", error)


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
    _log_damaged(read.damaged)
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
