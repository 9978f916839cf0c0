"""
Whether a blob is stored whole or as a difference to its predecessor.
"""

from .blobs import ArtifactKind, BlobRef, EncodedBlob, SessionCheckpoint
from .record import Record

# Below, what a difference saves is less than the pages that a commit writes
# anyway; above, indexing the predecessor takes more memory than it is worth.
MIN_DELTA_BYTES = 32 * 1024
MAX_DELTA_BYTES = 16 * 2**20

# A snapshot is read by decoding all of its chain: measured, each link costs a
# fifth of what the whole one costs, and a whole one among 16 is paid for.
MAX_CHAIN_DEPTH = 16

# What is refused as damage when it is read. Depths that damage made wrong may
# have let a chain grow beyond the bound, which is no reason to refuse it.
MAX_CHAIN_READ = 8 * MAX_CHAIN_DEPTH

_PART_REFS = {
    ArtifactKind.TOOL_STATE: "tool_state_ref",
    ArtifactKind.PLUGIN_SESSION_SNAPSHOT: "plugin_snapshot_ref",
    ArtifactKind.EXECUTION_STATE_SNAPSHOT: "execution_state_ref",
}


class Base(Record, frozen=True, kw_only=True):
    """
    A stored content that another may be stored as a difference to.

    `whole_bytes`: what it takes, or would take, stored whole.
    """

    blob_ref: BlobRef
    content: bytes
    chain_depth: int
    whole_bytes: int

    def expected_bytes(self, raw_bytes: int) -> int:
        """
        Guess what a content of *raw_bytes* like this one takes, stored whole.
        """
        return self.whole_bytes * raw_bytes // max(1, len(self.content))


def predecessor_ref(blob: EncodedBlob, before: SessionCheckpoint) -> BlobRef | None:
    """
    Return the part of the checkpoint *before* that *blob* takes the place
    of; None if it had none, or the blob is no part.
    """
    name = _PART_REFS.get(blob.descriptor.kind)
    ref: BlobRef | None = None if name is None else getattr(before, name)
    return None if ref == blob.ref else ref


def is_delta_sized(raw_bytes: int) -> bool:
    """
    Tell whether a content is neither too small nor too large for deltas.
    """
    return MIN_DELTA_BYTES <= raw_bytes <= MAX_DELTA_BYTES


def may_extend(base: Base) -> bool:
    """
    Tell whether another difference may follow *base*.
    """
    return base.chain_depth < MAX_CHAIN_DEPTH and is_delta_sized(len(base.content))


def is_clearly_smaller(delta_bytes: int, whole_bytes: int) -> bool:
    """
    Tell whether a difference is worth the chain that has to be read for it.
    """
    return 2 * delta_bytes <= whole_bytes
