"""
Factories that take only what a test is about and fill in the rest.

They make drafts and records through the public constructors, and store them
through the public methods, so that a test's rows are made as a host's are.
"""

from typing import Any

from lashstore import (
    ActiveTurnIngress,
    CheckpointKind,
    GraphAppend,
    GraphUnchanged,
    LeaseAcquired,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    NextTurnIngress,
    PendingTurnInputDraft,
    ProcessWakeDelivery,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    RuntimeCommitResult,
    SessionCommandPayload,
    SessionExecutionLease,
    SessionMeta,
    SessionNode,
    Store,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

_HOST = "test-host"
_LONG_MS = 3_600_000
_TIMESTAMP = "2026-01-01T00:00:00Z"


def message_node(
    node_id: str,
    *,
    parent: str | None = None,
    role: str = "user",
    content: Any = None,
    **fields: Any,
) -> SessionNode:
    """
    Make a message node.

    Args:
        node_id: Its id.

        parent: The id of its parent; None makes it a root.

        role: Who speaks.

        content: Text or a list of parts; None: a text that names the node.

        fields: Any other member of `lashstore.SessionNode`.

    Returns:
        The node; it is not stored.
    """
    spoken = f"text of {node_id}" if content is None else content
    members: dict[str, Any] = {
        "timestamp": _TIMESTAMP,
        "payload": {"role": role, "content": spoken},
    }
    return SessionNode(node_id=node_id, parent_node_id=parent, **(members | fields))


def message_chain(*node_ids: str, parent: str | None = None) -> tuple[SessionNode, ...]:
    """
    Make messages that follow one another, user and assistant in turn.

    Args:
        node_ids: Their ids, the oldest first.

        parent: The id of the first one's parent; None makes it a root.

    Returns:
        The nodes in order; they are not stored.
    """
    parents = (parent, *node_ids)
    return tuple(
        message_node(
            node_id,
            parent=parents[index],
            role="assistant" if index % 2 else "user",
            content=f"message {index}",
        )
        for index, node_id in enumerate(node_ids)
    )


def make_owner(
    owner_id: str = "worker", incarnation_id: str = "1"
) -> LeaseOwnerIdentity:
    """
    Make a lease owner of which only time can prove the end.
    """
    return LeaseOwnerIdentity.opaque(owner_id, f"{owner_id}:{incarnation_id}")


def live_owner(owner_id: str = "local") -> LeaseOwnerIdentity:
    """
    Make a lease owner that is this process.
    """
    return LeaseOwnerIdentity.local_process(owner_id, f"{owner_id}:1", _HOST)


def dead_owner(owner_id: str = "dead") -> LeaseOwnerIdentity:
    """
    Make a lease owner that is provably dead for `live_owner()`: this
    process's id, but another start time.

    Raises:
        RuntimeError: The operating system does not tell of processes.
    """
    here = LocalProcessLiveness.current(_HOST)
    if here is None:
        msg = "deaths can be proven on Linux with a readable /proc only"
        raise RuntimeError(msg)
    gone = LocalProcessLiveness(
        host_id=here.host_id,
        boot_id=here.boot_id,
        pid_namespace=here.pid_namespace,
        pid=here.pid,
        process_start="0",
    )
    return LeaseOwnerIdentity(
        owner_id=owner_id, incarnation_id=f"{owner_id}:1", liveness=gone
    )


def acquire_lease(
    store: Store,
    owner: LeaseOwnerIdentity | None = None,
    *,
    ttl_ms: int = _LONG_MS,
) -> SessionExecutionLease:
    """
    Claim a session's execution lease, or extend it if *owner* has it.

    Args:
        store: The session.

        owner: Who claims it; None: `make_owner()`.

        ttl_ms: How long it is to last, in milliseconds from now.

    Returns:
        The lease.

    Raises:
        AssertionError: Another owner holds the lease.
    """
    outcome = store.try_claim_session_execution_lease(
        make_owner() if owner is None else owner, ttl_ms
    )
    if not isinstance(outcome, LeaseAcquired):
        msg = f"the lease is held by {outcome.holder.owner.owner_id!r}"
        raise AssertionError(msg)  # noqa: TRY004, a test's precondition failed
    lease: SessionExecutionLease = outcome.lease
    return lease


def make_commit(
    lease: SessionExecutionLease, *nodes: SessionNode, **fields: Any
) -> RuntimeCommit:
    """
    Make a commit under a lease.

    Args:
        lease: What proves the right to commit; names the session, too.

        nodes: What is appended to the graph; none leaves it as it is.

        fields: Any other member of `lashstore.RuntimeCommit`.

    Returns:
        The commit; it is not sent.
    """
    members: dict[str, Any] = {
        "session_id": lease.session_id,
        "session_execution_lease": lease.fence(),
        "graph": GraphAppend(nodes=nodes) if nodes else GraphUnchanged(),
    }
    return RuntimeCommit(**(members | fields))


def commit_nodes(store: Store, *nodes: SessionNode) -> RuntimeCommitResult:
    """
    Append nodes to a session in one commit, as `make_owner()`.

    Raises:
        AssertionError: Another owner holds the session's lease.
    """
    return store.commit_runtime_state(make_commit(acquire_lease(store), *nodes))


def turn_work_draft(*bodies: Any, **fields: Any) -> QueuedWorkBatchDraft:
    """
    Make a draft of turn work, one payload for each body.

    Args:
        bodies: The payloads' bodies; none makes one body of `{}`.

        fields: Any other member of `lashstore.QueuedWorkBatchDraft`.

    Returns:
        The draft; it is not enqueued.
    """
    payloads = tuple(TurnWorkPayload(body=body) for body in bodies or ({},))
    return QueuedWorkBatchDraft(payloads=payloads, **fields)


def command_draft(command: Any = None, **fields: Any) -> QueuedWorkBatchDraft:
    """
    Make a draft of one session command; None: `{"kind": "reset_session"}`.
    """
    wanted = {"kind": "reset_session"} if command is None else command
    payloads = (SessionCommandPayload(command=wanted),)
    return QueuedWorkBatchDraft(payloads=payloads, **fields)


def next_turn_draft(input: Any = "hello", **fields: Any) -> PendingTurnInputDraft:  # noqa: A002, the contract's name
    """
    Make a draft of an input for the next turn.
    """
    return PendingTurnInputDraft(ingress=NextTurnIngress(), input=input, **fields)


def active_turn_draft(
    turn_id: str,
    input: Any = "hello",  # noqa: A002, the contract's name
    *,
    min_boundary: CheckpointKind = CheckpointKind.AFTER_WORK,
    **fields: Any,
) -> PendingTurnInputDraft:
    """
    Make a draft of an input for the running turn *turn_id*.
    """
    return PendingTurnInputDraft(
        ingress=ActiveTurnIngress(turn_id=turn_id, min_boundary=min_boundary),
        input=input,
        **fields,
    )


def make_usage(
    source: str = "turn", model: str = "model-1", **counters: int
) -> TokenLedgerEntry:
    """
    Make a usage entry; counters that are not given are zero.
    """
    return TokenLedgerEntry(source=source, model=model, usage=TokenUsage(**counters))


def make_wake(
    process_id: str = "process-1",
    sequence: int = 1,
    *,
    target_session_id: str = "root",
    **fields: Any,
) -> ProcessWakeDelivery:
    """
    Make the wake that an event of a background process delivers.
    """
    members: dict[str, Any] = {
        "wake_id": f"wake:{process_id}:{sequence}",
        "target_scope_id": f"session:{target_session_id}",
        "event_type": "process.wake",
        "event_invocation": {},
        "dedupe_key": f"{process_id}:{sequence}",
        "input": "wake up",
        "created_at_ms": 1,
    }
    return ProcessWakeDelivery(
        process_id=process_id,
        sequence=sequence,
        target_session_id=target_session_id,
        **(members | fields),
    )


def session_meta(session_id: str = "root", **fields: Any) -> SessionMeta:
    """
    Make a session's metadata; it is named as its id.
    """
    members: dict[str, Any] = {
        "session_name": session_id,
        "created_at": "unix:0",
    }
    return SessionMeta(session_id=session_id, **(members | fields))
