"""
Which past checkpoints a session keeps.
"""

from collections.abc import Sequence

from .blobs import BlobRef
from .options import CheckpointRetention
from .record import Record

# Letting go of many at once costs half as much as of each by itself.
_LONGEST_INTERVAL = 8


class NamedBlob(Record, frozen=True, kw_only=True):
    """
    A blob that a checkpoint named, and the last commit that did.
    """

    blob_ref: BlobRef
    last_revision: int
    named_at_ms: int


def is_due(retention: CheckpointRetention, head_revision: int) -> bool:
    """
    Tell whether the commit of *head_revision* looks for what to let go of.
    """
    if retention.max_count is None:
        return retention.max_age_ms is not None and not (
            head_revision % _LONGEST_INTERVAL
        )
    return not head_revision % min(retention.max_count, _LONGEST_INTERVAL)


def expired_revision(
    oldest: Sequence[NamedBlob],
    retention: CheckpointRetention,
    *,
    head_revision: int,
    now_ms: int,
) -> int:
    """
    Decide up to which revision a session lets go of its checkpoints.

    Args:
        oldest: Some of the blobs that checkpoints named, by `last_revision`.

        head_revision: Of the commit that asks; its own are never let go of.

    Returns:
        The revision; 0 to let go of none.
    """
    expired = 0
    for blob in oldest:
        if blob.last_revision >= head_revision or not _is_expired(
            blob, retention, head_revision, now_ms
        ):
            break
        expired = blob.last_revision
    return expired


def _is_expired(
    blob: NamedBlob, retention: CheckpointRetention, head_revision: int, now_ms: int
) -> bool:
    by_count = (
        retention.max_count is not None
        and blob.last_revision <= head_revision - retention.max_count
    )
    by_age = (
        retention.max_age_ms is not None
        and blob.named_at_ms < now_ms - retention.max_age_ms
    )
    return by_count or by_age
