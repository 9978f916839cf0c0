"""
What can be told of a session without reading its content.
"""

import sqlalchemy as sa

from lashstore.model.record import Record
from lashstore.tables import (
    session_artifacts,
    session_attachments,
    session_blobs,
    session_heads,
    session_nodes,
    session_queued_batches,
    session_turn_commits,
    session_turn_inputs,
    session_usage,
)

from ._dialect import BIND
from ._run import Runner

_h = session_heads.c
# None of these is sealed. They are read without their checksum, which covers
# content that is.
_find_place = sa.select(
    _h.head_revision, _h.live_node_count, _h.user_message_count
).where(_h.session_id == BIND("session_id"))


def _count(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return (
        sa.select(sa.func.count())
        .select_from(table)
        .where(table.c.session_id == BIND("session_id"), *where)
        .scalar_subquery()
    )


_ONE: sa.ColumnElement[int] = sa.literal_column("1")
_ZERO: sa.ColumnElement[int] = sa.literal_column("0")
_is_committed = session_attachments.c.committed_at_ms.is_not(None)
_counts = sa.select(
    _count(session_nodes, session_nodes.c.is_tombstoned == _ONE).label("tombstones"),
    _count(session_blobs).label("blobs"),
    _count(session_artifacts).label("artifacts"),
    _count(session_usage).label("usage_deltas"),
    _count(session_turn_commits).label("stamped_commits"),
    _count(session_queued_batches).label("queued_batches"),
    _count(session_turn_inputs, session_turn_inputs.c.is_open == _ONE).label(
        "open_inputs"
    ),
    _count(session_turn_inputs, session_turn_inputs.c.is_open == _ZERO).label(
        "finished_inputs"
    ),
    _count(session_attachments, _is_committed).label("committed_attachments"),
    _count(session_attachments, ~_is_committed).label("announced_attachments"),
)


class SessionPosition(Record, frozen=True, kw_only=True):
    """
    Where a session stands, sealed or not.
    """

    head_revision: int
    node_count: int
    user_message_count: int


class SessionCounts(Record, frozen=True, kw_only=True):
    """
    How many rows of each kind a session has.

    `tombstones` are among the nodes until a vacuum; `announced_attachments`
    were never stamped by a commit.
    """

    tombstones: int
    blobs: int
    artifacts: int
    usage_deltas: int
    stamped_commits: int
    queued_batches: int
    open_inputs: int
    finished_inputs: int
    committed_attachments: int
    announced_attachments: int


class SessionOverviewRepository:
    """
    Columns of many tables, none of them content.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find_position(self, session_id: str) -> SessionPosition | None:
        """
        Return where a session stands, not verified; None before its first
        commit.
        """
        row = self._connection.execute(
            _find_place, {"session_id": session_id}
        ).one_or_none()
        if row is None:
            return None
        return SessionPosition(
            head_revision=row.head_revision,
            node_count=row.live_node_count,
            user_message_count=row.user_message_count,
        )

    def count(self, session_id: str) -> SessionCounts:
        """
        Count a session's rows.
        """
        (row,) = self._connection.execute(_counts, {"session_id": session_id}).all()
        return SessionCounts(**row._asdict())
