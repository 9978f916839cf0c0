"""
Wakes on their way from the process registry to the queues of sessions.
"""

from collections.abc import Callable

from lashstore.model.queue import ProcessWakePayload, QueuedWorkBatchDraft
from lashstore.model.wakes import ProcessWakeDelivery
from lashstore.processes import ProcessRegistry
from lashstore.store import Store

_PAGE = 100


def wake_source_key(process_id: str, sequence: int) -> str:
    """
    Return what names an event's wake in a session's queue.
    """
    return f"process:{process_id}:event:{sequence}:wake"


def deliver_wake(
    registry: ProcessRegistry,
    store: Store,
    wake: ProcessWakeDelivery,
    *,
    pace: Callable[[], None] = lambda: None,
) -> None:
    """
    Enqueue one wake in its session, then acknowledge it: a host that dies
    between the two enqueues it again, to no effect.

    Args:
        pace: Called between the two.
    """
    store.enqueue_queued_work(
        QueuedWorkBatchDraft(
            payloads=(ProcessWakePayload(wake=wake),),
            source_key=wake_source_key(wake.process_id, wake.sequence),
        )
    )
    pace()
    registry.ack_wake(wake.process_id, wake.sequence)


def deliver_wakes(
    registry: ProcessRegistry, find_store: Callable[[str], Store | None]
) -> int:
    """
    Enqueue every wake that waits, oldest first, and acknowledge it.

    Args:
        find_store: Returns the store of a session; None: its wakes stay.

    Returns:
        How many were delivered. Safe to retry, and to run in many hosts.

    Raises:
        As `ProcessRegistry.pending_wake_deliveries` and
        `Store.enqueue_queued_work`; those before it are delivered.
    """
    delivered = 0
    kept: set[tuple[str, int]] = set()
    while True:
        wakes = registry.pending_wake_deliveries(len(kept) + _PAGE)
        fresh = [wake for wake in wakes if _key(wake) not in kept]
        for wake in fresh:
            store = find_store(wake.target_session_id)
            if store is None:
                kept.add(_key(wake))
                continue
            deliver_wake(registry, store, wake)
            delivered += 1
        if len(fresh) < _PAGE:
            return delivered


def _key(wake: ProcessWakeDelivery) -> tuple[str, int]:
    return (wake.process_id, wake.sequence)
