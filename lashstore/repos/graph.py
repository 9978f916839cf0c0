"""
Node rows: the graph in insertion order, and paths through it.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, stored_decoder, verify_row
from lashstore.errors import CorruptRecordError
from lashstore.model.commit import SeqSpan
from lashstore.model.graph import EncodedNode, SessionNode, StoredNode
from lashstore.model.record import Record
from lashstore.model.space import RemovableSize
from lashstore.tables import session_nodes, sessions

from ._dialect import BIND, KEEPS_PLAN, any_of, octets, texts
from ._run import Answer, Runner
from ._scan import session_scan

_KIND = "graph node"
_decode_node = stored_decoder(SessionNode, _KIND)

_c = session_nodes.c
_is_session = _c.session_id == BIND("session_id")
_is_live = _c.is_tombstoned == sa.literal_column("0")
_content = (
    _c.node_id,
    _c.seq,
    _c.parent_node_id,
    _c.is_tombstoned,
    _c.is_user_message,
    _c.node_json,
    _c.checksum,
)

_find = sa.select(*_content).where(_is_session, _c.node_id == BIND("node_id"))
_list_live = (
    sa.select(*_content)
    .where(_is_session, _is_live)
    .order_by(_c.seq)
    .execution_options(**KEEPS_PLAN)
)
# Not `_is_live`, for which the index of live parents might be taken.
_list_span = (
    sa.select(*_content)
    .where(_is_session, _c.seq >= BIND("first"), _c.seq <= BIND("last"))
    .order_by(_c.seq)
)
_list_all = sa.select(*_content).where(_is_session).order_by(_c.seq)
_first_user_message = (
    sa.select(*_content)
    .where(_is_session, _c.is_user_message == sa.literal_column("1"), _is_live)
    .order_by(_c.seq)
    .limit(1)
)
_last_seq = (
    sa.select(sa.func.max(_c.seq))
    .where(_c.session_id == BIND("session_id"))
    .scalar_subquery()
)
# One statement for the last number and the nodes a commit refers to; the
# session's row makes it answer even where none of them is stored.
_list_for_commit = (
    sa.select(*_content, _last_seq.label("last_seq"))
    .select_from(
        sessions.outerjoin(
            session_nodes,
            (_c.session_id == sessions.c.session_id) & any_of(_c.node_id, "node_ids"),
        )
    )
    .where(sessions.c.session_id == BIND("session_id"))
)


def _server_statement_for_commit() -> sa.Select[Any]:
    # The same in a way that leaves PostgreSQL's planner no choice. While it
    # takes sessions for short, reading one whole costs it no more than reading
    # a row by its key; but only the key's index gives the first row behind an
    # id without sorting. And it takes ids that it is not shown for ten, so that
    # a plan for these ids looks no better than one for any.
    wanted = (
        sa.func.unnest(sa.select(texts("node_ids")).scalar_subquery())
        .table_valued(sa.column("node_id", sa.Text))
        .render_derived(name="wanted")
    )
    nearest = (
        sa.select(*_content)
        .where(_is_session, _c.node_id >= wanted.c.node_id)
        .order_by(_c.node_id)
        .limit(sa.literal_column("1"))
        .lateral("nearest")
    )
    found = wanted.join(nearest, nearest.c.node_id == wanted.c.node_id)
    return (
        sa.select(*nearest.c, _last_seq.label("last_seq"))
        .select_from(sessions.outerjoin(found, sa.true()))
        .where(sessions.c.session_id == BIND("session_id"))
        .execution_options(**KEEPS_PLAN)
    )


_list_for_commit_on_server = _server_statement_for_commit()


def _path_statement() -> sa.Select[Any]:
    # Walks the small columns and fetches the JSON of the nodes on the path
    # afterwards. A tombstone is on the path but ends it, so that a parent
    # that is missing shows; depth ends a cycle that damage may have closed.
    step = (
        sa.select(
            _c.node_id,
            _c.parent_node_id,
            _c.is_tombstoned,
            sa.literal_column("1").label("depth"),
        )
        .where(_is_session, _c.node_id == BIND("leaf_node_id"))
        .cte("path", recursive=True)
    )
    parent = session_nodes.alias("parent")
    path = step.union_all(
        sa.select(
            parent.c.node_id,
            parent.c.parent_node_id,
            parent.c.is_tombstoned,
            step.c.depth + sa.literal_column("1"),
        )
        .select_from(step)
        .join(
            parent,
            (parent.c.session_id == BIND("session_id"))
            & (parent.c.node_id == step.c.parent_node_id),
        )
        .where(
            step.c.is_tombstoned == sa.literal_column("0"),
            step.c.depth <= BIND("max_depth"),
        )
    )
    return (
        sa.select(*_content, path.c.depth)
        .select_from(path)
        .join(
            session_nodes,
            (_c.session_id == BIND("session_id")) & (_c.node_id == path.c.node_id),
        )
    )


_list_path = _path_statement()
_add = sa.insert(session_nodes)
_remove_all = sa.delete(session_nodes).where(_is_session)
# A tombstoned row's checksum is the complement of its live one, which SQL can
# tell without reading the content.
_flip_checksum = -1 - _c.checksum
_revive = (
    sa.update(session_nodes)
    .where(
        _c.session_id == BIND("the_session_id"),
        any_of(_c.node_id, "node_ids"),
        _c.is_tombstoned == sa.literal_column("1"),
    )
    .values(is_tombstoned=sa.literal_column("0"), checksum=_flip_checksum)
)
_tombstone = (
    sa.update(session_nodes)
    .where(
        _c.session_id == BIND("the_session_id"),
        any_of(_c.node_id, "node_ids"),
        # Not `_is_live`: without statistics PostgreSQL then takes the index
        # of live parents, and looks through the whole session.
        _c.is_tombstoned != sa.literal_column("1"),
    )
    .values(is_tombstoned=sa.literal_column("1"), checksum=_flip_checksum)
    .returning(_c.is_user_message)
)
_is_tombstoned = _c.is_tombstoned == sa.literal_column("1")
_list_tombstoned = (
    sa.select(_c.node_id)
    .where(_is_session, _is_tombstoned, _c.node_id > BIND("after_id", type_=sa.Text))
    .order_by(_c.node_id)
    .limit(BIND("page"))
)
# By itself: as a part of the removal, without statistics, PostgreSQL compares
# every tombstone with every live node.
_list_parents = (
    sa.select(_c.parent_node_id)
    .where(_is_session, any_of(_c.parent_node_id, "node_ids"), _is_live)
    .distinct()
)
_remove_tombstoned = sa.delete(session_nodes).where(
    _is_session, any_of(_c.node_id, "node_ids"), _is_tombstoned
)
_sum_tombstoned = sa.select(
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(octets(_c.node_json)), sa.literal_column("0")),
).where(_is_session, any_of(_c.node_id, "node_ids"), _is_tombstoned)


class NodeLookup(Record, frozen=True, kw_only=True):
    """
    What is stored under the ids a commit refers to, and the last number.
    """

    last_seq: int = 0
    nodes: dict[str, StoredNode] = {}


def _checksum(session_id: str, new: EncodedNode, seq: int) -> int:
    return row_checksum(
        "session_nodes",
        session_id,
        new.node.node_id,
        seq,
        new.node.parent_node_id,
        int(new.is_user_message),
        new.json,
    )


def _verify(session_id: str, row: Any) -> None:
    # The columns of `_content`, and whatever a statement has behind them.
    node_id, seq, parent, is_tombstoned, is_user_message, node_json, stored = row[:7]
    # Damage may have put anything there; then it equals no checksum.
    if is_tombstoned and isinstance(stored, int):
        stored = -1 - stored
    verify_row(
        _KIND,
        str(node_id),
        stored,
        "session_nodes",
        session_id,
        node_id,
        seq,
        parent,
        is_user_message,
        node_json,
    )


def _node_from_row(session_id: str, row: Any) -> SessionNode:
    _verify(session_id, row)
    node: SessionNode = _decode_node(row.node_json, row.node_id)
    return node


def _lookup_from_rows(session_id: str, rows: list[Any]) -> NodeLookup:
    nodes: dict[str, StoredNode] = {}
    for row in rows:
        if row.node_id is None:
            continue
        _verify(session_id, row)
        nodes[row.node_id] = StoredNode(
            node_id=row.node_id,
            json=row.node_json,
            is_tombstoned=bool(row.is_tombstoned),
            is_user_message=bool(row.is_user_message),
        )
    return NodeLookup(last_seq=rows[0].last_seq or 0 if rows else 0, nodes=nodes)


SCAN = session_scan(session_nodes, _content, _node_from_row)


class SessionGraphRepository:
    """
    Rows of `session_nodes`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find_live(self, session_id: str, node_id: str) -> SessionNode | None:
        """
        Return a node; None if there is none, or only its tombstone.
        """
        row = self._connection.execute(
            _find, {"session_id": session_id, "node_id": node_id}
        ).one_or_none()
        if row is None:
            return None
        node = _node_from_row(session_id, row)
        if node.node_id != node_id:
            # A damaged index leads to another row, which is sound by itself.
            raise CorruptRecordError(
                record_kind=_KIND,
                key=node_id,
                reason=f"it leads to {node.node_id!r}",
            )
        return None if row.is_tombstoned else node

    def list_live(self, session_id: str) -> tuple[SessionNode, ...]:
        """
        Return every live node in insertion order.
        """
        return self.ask_live(session_id)()

    def ask_live(self, session_id: str) -> Answer[tuple[SessionNode, ...]]:
        """
        Ask for what `list_live` returns.
        """
        found = self._connection.execute(_list_live, {"session_id": session_id})
        return lambda: tuple(_node_from_row(session_id, row) for row in found.all())

    def list_span(self, session_id: str, span: SeqSpan) -> tuple[SessionNode, ...]:
        """
        Return the live nodes whose numbers are in *span*, in their order.
        """
        rows = self._connection.execute(
            _list_span,
            {"session_id": session_id, "first": span.first, "last": span.last},
        ).all()
        return tuple(
            _node_from_row(session_id, row) for row in rows if not row.is_tombstoned
        )

    def list_path(
        self, session_id: str, leaf_node_id: str, *, max_depth: int
    ) -> tuple[SessionNode, ...]:
        """
        Return the nodes from the root, or from behind the last tombstone, to
        a leaf; empty if the leaf is unknown or tombstoned.

        Raises:
            CorruptRecordError: A parent is missing, or the parents form a
                cycle, which shows as more live nodes than *max_depth*.
        """
        return self.ask_path(session_id, leaf_node_id, max_depth=max_depth)()

    def ask_path(
        self, session_id: str, leaf_node_id: str, *, max_depth: int
    ) -> Answer[tuple[SessionNode, ...]]:
        """
        Ask for what `list_path` returns.
        """
        found = self._connection.execute(
            _list_path,
            {
                "session_id": session_id,
                "leaf_node_id": leaf_node_id,
                "max_depth": max_depth,
            },
        )
        return lambda: self._path(session_id, found.all(), max_depth=max_depth)

    def _path(
        self, session_id: str, rows: list[Any], *, max_depth: int
    ) -> tuple[SessionNode, ...]:
        rows = sorted(rows, key=attrgetter("depth"), reverse=True)
        if rows and rows[0].depth > max_depth and not rows[0].is_tombstoned:
            raise _broken_path(rows[0].node_id, "its parents form a cycle")
        nodes = tuple(
            _node_from_row(session_id, row) for row in rows if not row.is_tombstoned
        )
        for row in rows:
            if row.is_tombstoned:
                _verify(session_id, row)
        if rows and not rows[0].is_tombstoned and rows[0].parent_node_id is not None:
            raise _broken_path(
                rows[0].node_id, f"its parent {rows[0].parent_node_id!r} is missing"
            )
        return nodes

    def list_path_end(
        self, session_id: str, leaf_node_id: str, *, length: int
    ) -> tuple[SessionNode, ...]:
        """
        Return the last *length* nodes at most of the path to a leaf, in its
        order; empty if the leaf is unknown or tombstoned.
        """
        rows = self._connection.execute(
            _list_path,
            {
                "session_id": session_id,
                "leaf_node_id": leaf_node_id,
                "max_depth": length - 1,
            },
        ).all()
        return tuple(
            _node_from_row(session_id, row)
            for row in sorted(rows, key=lambda row: -row.depth)
            if not row.is_tombstoned
        )

    def first_user_message(self, session_id: str) -> SessionNode | None:
        """
        Search the first live message of the user's; None without one.
        """
        row = self._connection.execute(
            _first_user_message, {"session_id": session_id}
        ).one_or_none()
        return None if row is None else _node_from_row(session_id, row)

    def ask_for_commit(
        self, session_id: str, node_ids: Sequence[str]
    ) -> Answer[NodeLookup]:
        """
        Ask what is stored under *node_ids*, tombstones included.
        """
        if not node_ids:
            return NodeLookup
        found = self._connection.execute(
            _list_for_commit_on_server
            if self._connection.locks_rows
            else _list_for_commit,
            {"session_id": session_id, "node_ids": node_ids},
        )
        return lambda: _lookup_from_rows(session_id, found.all())

    def add(
        self, session_id: str, nodes: Iterable[EncodedNode], *, after_seq: int
    ) -> None:
        """
        Append nodes whose ids are free.
        """
        values = [
            {
                "session_id": session_id,
                "node_id": new.node.node_id,
                "seq": seq,
                "parent_node_id": new.node.parent_node_id,
                "is_tombstoned": 0,
                "is_user_message": int(new.is_user_message),
                "checksum": _checksum(session_id, new, seq),
                "node_json": new.json,
            }
            for seq, new in enumerate(nodes, after_seq + 1)
        ]
        if values:
            self._connection.execute(_add, values)

    def revive(self, session_id: str, node_ids: Sequence[str]) -> None:
        """
        Lift the tombstones of nodes.
        """
        self._connection.execute(
            _revive, {"the_session_id": session_id, "node_ids": node_ids}
        )

    def remove_all(self, session_id: str) -> None:
        """
        Remove every node, tombstones included.
        """
        self._connection.execute(_remove_all, {"session_id": session_id})

    def tombstone(self, session_id: str, node_ids: Sequence[str]) -> tuple[bool, ...]:
        """
        Mark nodes; return for each newly marked one whether it is a message
        of the user's.
        """
        rows = self._connection.execute(
            _tombstone, {"the_session_id": session_id, "node_ids": node_ids}
        ).all()
        return tuple(bool(row.is_user_message) for row in rows)

    def list_tombstoned(
        self, session_id: str, *, after_id: str, page: int
    ) -> tuple[str, ...]:
        """
        Return the ids of up to *page* tombstones behind an id, in order.
        """
        rows = self._connection.execute(
            _list_tombstoned,
            {"session_id": session_id, "after_id": after_id, "page": page},
        ).all()
        return tuple(row[0] for row in rows)

    def remove_tombstoned(self, session_id: str, node_ids: Sequence[str]) -> int:
        """
        Remove those of the nodes that are tombstones and that no live node
        names as its parent; return how many there were.
        """
        removable = self._without_parents(session_id, node_ids)
        if not removable:
            return 0
        return self._connection.execute(
            _remove_tombstoned, {"session_id": session_id, "node_ids": removable}
        ).rowcount

    def sum_tombstoned(self, session_id: str, node_ids: Sequence[str]) -> RemovableSize:
        """
        Add up what `remove_tombstoned` would remove.
        """
        removable = self._without_parents(session_id, node_ids)
        ((count, size),) = self._connection.execute(
            _sum_tombstoned, {"session_id": session_id, "node_ids": removable}
        ).all()
        return RemovableSize(row_count=count, content_bytes=int(size))

    def _without_parents(self, session_id: str, node_ids: Sequence[str]) -> list[str]:
        rows = self._connection.execute(
            _list_parents, {"session_id": session_id, "node_ids": node_ids}
        ).all()
        needed = {row[0] for row in rows}
        return [node_id for node_id in node_ids if node_id not in needed]

    def list_stored(self, session_id: str) -> tuple[tuple[EncodedNode, bool], ...]:
        """
        Return every node as it is stored with whether it is a tombstone, in
        insertion order.
        """
        rows = self._connection.execute(_list_all, {"session_id": session_id}).all()
        return tuple(
            (
                EncodedNode(
                    node=_node_from_row(session_id, row),
                    json=row.node_json,
                    is_user_message=bool(row.is_user_message),
                ),
                bool(row.is_tombstoned),
            )
            for row in rows
        )


def _broken_path(node_id: str, reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind=_KIND, key=node_id, reason=reason)
