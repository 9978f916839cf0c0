"""
What the processes do: importable by name, as spawning needs it.
"""

import os
import time
from pathlib import Path

import msgspec

from lashstore import (
    GraphAppend,
    HeadRevisionConflictError,
    HydratedCheckpoint,
    LeaseAcquired,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionDeletedError,
    SessionNode,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
    TurnWorkPayload,
)

SESSION = "crowd"
HOST = "crowd-host"
LONG_MS = 10**9
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)
TINY_WAL = StoreOptions(synchronous=Synchronous.NORMAL, wal_limit_bytes=16_384)


def open_session(path, options=QUICK):
    """
    Open a file, or a server's session, which `#` may name.
    """
    target, _, name = str(path).partition("#")
    return Store.open(target, name or SESSION, options=options)


def owner(index):
    return LeaseOwnerIdentity.opaque(f"worker-{index}", f"worker-{index}:1")


def living_owner(index):
    return LeaseOwnerIdentity.local_process(
        f"worker-{index}", f"worker-{index}:1", HOST
    )


def dead_owner(pid, process_start):
    """
    Name a process of this kernel that has ended.
    """
    liveness = LocalProcessLiveness.current(HOST)
    return LeaseOwnerIdentity(
        owner_id="dead",
        incarnation_id="dead:1",
        liveness=msgspec.structs.replace(
            liveness, pid=pid, process_start=process_start
        ),
    )


def first_open(_index, barrier, addresses):
    """Open a database that nobody has made yet, all at once."""
    for address in addresses:
        barrier.wait(60)
        store = open_session(address)
        assert store.load_session_head_meta() is None
        store.put_blob(b"shared")
        store.close()
    return True


def first_create(index, barrier, root, rounds):
    """Create the same new session, all at once, each with another name."""
    factory = SessionStoreFactory(root, options=QUICK)
    seen = []
    for turn in range(rounds):
        barrier.wait(60)
        store = factory.create_store(f"s/{turn}", model=f"model-{index}")
        seen.append(store.load_session_meta().model)
        store.close()
    factory.close()
    return seen


def claim_lease(index, barrier, addresses):
    """Claim a lease that nobody has."""
    won = []
    for address in addresses:
        store = open_session(address)
        barrier.wait(60)
        outcome = store.try_claim_session_execution_lease(owner(index), LONG_MS)
        won.append(_told(outcome))
        store.close()
    return won


def reclaim_lease(index, barrier, addresses, fences):
    """Take a dead holder's lease on proof of its death."""
    won = []
    for address, fence in zip(addresses, fences, strict=True):
        store = open_session(address)
        barrier.wait(60)
        outcome = store.reclaim_session_execution_lease(
            living_owner(index), fence, LONG_MS
        )
        won.append(_told(outcome))
        store.close()
    return won


def _told(outcome):
    if isinstance(outcome, LeaseAcquired):
        return ("acquired", outcome.lease.owner.owner_id, outcome.lease.fencing_token)
    return ("busy", outcome.holder.owner.owner_id, outcome.holder.fencing_token)


def commit_in_turns(index, barrier, path, fence, count):
    """Commit with compare-and-swap until *count* of one's own have landed."""
    store = open_session(path)
    barrier.wait(60)
    landed, conflicts = [], 0
    while len(landed) < count:
        head = store.load_session_head_meta()
        revision = 0 if head is None else head.head_revision
        node = SessionNode(
            node_id=f"{index}-{len(landed)}",
            parent_node_id=None if head is None else head.leaf_node_id,
        )
        try:
            result = store.commit_runtime_state(
                RuntimeCommit(
                    session_id=SESSION,
                    session_execution_lease=fence,
                    expected_head_revision=revision,
                    graph=GraphAppend(nodes=(node,)),
                )
            )
        except HeadRevisionConflictError as error:
            if error.actual <= revision:
                raise
            conflicts += 1
            continue
        assert result.head_revision == revision + 1
        landed.append((result.head_revision, node.node_id))
    store.close()
    return landed, conflicts


def drain_queue(index, barrier, path, fence):
    """Claim and complete batches until none is left."""
    store = open_session(path)
    barrier.wait(60)
    done = []
    while True:
        claim = store.claim_ready_queued_work(
            fence, owner(index), QueuedWorkBoundary.IDLE, LONG_MS, 3
        )
        if claim is None:
            break
        store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=fence,
                completed_queue_claims=(claim.completion(),),
            )
        )
        done.extend(batch.batch_id for batch in claim.batches)
    store.close()
    return done


def enqueue_same_keys(index, barrier, path, rounds):
    """Submit the same keys as everybody else."""
    store = open_session(path)
    answers = []
    for turn in range(rounds):
        barrier.wait(60)
        batch = store.enqueue_queued_work(
            QueuedWorkBatchDraft(
                payloads=(TurnWorkPayload(body={"from": index}),), source_key=f"k{turn}"
            )
        )
        pending = store.enqueue_pending_turn_input(
            PendingTurnInputDraft(
                ingress=NextTurnIngress(), input={"turn": turn}, source_key=f"k{turn}"
            )
        )
        answers.append((batch, pending))
    store.close()
    return answers


def write_until_deleted(index, barrier, root, session_id, marker):
    """
    Write until the session is deleted, and on after it was created afresh.
    """
    factory = SessionStoreFactory(root, options=QUICK)
    store = factory.open_existing_store(session_id)
    barrier.wait(60)
    writes = 0
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, "the session was never deleted"
        try:
            if index % 2:
                store.put_blob(f"{index} {writes}".encode() * 100)
            else:
                store.enqueue_queued_work(
                    QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=writes),))
                )
                store.list_queued_work()
            writes += 1
        except SessionDeletedError:
            break
    deadline = time.monotonic() + 60
    while not Path(marker).exists():
        assert time.monotonic() < deadline, "the session was never recreated"
        for use in (store.load_session, store.list_queued_work):
            try:
                use()
            except SessionDeletedError:
                continue
            msg = "an old handle reads again"
            raise AssertionError(msg)
        time.sleep(0.005)
    for use in (
        store.load_session,
        lambda: store.put_blob(b"from the grave"),
        lambda: store.enqueue_queued_work(
            QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body="from the grave"),))
        ),
        lambda: store.try_claim_session_execution_lease(owner(index), LONG_MS),
    ):
        try:
            use()
        except SessionDeletedError:
            continue
        msg = "an old handle works on the new session"
        raise AssertionError(msg)
    store.close()
    factory.close()
    return writes


def write_past_checkpoints(index, barrier, path, fence, seconds):
    """Two thirds write with a tiny WAL limit, one third reads and checks."""
    store = open_session(path, TINY_WAL)
    barrier.wait(60)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        if index % 3:
            node = SessionNode(
                node_id=f"{index}-{count}", payload={"text": os.urandom(400).hex()}
            )
            store.commit_runtime_state(
                RuntimeCommit(
                    session_id=SESSION,
                    session_execution_lease=fence,
                    graph=GraphAppend(nodes=(node,)),
                    checkpoint=HydratedCheckpoint(execution_state=os.urandom(3_000)),
                )
            )
        else:
            read = store.load_session()
            if read is not None:
                # One node a commit: head and graph are of one snapshot.
                assert len(read.graph.nodes) == read.head_revision
                assert len(read.checkpoint.execution_state) == 3_000
        count += 1
    store.close()
    return count


def commit_and_tell(pipe, path, name, options):
    """
    Commit for ever, and tell each revision once it is acknowledged.
    """
    store = open_session(path, options)
    outcome = store.try_claim_session_execution_lease(
        LeaseOwnerIdentity.opaque("runner", "runner:1"), LONG_MS
    )
    fence = outcome.lease.fence()
    head = store.load_session_head_meta()
    revision = 0 if head is None else head.head_revision
    leaf = None if head is None else head.leaf_node_id
    while True:
        revision += 1
        nodes = (
            SessionNode(node_id=f"r{revision}-a", parent_node_id=leaf),
            SessionNode(
                node_id=f"r{revision}-b",
                parent_node_id=f"r{revision}-a",
                payload={"by": name, "text": os.urandom(2_000).hex()},
            ),
        )
        result = store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=fence,
                expected_head_revision=revision - 1,
                graph=GraphAppend(nodes=nodes),
                checkpoint=HydratedCheckpoint(
                    turn_state={"turn_index": revision},
                    execution_state=os.urandom(5_000),
                ),
            ).stamped(f"turn-{revision}")
        )
        leaf = nodes[-1].node_id
        pipe.send(result.head_revision)


def open_and_close(_pipe, path):
    """Open a session, write once, and close: a short-lived other process."""
    store = open_session(path)
    store.put_blob(os.urandom(100))
    store.close()
