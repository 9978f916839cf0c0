"""
Blob rows: contents by their SHA-256.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
import zstandard

from lashstore.codec import sha256_hex
from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import BlobRef, EncodedBlob, compression_level
from lashstore.model.deltas import (
    MAX_CHAIN_READ,
    Base,
    is_clearly_smaller,
    is_delta_sized,
    may_extend,
)
from lashstore.model.options import BlobProfile
from lashstore.model.record import Record
from lashstore.model.space import RemovableSize
from lashstore.tables import session_artifacts, session_blobs

from . import _zstd
from ._dialect import BIND, KEEPS_PLAN, any_of, insert_if_absent
from ._run import Answer, Runner
from ._scan import session_scan

PAGE = 1_000

_c = session_blobs.c
_is_session = _c.session_id == BIND("session_id")
_content = (
    _c.blob_ref,
    _c.kind,
    _c.compression,
    _c.raw_bytes,
    _c.base_ref,
    _c.chain_depth,
    _c.content,
)
_list = (
    sa.select(*_content)
    .where(_is_session, any_of(_c.blob_ref, "refs"))
    .execution_options(**KEEPS_PLAN)
)
_list_depths = (
    sa.select(_c.blob_ref, _c.chain_depth)
    .where(_is_session, any_of(_c.blob_ref, "refs"))
    .execution_options(**KEEPS_PLAN)
)


def _chain_statement() -> sa.Select[Any]:
    # Walks the refs and fetches the contents afterwards. A union without
    # repeats reads what two chains share once, and ends a cycle that damage
    # may have closed.
    link = (
        sa.select(_c.blob_ref, _c.base_ref)
        .where(_is_session, any_of(_c.blob_ref, "refs"))
        .cte("chain", recursive=True)
    )
    base = session_blobs.alias("base")
    chain = link.union(
        sa.select(base.c.blob_ref, base.c.base_ref)
        .select_from(link)
        .join(
            base,
            (base.c.session_id == BIND("session_id"))
            & (base.c.blob_ref == link.c.base_ref),
        )
    )
    return (
        sa.select(*_content)
        .select_from(chain)
        .join(
            session_blobs,
            (_c.session_id == BIND("session_id")) & (_c.blob_ref == chain.c.blob_ref),
        )
    )


_list_chains = _chain_statement()
_add = insert_if_absent(session_blobs)
_is_artifact = (
    sa.exists()
    .where(
        session_artifacts.c.session_id == BIND("session_id"),
        session_artifacts.c.blob_ref == _c.blob_ref,
    )
    .correlate(session_blobs)
)
_successor = session_blobs.alias("successor")
_is_base = (
    sa.exists()
    .where(
        _successor.c.session_id == BIND("session_id"),
        _successor.c.base_ref == _c.blob_ref,
    )
    .correlate(session_blobs)
)
_remove_free = (
    sa.delete(session_blobs)
    .where(_is_session, any_of(_c.blob_ref, "refs"), ~_is_artifact, ~_is_base)
    .returning(_c.blob_ref, _c.base_ref)
)
_list_needed = sa.select(_c.base_ref).where(_is_session, any_of(_c.base_ref, "refs"))


def _garbage_statement() -> sa.Select[Any]:
    # What is needed, with all that it is stored as a difference to.
    root = (
        sa.select(_c.blob_ref, _c.base_ref)
        .where(_is_session, any_of(_c.blob_ref, "refs") | _is_artifact)
        .cte("needed", recursive=True)
    )
    base = session_blobs.alias("base")
    needed = root.union(
        sa.select(base.c.blob_ref, base.c.base_ref)
        .select_from(root)
        .join(
            base,
            (base.c.session_id == BIND("session_id"))
            & (base.c.blob_ref == root.c.base_ref),
        )
    )
    stored = sa.func.coalesce(sa.func.sum(sa.func.length(_c.content)), 0)
    return sa.select(sa.func.count(), stored).where(
        _is_session, _c.blob_ref.not_in(sa.select(needed.c.blob_ref))
    )


_sum_garbage = _garbage_statement()
_list_page = (
    sa.select(
        _c.blob_ref,
        sa.func.length(_c.content).label("stored_bytes"),
        _is_artifact.label("is_artifact"),
        _is_base.label("is_base"),
    )
    .where(_is_session, _c.blob_ref > BIND("after"))
    .order_by(_c.blob_ref)
    .limit(sa.literal_column(str(PAGE)))
)
_count = sa.select(sa.func.count()).where(_is_session)


class StoredBlob(Record, frozen=True, kw_only=True):
    """
    A blob row's values, compressed and ready to insert.
    """

    blob_ref: BlobRef
    kind: str
    compression: str
    raw_bytes: int
    base_ref: BlobRef | None = None
    chain_depth: int = 0
    content: bytes


class BlobEntry(Record, frozen=True, kw_only=True):
    """
    A blob without its content: how many bytes it takes, and who needs it.
    """

    blob_ref: BlobRef
    stored_bytes: int
    is_artifact: bool
    is_base: bool


def compress(
    blob: EncodedBlob, profile: BlobProfile, base: Base | None = None
) -> StoredBlob:
    """
    Compress a blob as its profile says: as a difference to *base* if that is
    clearly smaller, else whole; what does not shrink stays as it is.
    """
    level = compression_level(profile, blob.descriptor, len(blob.content))
    if level is None:
        return _stored(blob, "none", blob.content)
    delta: bytes | None = None
    if base is not None and may_extend(base) and is_delta_sized(len(blob.content)):
        delta = _zstd.compress_delta(blob.content, base.content)
        if is_clearly_smaller(len(delta), base.expected_bytes(len(blob.content))):
            return _stored(blob, "zstd", delta, base)
    whole = _zstd.compress(blob.content, level)
    if delta is not None and is_clearly_smaller(len(delta), len(whole)):
        return _stored(blob, "zstd", delta, base)
    if len(whole) < len(blob.content):
        return _stored(blob, "zstd", whole)
    return _stored(blob, "none", blob.content)


def _stored(
    blob: EncodedBlob, compression: str, content: bytes, base: Base | None = None
) -> StoredBlob:
    return StoredBlob(
        blob_ref=blob.ref,
        kind=blob.descriptor.kind,
        compression=compression,
        raw_bytes=len(blob.content),
        base_ref=None if base is None else base.blob_ref,
        chain_depth=0 if base is None else base.chain_depth + 1,
        content=content,
    )


def _chain_of(row: Any, rows: Mapping[BlobRef, Any]) -> list[Any]:
    chain = [row]
    while chain[-1].base_ref is not None:
        base = rows.get(chain[-1].base_ref)
        if base is None:
            raise _damaged(row.blob_ref, f"its base {chain[-1].base_ref} is missing")
        chain.append(base)
        if len(chain) > MAX_CHAIN_READ:
            raise _damaged(row.blob_ref, f"it has {MAX_CHAIN_READ} bases and more")
    return chain


def _content_of(chain: Sequence[Any]) -> bytes:
    # Only the last content is hashed: what damage made of a base on the way
    # to it shows there.
    content: bytes | None = None
    try:
        for row in reversed(chain):
            content = _unpacked(row, content)
    except zstandard.ZstdError as error:
        raise _damaged(chain[0].blob_ref, str(error)) from error
    return _verified(chain[0], content)


def _verified(target: Any, content: bytes | None) -> bytes:
    if (
        content is None
        or len(content) != target.raw_bytes
        or sha256_hex(content) != target.blob_ref
    ):
        raise _damaged(target.blob_ref, "its content has another hash or size")
    return content


def _unpacked(row: Any, base: bytes | None) -> bytes:
    # A damaged page may hold any type, in strict tables too.
    if not isinstance(row.content, bytes | memoryview):
        raise _damaged(row.blob_ref, "its content is no bytes")
    if row.compression == "zstd":
        return _zstd.decompress(bytes(row.content), row.raw_bytes, base)
    if row.compression != "none" or base is not None:
        raise _damaged(row.blob_ref, f"compression {row.compression!r} is unknown")
    return bytes(row.content)


def _damaged(ref: BlobRef, reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="blob", key=str(ref), reason=reason)


class BlobLink(Record, frozen=True, kw_only=True):
    """
    A blob's place in a chain: what it is a difference to, if it is one.
    """

    base_ref: BlobRef | None
    chain_depth: int


def _link_from_row(_session_id: str, row: Any) -> BlobLink:
    is_link = isinstance(row.chain_depth, int) and isinstance(
        row.base_ref, str | type(None)
    )
    if not is_link:
        raise _damaged(row.blob_ref, "its base or depth is none")
    return BlobLink(base_ref=row.base_ref, chain_depth=row.chain_depth)


# Without contents: one that others are differences to is wanted when they
# are, see `BlobRepository.unpack`.
SCAN = session_scan(
    session_blobs, (_c.blob_ref, _c.base_ref, _c.chain_depth), _link_from_row
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
            CorruptRecordError: The row is damaged, or one that it needs is.
        """
        return self.list_contents(session_id, [ref]).get(ref)

    def find_row(self, session_id: str, ref: BlobRef) -> Any:
        """
        Return a row as it is stored, for `unpack`; None if there is none.
        """
        rows = self._connection.execute(
            _list, {"session_id": session_id, "refs": [ref]}
        ).all()
        if rows and rows[0].blob_ref != ref:
            raise _damaged(ref, "another blob stands where it should")
        return rows[0] if rows else None

    @staticmethod
    def unpack(row: Any, base: bytes | None) -> bytes:
        """
        Return a row's content, verified by its hash.

        Args:
            base: The content it is a difference to; None: it is whole.

        Raises:
            CorruptRecordError: It is damaged.
        """
        try:
            return _verified(row, _unpacked(row, base))
        except zstandard.ZstdError as error:
            raise _damaged(row.blob_ref, str(error)) from error

    def list_contents(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, bytes]:
        """
        Return the contents of those *refs* that are stored, each verified.
        """
        rows = self._list_with_bases(session_id, refs)
        return {
            ref: _content_of(_chain_of(rows[ref], rows)) for ref in refs if ref in rows
        }

    def _list_with_bases(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, Any]:
        found = self._connection.execute(
            _list, {"session_id": session_id, "refs": refs}
        ).all()
        rows = {row.blob_ref: row for row in found}
        for ref in rows.keys() - set(refs):
            # A damaged index leads to another row.
            raise _damaged(ref, "it stands where another blob should")
        # Most have none, and asking for them costs as much as the rest.
        bases = [row.base_ref for row in found if row.base_ref is not None]
        if bases:
            chains = self._connection.execute(
                _list_chains, {"session_id": session_id, "refs": bases}
            ).all()
            rows |= {row.blob_ref: row for row in chains}
        return rows

    def list_bases(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, Base]:
        """
        Return those of *refs* that are stored, to store differences to them.

        Raises:
            CorruptRecordError: One is damaged.
        """
        rows = self._list_with_bases(session_id, refs)
        bases = {}
        for ref in refs:
            if ref in rows:
                chain = _chain_of(rows[ref], rows)
                root, content = chain[-1], _content_of(chain)
                bases[ref] = Base(
                    blob_ref=ref,
                    content=content,
                    chain_depth=rows[ref].chain_depth,
                    whole_bytes=len(root.content)
                    * len(content)
                    // max(1, root.raw_bytes),
                )
        return bases

    def list_depths(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, int]:
        """
        Return those of *refs* that are stored, each with how many others
        must be read to read it.
        """
        return self.ask_depths(session_id, refs)()

    def ask_depths(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> Answer[dict[BlobRef, int]]:
        """
        Ask for what `list_depths` returns.
        """
        found = self._connection.execute(
            _list_depths, {"session_id": session_id, "refs": refs}
        )
        return lambda: dict(found.all())

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
                "chain_depth": blob.chain_depth,
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
        Return the rows of *refs* and of all that they are differences to,
        each verified, to be stored elsewhere.
        """
        rows = self._list_with_bases(session_id, refs)
        for row in rows.values():
            _content_of(_chain_of(row, rows))
        return tuple(StoredBlob(**row._asdict()) for row in rows.values())

    def list_page(self, session_id: str, after: BlobRef) -> tuple[BlobEntry, ...]:
        """
        Return the `PAGE` blobs whose refs come next after *after*, in order.
        """
        rows = self._connection.execute(
            _list_page, {"session_id": session_id, "after": after}
        )
        return tuple(
            BlobEntry(
                blob_ref=ref,
                stored_bytes=size,
                is_artifact=bool(is_artifact),
                is_base=bool(is_base),
            )
            for ref, size, is_artifact, is_base in rows
        )

    def remove_free(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> dict[BlobRef, BlobRef | None]:
        """
        Remove those of *refs* that no artifact names and no blob has as its
        base; return them, each with the base it had.
        """
        rows = self._connection.execute(
            _remove_free, {"session_id": session_id, "refs": refs}
        ).all()
        return dict(rows)

    def list_needed_bases(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> frozenset[BlobRef]:
        """
        Return those of *refs* that other blobs have as their base.
        """
        rows = self._connection.execute(
            _list_needed, {"session_id": session_id, "refs": refs}
        ).all()
        return frozenset(row[0] for row in rows)

    def sum_garbage(self, session_id: str, refs: Collection[BlobRef]) -> RemovableSize:
        """
        Add up the blobs that are none of *refs*, that no artifact names, and
        that none of these is stored as a difference to.
        """
        ((count, size),) = self._connection.execute(
            _sum_garbage, {"session_id": session_id, "refs": sorted(refs)}
        ).all()
        return RemovableSize(row_count=count, content_bytes=int(size))

    def count(self, session_id: str) -> int:
        """
        Return how many blobs are stored.
        """
        found: int = self._connection.execute(
            _count, {"session_id": session_id}
        ).scalar_one()
        return found
