"""
Trigger subscription rows.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from lashstore.codec import row_checksum
from lashstore.errors import CorruptRecordError
from lashstore.failures import DRIVER_ERRORS
from lashstore.model.record import Record
from lashstore.model.trigger_rules import (
    PreparedSubscription,
    SubscriptionQuery,
)
from lashstore.model.triggers import (
    TriggerOccurrenceRecord,
    TriggerSubscriptionRecord,
)
from lashstore.tables import (
    trigger_counters,
    trigger_deliveries,
    trigger_subscriptions,
)

from ._dialect import BIND, any_of, count_up, insert_if_absent
from ._listing import list_rows, listing
from ._run import Runner
from ._scan import Scanned
from ._subscription_rows import (
    COLUMNS,
    KIND,
    SUBSCRIPTION_SCAN,
    changes,
    checksum_fields,
    subscription_from_row,
    wake_columns,
)

_s = trigger_subscriptions.c
_d = trigger_deliveries.c
_subscriptions = sa.select(*(_s[name] for name in COLUMNS), _s.checksum)
_in_order = (_s.registrant_key, _s.number)

# Holds the counter until the transaction ends, so that numbers are committed
# in their order.
_count_up = count_up(trigger_counters, "last_number").returning(
    trigger_counters.c.last_number
)
_raise_counter = (
    sa.update(trigger_counters)
    .where(
        trigger_counters.c.name == BIND("of_name"),
        trigger_counters.c.last_number < BIND("at_least"),
    )
    .values(last_number=BIND("at_least"))
)
_start_counter_at = insert_if_absent(trigger_counters)

_add_subscription = sa.insert(trigger_subscriptions)
_find_subscription = _subscriptions.where(_s.subscription_id == BIND("subscription_id"))
_registered = _subscriptions.where(
    _s.handle == BIND("handle"),
    _s.registrant_session_id.concat("") == BIND("registrant_session_id"),
)
_hold_subscription = _find_subscription.with_for_update()
_hold_registered = _registered.with_for_update()
_find_by_client_key = _subscriptions.where(
    _s.registrant_key == BIND("registrant_key"),
    _s.client_key == BIND("client_key"),
    _s.client_key.is_not(None),
)
_list_by_ids = _subscriptions.where(any_of(_s.subscription_id, "subscription_ids"))
_list_waking = (
    _subscriptions.where(
        _s.wake_session_id == BIND("wake_session_id"), _s.wake_session_id.is_not(None)
    )
    # In no order: `hold_of_session` held them in theirs.
    .with_for_update()
)
_hold_of_session = (
    sa.select(_s.number)
    .where(
        (
            (_s.registrant_session_id == BIND("session_id", type_=sa.Text))
            & _s.registrant_session_id.is_not(None)
        )
        | (
            (_s.wake_session_id == BIND("session_id", type_=sa.Text))
            & _s.wake_session_id.is_not(None)
        )
    )
    .order_by(*_in_order)
    .with_for_update()
)
# What an occurrence has yet to meet: enabled, not younger than it, and not
# met before.
_is_match = (
    (_s.source_key == BIND("source_key"))
    & (_s.source_type == BIND("source_type"))
    & (_s.is_enabled == 1)
    & (_s.created_at_ms <= BIND("occurred_at_ms"))
    & ~sa.exists(sa.literal_column("1")).where(
        _d.occurrence_id == BIND("occurrence_id"),
        _d.subscription_id == _s.subscription_id,
    )
)
# Held, so that none goes before its delivery refers to it.
_list_matching = (
    _subscriptions.where(_is_match)
    .order_by(*_in_order)
    .with_for_update(read=True, key_share=True, of=trigger_subscriptions)
)
_put_subscription = (
    sa.update(trigger_subscriptions)
    .where(_s.subscription_id == BIND("of_subscription_id"))
    .values(
        is_enabled=BIND("new_is_enabled"),
        wake_session_id=BIND("new_wake_session_id"),
        wake_agent_frame_id=BIND("new_wake_agent_frame_id"),
        updated_at_ms=BIND("new_updated_at_ms"),
        checksum=BIND("new_checksum"),
    )
)
_disable = (
    sa.update(trigger_subscriptions)
    .where(_s.subscription_id == BIND("of_subscription_id"))
    .values(is_enabled=0)
)
_remove_session = sa.delete(trigger_subscriptions).where(
    _s.registrant_session_id == BIND("of_session_id"),
    _s.registrant_session_id.is_not(None),
)

# The columns a listing may be restricted by, the most telling first. Only the
# first one that is asked for may choose the index: without statistics, SQLite
# takes a type that thousands share for as good as a handle.
_RESTRICTIONS = (
    "handle",
    "registrant_session_id",
    "source_key",
    "definition_hash",
    "name",
    "source_type",
)


def _list_by(query: SubscriptionQuery) -> sa.Select[Any]:
    statement = _subscriptions.order_by(*_in_order)
    has_index = False
    for name in _RESTRICTIONS:
        if getattr(query, name) is not None:
            column = _s[name].concat("") if has_index else _s[name]
            statement = statement.where(column == BIND(name))
            has_index = True
    if query.is_enabled is not None:
        statement = statement.where(_s.is_enabled == BIND("is_enabled"))
    return statement


_look = listing(
    SUBSCRIPTION_SCAN,
    sa.tuple_(*_in_order)
    > sa.tuple_(
        BIND("after_key", type_=sa.Text), BIND("after_number", type_=sa.BigInteger)
    ),
    order_by=_in_order,
)
_find_place = sa.select(_s.registrant_key, _s.number).where(
    _s.subscription_id == BIND("subscription_id")
)


class ReadSubscriptions(Record, frozen=True, kw_only=True):
    """
    Subscriptions that could be read, and what is wrong with the others.
    """

    intact: tuple[TriggerSubscriptionRecord, ...]
    damaged: tuple[CorruptRecordError, ...]


class SubscriptionRepository:
    """
    Rows of `trigger_subscriptions`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    @property
    def has_other_writers(self) -> bool:
        """
        Whether others may write, too, until this transaction ends.
        """
        return self._connection.locks_rows

    def next_number(self) -> int:
        """
        Return a number that no subscription ever had. Until the transaction
        ends, nobody else gets one.
        """
        return self._count_up("subscription", 1)

    def _count_up(self, name: str, count: int) -> int:
        last_number: int = self._connection.execute(
            _count_up, {"name": name, "last_number": count}
        ).scalar_one()
        return last_number

    def raise_number(self, at_least: int) -> None:
        """
        Let the numbers to come be larger than *at_least*.
        """
        self._connection.execute(
            _start_counter_at, {"name": "subscription", "last_number": at_least}
        )
        self._connection.execute(
            _raise_counter, {"of_name": "subscription", "at_least": at_least}
        )

    def add_subscription(
        self, prepared: PreparedSubscription, *, number: int, now_ms: int
    ) -> TriggerSubscriptionRecord:
        """
        Insert a subscription; return it as it is stored.
        """
        draft = prepared.draft
        content = {
            "subscription_id": f"subscription:{number}",
            "number": number,
            "handle": f"trigger:{number}",
            "registrant_key": prepared.registrant_key,
            "registrant_session_id": prepared.registrant_session_id,
            "source_type": draft.source_type,
            "source_key": draft.source_key,
            "name": draft.name,
            "client_key": draft.client_key,
            "definition_hash": prepared.definition_hash,
            **wake_columns(draft.wake_target),
            "is_enabled": 1,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
            "body_json": prepared.body_json,
        }
        checksum = row_checksum(*checksum_fields(content.values()))
        self._connection.execute(_add_subscription, {**content, "checksum": checksum})
        added = self.find_subscription(f"subscription:{number}")
        assert added is not None  # noqa: S101, it was inserted above
        return added

    def find_subscription(
        self, subscription_id: str
    ) -> TriggerSubscriptionRecord | None:
        """
        Return the subscription of an id; None if there is none.
        """
        return self._find(_find_subscription, {"subscription_id": subscription_id})

    def hold_subscription(
        self, subscription_id: str
    ) -> TriggerSubscriptionRecord | None:
        """
        As `find_subscription`; nobody else changes it until the transaction
        ends.
        """
        return self._find(_hold_subscription, {"subscription_id": subscription_id})

    def hold_registered(
        self, session_id: str, handle: str
    ) -> TriggerSubscriptionRecord | None:
        """
        Return the subscription of a handle, if that session registered it;
        nobody else changes it until the transaction ends.
        """
        return self._find(
            _hold_registered, {"handle": handle, "registrant_session_id": session_id}
        )

    def hold_of_session(self, session_id: str) -> None:
        """
        Let nobody else change, or reserve deliveries for, what a session
        registered or is woken by. It is held in the order in which an
        occurrence meets it, so that neither waits for the other.
        """
        if self._connection.locks_rows:
            self._connection.execute(_hold_of_session, {"session_id": session_id})

    def find_by_client_key(
        self, registrant_key: str, client_key: str
    ) -> TriggerSubscriptionRecord | None:
        """
        Return what a registrant registered under a key of its own.
        """
        return self._find(
            _find_by_client_key,
            {"registrant_key": registrant_key, "client_key": client_key},
        )

    def _find(
        self, statement: sa.Select[Any], parameters: dict[str, Any]
    ) -> TriggerSubscriptionRecord | None:
        damaged: list[CorruptRecordError] = []
        rows = self._rows(statement, parameters, damaged)
        for error in damaged:
            raise error
        return subscription_from_row(rows[0]) if rows else None

    def list_by(
        self, query: SubscriptionQuery
    ) -> tuple[TriggerSubscriptionRecord, ...]:
        """
        Return the subscriptions that meet every restriction, by registrant
        and number.
        """
        parameters = {
            name: value
            for name, value in msgspec.structs.asdict(query).items()
            if value is not None
        }
        if query.is_enabled is not None:
            parameters["is_enabled"] = int(query.is_enabled)
        rows = self._connection.execute_once(_list_by(query), parameters)
        return tuple(subscription_from_row(row) for row in rows)

    def look(
        self, *, after_key: str, after_number: int, page: int
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* subscriptions behind a place of `find_place`, in
        the order of `list_by`, damaged ones too: each decodes to a
        `TriggerSubscriptionRecord`. Behind '' and 0 are all.
        """
        values = {"after_key": after_key, "after_number": after_number}
        return list_rows(self._connection, _look, values, page=page)

    def find_place(self, subscription_id: str) -> tuple[str, int] | None:
        """
        Return where a subscription stands among all; None: there is none of
        this id.
        """
        row = self._connection.execute(
            _find_place, {"subscription_id": subscription_id}
        ).one_or_none()
        return None if row is None else (row.registrant_key, row.number)

    def list_matching(self, occurrence: TriggerOccurrenceRecord) -> ReadSubscriptions:
        """
        Return the enabled subscriptions an occurrence has not met yet, by
        registrant and number; none is removed until the transaction ends.
        """
        return self._read_each(
            _list_matching,
            {
                "source_key": occurrence.source_key,
                "source_type": occurrence.source_type,
                "occurred_at_ms": occurrence.occurred_at_ms,
                "occurrence_id": occurrence.occurrence_id,
            },
        )

    def list_subscriptions(self, subscription_ids: list[str]) -> ReadSubscriptions:
        """
        Return the subscriptions of some ids.
        """
        return self._read_each(_list_by_ids, {"subscription_ids": subscription_ids})

    def list_waking(self, session_id: str) -> ReadSubscriptions:
        """
        Return the subscriptions whose processes wake a session; nobody else
        changes them until the transaction ends.
        """
        return self._read_each(_list_waking, {"wake_session_id": session_id})

    def _read_each(
        self, statement: sa.Select[Any], parameters: dict[str, Any]
    ) -> ReadSubscriptions:
        intact: list[TriggerSubscriptionRecord] = []
        damaged: list[CorruptRecordError] = []
        for row in self._rows(statement, parameters, damaged):
            try:
                intact.append(subscription_from_row(row))
            except CorruptRecordError as error:
                damaged.append(error)
        return ReadSubscriptions(intact=tuple(intact), damaged=tuple(damaged))

    def _rows(
        self,
        statement: sa.Select[Any],
        parameters: dict[str, Any],
        damaged: list[CorruptRecordError],
    ) -> list[Any]:
        try:
            return list(self._connection.execute(statement, parameters))
        except DRIVER_ERRORS as error:
            if "decode to UTF-8" not in str(error):
                raise
        # One row whose text is no text hides all the others from sqlite3;
        # so they are asked for one by one.
        numbers = statement.with_only_columns(_s.number)
        found: list[Any] = []
        for (number,) in self._connection.execute_once(numbers, parameters):
            alone = _subscriptions.where(_s.number == number).order_by(*_in_order)
            try:
                found += self._connection.execute_once(alone, {}).all()
            except sa.exc.OperationalError as error:
                damaged.append(
                    CorruptRecordError(
                        record_kind=KIND,
                        key=f"subscription:{number}",
                        reason=str(error.orig),
                    )
                )
        return found

    def put_subscriptions(self, records: Sequence[TriggerSubscriptionRecord]) -> None:
        """
        Write what may change of stored subscriptions: whether they are
        enabled, whom their processes wake, and when that was changed.
        """
        if not records:
            return
        ids = [record.subscription_id for record in records]
        rows = {
            row.subscription_id: row
            for row in self._connection.execute(_list_by_ids, {"subscription_ids": ids})
        }
        self._connection.execute(
            _put_subscription,
            [changes(rows[record.subscription_id], record) for record in records],
        )

    def disable_damaged(self, subscription_id: str) -> None:
        """
        Take a damaged subscription out of matching; it stays damaged.
        """
        self._connection.execute(_disable, {"of_subscription_id": subscription_id})

    def remove_session(self, session_id: str) -> int:
        """
        Remove what a session registered, damaged or not, and its deliveries;
        return how many subscriptions there were.
        """
        return self._connection.execute(
            _remove_session, {"of_session_id": session_id}
        ).rowcount
