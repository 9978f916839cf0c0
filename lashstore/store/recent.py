"""
Snapshots stored lately, kept in memory as bases of the next ones.
"""

import threading
from collections import OrderedDict

from lashstore.model.blobs import BlobRef
from lashstore.model.deltas import Base

Key = tuple[str, BlobRef]


class RecentSnapshots:
    """
    Contents by session incarnation and ref, least recently used out.

    Only ever a saving: what is not here is read from the database, and that a
    base is still stored is looked up under the lock in any case.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Base] = OrderedDict()
        self._bytes = 0

    @property
    def kept_bytes(self) -> int:
        """
        How many bytes of content are kept now.
        """
        return self._bytes

    def find(self, incarnation: str, ref: BlobRef) -> Base | None:
        """
        Return a content with what is known of how it is stored.
        """
        with self._lock:
            found = self._kept.get((incarnation, ref))
            if found is not None:
                self._kept.move_to_end((incarnation, ref))
            return found

    def put(self, incarnation: str, base: Base) -> None:
        """
        Keep a content, and let go of others until all fit.
        """
        if len(base.content) > self._limit_bytes:
            return
        with self._lock:
            self._drop((incarnation, base.blob_ref))
            self._kept[incarnation, base.blob_ref] = base
            self._bytes += len(base.content)
            while self._bytes > self._limit_bytes:
                self._drop(next(iter(self._kept)))

    def remove(self, incarnation: str, ref: BlobRef) -> None:
        """
        Let go of a content.
        """
        with self._lock:
            self._drop((incarnation, ref))

    def _drop(self, key: Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= len(dropped.content)


# One for the process: a limit each would add up over many open sessions.
recent_snapshots: RecentSnapshots = RecentSnapshots(limit_bytes=16 * 2**20)
