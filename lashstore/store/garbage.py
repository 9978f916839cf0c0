"""
Which blobs a session still needs, and the removal of the others.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from lashstore.engines import Pace
from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import BlobRef, GcReport
from lashstore.model.record import Record
from lashstore.repos.blobs import BlobEntry

from .handle import StoreHandle
from .transaction import SessionTransaction

# What one step removes at most, so that it does not hold the write lock for
# long: freeing a page takes about as long as freeing a small row.
_FIRST_STEP_BLOBS = 25
_STEP_BLOBS = 200
_STEP_BYTES = 2**20


# Called after each step of maintenance with how many rows it removed.
OnRemoved: TypeAlias = Callable[[int], None]


def ignore(_count: int) -> None:
    """
    Do nothing.
    """


class Roots(Record, frozen=True, kw_only=True):
    """
    What a head needs, and how many of its references say so.
    """

    refs: frozenset[BlobRef]
    count: int


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


def find_roots(tx: SessionTransaction) -> Roots:
    """
    Return the head's checkpoint with its parts, and the execution states of
    its agent frames.

    Raises:
        CorruptRecordError, RecordVersionError: The head or its manifest
            cannot be read.
    """
    head = tx.heads.find(tx.session_id)
    if head is None:
        return Roots(refs=frozenset(), count=0)
    meta = head.meta()
    frame_refs = tuple(meta.frame_state_refs())
    if meta.checkpoint_ref is None:
        return Roots(refs=frozenset(frame_refs), count=len(frame_refs))
    needed = checkpoint_refs(tx, meta.checkpoint_ref)
    return Roots(refs=frozenset((*needed, *frame_refs)), count=1 + len(frame_refs))


class GarbageCollection(StoreHandle):
    """
    The part of `Store` that finds and removes unreachable blobs.

    Garbage is looked for without the lock and removed under it in small
    steps, each of which asks the head of its moment anew: what a commit in
    between refers to stays.
    """

    def _collect(self, on_removed: OnRemoved = ignore) -> GcReport:
        # Inside a transaction of this thread every step would wait for it.
        self._refuse_nested()
        root_count = self._read(self._count_roots)
        deleted = 0
        pace = Pace(
            first=min(_FIRST_STEP_BLOBS, _STEP_BLOBS),
            most=_STEP_BLOBS,
            checkpoint=self._checkpoint,
        )
        # Garbage that other garbage is a difference to, with its size.
        waiting: dict[BlobRef, int] = {}
        for page in self._pages():
            free: dict[BlobRef, int] = {}
            for entry in page:
                kind = waiting if entry.is_base else free
                kind[entry.blob_ref] = entry.stored_bytes
            deleted += self._remove_garbage(free, waiting, pace, on_removed)
        return GcReport(
            root_count=root_count,
            retained_blob_count=self._read(lambda tx: tx.blobs.count(self.session_id)),
            deleted_blob_count=deleted,
        )

    def _count_roots(self, tx: SessionTransaction) -> int:
        return find_roots(tx).count + tx.artifacts.count(self.session_id)

    def _pages(self) -> Iterator[list[BlobEntry]]:
        after = ""
        while True:
            entries, roots = self._read(functools.partial(self._read_page, after))
            if not entries:
                return
            after = entries[-1].blob_ref
            yield [
                entry
                for entry in entries
                if not entry.is_artifact and entry.blob_ref not in roots.refs
            ]

    def _read_page(
        self, after: BlobRef, tx: SessionTransaction
    ) -> tuple[tuple[BlobEntry, ...], Roots]:
        return tx.blobs.list_page(self.session_id, after), find_roots(tx)

    def _remove_garbage(
        self,
        free: dict[BlobRef, int],
        waiting: dict[BlobRef, int],
        pace: Pace,
        on_removed: OnRemoved,
    ) -> int:
        removed_count = 0
        while free:
            step = list(_take_step(free, pace.size))
            with pace.step():
                removed = self._write(functools.partial(self._remove_step, step))
            on_removed(len(removed))
            removed_count += len(removed)
            for base in removed.values():
                if base in waiting:
                    free[base] = waiting.pop(base)
        return removed_count

    def _checkpoint(self) -> None:
        with self._database() as database:
            database.checkpoint()

    def _remove_step(
        self, refs: Iterable[BlobRef], tx: SessionTransaction
    ) -> dict[BlobRef, BlobRef | None]:
        needed = find_roots(tx).refs
        removed = tx.blobs.remove_free(
            self.session_id, [ref for ref in refs if ref not in needed]
        )
        if removed:
            tx.checkpoint_blobs.remove(self.session_id, list(removed))
        return removed


def _take_step(free: dict[BlobRef, int], count: int) -> Iterator[BlobRef]:
    """
    Take the blobs of one step out of *free*: *count* at most, one at least.
    """
    step_bytes = 0
    for _ in range(min(count, len(free))):
        ref, stored_bytes = free.popitem()
        step_bytes += stored_bytes
        yield ref
        if step_bytes >= _STEP_BYTES:
            return
