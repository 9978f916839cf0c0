"""
One face for the sync helpers and the async ones, so that a test says once
what is true of both.
"""

import threading
import time

from lashstore import (
    GraphAppend,
    LeaseOwnerIdentity,
    LeaseTimings,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    SessionNode,
    StoreOptions,
    Synchronous,
    TurnWorkPayload,
)

QUICK = StoreOptions(synchronous=Synchronous.NORMAL)
FAST = LeaseTimings(ttl_ms=300, renew_interval_ms=20)
SLOW = LeaseTimings(ttl_ms=600_000, renew_interval_ms=200_000)


def owner(name="a"):
    return LeaseOwnerIdentity.opaque(name, "1")


def say(text):
    return PendingTurnInputDraft(ingress=NextTurnIngress(), input=text)


def job(body, **members):
    return QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=body),), **members)


def commit_of(turn):
    """
    Return a commit whose node holds what the turn was about.
    """
    content = [
        *(each.input for each in turn.inputs),
        *(batch.items[0].payload.body for batch in turn.batches),
    ]
    node = SessionNode(node_id=turn.turn_id, kind="event", payload={"did": content})
    return RuntimeCommit(session_id="chat", graph=GraphAppend(nodes=(node,)))


def done(store):
    """
    Return what each turn was about, in order.
    """
    session = store.load_session()
    return [] if session is None else [n.payload["did"] for n in session.graph.nodes]


def until(is_true, what):
    """
    Wait, in real time, until something that will happen has.
    """
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        threading.Event().wait(0.005)
