"""
What the processes of the contention campaign do: each function runs in every
one of them, and returns what it saw, with the times between which it saw it.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lashstore import (
    EffectHost,
    HeadRevisionConflictError,
    LeaseAcquired,
    LeaseOwnerIdentity,
    ProcessRegistry,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionExecutionLeaseExpiredError,
    SessionNode,
    Store,
    StoreBusyError,
    StoreOptions,
    Synchronous,
    TriggerStore,
    TurnScope,
    TurnWorkPayload,
)
from lashstore.model.commit import GraphAppend

from .deployment_calls import WAKE

SESSION = "crowd"
LONG_MS = 3_600_000
OPTIONS = StoreOptions(synchronous=Synchronous.NORMAL, busy_timeout_ms=60_000)

Seen = list[tuple[Any, ...]]


def _owner(index: int) -> LeaseOwnerIdentity:
    return LeaseOwnerIdentity.opaque(f"racer-{index}", f"racer-{index}:1")


def _now() -> int:
    # One clock for all processes of a machine.
    return time.monotonic_ns()


def patiently(call: Callable[[], Any]) -> Any:
    """
    Make a call until it is not refused for others being busy.
    """
    for _ in range(100):
        try:
            return call()
        except StoreBusyError:
            time.sleep(0.01)
    return call()


def first_open(index: int, barrier: Any, targets: list[str]) -> Seen:
    """
    Open what nobody has made yet, all at once, and write.
    """
    seen = []
    for target in targets:
        barrier.wait(120)
        with patiently(lambda t=target: Store.open(t, SESSION, options=OPTIONS)) as own:
            seen.append((own.put_blob(b"shared"), own.put_blob(f"{index}".encode())))
    return seen


def hold_leases(index: int, barrier: Any, target: str, rounds: int) -> Seen:
    """
    Hold the session's lease again and again, and commit while holding it.
    """
    seen: Seen = []
    with Store.open(target, SESSION, options=OPTIONS) as store:
        barrier.wait(120)
        while len(seen) < rounds:
            outcome = store.try_claim_session_execution_lease(_owner(index), LONG_MS)
            if not isinstance(outcome, LeaseAcquired):
                time.sleep(0.001)
                continue
            begun, lease = _now(), outcome.lease
            head = store.load_session_head_meta()
            revision = 0 if head is None else head.head_revision
            result = store.commit_runtime_state(
                _commit(lease.fence(), revision, head, f"l{index}-{len(seen)}")
            )
            ended = _now()
            store.release_session_execution_lease(lease.completion())
            _require_refusal(store, lease.fence(), f"stale{index}-{len(seen)}")
            seen.append((begun, ended, lease.fencing_token, result.head_revision))
    return seen


def _require_refusal(store: Store, fence: Any, name: str) -> None:
    commit = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        graph=GraphAppend(nodes=(SessionNode(node_id=name),)),
    )
    with contextlib.suppress(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(commit)
        msg = f"the lease with fence {fence.fencing_token} has ended, and commits"
        raise AssertionError(msg)


def _commit(fence: Any, revision: int, head: Any, name: str) -> RuntimeCommit:
    node = SessionNode(
        node_id=name, parent_node_id=None if head is None else head.leaf_node_id
    )
    return RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        expected_head_revision=revision,
        graph=GraphAppend(nodes=(node,)),
    )


def swap_heads(index: int, barrier: Any, target: str, fence: Any, rounds: int) -> Seen:
    """
    Commit by compare-and-swap, all under one lease.
    """
    seen: Seen = []
    with Store.open(target, SESSION, options=OPTIONS) as store:
        barrier.wait(120)
        while len(seen) < rounds:
            head = store.load_session_head_meta()
            revision = 0 if head is None else head.head_revision
            name = f"c{index}-{len(seen)}"
            try:
                result = store.commit_runtime_state(
                    _commit(fence, revision, head, name)
                )
            except HeadRevisionConflictError:
                continue
            seen.append((revision, result.head_revision, name))
    return seen


def drain_queue(index: int, barrier: Any, target: str, fence: Any, keys: int) -> Seen:
    """
    Enqueue what everybody enqueues, then claim and complete until none is
    left.
    """
    seen: Seen = []
    with Store.open(target, SESSION, options=OPTIONS) as store:
        barrier.wait(120)
        for key in range(keys):
            draft = QueuedWorkBatchDraft(
                payloads=(TurnWorkPayload(body=key),), source_key=f"key-{key}"
            )
            batch = store.enqueue_queued_work(draft)
            seen.append(("stored", key, batch.batch_id))
        barrier.wait(120)
        while True:
            claim = store.claim_ready_queued_work(
                fence, _owner(index), QueuedWorkBoundary.IDLE, LONG_MS, 3
            )
            if claim is None:
                return seen
            commit = RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=fence,
                completed_queue_claims=(claim.completion(),),
            )
            store.commit_runtime_state(commit)
            seen += [("done", "", batch.batch_id) for batch in claim.batches]


def append_events(index: int, barrier: Any, target: str, rounds: int) -> Seen:
    """
    Append to one log: own events, and keyed ones that all others append too;
    hold the process's lease now and then.
    """
    from lashstore import ProcessEventAppendRequest

    seen: Seen = []
    with ProcessRegistry.open(target, options=OPTIONS) as registry:
        barrier.wait(120)
        for number in range(rounds):
            for key in (None, f"shared-{number}"):
                request = ProcessEventAppendRequest(
                    event_type=WAKE.name, payload={"text": "t"}, replay_key=key
                )
                result = registry.append_event("log", request)
                seen.append(("event", key, result.event.sequence, result.inserted))
            outcome = registry.claim_process_lease("held", _owner(index), LONG_MS)
            if isinstance(outcome, LeaseAcquired):
                lease, begun = outcome.lease, _now()
                registry.renew_process_lease(lease, LONG_MS)
                ended = _now()
                registry.complete_process_lease(_completion(lease))
                seen.append(("held", begun, ended, lease.fencing_token))
    return seen


def _completion(lease: Any) -> Any:
    from lashstore import ProcessLeaseCompletion

    return ProcessLeaseCompletion(
        process_id=lease.process_id, lease_token=lease.lease_token
    )


def run_effects(index: int, barrier: Any, target: str, log: str, count: int) -> Seen:
    """
    Ask for the same effects as everybody else.
    """
    seen: Seen = []
    with EffectHost.open(target) as host:
        turn = host.scoped(TurnScope(session_id=SESSION, turn_id="1"))
        barrier.wait(120)
        for number in range(count):

            def work(number: int = number) -> Any:
                file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
                os.write(file, f"{number}\n".encode())
                os.close(file)
                return {"by": index}

            seen.append((number, turn.step(f"s{number}", work)["by"]))
    return seen


def reserve_deliveries(_index: int, barrier: Any, target: str, count: int) -> Seen:
    """
    Record the same occurrences as everybody else, reserve and acknowledge.
    """
    from lashstore import TriggerOccurrenceRequest

    seen: Seen = []
    with TriggerStore.open(target, options=OPTIONS) as triggers:
        barrier.wait(120)
        for number in range(count):
            request = TriggerOccurrenceRequest(
                source_type="t", source_key="k", idempotency_key=f"o{number}"
            )
            occurrence = triggers.record_occurrence(request)
            reserved = triggers.reserve_matching_deliveries(occurrence.occurrence_id)
            seen += [
                (number, occurrence.occurrence_id, each.process_id) for each in reserved
            ]
    return seen


def wait_for(path: str) -> None:
    """
    Wait until a file is there.
    """
    while not Path(path).exists():
        time.sleep(0.002)
