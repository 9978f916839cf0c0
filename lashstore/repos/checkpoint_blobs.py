"""
Which blobs checkpoints of commits named, and when last.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from lashstore.model.blobs import BlobRef
from lashstore.model.retention import NamedBlob
from lashstore.tables import session_checkpoint_blobs

from ._dialect import BIND, KEEPS_PLAN, any_of, upsert
from ._run import Answer, Runner
from ._scan import session_scan

# More than the commits between two looks can have named.
OLDEST = 64

_ONLY_A_BASE = 0

_c = session_checkpoint_blobs.c
_is_session = _c.session_id == BIND("session_id")
_is_named = _c.last_revision > sa.literal_column("0")
_put = upsert(session_checkpoint_blobs, ("last_revision", "named_at_ms"))
_list_oldest = (
    sa.select(_c.blob_ref, _c.last_revision, _c.named_at_ms)
    .where(_is_session, _is_named)
    .order_by(_c.last_revision)
    .limit(sa.literal_column(str(OLDEST)))
    .execution_options(**KEEPS_PLAN)
)
_find_time = sa.select(sa.func.max(_c.named_at_ms)).where(
    _is_session, _c.last_revision == BIND("revision")
)
_remove_until = (
    sa.delete(session_checkpoint_blobs)
    .where(_is_session, _is_named, _c.last_revision <= BIND("revision"))
    .returning(_c.blob_ref)
)
_remove = sa.delete(session_checkpoint_blobs).where(
    _is_session, any_of(_c.blob_ref, "refs")
)
_remove_bases = (
    sa.delete(session_checkpoint_blobs)
    .where(
        _is_session,
        any_of(_c.blob_ref, "refs"),
        _c.last_revision == sa.literal_column(str(_ONLY_A_BASE)),
    )
    .returning(_c.blob_ref)
)

SCAN = session_scan(
    session_checkpoint_blobs,
    (_c.blob_ref, _c.last_revision),
    lambda _session_id, row: row.last_revision,
)


class CheckpointBlobRepository:
    """
    Rows of `session_checkpoint_blobs`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def name(
        self, session_id: str, refs: Iterable[BlobRef], *, revision: int, now_ms: int
    ) -> None:
        """
        Note that the commit of *revision* has these.
        """
        values = [
            {
                "session_id": session_id,
                "blob_ref": ref,
                "last_revision": revision,
                "named_at_ms": now_ms,
            }
            for ref in refs
        ]
        if values:
            self._connection.execute(_put, values)

    def keep_as_bases(self, session_id: str, refs: Iterable[BlobRef]) -> None:
        """
        Note that no checkpoint has these any more, but other blobs have them
        as their base.
        """
        self.name(session_id, refs, revision=_ONLY_A_BASE, now_ms=0)

    def remove_bases(
        self, session_id: str, refs: Sequence[BlobRef]
    ) -> tuple[BlobRef, ...]:
        """
        Forget those of *refs* that are kept as bases only; return them.
        """
        rows = self._connection.execute(
            _remove_bases, {"session_id": session_id, "refs": refs}
        ).all()
        return tuple(row[0] for row in rows)

    def find_time(self, session_id: str, revision: int) -> int | None:
        """
        Return when the commit of *revision* landed, if it was the last to name
        some blob, as the head's always is; else None.
        """
        found: int | None = self._connection.execute(
            _find_time, {"session_id": session_id, "revision": revision}
        ).scalar_one_or_none()
        return found

    def ask_oldest(self, session_id: str) -> Answer[tuple[NamedBlob, ...]]:
        """
        Ask for `OLDEST` blobs at most, those first that were named last by the
        earliest commits.
        """
        rows = self._connection.execute(_list_oldest, {"session_id": session_id})
        return lambda: tuple(
            NamedBlob(blob_ref=ref, last_revision=revision, named_at_ms=at_ms)
            for ref, revision, at_ms in rows
        )

    def remove_until(self, session_id: str, revision: int) -> tuple[BlobRef, ...]:
        """
        Forget the blobs that no commit after *revision* named; return them.
        """
        rows = self._connection.execute(
            _remove_until, {"session_id": session_id, "revision": revision}
        ).all()
        return tuple(row[0] for row in rows)

    def remove(self, session_id: str, refs: Sequence[BlobRef]) -> None:
        """
        Forget that checkpoints named *refs*.
        """
        self._connection.execute(_remove, {"session_id": session_id, "refs": refs})
