"""
Every writing call of a session's queue and turn inputs, made as those of
`session_calls` are.
"""

from collections.abc import Callable
from typing import Any

from lashstore import (
    ActiveTurnIngress,
    CheckpointKind,
    InputIdTarget,
    MergeGroup,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    SessionCommandPayload,
    SlotPolicy,
    TurnWorkPayload,
)

from .calls import call
from .host import TTL_MS, Call, Host


def _enqueue_facts(stored: Any) -> dict[str, Any]:
    names = [getattr(stored, "batch_id", None) or stored.input_id]
    return {"admitted": names, "number": stored.enqueue_seq}


@call
def enqueue_queued_work(host: Host) -> Call:
    kind = host.dice.randrange(3)
    draft = QueuedWorkBatchDraft(
        payloads=(TurnWorkPayload(body={"n": host.name}),) * (kind + 1),
        slot_policy=SlotPolicy.JOIN if kind else SlotPolicy.EXCLUSIVE,
        merge_key=MergeGroup(group=f"g{kind}"),
        source_key=f"key-{host.name}" if kind else None,
    )
    return Call(
        "enqueue_queued_work",
        lambda: host.store.enqueue_queued_work(draft),
        facts=_enqueue_facts,
    )


@call
def enqueue_session_command(host: Host) -> Call:
    draft = QueuedWorkBatchDraft(
        payloads=(SessionCommandPayload(command={"reset": host.name}),),
        source_key=f"command-{host.name}",
    )
    return Call(
        "enqueue_session_command",
        lambda: host.store.enqueue_queued_work(draft),
        facts=_enqueue_facts,
    )


def _keep_queue(host: Host) -> Callable[[Any], None]:
    def keep(claim: Any) -> None:
        if claim is not None:
            host.memory.queue_claims.append(claim)

    return keep


@call
def claim_leading_ready_session_command(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence, owner = host.fence, host.owner
    return Call(
        "claim_leading_ready_session_command",
        lambda: host.store.claim_leading_ready_session_command(fence, owner, TTL_MS),
        _keep_queue(host),
    )


@call
def claim_ready_queued_work(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence, owner = host.fence, host.owner
    return Call(
        "claim_ready_queued_work",
        lambda: host.store.claim_ready_queued_work(
            fence, owner, QueuedWorkBoundary.IDLE, TTL_MS, 3
        ),
        _keep_queue(host),
    )


@call
def claim_ready_queued_work_by_batch_ids(host: Host) -> Call | None:
    ready = [
        each
        for each in host.store.list_pending_queued_work()
        if each.work_class == "turn_work"
    ]
    if host.memory.lease is None or not ready:
        return None
    fence, owner, names = host.fence, host.owner, [ready[0].batch_id]
    return Call(
        "claim_ready_queued_work_by_batch_ids",
        lambda: host.store.claim_ready_queued_work_by_batch_ids(
            fence, owner, QueuedWorkBoundary.IDLE, TTL_MS, names
        ),
        _keep_queue(host),
    )


@call
def renew_queued_work_claim(host: Host) -> Call | None:
    if not host.memory.queue_claims:
        return None
    claim = host.memory.queue_claims[0]
    return Call(
        "renew_queued_work_claim",
        lambda: host.store.renew_queued_work_claim(claim, 2 * TTL_MS),
    )


@call
def abandon_queued_work_claim(host: Host) -> Call | None:
    if not host.memory.queue_claims:
        return None
    claim = host.memory.queue_claims[-1]
    return Call(
        "abandon_queued_work_claim",
        lambda: host.store.abandon_queued_work_claim(claim),
        lambda _none: host.memory.queue_claims.remove(claim),
    )


@call
def cancel_queued_work_batch(host: Host) -> Call | None:
    ready = host.store.list_pending_queued_work()
    if not ready:
        return None
    name = host.dice.choice(ready).batch_id
    return Call(
        "cancel_queued_work_batch",
        lambda: host.store.cancel_queued_work_batch(name),
        facts=lambda found: {"ended": [] if found is None else [found.batch_id]},
    )


def _enqueue_input(host: Host, name: str, ingress: Any) -> Call:
    draft = PendingTurnInputDraft(
        ingress=ingress, input={"text": host.name}, source_key=f"input-{host.name}"
    )
    return Call(
        name,
        lambda: host.store.enqueue_pending_turn_input(draft),
        facts=_enqueue_facts,
    )


@call
def enqueue_pending_turn_input(host: Host) -> Call:
    return _enqueue_input(host, "enqueue_pending_turn_input", NextTurnIngress())


@call
def enqueue_active_turn_input(host: Host) -> Call:
    ingress = ActiveTurnIngress(turn_id=f"active-{host.dice.randrange(2)}")
    return _enqueue_input(host, "enqueue_active_turn_input", ingress)


def _cancelled(outcomes: Any) -> dict[str, Any]:
    ended = [
        each.input.input_id
        for each in outcomes or ()
        if type(each).__name__ == "InputCancelled"
    ]
    return {"ended": ended}


@call
def cancel_pending_turn_input(host: Host) -> Call | None:
    found = host.store.list_pending_turn_inputs()
    if not found:
        return None
    target = InputIdTarget(input_id=found[0].input_id)
    return Call(
        "cancel_pending_turn_input",
        lambda: host.store.cancel_pending_turn_input(target),
        facts=lambda outcome: _cancelled((outcome,)),
    )


@call
def cancel_pending_turn_inputs(host: Host) -> Call | None:
    found = host.store.list_pending_turn_inputs()
    if len(found) < 2:
        return None
    targets = [InputIdTarget(input_id=each.input_id) for each in found[:2]]
    return Call(
        "cancel_pending_turn_inputs",
        lambda: host.store.cancel_pending_turn_inputs(targets),
        facts=lambda results: _cancelled([each.outcome for each in results]),
    )


@call
def cancel_pending_turn_input_suffix(host: Host) -> Call | None:
    found = host.store.list_pending_turn_inputs()
    if not found:
        return None
    anchor = InputIdTarget(input_id=found[-1].input_id)
    return Call(
        "cancel_pending_turn_input_suffix",
        lambda: host.store.cancel_pending_turn_input_suffix(anchor),
        facts=_cancelled,
    )


def _keep_input(host: Host) -> Callable[[Any], None]:
    def keep(claim: Any) -> None:
        if claim is not None:
            host.memory.input_claims.append(claim)

    return keep


@call
def claim_active_turn_inputs(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence, owner = host.fence, host.owner
    turn_id = f"active-{host.dice.randrange(2)}"
    return Call(
        "claim_active_turn_inputs",
        lambda: host.store.claim_active_turn_inputs(
            fence, owner, turn_id, CheckpointKind.AFTER_WORK, TTL_MS, 2
        ),
        _keep_input(host),
    )


@call
def claim_next_turn_inputs(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence, owner = host.fence, host.owner
    return Call(
        "claim_next_turn_inputs",
        lambda: host.store.claim_next_turn_inputs(fence, owner, TTL_MS, 2),
        _keep_input(host),
    )


@call
def renew_turn_input_claim(host: Host) -> Call | None:
    if not host.memory.input_claims:
        return None
    claim = host.memory.input_claims[0]
    return Call(
        "renew_turn_input_claim",
        lambda: host.store.renew_turn_input_claim(claim, 2 * TTL_MS),
    )


@call
def abandon_turn_input_claim(host: Host) -> Call | None:
    if not host.memory.input_claims:
        return None
    claim = host.memory.input_claims[-1]
    return Call(
        "abandon_turn_input_claim",
        lambda: host.store.abandon_turn_input_claim(claim),
        lambda _none: host.memory.input_claims.remove(claim),
    )


@call
def redefer_orphaned_turn_inputs(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence = host.fence

    def keep(moved: Any) -> None:
        names = {each.input_id for each in moved}
        host.memory.input_claims = [
            claim
            for claim in host.memory.input_claims
            if not names & {each.input_id for each in claim.inputs}
        ]

    return Call(
        "redefer_orphaned_turn_inputs",
        lambda: host.store.redefer_orphaned_turn_inputs(fence),
        keep,
    )
