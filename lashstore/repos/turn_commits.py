"""
Turn commit rows: what a replay of a committed turn answers.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, encode_record, row_checksum, verify_row
from lashstore.model.commit import RuntimeCommitResult, StoredTurn, TurnCommitStamp
from lashstore.tables import session_turn_commits

from ._dialect import BIND
from ._run import Runner
from ._scan import session_scan

_c = session_turn_commits.c
COLUMNS = (
    _c.turn_id,
    _c.turn_commit_hash,
    _c.result_json,
    _c.committed_at_ms,
    _c.checksum,
)
# Of what the checksum is over; a scan adds columns behind it.
_COUNT = len(COLUMNS) - 1
_find = sa.select(*COLUMNS).where(
    _c.session_id == BIND("session_id"), _c.turn_id == BIND("turn_id")
)
_add = sa.insert(session_turn_commits)


def turn_from_row(session_id: str, row: Sequence[Any]) -> StoredTurn:
    """
    Return the turn that the values of `COLUMNS` are.

    Raises:
        CorruptRecordError: The row is damaged.
    """
    content, checksum = row[:_COUNT], row[_COUNT]
    turn_id, turn_commit_hash, result_json, _ = content
    verify_row(
        "turn commit",
        str(turn_id),
        checksum,
        "session_turn_commits",
        session_id,
        *content,
    )
    return StoredTurn(
        turn_commit_hash=turn_commit_hash,
        result=decode_stored(
            RuntimeCommitResult, result_json, "turn commit", str(turn_id)
        ),
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
    ) -> None:
        """
        Remember what a turn committed.
        """
        result_json = encode_record(result, "the result")
        self._connection.execute(
            _add,
            {
                "session_id": session_id,
                "turn_id": stamp.turn_id,
                "turn_commit_hash": stamp.turn_commit_hash,
                "result_json": result_json,
                "committed_at_ms": now_ms,
                "checksum": row_checksum(
                    "session_turn_commits",
                    session_id,
                    stamp.turn_id,
                    stamp.turn_commit_hash,
                    result_json,
                    now_ms,
                ),
            },
        )
