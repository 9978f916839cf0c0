"""
Snapshots that change a little, and how they are stored.
"""

import hashlib

from lashstore import CheckpointRetention, HydratedCheckpoint, StoreOptions, Synchronous
from lashstore.testing import acquire_lease, make_commit

KEEP_ALL = StoreOptions(
    synchronous=Synchronous.NORMAL,
    checkpoint_retention=CheckpointRetention(max_count=None),
)
PART_BYTES = 64_000


def noise(name, size):
    """
    Bytes that no compression makes smaller, the same for each name.
    """
    return hashlib.shake_256(name.encode()).digest(size)


def state(*versions, size=PART_BYTES):
    """
    A state of as many members as *versions* are given; a member of another
    version is another one.
    """
    each = size // len(versions)
    return {
        f"m{place}": noise(f"{place}-{version}", each)
        for place, version in enumerate(versions)
    }


def states(count, members=40):
    """
    States of which each differs from the one before in one member.
    """
    versions = [0] * members
    for number in range(count):
        versions[number % members] = number
        yield state(*versions)


def commit(store, **parts):
    """
    Commit a checkpoint under a long lease.
    """
    return store.commit_runtime_state(
        make_commit(acquire_lease(store), checkpoint=HydratedCheckpoint(**parts))
    )


def stored(store, ref):
    """
    The row of a blob; None if it is not stored.
    """
    with store.transaction() as tx:
        rows = tx.blobs.list_rows(tx.session_id, [ref])
    return {row.blob_ref: row for row in rows}.get(ref)


def row_of(store, result, part="tool_state"):
    """
    The row of a part of a committed checkpoint.
    """
    return stored(store, getattr(result.manifest, f"{part}_ref"))


def blob_count(store):
    """
    How many blobs the session has.
    """
    with store.transaction() as tx:
        return tx.blobs.count(tx.session_id)
