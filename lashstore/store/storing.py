"""
Getting blobs ready before the write lock, and storing them under it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from lashstore.errors import CorruptRecordError, RecordVersionError, UnknownBlobError
from lashstore.model.blobs import (
    BlobRef,
    EncodedBlob,
    EncodedCheckpoint,
    SessionCheckpoint,
    compression_level,
)
from lashstore.model.deltas import (
    MAX_CHAIN_DEPTH,
    MIN_DELTA_BYTES,
    Base,
    is_delta_sized,
    predecessor_ref,
)
from lashstore.repos._run import Answer
from lashstore.repos.blobs import StoredBlob, compress

from .handle import StoreHandle
from .recent import recent_snapshots
from .transaction import SessionTransaction

T = TypeVar("T")
ReadyBlobs = Mapping[BlobRef, StoredBlob]

# Compressing less takes no longer than the look-up that may save it.
_WORTH_A_LOOK_UP = MIN_DELTA_BYTES


class _NotReadyError(Exception):
    """
    Under the lock something that was stored before is not there any more.
    """


class BlobStoring(StoreHandle):
    """
    The part of `Store` that brings contents into the database.
    """

    # What the last commit of this handle stored: refs that are almost surely
    # still there, so that an unchanged snapshot is neither compressed nor
    # looked up before the lock. Under the lock every ref is looked up anyway.
    _recent_refs: frozenset[BlobRef] = frozenset()
    # The manifest of the last commit of this handle: what the head's
    # checkpoint names, unless another handle moved the head.
    _recent_manifest: tuple[BlobRef, SessionCheckpoint] | None = None

    def _with_blobs(
        self,
        blobs: Sequence[EncodedBlob],
        write: Callable[[ReadyBlobs], T],
        *,
        follow_head: bool = False,
    ) -> T:
        """
        Compress *blobs*, and let *write* store them in a transaction.

        Args:
            follow_head: Store parts of a checkpoint as differences to the
                head's, where that is smaller.

        Raises:
            InvalidArgumentError: One is larger than the options allow.
        """
        for blob in blobs:
            self._options.refuse_blob(len(blob.content))
        try:
            return write(self._ready(blobs, follow_head=follow_head))
        except _NotReadyError:
            # Whole, whether stored or not: this time nothing can be missing.
            # The transaction before was undone.
            profile = self._options.blob_profile
            return write({blob.ref: compress(blob, profile) for blob in blobs})

    def _ready(
        self, blobs: Sequence[EncodedBlob], *, follow_head: bool
    ) -> dict[BlobRef, StoredBlob]:
        # What need not be compressed is left to be made under the lock, where
        # its absence is known for sure.
        profile = self._options.blob_profile
        heavy = [blob for blob in blobs if self._is_heavy(blob)]
        large = [blob for blob in heavy if len(blob.content) >= _WORTH_A_LOOK_UP]
        stored: frozenset[BlobRef] = frozenset()
        bases: dict[BlobRef, Base] = {}
        remembered = self._remembered_bases(large) if follow_head else None
        if remembered is not None:
            bases = remembered
        elif large:
            stored, bases = self._read(
                lambda tx: self._look_up(tx, large, follow_head=follow_head)
            )
        return {
            blob.ref: compress(blob, profile, bases.get(blob.ref))
            for blob in heavy
            if blob.ref not in stored
        }

    def _remembered_bases(
        self, blobs: Sequence[EncodedBlob]
    ) -> dict[BlobRef, Base] | None:
        """
        Return what the parts before *blobs* were, as far as this handle stored
        the head; None if that must be looked up.

        It need not be so any more: under the lock each base is asked for.
        """
        if self._recent_manifest is None:
            return None
        _, before = self._recent_manifest
        bases = {}
        for blob in blobs:
            ref = predecessor_ref(blob, before)
            base = (
                None
                if ref is None or not is_delta_sized(len(blob.content))
                else recent_snapshots.find(self._identity.incarnation, ref)
            )
            if base is None:
                return None
            bases[blob.ref] = base
        return bases

    def _is_heavy(self, blob: EncodedBlob) -> bool:
        level = compression_level(
            self._options.blob_profile, blob.descriptor, len(blob.content)
        )
        return level is not None and blob.ref not in self._recent_refs

    def _look_up(
        self,
        tx: SessionTransaction,
        blobs: Sequence[EncodedBlob],
        *,
        follow_head: bool,
    ) -> tuple[frozenset[BlobRef], dict[BlobRef, Base]]:
        refs = [blob.ref for blob in blobs]
        stored = frozenset(tx.blobs.list_depths(self.session_id, refs))
        new = [
            blob
            for blob in blobs
            if blob.ref not in stored and is_delta_sized(len(blob.content))
        ]
        if not follow_head or not new:
            return stored, {}
        try:
            return stored, self._find_bases(tx, new)
        except (CorruptRecordError, RecordVersionError):
            # A predecessor that cannot be read is no reason to refuse what
            # takes its place.
            return stored, {}

    def _find_bases(
        self, tx: SessionTransaction, blobs: Sequence[EncodedBlob]
    ) -> dict[BlobRef, Base]:
        before = self._head_manifest(tx)
        if before is None:
            return {}
        wanted = {
            blob.ref: ref
            for blob in blobs
            if (ref := predecessor_ref(blob, before)) is not None
        }
        incarnation = self._identity.incarnation
        known = {
            ref: base
            for ref in wanted.values()
            if (base := recent_snapshots.find(incarnation, ref)) is not None
        }
        missing = [ref for ref in wanted.values() if ref not in known]
        if missing:
            read = tx.blobs.list_bases(self.session_id, missing)
            for base in read.values():
                recent_snapshots.put(incarnation, base)
            known |= read
        return {
            ref: known[base_ref]
            for ref, base_ref in wanted.items()
            if base_ref in known
        }

    def _head_manifest(self, tx: SessionTransaction) -> SessionCheckpoint | None:
        head = tx.heads.find(self.session_id)
        if head is None or head.checkpoint_ref is None:
            return None
        if self._recent_manifest and self._recent_manifest[0] == head.checkpoint_ref:
            return self._recent_manifest[1]
        return tx.checkpoints.find_manifest(self.session_id, head.checkpoint_ref)

    def _store_blobs(
        self,
        tx: SessionTransaction,
        blobs: Sequence[EncodedBlob],
        ready: ReadyBlobs,
        kept_refs: Sequence[BlobRef] = (),
    ) -> frozenset[BlobRef]:
        """
        Store those of *blobs* that are not stored; return which were.

        Raises:
            UnknownBlobError: One of *kept_refs* is not stored.
        """
        depths = self._ask_depths(tx, blobs, ready, kept_refs)()
        self._add_blobs(tx, blobs, ready, kept_refs, depths)
        return frozenset(depths)

    def _ask_depths(
        self,
        tx: SessionTransaction,
        blobs: Sequence[EncodedBlob],
        ready: ReadyBlobs,
        kept_refs: Sequence[BlobRef],
    ) -> Answer[dict[BlobRef, int]]:
        refs = [*(blob.ref for blob in blobs), *kept_refs]
        bases = [row.base_ref for row in ready.values() if row.base_ref is not None]
        return tx.blobs.ask_depths(self.session_id, [*refs, *bases])

    def _add_blobs(
        self,
        tx: SessionTransaction,
        blobs: Sequence[EncodedBlob],
        ready: ReadyBlobs,
        kept_refs: Sequence[BlobRef],
        depths: Mapping[BlobRef, int],
    ) -> None:
        for ref in kept_refs:
            if ref not in depths:
                raise UnknownBlobError(blob_ref=ref)
        new = {blob.ref: blob for blob in blobs if blob.ref not in depths}
        tx.blobs.add(
            self.session_id,
            [self._row(blob, ready.get(ref), depths) for ref, blob in new.items()],
        )

    def _row(
        self,
        blob: EncodedBlob,
        row: StoredBlob | None,
        depths: Mapping[BlobRef, int],
    ) -> StoredBlob:
        if row is None:
            if self._is_large(blob):
                raise _NotReadyError
            return compress(blob, self._options.blob_profile)
        if row.base_ref is None:
            return row
        # The base may have been collected since, and stored anew otherwise.
        depth = depths.get(row.base_ref, MAX_CHAIN_DEPTH)
        if depth >= MAX_CHAIN_DEPTH:
            raise _NotReadyError
        return msgspec.structs.replace(row, chain_depth=depth + 1)

    def _is_large(self, blob: EncodedBlob) -> bool:
        level = compression_level(
            self._options.blob_profile, blob.descriptor, len(blob.content)
        )
        return level is not None and len(blob.content) >= _WORTH_A_LOOK_UP

    def _remember(self, encoded: EncodedCheckpoint, ready: ReadyBlobs) -> None:
        # What the next commit asks for; wrong or gone, it is only slower.
        self._recent_refs = frozenset(blob.ref for blob in encoded.blobs)
        self._recent_manifest = (encoded.checkpoint_ref, encoded.manifest)
        incarnation = self._identity.incarnation
        for blob in encoded.blobs[:-1]:
            row = ready.get(blob.ref)
            if row is None or not is_delta_sized(len(blob.content)):
                continue
            whole_bytes = len(row.content)
            if row.base_ref is not None:
                base = recent_snapshots.find(incarnation, row.base_ref)
                if base is None:
                    continue
                whole_bytes = base.expected_bytes(len(blob.content))
                recent_snapshots.remove(incarnation, row.base_ref)
            recent_snapshots.put(
                incarnation,
                Base(
                    blob_ref=blob.ref,
                    content=blob.content,
                    chain_depth=row.chain_depth,
                    whole_bytes=whole_bytes,
                ),
            )
