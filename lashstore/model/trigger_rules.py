"""
What a trigger store accepts, how it stores it, and what a match becomes.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from lashstore import codec
from lashstore.errors import InvalidArgumentError

from .names import require_name
from .process_registration import (
    check_scope,
    definition_hash,
    encode_checked,
    prepare_registration,
)
from .processes import (
    EngineInput,
    HostOriginator,
    Originator,
    ProcessEventType,
    ProcessIdentity,
    ProcessInput,
    ProcessProvenance,
    ProcessRegistration,
    RecoveryDisposition,
    SessionOriginator,
    SessionScope,
)
from .record import (
    Json,
    Record,
    require_optional_text,
    require_record,
    require_text,
)
from .schemas import compile_schema
from .triggers import (
    EventBinding,
    FixedBinding,
    TriggerOccurrenceRecord,
    TriggerOccurrenceRequest,
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TriggerSubscriptionRecord,
    delivery_process_id,
    occurrence_id_for,
)


class SubscriptionBody(Record, frozen=True, kw_only=True):
    """
    What of a subscription no statement asks for, stored as one JSON text.
    """

    registrant: Originator
    env_ref: str
    source: Json
    payload_schema: Json
    target: ProcessInput
    target_identity: ProcessIdentity
    event_types: tuple[ProcessEventType, ...]
    input_template: dict[str, EventBinding | FixedBinding]
    target_label: str | None


class PreparedSubscription(Record, frozen=True, kw_only=True):
    """
    A draft that was checked and encoded.
    """

    draft: TriggerSubscriptionDraft
    registrant_key: str
    registrant_session_id: str | None
    definition_hash: str | None
    body_json: str


class PreparedOccurrence(Record, frozen=True, kw_only=True):
    """
    A request that was checked and encoded; `source_json` None: no source.
    """

    occurrence_id: str
    source_type: str
    source_key: str
    idempotency_key: str
    payload_json: str
    source_json: str | None


class TriggerDelivery(Record, frozen=True, kw_only=True):
    """
    A stored delivery; it is pending until it is acknowledged.
    """

    seq: int
    occurrence_id: str
    subscription_id: str
    process_id: str
    payload_error: str | None
    reserved_at_ms: int
    acknowledged_at_ms: int | None = None
    start_error: str | None = None


class SubscriptionQuery(Record, frozen=True, kw_only=True):
    """
    A filter as columns; None restricts nothing.
    """

    handle: str | None
    source_key: str | None
    definition_hash: str | None
    name: str | None
    registrant_session_id: str | None
    source_type: str | None
    is_enabled: bool | None


def registrant_key(registrant: Originator) -> str:
    """
    Return a registrant as one text, which is no other's.
    """
    if isinstance(registrant, HostOriginator):
        return "host"
    # Escaped, or frame "b" of session "a" and session "a/frame:b" would share
    # their client keys.
    session_id = registrant.scope.session_id.replace("%", "%25").replace("/", "%2F")
    return SessionScope(
        session_id=session_id, agent_frame_id=registrant.scope.agent_frame_id
    ).scope_id


def prepare_subscription(draft: TriggerSubscriptionDraft) -> PreparedSubscription:
    """
    Check a draft and encode it.

    Raises:
        InvalidArgumentError: It could never be stored, never match, or never
            start a process.
    """
    require_record("the draft", draft, TriggerSubscriptionDraft)
    require_record("the registrant", draft.registrant, Originator)
    require_name("source_type", draft.source_type)
    require_name("source_key", draft.source_key)
    require_optional_text("name", draft.name)
    if draft.client_key is not None:
        require_name("client_key", draft.client_key)
    _check_schema(draft.payload_schema)
    _check_target(draft)
    template = _checked_template(draft.input_template)
    body = SubscriptionBody(
        registrant=draft.registrant,
        env_ref=draft.env_ref,
        source=draft.source,
        payload_schema=draft.payload_schema,
        target=draft.target,
        target_identity=draft.target_identity,
        event_types=tuple(draft.event_types),
        input_template=template,
        target_label=draft.target_label,
    )
    scope = (
        draft.registrant.scope
        if isinstance(draft.registrant, SessionOriginator)
        else None
    )
    return PreparedSubscription(
        draft=draft,
        registrant_key=registrant_key(draft.registrant),
        registrant_session_id=None if scope is None else scope.session_id,
        definition_hash=definition_hash(draft.target_identity.definition),
        body_json=encode_checked(body, "the draft"),
    )


def _check_schema(schema: Json) -> None:
    try:
        compile_schema(schema)
    except InvalidArgumentError as error:
        msg = f"payload_schema: {error}"
        raise InvalidArgumentError(msg) from error


def _check_target(draft: TriggerSubscriptionDraft) -> None:
    target, identity = draft.target, draft.target_identity
    if not isinstance(target, EngineInput) or not isinstance(target.payload, dict):
        msg = "target must be an EngineInput whose payload is a JSON object"
        raise InvalidArgumentError(msg)
    require_record("target_identity", identity, ProcessIdentity)
    require_name("the target identity's kind", identity.kind)
    label = require_optional_text("target_label", draft.target_label)
    if label is not None and identity.label is not None and label != identity.label:
        msg = (
            f"target_label must match the target identity's label: {label!r} is "
            f"not {identity.label!r}"
        )
        raise InvalidArgumentError(msg)
    if draft.wake_target is not None:
        check_scope("wake_target", draft.wake_target)
    # What the registry would refuse when the process is to start, is refused
    # now: the environment, the event types, the scopes.
    prepare_registration(
        ProcessRegistration(
            id="process:trigger",
            input=target,
            disposition=RecoveryDisposition.RERUNNABLE,
            identity=identity,
            event_types=draft.event_types,
            provenance=ProcessProvenance(originator=draft.registrant),
            env_ref=draft.env_ref,
            wake_target=draft.wake_target,
        )
    )


def _checked_template(template: Any) -> dict[str, EventBinding | FixedBinding]:
    require_record("input_template", template, Mapping)
    for name, binding in template.items():
        require_text("an argument's name", name)
        require_record(f"the binding of {name!r}", binding, EventBinding | FixedBinding)
    return dict(template)


def prepare_filter(chosen: TriggerSubscriptionFilter) -> SubscriptionQuery:
    """
    Check a filter and turn it into columns.

    Raises:
        InvalidArgumentError: A field is no storable text, or no JSON.
    """
    require_record("the filter", chosen, TriggerSubscriptionFilter)
    if chosen.enabled is not None:
        require_record("enabled", chosen.enabled, bool)
    return SubscriptionQuery(
        handle=require_optional_text("handle", chosen.handle),
        source_key=require_optional_text("source_key", chosen.source_key),
        definition_hash=definition_hash(chosen.target),
        name=require_optional_text("name", chosen.name),
        registrant_session_id=require_optional_text("session_id", chosen.session_id),
        source_type=require_optional_text("source_type", chosen.source_type),
        is_enabled=chosen.enabled,
    )


def prepare_occurrence(request: TriggerOccurrenceRequest) -> PreparedOccurrence:
    """
    Check a request and encode it.

    Raises:
        InvalidArgumentError: A name is blank, or the payload or source is no
            JSON.
    """
    require_record("the request", request, TriggerOccurrenceRequest)
    for name in ("source_type", "source_key", "idempotency_key"):
        require_name(name, getattr(request, name))
    return PreparedOccurrence(
        occurrence_id=occurrence_id_for(
            request.source_type, request.source_key, request.idempotency_key
        ),
        source_type=request.source_type,
        source_key=request.source_key,
        idempotency_key=request.idempotency_key,
        payload_json=codec.encode_json(request.payload, "the payload"),
        source_json=None
        if request.source is None
        else codec.encode_json(request.source, "the source"),
    )


def is_same_occurrence(
    stored: TriggerOccurrenceRecord, prepared: PreparedOccurrence
) -> bool:
    """
    Tell whether an idempotency key is used again for the same content.
    """
    # As JSON: True equals 1 in Python.
    source_json = (
        None
        if stored.source is None
        else codec.encode_json(stored.source, "the source")
    )
    return (
        codec.encode_json(stored.payload, "the payload") == prepared.payload_json
        and source_json == prepared.source_json
    )


def subscription_from_body(
    body: SubscriptionBody, *, wake_target: SessionScope | None, **columns: Any
) -> TriggerSubscriptionRecord:
    """
    Put a subscription together from its stored parts.
    """
    return TriggerSubscriptionRecord(
        wake_target=wake_target, **msgspec.structs.asdict(body), **columns
    )


def plan_delivery(
    occurrence: TriggerOccurrenceRecord,
    subscription: TriggerSubscriptionRecord,
    *,
    seq: int,
    now_ms: int,
) -> TriggerDelivery:
    """
    Decide which process a match starts, and whether its payload is fit.
    """
    return TriggerDelivery(
        seq=seq,
        occurrence_id=occurrence.occurrence_id,
        subscription_id=subscription.subscription_id,
        process_id=delivery_process_id(
            occurrence.occurrence_id, subscription.subscription_id
        ),
        payload_error=_payload_error(subscription.payload_schema, occurrence.payload),
        reserved_at_ms=now_ms,
    )


def _payload_error(schema: Json, payload: Json) -> str | None:
    try:
        return compile_schema(schema).error_of(payload)
    except InvalidArgumentError as error:
        # An older lashstore accepted it: the match is reported, not lost.
        return f"the subscription's payload_schema: {error}"
