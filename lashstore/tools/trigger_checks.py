"""
What must hold of trigger subscriptions, occurrences and deliveries.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.model.process_registration import definition_hash
from lashstore.model.trigger_rules import registrant_key
from lashstore.model.triggers import delivery_process_id, occurrence_id_for
from lashstore.repos import _subscription_rows, triggers

from .findings import FindingKind, Findings
from .scanning import sound_rows

_SUBSCRIPTIONS = "trigger_subscriptions"
_OCCURRENCES = "trigger_occurrences"
_DELIVERIES = "trigger_deliveries"


def check_triggers(connection: sa.Connection, findings: Findings) -> None:
    """
    Report everything wrong with the trigger store.
    """
    counters = {
        scanned.key: scanned.value
        for scanned in sound_rows(connection, _subscription_rows.COUNTER_SCAN, findings)
    }
    known: dict[str, set[str]] = {_SUBSCRIPTIONS: set(), _OCCURRENCES: set()}
    last_number = 0
    for scanned in sound_rows(
        connection, _subscription_rows.SUBSCRIPTION_SCAN, findings
    ):
        known[_SUBSCRIPTIONS].add(scanned.key)
        last_number = max(last_number, scanned.row.number)
        _check_subscription(scanned.row, scanned.value, findings)
    given = counters.get("subscription", 0)
    if last_number > given:
        findings.add(
            FindingKind.COUNTER_BEHIND,
            f"subscription numbers stand at {given}, but number {last_number} is "
            "in use",
            table="trigger_counters",
            key="subscription",
            is_repairable=True,
        )
    for scanned in sound_rows(connection, triggers.OCCURRENCE_SCAN, findings):
        known[_OCCURRENCES].add(scanned.key)
        _check_occurrence(scanned.row, findings)
    _check_deliveries(connection, known, findings)


def last_subscription_number(connection: sa.Connection) -> int:
    """
    Return the largest number of a subscription that verifies.
    """
    scan = _subscription_rows.SUBSCRIPTION_SCAN
    rows = sound_rows(connection, scan, Findings())
    return max((scanned.row.number for scanned in rows), default=0)


def _check_subscription(row: Any, record: Any, findings: Findings) -> None:
    told = (
        row.registrant_key,
        row.definition_hash,
        row.subscription_id,
        row.handle,
    )
    actual = (
        registrant_key(record.registrant),
        definition_hash(record.target_identity.definition),
        f"subscription:{row.number}",
        f"trigger:{row.number}",
    )
    if told != actual:
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "its id, handle, registrant or definition hash is not what its content "
            "says",
            table=_SUBSCRIPTIONS,
            key=row.subscription_id,
        )


def _check_occurrence(row: Any, findings: Findings) -> None:
    derived = occurrence_id_for(row.source_type, row.source_key, row.idempotency_key)
    if row.occurrence_id != derived:
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "its id is not the one its source and key derive",
            table=_OCCURRENCES,
            key=row.occurrence_id,
        )


def _check_deliveries(
    connection: sa.Connection, known: dict[str, set[str]], findings: Findings
) -> None:
    pending: dict[int, str] = {}
    for scanned in sound_rows(connection, triggers.DELIVERY_SCAN, findings):
        delivery = scanned.value
        for table, wanted in (
            (_OCCURRENCES, delivery.occurrence_id),
            (_SUBSCRIPTIONS, delivery.subscription_id),
        ):
            if wanted not in known[table] and not findings.has_unread(table):
                findings.add(
                    FindingKind.REFERENCE_MISSING,
                    f"{wanted!r} is not stored",
                    table=_DELIVERIES,
                    key=scanned.key,
                )
        if delivery.process_id != delivery_process_id(
            delivery.occurrence_id, delivery.subscription_id
        ):
            findings.add(
                FindingKind.ROW_INCONSISTENT,
                "its process id is not the one its occurrence and subscription derive",
                table=_DELIVERIES,
                key=scanned.key,
            )
        if delivery.acknowledged_at_ms is None:
            other = pending.setdefault(delivery.seq, scanned.key)
            if other != scanned.key:
                findings.add(
                    FindingKind.SEQUENCE_BROKEN,
                    f"its place {delivery.seq} is also that of {other}",
                    table=_DELIVERIES,
                    key=scanned.key,
                )
