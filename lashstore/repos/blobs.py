"""
Blob rows: contents by their SHA-256.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
import zstandard

from lashstore.codec import sha256_hex
from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import BlobRef, EncodedBlob, compression_level
from lashstore.model.options import BlobProfile
from lashstore.model.record import Record
from lashstore.tables import session_artifacts, session_blobs

from ._dialect import BIND, any_of, insert_if_absent
from ._run import Runner
from ._scan import session_scan

_c = session_blobs.c
_is_session = _c.session_id == BIND("session_id")
_content = (_c.blob_ref, _c.compression, _c.raw_bytes, _c.content)
_find = sa.select(*_content).where(_is_session, _c.blob_ref == BIND("blob_ref"))
_list = sa.select(*_content).where(_is_session, any_of(_c.blob_ref, "refs"))
_list_refs = sa.select(_c.blob_ref).where(_is_session, any_of(_c.blob_ref, "refs"))
_list_copies = sa.select(
    _c.blob_ref, _c.kind, _c.compression, _c.raw_bytes, _c.base_ref, _c.content
).where(_is_session, any_of(_c.blob_ref, "refs"))
_add = insert_if_absent(session_blobs)
_named = sa.select(session_artifacts.c.blob_ref).where(
    session_artifacts.c.session_id == BIND("session_id")
)
_remove_unreachable = sa.delete(session_blobs).where(
    _is_session, ~any_of(_c.blob_ref, "refs"), _c.blob_ref.not_in(_named)
)
_count = sa.select(sa.func.count()).where(_is_session)

_codecs = threading.local()


class StoredBlob(Record, frozen=True, kw_only=True):
    """
    A blob row's values, compressed and ready to insert.
    """

    blob_ref: BlobRef
    kind: str
    compression: str
    raw_bytes: int
    base_ref: BlobRef | None = None
    content: bytes


def compress(blob: EncodedBlob, profile: BlobProfile) -> StoredBlob:
    """
    Compress a blob as its profile says; what does not shrink stays as it is.
    """
    level = compression_level(profile, blob.descriptor, len(blob.content))
    content, compression = blob.content, "none"
    if level is not None:
        smaller = _compressor(level).compress(blob.content)
        if len(smaller) < len(content):
            content, compression = smaller, "zstd"
    return StoredBlob(
        blob_ref=blob.ref,
        kind=blob.descriptor.kind,
        compression=compression,
        raw_bytes=len(blob.content),
        content=content,
    )


def _compressor(level: int) -> zstandard.ZstdCompressor:
    # The objects are not thread-safe, and making one costs more than
    # compressing a small blob.
    pool: dict[int, zstandard.ZstdCompressor] = _codecs.__dict__.setdefault(
        "by_level", {}
    )
    if level not in pool:
        pool[level] = zstandard.ZstdCompressor(level=level, write_checksum=False)
    return pool[level]


def _decompress(content: bytes, raw_bytes: int) -> bytes:
    # The frame names the size of what it holds: one that names another than
    # was recorded is refused before anything is allocated for it.
    found = zstandard.frame_content_size(content)
    if found != raw_bytes:
        msg = f"it holds {found} bytes, not {raw_bytes}"
        raise zstandard.ZstdError(msg)
    pool = _codecs.__dict__
    if "decompressor" not in pool:
        pool["decompressor"] = zstandard.ZstdDecompressor()
    plain: bytes = pool["decompressor"].decompress(content, max_output_size=raw_bytes)
    return plain


def _content_from_row(row: Any) -> bytes:
    content = bytes(row.content)
    try:
        if row.compression == "zstd":
            content = _decompress(content, row.raw_bytes)
        elif row.compression != "none":
            raise _damaged(row.blob_ref, f"compression {row.compression!r} is unknown")
    except zstandard.ZstdError as error:
        raise _damaged(row.blob_ref, str(error)) from error
    if len(content) != row.raw_bytes or sha256_hex(content) != row.blob_ref:
        raise _damaged(row.blob_ref, "its content has another hash or size")
    return content


def _damaged(ref: BlobRef, reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="blob", key=str(ref), reason=reason)


SCAN = session_scan(
    session_blobs,
    (*_content, _c.kind, _c.base_ref),
    lambda _session_id, row: _content_from_row(row),
)


class BlobRepository:
    """
    Rows of `session_blobs`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str, ref: BlobRef) -> bytes | None:
        """
        Return a content, verified by its hash; None if it is not stored.

        Raises:
            CorruptRecordError: The row is damaged.
        """
        row = self._connection.execute(
            _find, {"session_id": session_id, "blob_ref": ref}
        ).one_or_none()
        return None if row is None else _content_from_row(row)

    def list_contents(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, bytes]:
        """
        Return the contents of those *refs* that are stored, each verified.
        """
        rows = self._connection.execute(
            _list, {"session_id": session_id, "refs": refs}
        ).all()
        return {row.blob_ref: _content_from_row(row) for row in rows}

    def list_stored_refs(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> frozenset[BlobRef]:
        """
        Return those of *refs* that are stored.
        """
        rows = self._connection.execute(
            _list_refs, {"session_id": session_id, "refs": refs}
        ).all()
        return frozenset(row[0] for row in rows)

    def add(self, session_id: str, blobs: Iterable[StoredBlob]) -> None:
        """
        Store contents that are not stored yet.
        """
        values = [
            {
                "session_id": session_id,
                "blob_ref": blob.blob_ref,
                "kind": blob.kind,
                "compression": blob.compression,
                "raw_bytes": blob.raw_bytes,
                "base_ref": blob.base_ref,
                "content": blob.content,
            }
            for blob in blobs
        ]
        if values:
            self._connection.execute(_add, values)

    def list_rows(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> tuple[StoredBlob, ...]:
        """
        Return the rows of *refs*, each verified, to be stored elsewhere.
        """
        rows = self._connection.execute(
            _list_copies, {"session_id": session_id, "refs": refs}
        ).all()
        for row in rows:
            _content_from_row(row)
        return tuple(StoredBlob(**row._asdict()) for row in rows)

    def remove_unreachable(self, session_id: str, refs: Sequence[BlobRef]) -> int:
        """
        Remove every blob that is neither among *refs* nor named by an
        artifact; return how many there were.
        """
        return self._connection.execute(
            _remove_unreachable, {"session_id": session_id, "refs": refs}
        ).rowcount

    def count(self, session_id: str) -> int:
        """
        Return how many blobs are stored.
        """
        found: int = self._connection.execute(
            _count, {"session_id": session_id}
        ).scalar_one()
        return found
