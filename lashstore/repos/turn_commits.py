"""
Turn commit rows: what a replay of a committed turn answers.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, encode_record, row_checksum, verify_row
from lashstore.model.commit import (
    NO_ROWS,
    RuntimeCommitResult,
    SeqSpan,
    StoredTurn,
    TurnCommitStamp,
)
from lashstore.tables import session_turn_commits

from ._dialect import BIND
from ._run import Runner
from ._scan import session_scan

_c = session_turn_commits.c
_CONTENT = (
    "turn_id",
    "turn_commit_hash",
    "result_json",
    "committed_at_ms",
    "head_revision",
    "first_node_seq",
    "node_count",
    "first_usage_seq",
    "usage_count",
)
COLUMNS = (*(_c[name] for name in _CONTENT), _c.checksum)
# Of what the checksum is over; a scan adds columns behind it.
_COUNT = len(COLUMNS) - 1
_find = sa.select(*COLUMNS).where(
    _c.session_id == BIND("session_id"), _c.turn_id == BIND("turn_id")
)
_add = sa.insert(session_turn_commits)
# What the index of revisions is partial by.
_has_revision = _c.head_revision > sa.literal_column("0")
_list_page = (
    sa.select(*COLUMNS)
    .where(
        _c.session_id == BIND("session_id"),
        _has_revision,
        _c.head_revision < BIND("before_revision"),
    )
    .order_by(_c.head_revision.desc())
    .limit(BIND("page"))
)
_list_between = (
    sa.select(*COLUMNS)
    .where(
        _c.session_id == BIND("session_id"),
        _has_revision,
        _c.head_revision > BIND("after_revision"),
        _c.head_revision <= BIND("up_to_revision"),
    )
    .order_by(_c.head_revision)
)


def turn_from_row(session_id: str, row: Sequence[Any]) -> StoredTurn:
    """
    Return the turn that the values of `COLUMNS` are.

    Raises:
        CorruptRecordError: The row is damaged.
    """
    content, checksum = row[:_COUNT], row[_COUNT]
    turn_id, turn_commit_hash, result_json, committed_at_ms = content[:4]
    first_node_seq, node_count, first_usage_seq, usage_count = content[5:]
    verify_row(
        "turn commit",
        str(turn_id),
        checksum,
        "session_turn_commits",
        session_id,
        *content,
    )
    return StoredTurn(
        turn_id=turn_id,
        turn_commit_hash=turn_commit_hash,
        result=decode_stored(
            RuntimeCommitResult, result_json, "turn commit", str(turn_id)
        ),
        committed_at_ms=committed_at_ms,
        nodes=SeqSpan(first=first_node_seq, count=node_count),
        usage=SeqSpan(first=first_usage_seq, count=usage_count),
    )


SCAN = session_scan(session_turn_commits, COLUMNS, turn_from_row)


class TurnCommitRepository:
    """
    Rows of `session_turn_commits`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str, turn_id: str) -> StoredTurn | None:
        """
        Return what turn *turn_id* committed; None if it did not.
        """
        row = self._connection.execute(
            _find, {"session_id": session_id, "turn_id": turn_id}
        ).one_or_none()
        return None if row is None else turn_from_row(session_id, row)

    def add(
        self,
        session_id: str,
        stamp: TurnCommitStamp,
        result: RuntimeCommitResult,
        *,
        now_ms: int,
        nodes: SeqSpan = NO_ROWS,
        usage: SeqSpan = NO_ROWS,
    ) -> None:
        """
        Remember what a turn committed.

        Args:
            nodes: The node rows it added.

            usage: The usage rows it added.
        """
        values = {
            "turn_id": stamp.turn_id,
            "turn_commit_hash": stamp.turn_commit_hash,
            "result_json": encode_record(result, "the result"),
            "committed_at_ms": now_ms,
            "head_revision": result.head_revision,
            "first_node_seq": nodes.first,
            "node_count": nodes.count,
            "first_usage_seq": usage.first,
            "usage_count": usage.count,
        }
        checksum = row_checksum("session_turn_commits", session_id, *values.values())
        self._connection.execute(
            _add, {"session_id": session_id, **values, "checksum": checksum}
        )

    def list_page(
        self, session_id: str, *, before_revision: int, limit: int
    ) -> tuple[StoredTurn, ...]:
        """
        Return at most *limit* stamped commits of revisions below
        *before_revision*, the latest first.
        """
        rows = self._connection.execute(
            _list_page,
            {
                "session_id": session_id,
                "before_revision": before_revision,
                "page": limit,
            },
        ).all()
        return tuple(turn_from_row(session_id, row) for row in rows)

    def list_between(
        self, session_id: str, *, after_revision: int, up_to_revision: int
    ) -> tuple[StoredTurn, ...]:
        """
        Return the stamped commits behind one revision up to another, the
        earliest first.
        """
        rows = self._connection.execute(
            _list_between,
            {
                "session_id": session_id,
                "after_revision": after_revision,
                "up_to_revision": up_to_revision,
            },
        ).all()
        return tuple(turn_from_row(session_id, row) for row in rows)
