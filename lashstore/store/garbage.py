"""
Which blobs a session still needs, and the removal of the others.
"""

from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import BlobRef, GcReport

from .transaction import SessionTransaction


def checkpoint_refs(tx: SessionTransaction, ref: BlobRef) -> tuple[BlobRef, ...]:
    """
    Return a checkpoint's ref and those of its parts.

    Raises:
        CorruptRecordError, RecordVersionError: It cannot be read; then
            nobody knows what it needs.
    """
    manifest = tx.checkpoints.find_manifest(tx.session_id, ref)
    if manifest is None:
        raise CorruptRecordError(
            record_kind="checkpoint manifest",
            key=ref,
            reason="the head needs it, and it is missing",
        )
    return (ref, *manifest.part_refs())


def collect_unreachable(tx: SessionTransaction) -> GcReport:
    """
    Remove every blob that neither the head nor a name leads to.

    Roots are the head's checkpoint, the execution states of its agent frames
    and every artifact name; anything unreadable on the way ends it with
    nothing removed.
    """
    head = tx.heads.find(tx.session_id)
    frame_refs: list[BlobRef] = []
    needed: list[BlobRef] = []
    root_count = 0
    if head is not None:
        meta = head.meta()
        frame_refs = list(meta.frame_state_refs())
        if meta.checkpoint_ref is not None:
            root_count += 1
            needed += checkpoint_refs(tx, meta.checkpoint_ref)
    needed += frame_refs
    named = tx.artifacts.list_blob_refs(tx.session_id)
    removed = tx.blobs.remove_unreachable(tx.session_id, needed)
    return GcReport(
        root_count=root_count + len(frame_refs) + len(named),
        retained_blob_count=len({*needed, *named}),
        deleted_blob_count=removed,
    )
