"""
Taking over another session's head.
"""

import msgspec

from lashstore.errors import CorruptRecordError, HeadRevisionConflictError
from lashstore.model.blobs import SessionCheckpoint
from lashstore.model.commit import RuntimeCommitResult
from lashstore.model.graph import EncodedNode
from lashstore.model.record import Record
from lashstore.model.usage import TokenLedgerEntry
from lashstore.repos.blobs import StoredBlob
from lashstore.repos.heads import StoredHead

from .garbage import checkpoint_refs
from .transaction import SessionTransaction


class HeadCopy(Record, frozen=True, kw_only=True):
    """
    A head with everything it leads to; of a node also whether it is a
    tombstone.
    """

    head: StoredHead
    manifest: SessionCheckpoint
    nodes: tuple[tuple[EncodedNode, bool], ...]
    blobs: tuple[StoredBlob, ...]
    usage_deltas: tuple[TokenLedgerEntry, ...]


def read_copy(tx: SessionTransaction) -> HeadCopy | None:
    """
    Read a session's head and all it leads to; None if it has no head.

    Raises:
        CorruptRecordError: Something of it is damaged or missing.
    """
    head = tx.heads.find(tx.session_id)
    if head is None or head.checkpoint_ref is None:
        return None
    refs = dict.fromkeys(
        [
            *checkpoint_refs(tx, head.checkpoint_ref),
            *head.meta().frame_state_refs(),
        ]
    )
    blobs = tx.blobs.list_rows(tx.session_id, list(refs))
    manifest = tx.checkpoints.find_manifest(tx.session_id, head.checkpoint_ref)
    found = {blob.blob_ref for blob in blobs}
    missing = [
        ref for ref in (manifest.part_refs() if manifest else ()) if ref not in found
    ]
    if manifest is None or missing:
        raise CorruptRecordError(
            record_kind="blob",
            key=missing[0] if missing else head.checkpoint_ref,
            reason="the head needs it, and it is missing",
        )
    return HeadCopy(
        head=head,
        manifest=manifest,
        nodes=tx.graph.list_stored(tx.session_id),
        blobs=blobs,
        usage_deltas=tx.usage.list_deltas(tx.session_id),
    )


def write_copy(tx: SessionTransaction, copy: HeadCopy) -> RuntimeCommitResult:
    """
    Make *copy* this session's head.

    Raises:
        HeadRevisionConflictError: It has one.
    """
    present = tx.heads.find(tx.session_id)
    if present is not None:
        raise HeadRevisionConflictError(expected=None, actual=present.head_revision)
    tx.blobs.add(tx.session_id, copy.blobs)
    named = {copy.head.checkpoint_ref or "", *copy.manifest.part_refs()}
    tx.checkpoint_blobs.keep_as_bases(
        tx.session_id,
        {blob.base_ref for blob in copy.blobs if blob.base_ref is not None} - named,
    )
    tx.checkpoint_blobs.name(
        tx.session_id, named, revision=copy.head.head_revision, now_ms=tx.now_ms
    )
    tx.graph.add(tx.session_id, [node for node, _ in copy.nodes], after_seq=0)
    tombstones = [
        node.node.node_id for node, is_tombstone in copy.nodes if is_tombstone
    ]
    if tombstones:
        tx.graph.tombstone(tx.session_id, tombstones)
    tx.usage.book(tx.session_id, copy.usage_deltas)
    head = msgspec.structs.replace(copy.head, session_id=tx.session_id)
    tx.heads.put(head)
    return RuntimeCommitResult(
        head_revision=head.head_revision,
        checkpoint_ref=head.checkpoint_ref or "",
        manifest=copy.manifest,
    )
