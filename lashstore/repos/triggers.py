"""
Trigger rows: occurrences, and their deliveries to subscriptions.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, row_checksum, verify_row
from lashstore.model.record import Json, Record
from lashstore.model.trigger_rules import (
    PreparedOccurrence,
    TriggerDelivery,
)
from lashstore.model.triggers import (
    TriggerOccurrenceRecord,
)
from lashstore.tables import trigger_deliveries, trigger_occurrences

from ._dialect import BIND, any_of, insert_if_absent
from ._listing import list_rows, listing
from ._scan import Scanned, full_scan
from ._subscriptions import SubscriptionRepository

# How many occurrences one statement of a pruning removes on a server.
_PRUNE_PAGE = 1000

_o = trigger_occurrences.c
_d = trigger_deliveries.c
_OCCURRENCE = (
    "occurrence_id",
    "source_type",
    "source_key",
    "idempotency_key",
    "occurred_at_ms",
    "payload_json",
    "source_json",
)
_DELIVERY = (
    "occurrence_id",
    "subscription_id",
    "seq",
    "process_id",
    "payload_error",
    "reserved_at_ms",
    "acknowledged_at_ms",
    "start_error",
)

_occurrences = sa.select(*(_o[name] for name in _OCCURRENCE), _o.checksum)
_deliveries = sa.select(*(_d[name] for name in _DELIVERY), _d.checksum)

_add_occurrence = insert_if_absent(trigger_occurrences)
_find_occurrence = _occurrences.where(_o.occurrence_id == BIND("occurrence_id"))
_hold_occurrence = _find_occurrence.with_for_update()
_list_occurrences = _occurrences.where(any_of(_o.occurrence_id, "occurrence_ids"))
_is_older = (_o.occurred_at_ms < BIND("cutoff_ms")) & ~sa.exists(
    sa.literal_column("1")
).where(_d.occurrence_id == _o.occurrence_id, _d.acknowledged_at_ms.is_(None))
_remove_older = sa.delete(trigger_occurrences).where(_is_older)
_hold_older = (
    sa.select(_o.occurrence_id)
    .where(_is_older)
    .order_by(_o.occurred_at_ms, _o.occurrence_id)
    .limit(BIND("page"))
    .with_for_update()
)
_remove_older_of = sa.delete(trigger_occurrences).where(
    any_of(_o.occurrence_id, "occurrence_ids"), _is_older
)

_add_deliveries = sa.insert(trigger_deliveries)
_hold_delivery = _deliveries.where(
    _d.occurrence_id == BIND("occurrence_id"),
    _d.subscription_id == BIND("subscription_id"),
).with_for_update()
_list_pending = (
    _deliveries.where(_d.acknowledged_at_ms.is_(None), _d.seq > BIND("after_seq"))
    .order_by(_d.seq)
    .limit(BIND("page"))
)
_acknowledge = (
    sa.update(trigger_deliveries)
    .where(
        _d.occurrence_id == BIND("of_occurrence_id"),
        _d.subscription_id == BIND("of_subscription_id"),
        _d.acknowledged_at_ms.is_(None),
    )
    .values(
        acknowledged_at_ms=BIND("new_acknowledged_at_ms"),
        start_error=BIND("new_start_error"),
        checksum=BIND("new_checksum"),
    )
)


def _checksum(table: str, content: Iterable[Any]) -> int:
    return row_checksum(table, *content)


def _verify(kind: str, table: str, row: Any, columns: Sequence[str]) -> str:
    key = str(row[0])
    verify_row(kind, key, row.checksum, table, *row[: len(columns)])
    return key


def _occurrence_from_row(row: Any) -> TriggerOccurrenceRecord:
    kind = "trigger occurrence"
    key = _verify(kind, "trigger_occurrences", row, _OCCURRENCE)
    payload: Json = decode_stored(Any, row.payload_json, kind, key)
    source: Json = (
        None
        if row.source_json is None
        else decode_stored(Any, row.source_json, kind, key)
    )
    return TriggerOccurrenceRecord(
        occurrence_id=row.occurrence_id,
        source_type=row.source_type,
        source_key=row.source_key,
        payload=payload,
        idempotency_key=row.idempotency_key,
        source=source,
        occurred_at_ms=row.occurred_at_ms,
    )


def _delivery_from_row(row: Any) -> TriggerDelivery:
    _verify("trigger delivery", "trigger_deliveries", row, _DELIVERY)
    return TriggerDelivery(**{name: getattr(row, name) for name in _DELIVERY})


def _delivery_content(delivery: TriggerDelivery) -> dict[str, Any]:
    return {name: getattr(delivery, name) for name in _DELIVERY}


OCCURRENCE_SCAN = full_scan(
    trigger_occurrences,
    (*(_o[name] for name in _OCCURRENCE), _o.checksum),
    _occurrence_from_row,
)
DELIVERY_SCAN = full_scan(
    trigger_deliveries,
    (*(_d[name] for name in _DELIVERY), _d.checksum),
    _delivery_from_row,
)
_look_at_occurrences = listing(
    OCCURRENCE_SCAN,
    sa.tuple_(_o.occurred_at_ms, _o.occurrence_id)
    < sa.tuple_(
        BIND("before_ms", type_=sa.BigInteger), BIND("before_id", type_=sa.Text)
    ),
    order_by=(_o.occurred_at_ms.desc(), _o.occurrence_id.desc()),
)
_look_at_some = listing(OCCURRENCE_SCAN, any_of(_o.occurrence_id, "occurrence_ids"))
_look_at_pending = listing(
    DELIVERY_SCAN,
    _d.acknowledged_at_ms.is_(None),
    _d.seq > BIND("after_seq"),
    order_by=(_d.seq,),
)
_find_time = sa.select(_o.occurred_at_ms).where(
    _o.occurrence_id == BIND("occurrence_id")
)
_count_deliveries = (
    sa.select(
        _d.occurrence_id,
        sa.func.count(),
        sa.func.count(_d.acknowledged_at_ms),
        sa.func.count(_d.start_error),
    )
    .where(any_of(_d.occurrence_id, "occurrence_ids"))
    .group_by(_d.occurrence_id)
)


class DeliveryCounts(Record, frozen=True, kw_only=True):
    """
    How many subscriptions an occurrence met, and what became of that:
    pending, or acknowledged, with an error or not.
    """

    delivery_count: int = 0
    pending_count: int = 0
    error_count: int = 0


class TriggerRepository(SubscriptionRepository):
    """
    Rows of the `trigger_` tables.
    """

    def add_occurrence(self, prepared: PreparedOccurrence, *, now_ms: int) -> bool:
        """
        Insert an occurrence unless there is one of its id; tell whether it
        was inserted.
        """
        content = {
            "occurrence_id": prepared.occurrence_id,
            "source_type": prepared.source_type,
            "source_key": prepared.source_key,
            "idempotency_key": prepared.idempotency_key,
            "occurred_at_ms": now_ms,
            "payload_json": prepared.payload_json,
            "source_json": prepared.source_json,
        }
        checksum = _checksum("trigger_occurrences", content.values())
        added = self._connection.execute(
            _add_occurrence, {**content, "checksum": checksum}
        )
        return added.rowcount == 1

    def find_occurrence(self, occurrence_id: str) -> TriggerOccurrenceRecord | None:
        """
        Return the occurrence of an id; None if there is none.
        """
        row = self._connection.execute(
            _find_occurrence, {"occurrence_id": occurrence_id}
        ).one_or_none()
        return None if row is None else _occurrence_from_row(row)

    def hold_occurrence(self, occurrence_id: str) -> TriggerOccurrenceRecord | None:
        """
        As `find_occurrence`; nobody else lets it meet subscriptions, or
        removes it, until the transaction ends.
        """
        row = self._connection.execute(
            _hold_occurrence, {"occurrence_id": occurrence_id}
        ).one_or_none()
        return None if row is None else _occurrence_from_row(row)

    def list_occurrences(
        self, occurrence_ids: list[str]
    ) -> dict[str, TriggerOccurrenceRecord]:
        """
        Return the occurrences of some ids, by id.
        """
        rows = self._connection.execute(
            _list_occurrences, {"occurrence_ids": occurrence_ids}
        )
        records = map(_occurrence_from_row, rows)
        return {record.occurrence_id: record for record in records}

    def remove_older(self, *, cutoff_ms: int) -> int:
        """
        Remove the occurrences before *cutoff_ms* with nothing pending, and
        their deliveries; return how many occurrences there were.
        """
        if self._connection.locks_rows:
            return self._remove_older_held(cutoff_ms)
        return self._connection.execute(
            _remove_older, {"cutoff_ms": cutoff_ms}
        ).rowcount

    def _remove_older_held(self, cutoff_ms: int) -> int:
        # An occurrence may meet subscriptions until it is held, so what is
        # pending is asked once more when it is. By pages, so that no list of
        # ids grows without bound.
        removed = 0
        while True:
            held = self._connection.execute(
                _hold_older, {"cutoff_ms": cutoff_ms, "page": _PRUNE_PAGE}
            ).all()
            removed += self._connection.execute(
                _remove_older_of,
                {
                    "cutoff_ms": cutoff_ms,
                    "occurrence_ids": [row.occurrence_id for row in held],
                },
            ).rowcount
            if len(held) < _PRUNE_PAGE:
                return removed

    def next_seqs(self, count: int) -> range:
        """
        Return places for so many deliveries behind all that were reserved.

        Until the transaction ends, nobody else gets any: who reads pending
        deliveries never sees one in front of those it saw before.
        """
        last = self._count_up("delivery", count)
        return range(last - count + 1, last + 1)

    def add_deliveries(self, deliveries: Sequence[TriggerDelivery]) -> None:
        """
        Insert deliveries by one statement.
        """
        if deliveries:
            contents = [_delivery_content(delivery) for delivery in deliveries]
            self._connection.execute(
                _add_deliveries,
                [
                    {
                        **content,
                        "checksum": _checksum("trigger_deliveries", content.values()),
                    }
                    for content in contents
                ],
            )

    def hold_delivery(
        self, occurrence_id: str, subscription_id: str
    ) -> TriggerDelivery | None:
        """
        Return the delivery of an occurrence to a subscription; None if the
        two never met. Nobody else changes it until the transaction ends.
        """
        row = self._connection.execute(
            _hold_delivery,
            {"occurrence_id": occurrence_id, "subscription_id": subscription_id},
        ).one_or_none()
        return None if row is None else _delivery_from_row(row)

    def list_pending(self, *, after_seq: int, page: int) -> tuple[TriggerDelivery, ...]:
        """
        Return up to *page* pending deliveries after a place, oldest first.
        """
        rows = self._connection.execute(
            _list_pending, {"after_seq": after_seq, "page": page}
        )
        return tuple(_delivery_from_row(row) for row in rows)

    def look_at_occurrences(
        self, *, before_ms: int, before_id: str, page: int
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* occurrences before a time, or of that time and with
        a smaller id, the latest first, damaged ones too: each decodes to a
        `TriggerOccurrenceRecord`.
        """
        values = {"before_ms": before_ms, "before_id": before_id}
        return list_rows(self._connection, _look_at_occurrences, values, page=page)

    def look_at_pending(self, *, after_seq: int, page: int) -> tuple[Scanned, ...]:
        """
        As `list_pending`, damaged ones too: each decodes to a
        `TriggerDelivery`.
        """
        values = {"after_seq": after_seq}
        return list_rows(self._connection, _look_at_pending, values, page=page)

    def look_at_some(self, occurrence_ids: Sequence[str]) -> tuple[Scanned, ...]:
        """
        As `look_at_occurrences`, those of some ids.
        """
        values = {"occurrence_ids": occurrence_ids}
        return list_rows(
            self._connection, _look_at_some, values, page=len(occurrence_ids)
        )

    def find_time(self, occurrence_id: str) -> int | None:
        """
        Return when an occurrence happened; None: there is none of this id.
        """
        found: int | None = self._connection.execute(
            _find_time, {"occurrence_id": occurrence_id}
        ).scalar_one_or_none()
        return found

    def count_deliveries(
        self, occurrence_ids: Sequence[str]
    ) -> dict[str, DeliveryCounts]:
        """
        Count the deliveries of those of the occurrences that have some.
        """
        rows = self._connection.execute(
            _count_deliveries, {"occurrence_ids": occurrence_ids}
        ).all()
        return {
            occurrence_id: DeliveryCounts(
                delivery_count=count,
                pending_count=count - acknowledged,
                error_count=errors,
            )
            for occurrence_id, count, acknowledged, errors in rows
        }

    def acknowledge(self, delivery: TriggerDelivery) -> bool:
        """
        Write a delivery's acknowledgement; tell whether it was pending.
        """
        updated = self._connection.execute(
            _acknowledge,
            {
                "of_occurrence_id": delivery.occurrence_id,
                "of_subscription_id": delivery.subscription_id,
                "new_acknowledged_at_ms": delivery.acknowledged_at_ms,
                "new_start_error": delivery.start_error,
                "new_checksum": _checksum(
                    "trigger_deliveries", _delivery_content(delivery).values()
                ),
            },
        )
        return updated.rowcount == 1
