"""
Letting go of past checkpoints.
"""

from collections.abc import Collection, Sequence

from lashstore.model.blobs import BlobRef
from lashstore.model.options import CheckpointRetention
from lashstore.model.retention import NamedBlob, expired_revision, is_due
from lashstore.repos._run import Answer

from .transaction import SessionTransaction


def ask_oldest(
    tx: SessionTransaction, retention: CheckpointRetention, *, head_revision: int
) -> Answer[tuple[NamedBlob, ...]]:
    """
    Ask for what `let_go_of_checkpoints` looks at.
    """
    if not is_due(retention, head_revision):
        return tuple
    return tx.checkpoint_blobs.ask_oldest(tx.session_id)


def let_go_of_checkpoints(
    tx: SessionTransaction,
    retention: CheckpointRetention,
    *,
    oldest: Sequence[NamedBlob],
    head_revision: int,
    frame_refs: Collection[BlobRef],
) -> None:
    """
    Remove what only checkpoints had that *retention* does not keep.

    Looks at so many at a time, and not at every commit, so that a commit
    costs the same whatever is stored; a session that kept more before gets
    there within some commits.

    Args:
        oldest: Of `ask_oldest`. What this commit named since is not removed:
            it has a later revision by now.

        frame_refs: What the agent frames of the head name.
    """
    if not oldest:
        return
    revision = expired_revision(
        oldest, retention, head_revision=head_revision, now_ms=tx.now_ms
    )
    if not revision:
        return
    expired = tx.checkpoint_blobs.remove_until(tx.session_id, revision)
    framed = [ref for ref in expired if ref in frame_refs]
    tx.checkpoint_blobs.name(
        tx.session_id, framed, revision=head_revision, now_ms=tx.now_ms
    )
    _remove(tx, [ref for ref in expired if ref not in frame_refs])


def _remove(tx: SessionTransaction, refs: Sequence[BlobRef]) -> None:
    # With the last of a chain its bases go, link by link. What an artifact
    # names is the artifact's from now on.
    bases: set[BlobRef] = set()
    while refs:
        removed = tx.blobs.remove_free(tx.session_id, refs)
        bases.update(ref for ref in refs if ref not in removed)
        before = [base for base in removed.values() if base is not None]
        refs = [base for base in before if base in bases]
        bases.difference_update(refs)
        others = [base for base in before if base not in refs]
        if others:
            refs += tx.checkpoint_blobs.remove_bases(tx.session_id, others)
    if bases:
        tx.checkpoint_blobs.keep_as_bases(
            tx.session_id, tx.blobs.list_needed_bases(tx.session_id, list(bases))
        )
