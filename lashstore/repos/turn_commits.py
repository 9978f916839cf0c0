"""
Turn commit rows: what a replay of a committed turn answers.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, encode_record, row_checksum, verify_row
from lashstore.model.commit import RuntimeCommitResult, StoredTurn, TurnCommitStamp
from lashstore.tables import session_turn_commits

from ._dialect import BIND
from ._run import Answer, Runner

_c = session_turn_commits.c
_find = sa.select(
    _c.turn_commit_hash, _c.result_json, _c.committed_at_ms, _c.checksum
).where(_c.session_id == BIND("session_id"), _c.turn_id == BIND("turn_id"))
_add = sa.insert(session_turn_commits)


def _turn_from_row(session_id: str, turn_id: str, row: Any) -> StoredTurn | None:
    if row is None:
        return None
    verify_row(
        "turn commit",
        turn_id,
        row.checksum,
        "session_turn_commits",
        session_id,
        turn_id,
        row.turn_commit_hash,
        row.result_json,
        row.committed_at_ms,
    )
    return StoredTurn(
        turn_commit_hash=row.turn_commit_hash,
        result=decode_stored(
            RuntimeCommitResult, row.result_json, "turn commit", turn_id
        ),
    )


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
        return self.ask(session_id, turn_id)()

    def ask(self, session_id: str, turn_id: str) -> Answer[StoredTurn | None]:
        """
        Ask for what `find` returns.
        """
        found = self._connection.execute(
            _find, {"session_id": session_id, "turn_id": turn_id}
        )
        return lambda: _turn_from_row(session_id, turn_id, found.one_or_none())

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
