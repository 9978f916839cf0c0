"""
A session with content in every table, and everything that reads it.
"""

import hashlib

import msgspec

from lashstore import (
    ActivePath,
    ActiveTurnIngress,
    AttachmentIntent,
    CheckpointKind,
    ChildRelation,
    DeliveryPolicy,
    GraphAppend,
    HydratedCheckpoint,
    InputIdTarget,
    LashStoreError,
    LeaseOwnerIdentity,
    ManualClock,
    MergeGroup,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionCommandPayload,
    SessionMeta,
    SessionNode,
    SlotPolicy,
    SourceKeyTarget,
    Store,
    StoreOptions,
    Synchronous,
    TokenLedgerEntry,
    TokenUsage,
    TurnInputCompletion,
    TurnWorkPayload,
)

PATH_NAME = "rich.db"
SESSION = "rich/1"
NOW_MS = 1_000_000
AFTER_WORK = CheckpointKind.AFTER_WORK
OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")
NODE_IDS = ("n1", "n2", "n3", "n4", "side", "buried")
TOOL_STATE = {
    "generation": 3,
    "tools": {f"tool-{n}": {"member": n} for n in range(500)},
}
EXECUTION_STATE = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(90))
MODULE = b"module code " * 600
INPUTS = {
    "pending": ActiveTurnIngress(turn_id="t9"),
    "accepted": ActiveTurnIngress(turn_id="t8"),
    "deferred": NextTurnIngress(),
    "deferred-2": NextTurnIngress(),
    "redeferred": ActiveTurnIngress(turn_id="t1"),
    "cancelled": NextTurnIngress(),
    "completed": ActiveTurnIngress(turn_id="t1"),
}


def open_rich(path, cipher=None):
    return Store.open(
        path,
        SESSION,
        clock=ManualClock(NOW_MS),
        options=StoreOptions(synchronous=Synchronous.NORMAL, cipher=cipher),
    )


def _node(node_id, parent, role):
    return SessionNode(
        node_id=node_id,
        parent_node_id=parent,
        agent_frame_id="f",
        caused_by={"type": "turn", "turn_id": "t1"},
        timestamp="2026-01-01T00:00:00Z",
        payload={"role": role, "content": f"text of {node_id}"},
    )


def _usage(source, model, tokens):
    return TokenLedgerEntry(
        source=source,
        model=model,
        usage=TokenUsage(
            input_tokens=tokens, output_tokens=2, reasoning_output_tokens=1
        ),
    )


def _commits(fence, completed):
    frames = ({"frame_id": "f", "status": "active"},)
    first = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        config={"model": "m"},
        agent_frames=frames,
        current_agent_frame_id="f",
        graph=GraphAppend(
            nodes=(
                _node("n1", None, "user"),
                _node("n2", "n1", "assistant"),
                _node("side", "n1", "user"),
                _node("buried", "n1", "user"),
            )
        ),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn_index": 1},
            tool_state={"generation": 1},
            plugin_snapshot={"plugins": {"p": 1}},
            plugin_snapshot_revision=4,
        ),
        usage_deltas=(_usage("turn", "m", 5), _usage("compaction", "m", 6)),
        committed_attachment_ids=(_attachment("committed"),),
        completed_turn_input_claims=completed,
    ).stamped("t1")
    second = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=fence,
        config={"model": "m2"},
        agent_frames=frames,
        current_agent_frame_id="f",
        graph=GraphAppend(
            nodes=(_node("n3", "n2", "user"), _node("n4", "n3", "assistant"))
        ),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn_index": 2},
            tool_state=TOOL_STATE,
            plugin_snapshot={"plugins": {"p": "x" * 5_000}},
            plugin_snapshot_revision=5,
            execution_state=EXECUTION_STATE,
        ),
        usage_deltas=(_usage("turn", "m", 7),),
    ).stamped("t2")
    return first, second


def _attachment(name):
    return hashlib.sha256(name.encode()).hexdigest()


def _input(name):
    return PendingTurnInputDraft(
        ingress=INPUTS[name],
        input={"text": name},
        input_id=name,
        source_key=f"key-{name}",
    )


def _batches():
    return (
        QueuedWorkBatchDraft(
            payloads=(TurnWorkPayload(body={"n": 1}), TurnWorkPayload(body={"n": 2})),
            source_key="batch-claimed",
            slot_policy=SlotPolicy.JOIN,
            merge_key=MergeGroup(group="a"),
        ),
        QueuedWorkBatchDraft(
            payloads=(TurnWorkPayload(body={"n": 3}),),
            source_key="batch-free",
            slot_policy=SlotPolicy.JOIN,
            merge_key=MergeGroup(group="b"),
            delivery_policy=DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT,
        ),
        QueuedWorkBatchDraft(
            payloads=(SessionCommandPayload(command={"kind": "reset"}),),
            source_key="batch-command",
            available_at_ms=5,
        ),
    )


def build(path, cipher=None):
    """
    Make the file and close it.
    """
    store = open_rich(path, cipher)
    fence = store.try_claim_session_execution_lease(OWNER, 10**9).lease.fence()
    store.save_session_meta(
        SessionMeta(
            session_id=SESSION,
            session_name="rich",
            created_at="unix:1000",
            model="m",
            cwd="/somewhere",
            relation=ChildRelation(parent_session_id="parent"),
        )
    )
    for name in ("committed", "uncommitted", "uncommitted-2"):
        store.record_attachment_intent(
            AttachmentIntent(
                attachment_id=_attachment(name),
                canonical_uri=f"sha256:{_attachment(name)}",
                intent_at_ms=NOW_MS - len(name),
            )
        )
    store.enqueue_pending_turn_input(_input("completed"))
    claim = store.claim_active_turn_inputs(fence, OWNER, "t1", AFTER_WORK, 10**6, 9)
    store.enqueue_pending_turn_input(_input("redeferred"))
    first, second = _commits(fence, (claim.completion(),))
    store.commit_runtime_state(first)
    store.commit_runtime_state(second)
    for name in ("pending", "accepted", "deferred", "deferred-2", "cancelled"):
        store.enqueue_pending_turn_input(_input(name))
    assert store.claim_active_turn_inputs(fence, OWNER, "t8", AFTER_WORK, 10**6, 9)
    store.cancel_pending_turn_input(InputIdTarget(input_id="cancelled"))
    for draft in _batches():
        store.enqueue_queued_work(draft)
    assert store.claim_ready_queued_work(
        fence, OWNER, QueuedWorkBoundary.IDLE, 10**6, 1
    )
    store.tombstone_nodes(["buried"])
    store.append_usage_deltas([_usage("turn", "other", 9)])
    store.put_blob(b"loose" * 10)
    store.put_module_artifact(MODULE)
    store.put_artifact_bytes("artifact", b"artifact bytes")
    store.put_process_execution_env("env", b"env bytes")
    store.close()


def is_other_first_message(answer, expected):
    """
    Tell whether two picker lines differ by which message they show alone.
    """
    shown = {"", *(f"text of {node_id}" for node_id in NODE_IDS)}
    same = msgspec.structs.replace(
        answer, first_user_message=expected.first_user_message
    )
    return same == expected and answer.first_user_message in shown


def _refs():
    first, second = _commits(None, ())
    found = set()
    for commit in (first, second):
        encoded = commit.checkpoint.encoded
        found |= {encoded.checkpoint_ref, *encoded.manifest.part_refs()}
    found.add(hashlib.sha256(b"loose" * 10).hexdigest())
    return sorted(found)


def reads():
    """
    Return every operation that only reads, by name.
    """
    found = {
        "load_session": lambda s: s.load_session(),
        "load_path": lambda s: s.load_session(ActivePath()),
        "load_side_path": lambda s: s.load_session(ActivePath(leaf_node_id="side")),
        "load_session_head_meta": lambda s: s.load_session_head_meta(),
        "load_session_meta": lambda s: s.load_session_meta(),
        "load_picker_info": lambda s: s.load_picker_info(),
        "load_usage_deltas": lambda s: s.load_usage_deltas(),
        "list_queued_work": lambda s: s.list_queued_work(),
        "list_pending_queued_work": lambda s: s.list_pending_queued_work(),
        "list_pending_turn_inputs": lambda s: s.list_pending_turn_inputs(),
        "list_uncommitted": lambda s: s.list_uncommitted_attachments(2**63 - 1),
        "get_module": lambda s: s.get_module_artifact(_module_ref()),
        "get_artifact": lambda s: s.get_artifact_bytes("artifact"),
        "get_env": lambda s: s.get_process_execution_env("env"),
    }
    for node_id in NODE_IDS:
        found[f"load_node {node_id}"] = lambda s, n=node_id: s.load_node(n)
    for ref in _refs():
        found[f"get_blob {ref[:6]}"] = lambda s, r=ref: s.get_blob(r)
    first, second = _commits(None, ())
    for commit in (first, second):
        ref = commit.checkpoint.encoded.checkpoint_ref
        found[f"get_checkpoint {ref[:6]}"] = lambda s, r=ref: s.get_checkpoint(r)
        found[f"get_typed_blob {ref[:6]}"] = lambda s, r=ref: s.get_typed_blob(r)
    return found


def replays():
    """
    Return every operation that answers from what is stored and, as long as
    that is found, writes nothing.
    """
    # The completion's ids are part of a turn's hash; the claim's are not.
    completed = (
        TurnInputCompletion(
            session_id=SESSION,
            claim_id="any",
            lease_token="any",
            input_ids=("completed",),
        ),
    )
    found = {}
    for commit in _commits(None, completed):
        name = commit.turn_commit.turn_id
        found[f"replay {name}"] = lambda s, c=commit: s.commit_runtime_state(c)
    for draft in _batches():
        found[f"enqueue {draft.source_key}"] = lambda s, d=draft: s.enqueue_queued_work(
            d
        )
    for name in INPUTS:
        found[f"enqueue {name}"] = lambda s, n=name: s.enqueue_pending_turn_input(
            _input(n)
        )
    for name in ("cancelled", "completed", "accepted"):
        found[f"cancel {name}"] = lambda s, n=name: s.cancel_pending_turn_input(
            InputIdTarget(input_id=n)
        )
        found[f"cancel by key {name}"] = lambda s, n=name: s.cancel_pending_turn_input(
            SourceKeyTarget(source_key=f"key-{n}")
        )
    return found


def _module_ref():
    return _MODULE_REFS[0]


_MODULE_REFS: list[str] = []


def learn_module_ref():
    """
    Ask a scratch store for the ref of the module; it is content-derived.
    """
    if not _MODULE_REFS:
        with Store.memory("scratch") as scratch:
            _MODULE_REFS.append(scratch.put_module_artifact(MODULE))


def read_everything(path, operations=None, cipher=None):
    """
    Open the file and call every operation; return answers and errors.

    Raises:
        Exception: Anything that is not a `LashStoreError`.
    """
    learn_module_ref()
    operations = reads() | replays() if operations is None else operations
    try:
        store = open_rich(path, cipher)
    except LashStoreError as error:
        return dict.fromkeys(operations, error)
    answers = {}
    try:
        for name, operation in operations.items():
            try:
                answers[name] = operation(store)
            except LashStoreError as error:
                answers[name] = error
    finally:
        store.close()
    return answers
