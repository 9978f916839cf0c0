"""
Every writing call of a session's store, with arguments that mean something.

Each function looks at the host and returns the call it would make now; None
when nothing of the kind can be done.
"""

from typing import Any

from lashstore import (
    ArtifactKind,
    AttachmentIntent,
    AttachmentMeta,
    BlobDescriptor,
    GraphAppend,
    HydratedCheckpoint,
    LeaseAcquired,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    TokenLedgerEntry,
    TokenUsage,
    reclaim_orphaned_attachments,
)
from lashstore.codec import sha256_hex, to_json

from .calls import call
from .host import SESSION, TTL_MS, Call, Host

EVER = 2**63 - 1


def _usage(host: Host) -> TokenLedgerEntry:
    return TokenLedgerEntry(
        source=f"turn-{host.step % 3}",
        model="model",
        usage=TokenUsage(input_tokens=host.step + 1, output_tokens=2),
    )


def _nodes(host: Host, leaf: str | None) -> tuple[SessionNode, ...]:
    nodes = []
    for number in range(host.dice.randrange(1, 4)):
        node_id = f"n{host.name}.{number}"
        nodes.append(
            SessionNode(
                node_id=node_id,
                parent_node_id=leaf,
                payload={"role": "user", "content": host.blob(300).hex()},
            )
        )
        leaf = node_id
    return tuple(nodes)


def _live_leaf(host: Host, head: Any) -> str | None:
    # A leaf may be buried, and then nothing can follow it.
    leaf = None if head is None else head.leaf_node_id
    return leaf if leaf and host.store.load_node(leaf) else None


@call
def commit_runtime_state(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    head = host.store.load_session_head_meta()
    revision = 0 if head is None else head.head_revision
    memory = host.memory
    queued, inputs = memory.queue_claims[:1], memory.input_claims[:1]
    pending = host.store.list_uncommitted_attachments(EVER)
    commit = RuntimeCommit(
        session_id=SESSION,
        session_execution_lease=host.fence,
        expected_head_revision=revision,
        graph=GraphAppend(nodes=_nodes(host, _live_leaf(host, head))),
        checkpoint=HydratedCheckpoint(
            turn_state={"turn": host.name},
            tool_state={"tools": host.blob(2_000).hex()},
            execution_state=host.blob(6_000),
        ),
        usage_deltas=(_usage(host),),
        completed_queue_claims=tuple(each.completion() for each in queued),
        completed_turn_input_claims=tuple(each.completion() for each in inputs),
        committed_attachment_ids=tuple(each.attachment_id for each in pending[:1]),
    ).stamped(f"turn-{host.name}")

    def keep(_result: Any) -> None:
        memory.queue_claims = memory.queue_claims[1:]
        memory.input_claims = memory.input_claims[1:]
        memory.last_commit = commit

    def facts(result: Any) -> dict[str, Any]:
        return {
            "revision": result.head_revision,
            "nodes": [node.node_id for node in commit.graph.nodes],
            "ended": [b.batch_id for each in queued for b in each.batches]
            + [i.input_id for each in inputs for i in each.inputs],
        }

    return Call(
        "commit_runtime_state",
        lambda: host.store.commit_runtime_state(commit),
        keep,
        facts,
    )


@call
def save_session_meta(host: Host) -> Call:
    meta = SessionMeta(
        session_id=SESSION, session_name=host.name, created_at="unix:1", model="m"
    )
    return Call("save_session_meta", lambda: host.store.save_session_meta(meta))


@call
def append_usage_deltas(host: Host) -> Call:
    entries = (_usage(host), _usage(host))
    return Call("append_usage_deltas", lambda: host.store.append_usage_deltas(entries))


@call
def transaction(host: Host) -> Call:
    meta = SessionMeta(session_id=SESSION, session_name=host.name, created_at="unix:2")
    again = SessionMeta(session_id=SESSION, session_name="end", created_at="unix:3")

    def run() -> None:
        with host.store.transaction() as tx:
            tx.session_meta.put(SESSION, to_json(meta))
            tx.heads.find(SESSION)
            tx.session_meta.put(SESSION, to_json(again))

    return Call("transaction", run)


@call
def put_blob(host: Host) -> Call:
    content = host.blob()
    return Call("put_blob", lambda: host.store.put_blob(content))


@call
def put_artifact_blob(host: Host) -> Call:
    what = BlobDescriptor.for_kind(ArtifactKind.TOOL_STATE)
    content = host.blob()
    return Call(
        "put_artifact_blob", lambda: host.store.put_artifact_blob(what, content)
    )


@call
def put_typed_blob(host: Host) -> Call:
    value = {"by": host.name, "bytes": host.blob()}
    return Call("put_typed_blob", lambda: host.store.put_typed_blob(value))


@call
def put_typed_artifact_blob(host: Host) -> Call:
    what = BlobDescriptor.for_kind(ArtifactKind.EXECUTION_STATE_SNAPSHOT)
    value = [host.name, host.blob()]
    return Call(
        "put_typed_artifact_blob",
        lambda: host.store.put_typed_artifact_blob(what, value),
    )


@call
def put_checkpoint(host: Host) -> Call:
    checkpoint = HydratedCheckpoint(
        turn_state={"loose": host.name}, plugin_snapshot={"p": host.blob().hex()}
    )
    return Call("put_checkpoint", lambda: host.store.put_checkpoint(checkpoint))


@call
def put_module_artifact(host: Host) -> Call:
    content = host.blob()
    return Call("put_module_artifact", lambda: host.store.put_module_artifact(content))


@call
def put_artifact_bytes(host: Host) -> Call:
    name, content = f"artifact-{host.step % 4}", host.blob()
    return Call(
        "put_artifact_bytes", lambda: host.store.put_artifact_bytes(name, content)
    )


@call
def put_process_execution_env(host: Host) -> Call:
    name, content = f"env-{host.step % 4}", host.blob()
    return Call(
        "put_process_execution_env",
        lambda: host.store.put_process_execution_env(name, content),
    )


@call
def try_claim_session_execution_lease(host: Host) -> Call:
    def keep(outcome: Any) -> None:
        if isinstance(outcome, LeaseAcquired):
            host.memory.lease = outcome.lease

    def facts(outcome: Any) -> dict[str, Any]:
        if not isinstance(outcome, LeaseAcquired):
            return {}
        return {"fence": outcome.lease.fencing_token}

    return Call(
        "try_claim_session_execution_lease",
        lambda: host.store.try_claim_session_execution_lease(host.owner, TTL_MS),
        keep,
        facts,
    )


@call
def reclaim_session_execution_lease(host: Host) -> Call | None:
    # The dead one's claim comes before, and is not what is under test.
    if host.memory.lease is not None:
        host.store.release_session_execution_lease(host.memory.lease.completion())
        host.memory.lease = None
    held = host.store.try_claim_session_execution_lease(host.dead_owner(), TTL_MS)
    if not isinstance(held, LeaseAcquired):
        return None
    observed, me = held.lease.fence(), host.living_owner()

    def keep(outcome: Any) -> None:
        if isinstance(outcome, LeaseAcquired):
            host.memory.lease = outcome.lease

    return Call(
        "reclaim_session_execution_lease",
        lambda: host.store.reclaim_session_execution_lease(me, observed, TTL_MS),
        keep,
    )


@call
def renew_session_execution_lease(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    fence = host.fence
    return Call(
        "renew_session_execution_lease",
        lambda: host.store.renew_session_execution_lease(fence, 2 * TTL_MS),
    )


@call
def release_session_execution_lease(host: Host) -> Call | None:
    if host.memory.lease is None:
        return None
    completion = host.memory.lease.completion()

    def keep(_result: Any) -> None:
        host.memory.lease = None

    return Call(
        "release_session_execution_lease",
        lambda: host.store.release_session_execution_lease(completion),
        keep,
    )


@call
def record_attachment_intent(host: Host) -> Call:
    name = sha256_hex(host.name.encode())
    intent = AttachmentIntent(
        attachment_id=name,
        canonical_uri=f"sha256:{name}",
        intent_at_ms=host.clock.now_ms(),
    )
    return Call(
        "record_attachment_intent", lambda: host.store.record_attachment_intent(intent)
    )


@call
def put_attachment(host: Host) -> Call:
    content = host.blob(700)
    meta = AttachmentMeta(media_type="image/png", label=host.name)
    return Call(
        "put_attachment",
        lambda: host.attachments.put(content, meta),
        facts=lambda ref: {"attachment": ref.attachment_id},
    )


@call
def commit_attachment_refs(host: Host) -> Call | None:
    found = host.store.list_uncommitted_attachments(EVER)
    if not found:
        return None
    names = [each.attachment_id for each in found[:2]]
    return Call(
        "commit_attachment_refs", lambda: host.store.commit_attachment_refs(names)
    )


@call
def forget_attachment(host: Host) -> Call | None:
    found = host.store.list_uncommitted_attachments(EVER)
    if not found:
        return None
    name = found[0].attachment_id
    return Call("forget_attachment", lambda: host.store.forget_attachment(name))


@call
def reclaim_attachments(host: Host) -> Call:
    bound = host.clock.now_ms() - 3_000
    return Call(
        "reclaim_attachments",
        lambda: reclaim_orphaned_attachments(host.store, host.bytes, bound),
    )


@call
def tombstone_nodes(host: Host) -> Call | None:
    if host.store.load_session_head_meta() is None:
        return None
    nodes = host.store.load_session().graph.nodes
    names = [node.node_id for node in nodes[: host.dice.randrange(1, 3)]]
    return Call(
        "tombstone_nodes",
        lambda: host.store.tombstone_nodes(names),
        facts=lambda _count: {"buried": names},
    )


@call
def vacuum(host: Host) -> Call:
    return Call("vacuum", host.store.vacuum)


@call
def gc_unreachable(host: Host) -> Call:
    return Call("gc_unreachable", host.store.gc_unreachable)


@call
def create_store(host: Host) -> Call:
    name = f"side-{host.name}"
    return Call(
        "create_store", lambda: host.factory.create_store(name, cwd=None).session_id
    )


def _sides(host: Host) -> list[str]:
    found = (each.session_id for each in host.factory.list_sessions())
    return sorted(name for name in found if name != SESSION)


@call
def delete_session(host: Host) -> Call | None:
    sides = _sides(host)
    if not sides:
        return None
    return Call("delete_session", lambda: host.factory.delete_session(sides[0]))


@call
def copy_head_from(host: Host) -> Call | None:
    for name in _sides(host):
        side = host.factory.open_existing_store(name)
        if side is not None and side.load_session_head_meta() is None:
            return Call("copy_head_from", lambda s=side: s.copy_head_from(host.store))
    return None
