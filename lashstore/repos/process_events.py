"""
Event rows: the log of each process, and the wakes nobody acknowledged yet.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import (
    MAX_COUNTER,
    decode_stored,
    encode_record,
    row_checksum,
    verify_row,
)
from lashstore.model.process_events import (
    PlannedEvent,
    ProcessEvent,
    ProcessEventSemantics,
    event_invocation,
)
from lashstore.model.record import Record
from lashstore.model.wakes import ProcessWakeDelivery
from lashstore.tables import process_events, process_wakes, processes

from ._dialect import BIND, any_of
from ._listing import list_rows, listing
from ._run import Runner
from ._scan import Scanned, full_scan

_KIND = "process event"
_e, _w = process_events.c, process_wakes.c
_CONTENT = (
    "event_type",
    "replay_key",
    "occurred_at_ms",
    "semantics_json",
    "payload_json",
)
_columns = (
    _e.process_id,
    _e.sequence,
    *(_e[name] for name in _CONTENT),
    _e.checksum,
)
_is_process = _e.process_id == BIND("process_id")
_is_after = _e.sequence > BIND("after_sequence")
_is_type = _e.event_type == BIND("event_type")

_add = sa.insert(process_events)
_find_by_replay_key = sa.select(*_columns).where(
    _is_process, _e.replay_key == BIND("replay_key"), _e.replay_key.is_not(None)
)
_list_after = (
    sa.select(*_columns)
    .where(_is_process, _is_after)
    .order_by(_e.sequence)
    .limit(BIND("page"))
)
_list_recent = (
    sa.select(*_columns)
    .where(_is_process)
    .order_by(_e.sequence.desc())
    .limit(BIND("page"))
)
_find_after = (
    sa.select(*_columns)
    .where(_is_process, _is_type, _is_after)
    .order_by(_e.sequence)
    .limit(1)
)
_count_through = (
    sa.select(sa.func.count())
    .select_from(process_events)
    .where(_is_process, _is_type, _e.sequence <= BIND("up_to_sequence"))
)
_remove = sa.delete(process_events).where(any_of(_e.process_id, "process_ids"))

_add_wake = sa.insert(process_wakes)
_is_wake = (_w.process_id == BIND("process_id"), _w.sequence == BIND("sequence"))
_WAKE = (_w.process_id, _w.sequence, _w.created_at_ms, _w.delivery_json, _w.checksum)
_find_wake = sa.select(*_WAKE).where(*_is_wake)
_remove_wake = sa.delete(process_wakes).where(*_is_wake)
_list_deliveries = (
    sa.select(*_WAKE)
    # All of them, said as a range, so that a plan shows a search.
    .where(_w.delivery_json.is_not(None), _w.created_at_ms >= sa.literal_column("0"))
    .order_by(_w.created_at_ms, _w.process_id, _w.sequence)
    .limit(BIND("page"))
)
_list_wakes_after = (
    sa.select(*_columns)
    .select_from(
        process_wakes.join(
            process_events,
            (_e.process_id == _w.process_id) & (_e.sequence == _w.sequence),
        )
    )
    .where(_w.process_id == BIND("process_id"), _w.sequence > BIND("after_sequence"))
    .order_by(_w.sequence)
)


class StoredEvent(Record, frozen=True, kw_only=True):
    """
    An event with its payload as it is stored.
    """

    event: ProcessEvent
    payload_json: str


def _checksum(process_id: str, sequence: int, content: Sequence[Any]) -> int:
    return row_checksum("process_events", process_id, sequence, *content)


def _wake_checksum(
    process_id: str, sequence: int, created_at_ms: int, delivery_json: str | None
) -> int:
    return row_checksum(
        "process_wakes", process_id, sequence, created_at_ms, delivery_json
    )


def _stored_from_row(row: Any) -> StoredEvent:
    key = f"{row.process_id}:{row.sequence}"
    content = [getattr(row, name) for name in _CONTENT]
    verify_row(
        _KIND,
        key,
        row.checksum,
        "process_events",
        row.process_id,
        row.sequence,
        *content,
    )
    semantics = ProcessEventSemantics()
    if row.semantics_json is not None:
        semantics = decode_stored(ProcessEventSemantics, row.semantics_json, _KIND, key)
    event = ProcessEvent(
        process_id=row.process_id,
        sequence=row.sequence,
        event_type=row.event_type,
        payload=decode_stored(Any, row.payload_json, _KIND, key),
        invocation=event_invocation(
            row.process_id, row.sequence, row.event_type, row.replay_key
        ),
        semantics=semantics,
        occurred_at_ms=row.occurred_at_ms,
    )
    return StoredEvent(event=event, payload_json=row.payload_json)


def _delivery_from_row(row: Any) -> ProcessWakeDelivery | None:
    key = f"{row.process_id}:{row.sequence}"
    verify_row(
        "process wake",
        key,
        row.checksum,
        "process_wakes",
        row.process_id,
        row.sequence,
        row.created_at_ms,
        row.delivery_json,
    )
    if row.delivery_json is None:
        return None
    delivery: ProcessWakeDelivery = decode_stored(
        ProcessWakeDelivery, row.delivery_json, "process wake", key
    )
    return delivery


SCAN = full_scan(process_events, _columns, lambda row: _stored_from_row(row).event)
WAKE_SCAN = full_scan(process_wakes, _WAKE, _delivery_from_row)
_look = listing(SCAN, _is_process, _is_after, order_by=(_e.sequence,))
_look_back = listing(SCAN, _is_process, order_by=(_e.sequence.desc(),))
_look_at_last = listing(
    SCAN,
    any_of(processes.c.process_id, "process_ids"),
    source=processes.join(
        process_events,
        (_e.process_id == processes.c.process_id)
        & (_e.sequence == processes.c.last_sequence),
    ),
)
_look_at_wakes = listing(WAKE_SCAN, _w.process_id == BIND("process_id"))


class ProcessEventRepository:
    """
    Rows of `process_events` and `process_wakes`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def add(self, planned: PlannedEvent) -> None:
        """
        Append an event, with its wake if it has one.
        """
        event = planned.event
        has_semantics = event.semantics != ProcessEventSemantics()
        content = {
            "event_type": event.event_type,
            "replay_key": planned.replay_key,
            "occurred_at_ms": event.occurred_at_ms,
            "semantics_json": encode_record(event.semantics, "the event's semantics")
            if has_semantics
            else None,
            "payload_json": planned.payload_json,
        }
        checksum = _checksum(event.process_id, event.sequence, list(content.values()))
        self._connection.execute(
            _add,
            {
                "process_id": event.process_id,
                "sequence": event.sequence,
                **content,
                "checksum": checksum,
            },
        )
        if event.semantics.wake is not None:
            self._add_wake(event, planned.wake_delivery)

    def _add_wake(
        self, event: ProcessEvent, delivery: ProcessWakeDelivery | None
    ) -> None:
        key = (event.process_id, event.sequence)
        delivery_json = (
            None if delivery is None else encode_record(delivery, "the wake")
        )
        checksum = _wake_checksum(*key, event.occurred_at_ms, delivery_json)
        self._connection.execute(
            _add_wake,
            {
                "process_id": event.process_id,
                "sequence": event.sequence,
                "created_at_ms": event.occurred_at_ms,
                "delivery_json": delivery_json,
                "checksum": checksum,
            },
        )

    def find_by_replay_key(
        self, process_id: str, replay_key: str
    ) -> StoredEvent | None:
        """
        Return the event a replay key names; None if it names none.
        """
        row = self._connection.execute(
            _find_by_replay_key, {"process_id": process_id, "replay_key": replay_key}
        ).one_or_none()
        return None if row is None else _stored_from_row(row)

    def find_after(
        self, process_id: str, event_type: str, after_sequence: int
    ) -> ProcessEvent | None:
        """
        Return the first event of a type behind a sequence number, if any.
        """
        row = self._connection.execute(
            _find_after,
            {
                "process_id": process_id,
                "event_type": event_type,
                "after_sequence": after_sequence,
            },
        ).one_or_none()
        return None if row is None else _stored_from_row(row).event

    def list_after(
        self, process_id: str, after_sequence: int, *, limit: int | None
    ) -> tuple[ProcessEvent, ...]:
        """
        Return the events behind a sequence number, in order.
        """
        rows = self._connection.execute(
            _list_after,
            {
                "process_id": process_id,
                "after_sequence": after_sequence,
                "page": MAX_COUNTER if limit is None else limit,
            },
        ).all()
        return tuple(_stored_from_row(row).event for row in rows)

    def list_recent(self, process_id: str, limit: int) -> tuple[ProcessEvent, ...]:
        """
        Return the last events, in order.
        """
        rows = self._connection.execute(
            _list_recent, {"process_id": process_id, "page": limit}
        ).all()
        return tuple(_stored_from_row(row).event for row in reversed(rows))

    def look(
        self, process_id: str, *, after_sequence: int, page: int
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* events behind a sequence number, in order, damaged
        ones too: each decodes to a `ProcessEvent`.
        """
        values = {"process_id": process_id, "after_sequence": after_sequence}
        return list_rows(self._connection, _look, values, page=page)

    def look_back(self, process_id: str, *, page: int) -> tuple[Scanned, ...]:
        """
        As `look`, the last ones, in order.
        """
        values = {"process_id": process_id}
        return list_rows(self._connection, _look_back, values, page=page)[::-1]

    def look_at_last(self, process_ids: Sequence[str]) -> tuple[Scanned, ...]:
        """
        As `look`, the last one of each process.
        """
        values = {"process_ids": process_ids}
        return list_rows(self._connection, _look_at_last, values, page=len(process_ids))

    def look_at_wakes(self, process_id: str, *, page: int) -> tuple[Scanned, ...]:
        """
        Return up to *page* wakes nobody has acknowledged, in order, damaged
        ones too: each decodes to a delivery, or to None if there was nobody
        to wake.
        """
        values = {"process_id": process_id}
        return list_rows(self._connection, _look_at_wakes, values, page=page)

    def count_through(
        self, process_id: str, event_type: str, up_to_sequence: int
    ) -> int:
        """
        Return how many events of a type there are up to a sequence number.
        """
        found: int = self._connection.execute(
            _count_through,
            {
                "process_id": process_id,
                "event_type": event_type,
                "up_to_sequence": up_to_sequence,
            },
        ).scalar_one()
        return found

    def remove(self, process_ids: Sequence[str]) -> int:
        """
        Remove the logs of processes; return how many events that were.
        """
        return self._connection.execute(_remove, {"process_ids": process_ids}).rowcount

    def list_wakes_after(
        self, process_id: str, after_sequence: int
    ) -> tuple[ProcessEvent, ...]:
        """
        Return the events behind a sequence number whose wake nobody has
        acknowledged, in order.
        """
        rows = self._connection.execute(
            _list_wakes_after,
            {"process_id": process_id, "after_sequence": after_sequence},
        ).all()
        return tuple(_stored_from_row(row).event for row in rows)

    def find_delivery(
        self, process_id: str, sequence: int
    ) -> ProcessWakeDelivery | None:
        """
        Return the delivery written with an event, until it is acknowledged.
        """
        row = self._connection.execute(
            _find_wake, {"process_id": process_id, "sequence": sequence}
        ).one_or_none()
        return None if row is None else _delivery_from_row(row)

    def list_deliveries(self, limit: int) -> tuple[ProcessWakeDelivery, ...]:
        """
        Return deliveries nobody has acknowledged, oldest first.
        """
        rows = self._connection.execute(_list_deliveries, {"page": limit}).all()
        found = (_delivery_from_row(row) for row in rows)
        return tuple(delivery for delivery in found if delivery is not None)

    def remove_wake(self, process_id: str, sequence: int) -> None:
        """
        Acknowledge an event's wake, if there is one.
        """
        self._connection.execute(
            _remove_wake, {"process_id": process_id, "sequence": sequence}
        )
