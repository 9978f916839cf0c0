"""
What a trigger subscription's row says.
"""

from typing import Any

from lashstore.codec import decode_stored, row_checksum, verify_row
from lashstore.model.processes import SessionScope
from lashstore.model.trigger_rules import SubscriptionBody, subscription_from_body
from lashstore.model.triggers import TriggerSubscriptionRecord
from lashstore.tables import trigger_counters, trigger_subscriptions

from ._scan import full_scan

KIND = "trigger subscription"
_s = trigger_subscriptions.c
COLUMNS = (
    "subscription_id",
    "number",
    "handle",
    "registrant_key",
    "registrant_session_id",
    "source_type",
    "source_key",
    "name",
    "client_key",
    "definition_hash",
    "wake_session_id",
    "wake_agent_frame_id",
    "is_enabled",
    "created_at_ms",
    "updated_at_ms",
    "body_json",
)


def checksum_fields(content: Any) -> tuple[Any, ...]:
    """
    Return what a row's checksum covers, of the values of `COLUMNS`.
    """
    return ("trigger_subscriptions", *content)


def subscription_from_row(row: Any) -> TriggerSubscriptionRecord:
    """
    Decode a row.

    Raises:
        CorruptRecordError: It is damaged.
    """
    key = str(row.subscription_id)
    content = row[: len(COLUMNS)]
    verify_row(KIND, key, row.checksum, *checksum_fields(content))
    body: SubscriptionBody = decode_stored(SubscriptionBody, row.body_json, KIND, key)
    return subscription_from_body(
        body,
        wake_target=None
        if row.wake_session_id is None
        else SessionScope(
            session_id=row.wake_session_id, agent_frame_id=row.wake_agent_frame_id
        ),
        subscription_id=row.subscription_id,
        handle=row.handle,
        name=row.name,
        source_type=row.source_type,
        source_key=row.source_key,
        client_key=row.client_key,
        enabled=bool(row.is_enabled),
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )


SUBSCRIPTION_SCAN = full_scan(
    trigger_subscriptions,
    (*(_s[name] for name in COLUMNS), _s.checksum),
    subscription_from_row,
)
COUNTER_SCAN = full_scan(
    trigger_counters,
    (trigger_counters.c.name, trigger_counters.c.last_number),
    lambda row: row.last_number,
)


def wake_columns(wake_target: SessionScope | None) -> dict[str, Any]:
    """
    Return the columns of whom a subscription's processes wake.
    """
    return {
        "wake_session_id": None if wake_target is None else wake_target.session_id,
        "wake_agent_frame_id": None
        if wake_target is None
        else wake_target.agent_frame_id,
    }


def changes(row: Any, record: TriggerSubscriptionRecord) -> dict[str, Any]:
    """
    Return what makes of a row the one of *record*.
    """
    changed = {
        **wake_columns(record.wake_target),
        "is_enabled": int(record.enabled),
        "updated_at_ms": record.updated_at_ms,
    }
    content = {name: getattr(row, name) for name in COLUMNS} | changed
    return {
        "of_subscription_id": record.subscription_id,
        **{f"new_{name}": value for name, value in changed.items()},
        "new_checksum": row_checksum(*checksum_fields(content.values())),
    }
