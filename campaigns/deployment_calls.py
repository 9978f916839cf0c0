"""
Every writing call of the process registry, the trigger store and the effect
host, in the manner of `session_calls`.
"""

import contextlib
from typing import Any

from lashstore import (
    AbandonRequest,
    EffectEnvelope,
    EffectFailure,
    EngineInput,
    LeaseAcquired,
    PointerSelector,
    ProcessEventAppendRequest,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessExternalRef,
    ProcessHandleDescriptor,
    ProcessIdentity,
    ProcessListFilter,
    ProcessProvenance,
    ProcessRecord,
    ProcessRegistration,
    ProcessStarted,
    ProcessStatusFilter,
    ProcessWakeSpec,
    RecoveryDisposition,
    SessionOriginator,
    SessionScope,
    SignalWait,
    SuccessOutput,
    TriggerOccurrenceRequest,
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TurnScope,
    WaitState,
)

from .calls import call
from .host import LIFE_MS, SESSION, TTL_MS, Call, Host

SCOPE = SessionScope(session_id=SESSION)
OTHER = SessionScope(session_id="elsewhere")
WAKE = ProcessEventType(
    name="campaign.wake",
    semantics=ProcessEventSemanticsSpec(
        wake=ProcessWakeSpec(input=PointerSelector(pointer="/text"))
    ),
)
SIGNAL = ProcessEventType(name="signal.go")


def _registration(host: Host) -> ProcessRegistration:
    return ProcessRegistration(
        id=f"p{host.name}",
        input=EngineInput(kind="engine", payload={"code": host.blob(400).hex()}),
        disposition=RecoveryDisposition.RERUNNABLE,
        event_types=(WAKE, SIGNAL),
        provenance=ProcessProvenance(originator=SessionOriginator(scope=SCOPE)),
        wake_target=SCOPE,
        env_ref="process-env:1",
    )


@call
def register_process(host: Host) -> Call:
    registration = _registration(host)
    return Call(
        "register_process", lambda: host.registry.register_process(registration)
    )


def _running(host: Host) -> ProcessRecord | None:
    found = host.registry.list_non_terminal()
    return host.dice.choice(found) if found else None


@call
def set_external_ref(host: Host) -> Call | None:
    found = [p for p in host.registry.list_non_terminal() if p.external_ref is None]
    if not found:
        return None
    name = found[0].id
    ref = ProcessExternalRef(backend="b", id=host.name)
    return Call("set_external_ref", lambda: host.registry.set_external_ref(name, ref))


@call
def grant_handle(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    what = ProcessHandleDescriptor(kind="k", label=host.name)
    return Call(
        "grant_handle", lambda: host.registry.grant_handle(SCOPE, found.id, what)
    )


def _granted(host: Host) -> str | None:
    grants = host.registry.list_handle_grants(SCOPE)
    return grants[0][0].process_id if grants else None


@call
def revoke_handle(host: Host) -> Call | None:
    name = _granted(host)
    if name is None:
        return None
    return Call("revoke_handle", lambda: host.registry.revoke_handle(SCOPE, name))


@call
def transfer_handle_grants(host: Host) -> Call | None:
    name = _granted(host)
    if name is None:
        return None
    return Call(
        "transfer_handle_grants",
        lambda: host.registry.transfer_handle_grants(SCOPE, OTHER, [name]),
    )


@call
def delete_session_process_state(host: Host) -> Call:
    return Call(
        "delete_session_process_state",
        lambda: host.registry.delete_session_process_state("elsewhere"),
    )


def _append(host: Host, name: str, process_id: str, replay_key: str | None) -> Call:
    request = ProcessEventAppendRequest(
        event_type=WAKE.name, payload={"text": host.name}, replay_key=replay_key
    )
    fence = host.memory.process_leases.get(process_id)

    def facts(result: Any) -> dict[str, Any]:
        return {"event": [process_id, result.event.sequence, host.name]}

    return Call(
        name,
        lambda: host.registry.append_event(process_id, request, fence=fence),
        facts=facts,
    )


@call
def append_event(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    return _append(host, "append_event", found.id, f"key-{host.name}")


@call
def append_unkeyed_event(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    return _append(host, "append_unkeyed_event", found.id, None)


@call
def ack_wake(host: Host) -> Call | None:
    pending = host.registry.pending_wake_deliveries()
    if not pending:
        return None
    first = pending[0]
    return Call(
        "ack_wake", lambda: host.registry.ack_wake(first.process_id, first.sequence)
    )


@call
def complete_process(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    output = SuccessOutput(value={"by": host.name})
    fence = host.memory.process_leases.get(found.id)

    def keep(_record: Any) -> None:
        host.memory.process_leases.pop(found.id, None)

    return Call(
        "complete_process",
        lambda: host.registry.complete_process(found.id, output, fence=fence),
        keep,
        lambda _record: {"completed": found.id},
    )


@call
def record_first_started(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    started = ProcessStarted(owner=host.owner, started_at_ms=host.clock.now_ms())
    return Call(
        "record_first_started",
        lambda: host.registry.record_first_started(
            found.id, started, fence=host.memory.process_leases.get(found.id)
        ),
    )


@call
def request_process_abandon(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    request = AbandonRequest(
        requested_by=host.name, requested_at_ms=host.clock.now_ms()
    )
    return Call(
        "request_process_abandon",
        lambda: host.registry.request_process_abandon(found.id, request),
    )


@call
def set_process_wait(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None
    wait = WaitState(
        kind=SignalWait(name="go", event_type=SIGNAL.name, key=host.name, ordinal=1),
        since_ms=host.clock.now_ms(),
    )
    return Call(
        "set_process_wait",
        lambda: host.registry.set_process_wait(
            found.id, wait, fence=host.memory.process_leases.get(found.id)
        ),
    )


@call
def clear_process_wait(host: Host) -> Call | None:
    found = [p for p in host.registry.list_non_terminal() if p.wait is not None]
    if not found:
        return None
    name = found[0].id
    return Call(
        "clear_process_wait",
        lambda: host.registry.clear_process_wait(
            name, fence=host.memory.process_leases.get(name)
        ),
    )


@call
def claim_process_lease(host: Host) -> Call | None:
    found = _running(host)
    if found is None:
        return None

    def keep(outcome: Any) -> None:
        if isinstance(outcome, LeaseAcquired):
            host.memory.process_leases[found.id] = outcome.lease

    def facts(outcome: Any) -> dict[str, Any]:
        if not isinstance(outcome, LeaseAcquired):
            return {}
        return {"process_fence": [found.id, outcome.lease.fencing_token]}

    return Call(
        "claim_process_lease",
        lambda: host.registry.claim_process_lease(found.id, host.owner, TTL_MS),
        keep,
        facts,
    )


@call
def reclaim_process_lease(host: Host) -> Call | None:
    found = [
        p
        for p in host.registry.list_non_terminal()
        if p.id not in host.memory.process_leases
    ]
    if not found:
        return None
    name, me = found[0].id, host.living_owner()
    held = host.registry.claim_process_lease(name, host.dead_owner(), TTL_MS)
    if not isinstance(held, LeaseAcquired):
        return None

    def keep(outcome: Any) -> None:
        if isinstance(outcome, LeaseAcquired):
            host.memory.process_leases[name] = outcome.lease

    return Call(
        "reclaim_process_lease",
        lambda: host.registry.reclaim_process_lease(name, me, held.lease, TTL_MS),
        keep,
    )


@call
def renew_process_lease(host: Host) -> Call | None:
    for name, lease in host.memory.process_leases.items():

        def keep(renewed: Any, name: str = name) -> None:
            host.memory.process_leases[name] = renewed

        return Call(
            "renew_process_lease",
            lambda lease=lease: host.registry.renew_process_lease(lease, 2 * TTL_MS),
            keep,
        )
    return None


@call
def complete_process_lease(host: Host) -> Call | None:
    from lashstore import ProcessLeaseCompletion

    for name, lease in host.memory.process_leases.items():
        completion = ProcessLeaseCompletion(
            process_id=name, lease_token=lease.lease_token
        )

        def keep(_none: Any, name: str = name) -> None:
            del host.memory.process_leases[name]

        return Call(
            "complete_process_lease",
            lambda done=completion: host.registry.complete_process_lease(done),
            keep,
        )
    return None


@call
def prune_terminal_processes(host: Host) -> Call | None:
    ended = host.registry.list_processes(
        ProcessListFilter(status=ProcessStatusFilter.COMPLETED)
    )
    if not ended:
        return None
    cutoff = host.clock.now_ms() - 10_000
    return Call(
        "prune_terminal_processes",
        lambda: host.registry.prune_terminal_processes(cutoff),
        facts=lambda report: {"pruned": report.pruned_processes},
    )


# Triggers.

_SOURCE = {"source_type": "campaign.tick", "source_key": "blue"}


@call
def register_subscription(host: Host) -> Call:
    draft = TriggerSubscriptionDraft(
        registrant=SessionOriginator(scope=SCOPE),
        env_ref="process-env:1",
        target=EngineInput(kind="engine", payload={"n": host.name}),
        target_identity=ProcessIdentity(kind="engine"),
        client_key=f"sub-{host.name}",
        **_SOURCE,
    )
    return Call(
        "register_subscription", lambda: host.triggers.register_subscription(draft)
    )


def _subscriptions(host: Host) -> Any:
    return host.triggers.list_subscriptions(
        TriggerSubscriptionFilter(session_id=SESSION, enabled=True)
    )


@call
def cancel_subscription(host: Host) -> Call | None:
    found = _subscriptions(host)
    if len(found) < 3:
        return None
    handle = found[0].handle
    return Call(
        "cancel_subscription",
        lambda: host.triggers.cancel_subscription(SESSION, handle),
    )


@call
def cancel_subscription_by_id(host: Host) -> Call | None:
    found = _subscriptions(host)
    if len(found) < 3:
        return None
    name = found[-1].subscription_id
    return Call(
        "cancel_subscription_by_id",
        lambda: host.triggers.cancel_subscription_by_id(name),
    )


@call
def delete_session_subscriptions(host: Host) -> Call | None:
    if len(_subscriptions(host)) < 4:
        return None
    return Call(
        "delete_session_subscriptions",
        lambda: host.triggers.delete_session_subscriptions(SESSION),
    )


@call
def record_occurrence(host: Host) -> Call:
    request = TriggerOccurrenceRequest(
        payload={"n": host.name}, idempotency_key=f"tick-{host.name}", **_SOURCE
    )
    return Call("record_occurrence", lambda: host.triggers.record_occurrence(request))


@call
def reserve_matching_deliveries(host: Host) -> Call:
    # Recorded before, since reserving needs one, and is keyed by it.
    request = TriggerOccurrenceRequest(
        payload={"r": host.name}, idempotency_key=f"reserve-{host.name}", **_SOURCE
    )
    name = host.triggers.record_occurrence(request).occurrence_id
    return Call(
        "reserve_matching_deliveries",
        lambda: host.triggers.reserve_matching_deliveries(name),
    )


@call
def acknowledge_delivery(host: Host) -> Call | None:
    pending = host.triggers.pending_deliveries()
    if not pending:
        return None
    first = pending[0]
    names = first.occurrence.occurrence_id, first.subscription.subscription_id
    return Call(
        "acknowledge_delivery", lambda: host.triggers.acknowledge_delivery(*names)
    )


@call
def prune_occurrences(host: Host) -> Call:
    cutoff = host.clock.now_ms() - 8_000
    return Call("prune_occurrences", lambda: host.triggers.prune_occurrences(cutoff))


# Effects.


def _turn(host: Host) -> Any:
    return host.effects.scoped(TurnScope(session_id=SESSION, turn_id="7"))


def _name(host: Host, kind: str) -> str:
    # Few names, so that later steps and lives ask for what is recorded.
    return f"{kind}-{host.dice.randrange(12)}"


@call
def execute_effect(host: Host) -> Call:
    turn, name = _turn(host), _name(host, "effect")
    envelope = EffectEnvelope(
        kind="llm_call", effect_id=name, replay_key=name, command={"n": name}
    )
    work = host.work(name)
    return Call(
        "execute_effect",
        lambda: turn.execute_effect(envelope, lambda _e: work(), timeout_s=0),
    )


@call
def fail_effect(host: Host) -> Call:
    turn, name = _turn(host), _name(host, "failure")
    work = host.work(f"step:{name}")

    def executor() -> Any:
        work()
        raise EffectFailure("refused", name)

    def run() -> None:
        with contextlib.suppress(EffectFailure):
            turn.step(name, executor)

    return Call("fail_effect", run)


@call
def step(host: Host) -> Call:
    turn, name = _turn(host), _name(host, "step")
    return Call("step", lambda: turn.step(name, host.work(f"step:{name}")))


@call
def sleep(host: Host) -> Call:
    turn = _turn(host)
    name = f"nap-{host.name}"
    return Call("sleep", lambda: turn.sleep(name, 0))


@call
def prune(host: Host) -> Call:
    # Rarely what this life recorded: it is to be asked for again.
    age_ms = 3 * LIFE_MS if host.step % 5 else 50_000
    cutoff = host.clock.now_ms() - age_ms
    return Call("prune", lambda: host.effects.prune(cutoff))


@call
def delete_effects(host: Host) -> Call:
    scope = TurnScope(session_id="elsewhere", turn_id=host.name)
    host.effects.scoped(scope).step("gone", host.work(f"gone-{host.name}"))
    return Call("delete_effects", lambda: host.effects.delete_session("elsewhere"))
