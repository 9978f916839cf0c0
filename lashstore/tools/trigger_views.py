"""
Triggers to look at: subscriptions, occurrences, and what is to be delivered.
"""

from collections.abc import Mapping

import sqlalchemy as sa

from lashstore.codec import MAX_COUNTER
from lashstore.errors import InvalidArgumentError
from lashstore.model.record import Record
from lashstore.model.trigger_rules import TriggerDelivery
from lashstore.model.triggers import (
    TriggerOccurrenceRecord,
    TriggerSubscriptionRecord,
)
from lashstore.repos.triggers import DeliveryCounts, TriggerRepository

from .pages import Damaged, cut, place_after, sift
from .reading import ComponentReader
from .scanning import lenient


class SubscriptionPage(Record, frozen=True, kw_only=True):
    """
    Subscriptions by registrant and number, and the damaged ones among them.
    """

    place: str
    subscriptions: tuple[TriggerSubscriptionRecord, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


class OccurrenceView(Record, frozen=True, kw_only=True):
    """
    An occurrence, and what became of the subscriptions it met.
    """

    occurrence: TriggerOccurrenceRecord
    deliveries: DeliveryCounts


class OccurrencePage(Record, frozen=True, kw_only=True):
    """
    Occurrences, the latest first, and the damaged ones among them.
    """

    place: str
    occurrences: tuple[OccurrenceView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


class DeliveryView(Record, frozen=True, kw_only=True):
    """
    A delivery, with what happened; `occurrence` None: its row is damaged.
    """

    delivery: TriggerDelivery
    occurrence: TriggerOccurrenceRecord | None


class DeliveryPage(Record, frozen=True, kw_only=True):
    """
    Pending deliveries, oldest first, and the damaged ones among them.
    """

    place: str
    deliveries: tuple[DeliveryView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


def list_subscriptions(
    reader: ComponentReader, *, after: str | None, limit: int
) -> SubscriptionPage:
    """
    Return a page of subscriptions, disabled ones too.

    Args:
        after: The subscription that the page before ended with; None: from
            the first on.

    Raises:
        InvalidArgumentError: There is no such subscription.
        StoreNotFoundError, StoreBusyError, BackendError: They cannot be read.
    """

    def look(connection: sa.Connection) -> SubscriptionPage:
        lenient(connection)
        triggers = TriggerRepository(connection)
        place = ("", 0) if after is None else triggers.find_place(after)
        if place is None:
            raise _unknown("subscription", after)
        found = triggers.look(after_key=place[0], after_number=place[1], page=limit + 1)
        rows, has_more = cut(found, limit)
        damaged: list[Damaged] = []
        views = sift("trigger_subscriptions", rows, lambda each: each.value, damaged)
        return SubscriptionPage(
            place=reader.place,
            subscriptions=tuple(views),
            damaged=tuple(damaged),
            next_after=rows[-1].key if has_more else None,
        )

    return reader.read(look)


def list_occurrences(
    reader: ComponentReader, *, after: str | None, limit: int
) -> OccurrencePage:
    """
    Return a page of occurrences, the latest first.

    Args:
        after: The occurrence that the page before ended with; None: from the
            latest on.

    Raises:
        InvalidArgumentError: There is no such occurrence.
        As `list_subscriptions`.
    """

    def look(connection: sa.Connection) -> OccurrencePage:
        lenient(connection)
        triggers = TriggerRepository(connection)
        before_ms = MAX_COUNTER if after is None else triggers.find_time(after)
        if before_ms is None:
            raise _unknown("occurrence", after)
        found = triggers.look_at_occurrences(
            before_ms=before_ms, before_id=after or "", page=limit + 1
        )
        rows, has_more = cut(found, limit)
        counts = triggers.count_deliveries([each.key for each in rows])
        damaged: list[Damaged] = []
        views = sift(
            "trigger_occurrences",
            rows,
            lambda each: OccurrenceView(
                occurrence=each.value,
                deliveries=counts.get(each.key, DeliveryCounts()),
            ),
            damaged,
        )
        return OccurrencePage(
            place=reader.place,
            occurrences=tuple(views),
            damaged=tuple(damaged),
            next_after=rows[-1].key if has_more else None,
        )

    return reader.read(look)


def list_pending(
    reader: ComponentReader, *, after: str | None, limit: int
) -> DeliveryPage:
    """
    Return a page of the deliveries nobody has acknowledged, oldest first.

    Args:
        after: The number that the page before named; None: from the oldest
            on.

    Raises:
        InvalidArgumentError: *after* is no number.
        As `list_subscriptions`.
    """
    after_seq = place_after(after, otherwise=0)

    def look(connection: sa.Connection) -> DeliveryPage:
        lenient(connection)
        triggers = TriggerRepository(connection)
        found = triggers.look_at_pending(after_seq=after_seq, page=limit + 1)
        rows, has_more = cut(found, limit)
        damaged: list[Damaged] = []
        deliveries = sift("trigger_deliveries", rows, lambda each: each.value, damaged)
        wanted = sorted({each.occurrence_id for each in deliveries})
        occurrences = _occurrences(triggers, wanted, damaged)
        return DeliveryPage(
            place=reader.place,
            deliveries=tuple(
                DeliveryView(
                    delivery=each, occurrence=occurrences.get(each.occurrence_id)
                )
                for each in deliveries
            ),
            damaged=tuple(damaged),
            next_after=str(rows[-1].row.seq) if has_more else None,
        )

    return reader.read(look)


def _occurrences(
    triggers: TriggerRepository, wanted: list[str], damaged: list[Damaged]
) -> Mapping[str, TriggerOccurrenceRecord]:
    rows = triggers.look_at_some(wanted)
    found = sift("trigger_occurrences", rows, lambda each: each.value, damaged)
    return {each.occurrence_id: each for each in found}


def _unknown(what: str, name: str | None) -> InvalidArgumentError:
    msg = (
        f"there is no {what} {name!r}, or no more: begin with the first page, "
        "without --after"
    )
    return InvalidArgumentError(msg)
