"""
Triggers: who wants a process started when something happens, what happened,
and the delivery of one to the other.
"""

from collections.abc import Mapping

from lashstore import codec

from .names import require_name
from .processes import (
    Originator,
    ProcessEventType,
    ProcessIdentity,
    ProcessInput,
    SessionScope,
)
from .record import Json, Record, require_text


class EventBinding(Record, frozen=True, kw_only=True, tag="event", tag_field="type"):
    """
    An argument of the process is the occurrence's payload.
    """


class FixedBinding(Record, frozen=True, kw_only=True, tag="fixed", tag_field="type"):
    """
    An argument of the process is always this value.
    """

    value: Json


class TriggerSubscriptionDraft(Record, frozen=True, kw_only=True):
    """
    Start a process whenever something happens.

    Occurrences match by `source_type` and `source_key` (see
    `source_key_for_subscription`). `payload_schema` is a JSON Schema 2020-12
    document; `target` must be an `EngineInput` whose payload is an object.
    With a `client_key`, registering again returns the stored subscription.
    """

    registrant: Originator
    env_ref: str
    wake_target: SessionScope | None = None
    name: str | None = None
    source_type: str
    source_key: str
    source: Json = {}
    payload_schema: Json = {}
    target: ProcessInput
    target_identity: ProcessIdentity
    event_types: tuple[ProcessEventType, ...] = ()
    input_template: Mapping[str, EventBinding | FixedBinding] = {}
    target_label: str | None = None
    client_key: str | None = None


class TriggerSubscriptionRecord(Record, frozen=True, kw_only=True):
    """
    A stored subscription; cancelled, it stays with `enabled` false.
    """

    subscription_id: str
    registrant: Originator
    env_ref: str
    wake_target: SessionScope | None
    handle: str
    name: str | None
    source_type: str
    source_key: str
    source: Json
    payload_schema: Json
    target: ProcessInput
    target_identity: ProcessIdentity
    event_types: tuple[ProcessEventType, ...]
    input_template: Mapping[str, EventBinding | FixedBinding]
    target_label: str | None
    client_key: str | None
    enabled: bool
    created_at_ms: int
    updated_at_ms: int


class TriggerSubscriptionFilter(Record, frozen=True, kw_only=True):
    """
    Which subscriptions a listing shows; None restricts nothing.

    `session_id` is the registrant's, which a host has not. `target` compares
    with the definition of the target's identity, as JSON.
    """

    session_id: str | None = None
    handle: str | None = None
    name: str | None = None
    source_type: str | None = None
    source_key: str | None = None
    target: Json | None = None
    enabled: bool | None = None


class TriggerOccurrenceRequest(Record, frozen=True, kw_only=True):
    """
    Something happened.

    `idempotency_key` tells occurrences of one source apart: the same key
    again is the same occurrence.
    """

    source_type: str
    source_key: str
    payload: Json = None
    idempotency_key: str
    source: Json | None = None


class TriggerOccurrenceRecord(Record, frozen=True, kw_only=True):
    """
    A recorded occurrence; it never changes.
    """

    occurrence_id: str
    source_type: str
    source_key: str
    payload: Json
    idempotency_key: str
    source: Json | None
    occurred_at_ms: int


class TriggerDeliveryReservation(Record, frozen=True, kw_only=True):
    """
    The process to start for one occurrence and one subscription.

    `payload_error`: what the occurrence's payload gets wrong by the
    subscription's schema; acknowledge it with an error instead of starting.
    """

    occurrence: TriggerOccurrenceRecord
    subscription: TriggerSubscriptionRecord
    process_id: str
    payload_error: str | None = None


def source_key_for_subscription(source_type: str, source: Json) -> str:
    """
    Return the source key that stands for a source: the same for equal ones
    in every process.

    Raises:
        InvalidArgumentError: The type is blank, or the source is no JSON.
    """
    require_name("source_type", source_type)
    digest = codec.hash_json([source_type, source], "the source")
    return f"source:{source_type}:sha256:{digest}"


def occurrence_id_for(source_type: str, source_key: str, idempotency_key: str) -> str:
    """
    Return the id of an occurrence, whatever its payload.
    """
    names = [source_type, source_key, idempotency_key]
    return f"trigger:{codec.hash_json(names, 'an occurrence')}"


def delivery_process_id(occurrence_id: str, subscription_id: str) -> str:
    """
    Return the id of the process that a subscription starts for an
    occurrence: starting it twice is starting it once.

    Raises:
        InvalidArgumentError: An id is no storable text.
    """
    require_text("occurrence_id", occurrence_id)
    require_text("subscription_id", subscription_id)
    digest = codec.hash_json([occurrence_id, subscription_id], "a delivery")
    return f"process:trigger:{digest}"
