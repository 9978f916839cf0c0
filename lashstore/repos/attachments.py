"""
Attachment rows: the write-ahead manifest of bytes outside the database.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, verify_row
from lashstore.model.attachments import AttachmentIntent, AttachmentManifestEntry
from lashstore.tables import session_attachments

from ._dialect import BIND, any_of, upsert
from ._run import Answer, Runner

_c = session_attachments.c
_is_session = _c.session_id == BIND("session_id")
_columns = (
    _c.attachment_id,
    _c.canonical_uri,
    _c.intent_at_ms,
    _c.committed_at_ms,
    _c.checksum,
)
# A second intent refreshes one that no commit has stamped, and calls off its
# removal; a stamped one stays as it is.
_put_intent = upsert(
    session_attachments,
    ("canonical_uri", "intent_at_ms", "is_orphaned", "checksum"),
    where=_c.committed_at_ms.is_(None),
)
_list_uncommitted = (
    sa.select(*_columns)
    .where(
        _is_session,
        _c.committed_at_ms.is_(None),
        _c.intent_at_ms <= BIND("older_than_ms"),
    )
    .order_by(_c.intent_at_ms, _c.attachment_id)
)
_commit = (
    sa.update(session_attachments)
    .where(
        _c.session_id == BIND("of_session_id"),
        any_of(_c.attachment_id, "attachment_ids"),
        _c.is_orphaned == sa.literal_column("0"),
    )
    .values(committed_at_ms=sa.func.coalesce(_c.committed_at_ms, BIND("now_ms")))
    .returning(_c.attachment_id)
)
_mark_orphaned = (
    sa.update(session_attachments)
    .where(
        _c.session_id == BIND("of_session_id"),
        any_of(_c.attachment_id, "attachment_ids"),
        _c.committed_at_ms.is_(None),
        _c.intent_at_ms <= BIND("older_than_ms"),
    )
    .values(is_orphaned=sa.literal_column("1"))
    .returning(_c.attachment_id)
)
_list_wanted = sa.select(_c.attachment_id).where(
    _is_session,
    any_of(_c.attachment_id, "attachment_ids"),
    _c.is_orphaned == sa.literal_column("0"),
)
_remove = sa.delete(session_attachments).where(
    _is_session, _c.attachment_id == BIND("attachment_id")
)
_remove_orphaned = _remove.where(_c.is_orphaned == sa.literal_column("1"))


def _checksum(session_id: str, row: Any) -> tuple[Any, ...]:
    return (
        "session_attachments",
        session_id,
        row.attachment_id,
        row.canonical_uri,
        row.intent_at_ms,
    )


def _entry_from_row(session_id: str, row: Any) -> AttachmentManifestEntry:
    verify_row(
        "attachment entry",
        str(row.attachment_id),
        row.checksum,
        *_checksum(session_id, row),
    )
    return AttachmentManifestEntry(
        attachment_id=row.attachment_id,
        session_id=session_id,
        canonical_uri=row.canonical_uri,
        intent_at_ms=row.intent_at_ms,
        committed_at_ms=row.committed_at_ms,
    )


class AttachmentRepository:
    """
    Rows of `session_attachments`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def put_intent(self, session_id: str, intent: AttachmentIntent) -> None:
        """
        Announce bytes, unless a commit has stamped them already.
        """
        self._connection.execute(
            _put_intent,
            {
                "session_id": session_id,
                "attachment_id": intent.attachment_id,
                "canonical_uri": intent.canonical_uri,
                "intent_at_ms": intent.intent_at_ms,
                "committed_at_ms": None,
                "is_orphaned": 0,
                "checksum": row_checksum(*_checksum(session_id, intent)),
            },
        )

    def list_uncommitted(
        self, session_id: str, *, older_than_ms: int
    ) -> tuple[AttachmentManifestEntry, ...]:
        """
        Return the intents no commit has stamped, up to a time, oldest first.
        """
        rows = self._connection.execute(
            _list_uncommitted,
            {"session_id": session_id, "older_than_ms": older_than_ms},
        ).all()
        return tuple(_entry_from_row(session_id, row) for row in rows)

    def commit(
        self, session_id: str, attachment_ids: Sequence[str], *, now_ms: int
    ) -> Answer[frozenset[str]]:
        """
        Stamp attachments; the answer is those that are stamped now.
        """
        stamped = self._connection.execute(
            _commit,
            {
                "of_session_id": session_id,
                "attachment_ids": attachment_ids,
                "now_ms": now_ms,
            },
        )
        return lambda: frozenset(row[0] for row in stamped)

    def mark_orphaned(
        self, session_id: str, attachment_ids: Sequence[str], *, older_than_ms: int
    ) -> frozenset[str]:
        """
        Mark old, uncommitted intents as about to go; return those marked.
        """
        rows = self._connection.execute(
            _mark_orphaned,
            {
                "of_session_id": session_id,
                "attachment_ids": attachment_ids,
                "older_than_ms": older_than_ms,
            },
        ).all()
        return frozenset(row[0] for row in rows)

    def list_wanted(
        self, session_id: str, attachment_ids: Sequence[str]
    ) -> frozenset[str]:
        """
        Return those the session has committed or may be about to.
        """
        rows = self._connection.execute(
            _list_wanted, {"session_id": session_id, "attachment_ids": attachment_ids}
        ).all()
        return frozenset(row[0] for row in rows)

    def remove(self, session_id: str, attachment_id: str) -> None:
        """
        Remove an entry, if there is one.
        """
        self._connection.execute(
            _remove, {"session_id": session_id, "attachment_id": attachment_id}
        )

    def remove_orphaned(self, session_id: str, attachment_id: str) -> None:
        """
        Remove an entry that is still marked as about to go.
        """
        self._connection.execute(
            _remove_orphaned,
            {"session_id": session_id, "attachment_id": attachment_id},
        )
