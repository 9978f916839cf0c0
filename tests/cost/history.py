"""
A session with as much history as asked for, and the same present.

The present: a head whose leaf ends a branch of history; a side branch of
eleven nodes; three ready batches, a command among them; three open inputs;
two uncommitted attachments; a lease that is held. The history: nodes, usage,
cancelled inputs, batches that are not due yet, committed turns, unreachable
blobs, committed attachments.
"""

import hashlib
import sqlite3
from pathlib import Path

from lashstore import (
    ActiveTurnIngress,
    AttachmentIntent,
    GraphAppend,
    HydratedCheckpoint,
    InputIdTarget,
    LeaseOwnerIdentity,
    ManualClock,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    SessionCommandPayload,
    SessionMeta,
    SessionNode,
    SlotPolicy,
    Store,
    StoreOptions,
    Synchronous,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

LITTLE, MUCH = 10, 10_000
SESSION = "cost"
NOW_MS = 1_000_000
FAR_MS = 10**15
OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")


def open_file(path):
    """
    Open a file of history with its clock.
    """
    return Store.open(
        path,
        SESSION,
        clock=ManualClock(NOW_MS),
        options=StoreOptions(synchronous=Synchronous.NORMAL),
    )


def fence_of(store):
    """
    Return the lease's fence, by re-entry.
    """
    return store.try_claim_session_execution_lease(OWNER, FAR_MS).lease.fence()


def node(node_id, parent, text="text", role="assistant"):
    return SessionNode(
        node_id=node_id,
        parent_node_id=parent,
        timestamp="2026-01-01T00:00:00Z",
        payload={"role": role, "content": text},
    )


def usage(n):
    return TokenLedgerEntry(
        source="turn", model=f"m{n % 3}", usage=TokenUsage(input_tokens=n + 1)
    )


def attachment_id(name):
    return hashlib.sha256(name.encode()).hexdigest()


def work(key=None, available=0, slot=SlotPolicy.EXCLUSIVE):
    return QueuedWorkBatchDraft(
        payloads=(TurnWorkPayload(body={"key": key}), TurnWorkPayload(body=2)),
        source_key=key,
        available_at_ms=available,
        slot_policy=slot,
    )


def build(path: Path, rows: int) -> None:
    """
    Make a closed file with *rows* rows of each kind of history.
    """
    store = open_file(path)
    fence = fence_of(store)
    store.save_session_meta(
        SessionMeta(session_id=SESSION, session_name="cost", created_at="unix:1")
    )
    side = [node("p0", None, role="user")]
    side += [node(f"p{n}", f"p{n - 1}") for n in range(1, 11)]
    chain = [node("h0", None)]
    chain += [
        node(f"h{n}", f"h{n - 1}", role=("user", "assistant")[n % 2])
        for n in range(1, rows)
    ]
    commit = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        graph=GraphAppend(nodes=(*side, *chain)),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn_index": 1},
            tool_state={"generation": 1},
            execution_state=b"state" * 2_000,
        ),
    )
    store.commit_runtime_state(commit.stamped("turn-1"))
    store.append_usage_deltas([usage(n) for n in range(rows)])
    old = [
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(
                ingress=ActiveTurnIngress(turn_id="old")
                if n % 2
                else NextTurnIngress(),
                input={"n": n},
                source_key=f"old-{n}",
            )
        )
        for n in range(rows)
    ]
    store.cancel_pending_turn_input_suffix(InputIdTarget(input_id=old[0].input_id))
    for name, ingress in (
        ("next-1", NextTurnIngress()),
        ("next-2", NextTurnIngress()),
        ("active-1", ActiveTurnIngress(turn_id="t1")),
    ):
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(
                ingress=ingress, input={"text": name}, input_id=name, source_key=name
            )
        )
    for key in ("join-1", "join-2"):
        store.enqueue_queued_work(work(key, slot=SlotPolicy.JOIN))
    store.enqueue_queued_work(
        QueuedWorkBatchDraft(
            payloads=(SessionCommandPayload(command={"kind": "reset"}),),
            source_key="command-1",
        )
    )
    for n in range(rows):
        store.enqueue_queued_work(work(f"later-{n}", available=FAR_MS + n))
    for name in ("one", "two", "stamped"):
        store.record_attachment_intent(
            AttachmentIntent(
                attachment_id=attachment_id(name),
                canonical_uri=f"sha256:{attachment_id(name)}",
                intent_at_ms=NOW_MS,
            )
        )
    store.commit_attachment_refs([attachment_id("stamped")])
    store.put_blob(b"unreachable")
    store.close()
    _multiply(
        path,
        rows,
        # Looked up by their keys only, so their content may repeat.
        ("session_turn_commits", "turn_id", "1=1"),
        ("session_blobs", "blob_ref", "kind = 'generic_blob'"),
        ("session_attachments", "attachment_id", "committed_at_ms IS NOT NULL"),
    )


def _multiply(path, rows, *tables):
    database = sqlite3.connect(path)
    for table, key, where in tables:
        columns = [
            column for _, column, *_ in database.execute(f"PRAGMA table_info({table})")
        ]
        values = [
            "printf('%064x', n + 16)" if column == key else column for column in columns
        ]
        database.execute(
            f"WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many"
            f" WHERE n < {rows}) INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(values)} FROM (SELECT * FROM {table} WHERE {where}"
            f" LIMIT 1), many"
        )
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
