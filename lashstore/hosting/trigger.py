"""
The trigger of a replay: that a session begins starts its background process.
"""

from lashstore import (
    EngineInput,
    PointerSelector,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRegistration,
    ProcessWakeSpec,
    RecoveryDisposition,
    SessionOriginator,
    SessionScope,
    TriggerOccurrenceRequest,
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TriggerSubscriptionRecord,
    delivery_process_id,
    source_key_for_subscription,
)
from lashstore.model.record import Json
from lashstore.model.triggers import occurrence_id_for

from .plan import ReplayPlan
from .stores import SharedStores

PROGRESS = "replay.progress"
_SOURCE_TYPE = "lashstore.replay.begun"
_ENGINE = "lashstore.replay"
_EVENT_TYPES = (
    ProcessEventType(
        name=PROGRESS,
        payload_schema={
            "type": "object",
            "properties": {
                "turns_done": {"type": "integer", "minimum": 1},
                "text": {"type": "string"},
            },
            "required": ["turns_done", "text"],
        },
        semantics=ProcessEventSemanticsSpec(
            wake=ProcessWakeSpec(input=PointerSelector(pointer="/text"))
        ),
    ),
)


def start_process(stores: SharedStores, plan: ReplayPlan, session_id: str) -> str:
    """
    Start the background process of a session, unless an earlier run has.

    Every step may be the last before a kill, and may be repeated: the trigger
    store knows the subscription by its client key, the occurrence by its
    idempotency key, and makes the process's id out of the two.

    Returns:
        The process's id.
    """
    triggers, processes = stores.triggers, stores.processes
    source = _source(plan, session_id)
    source_key = source_key_for_subscription(_SOURCE_TYPE, source)
    subscription = triggers.register_subscription(_draft(source, session_id))
    occurrence = triggers.record_occurrence(
        TriggerOccurrenceRequest(
            source_type=_SOURCE_TYPE,
            source_key=source_key,
            payload={"turn_count": len(plan.turns)},
            idempotency_key=session_id,
            source=source,
        )
    )
    triggers.reserve_matching_deliveries(occurrence.occurrence_id)
    # Those an earlier run reserved are not returned again; the id is the same.
    process_id = delivery_process_id(
        occurrence.occurrence_id, subscription.subscription_id
    )
    processes.register_process(
        _registration(subscription, occurrence.occurrence_id, process_id)
    )
    triggers.acknowledge_delivery(
        occurrence.occurrence_id, subscription.subscription_id
    )
    return process_id


def find_process_id(
    stores: SharedStores, plan: ReplayPlan, session_id: str
) -> str | None:
    """
    Return the id of a session's background process; None if no run of the
    plan has begun the session. Nothing is written.
    """
    source_key = source_key_for_subscription(_SOURCE_TYPE, _source(plan, session_id))
    found = stores.triggers.list_subscriptions(
        TriggerSubscriptionFilter(
            session_id=session_id, source_type=_SOURCE_TYPE, source_key=source_key
        )
    )
    if not found:
        return None
    occurrence_id = occurrence_id_for(_SOURCE_TYPE, source_key, session_id)
    return delivery_process_id(occurrence_id, found[0].subscription_id)


def _source(plan: ReplayPlan, session_id: str) -> Json:
    return {"session_id": session_id, "fingerprint": plan.fingerprint}


def _draft(source: Json, session_id: str) -> TriggerSubscriptionDraft:
    scope = SessionScope(session_id=session_id)
    return TriggerSubscriptionDraft(
        registrant=SessionOriginator(scope=scope),
        env_ref=f"transcript:{source['fingerprint'][:16]}",
        wake_target=scope,
        source_type=_SOURCE_TYPE,
        source_key=source_key_for_subscription(_SOURCE_TYPE, source),
        source=source,
        target=EngineInput(kind=_ENGINE, payload=source),
        target_identity=ProcessIdentity(kind=_ENGINE, label="Follow the replay"),
        event_types=_EVENT_TYPES,
        client_key=f"replay:{source['fingerprint']}",
    )


def _registration(
    subscription: TriggerSubscriptionRecord, occurrence_id: str, process_id: str
) -> ProcessRegistration:
    return ProcessRegistration(
        id=process_id,
        input=subscription.target,
        disposition=RecoveryDisposition.RERUNNABLE,
        identity=subscription.target_identity,
        event_types=subscription.event_types,
        provenance=ProcessProvenance(
            originator=subscription.registrant,
            caused_by={
                "type": "trigger",
                "occurrence_id": occurrence_id,
                "subscription_id": subscription.subscription_id,
            },
        ),
        env_ref=subscription.env_ref,
        wake_target=subscription.wake_target,
    )
