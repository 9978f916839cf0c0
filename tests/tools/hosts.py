"""
A host that writes until it is stopped; run by name in a process of its own.
"""

import sys

from lashstore import (
    FullGraph,
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    StoreOptions,
    Synchronous,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

# Small, so that checkpoints happen while others read.
OPTIONS = StoreOptions(synchronous=Synchronous.NORMAL, wal_limit_bytes=65_536)


def commit(fence, session_id, turn, parent):
    nodes = tuple(
        SessionNode(
            node_id=f"{turn}-{n}",
            parent_node_id=parent if n == 0 else f"{turn}-{n - 1}",
            agent_frame_id="f",
            timestamp="t",
            payload={"role": ("user", "assistant")[n % 2], "content": "word " * 50},
        )
        for n in range(4)
    )
    return RuntimeCommit(
        session_id=session_id,
        session_execution_lease=fence,
        current_agent_frame_id="f",
        graph=GraphAppend(nodes=nodes),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn": turn}, tool_state={"big": "x" * 4_000, "turn": turn}
        ),
        usage_deltas=(
            TokenLedgerEntry(
                source="turn", model="m", usage=TokenUsage(input_tokens=1)
            ),
        ),
    ).stamped(f"t{turn}")


def main(root, session_id):
    """
    Write everything a session has, again and again; say when it began.
    """
    with SessionStoreFactory(root, options=OPTIONS) as factory:
        store = factory.create_store(session_id)
        owner = LeaseOwnerIdentity.opaque("host", f"{session_id}:1")
        fence = store.try_claim_session_execution_lease(owner, 10**9).lease.fence()
        session = store.load_session(FullGraph())
        parent = None if session is None else session.graph.leaf_node_id
        turn = 0 if session is None else session.head_revision
        while True:
            turn += 1
            store.commit_runtime_state(commit(fence, session_id, turn, parent))
            parent = f"{turn}-3"
            store.enqueue_pending_turn_input(
                PendingTurnInputDraft(ingress=NextTurnIngress(), input={"n": turn})
            )
            store.enqueue_queued_work(
                QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body={"n": turn}),))
            )
            if turn % 7 == 0:
                store.tombstone_nodes([f"{turn - 3}-1"])
                store.gc_unreachable()
            if turn == 3:
                print("ready", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
