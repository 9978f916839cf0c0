"""
How many bytes what is stored takes.

SQLite tells the pages of each table and index by its `dbstat` table, where it
was built with it, and a server by functions of its own. Elsewhere, and for one
session of a server, the lengths of the values are added up, which is less: it
leaves out indexes, row headers and what pages have free.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lashstore.failures import DRIVER_ERRORS
from lashstore.model.record import Record
from lashstore.tables import (
    SESSION_TABLES,
    metadata,
    session_blobs,
    session_checkpoint_blobs,
    session_heads,
    session_nodes,
    session_turn_commits,
)

from ._dialect import BIND, octets
from ._run import Runner

# How many commits are lately.
LATELY = 50

# https://www.sqlite.org/dbstat.html
_DBSTAT = "dbstat"
_INTEGER_BYTES = 8
_b, _cb, _h = session_blobs.c, session_checkpoint_blobs.c, session_heads.c
_n, _t = session_nodes.c, session_turn_commits.c
_session_id: Any = BIND("session_id")


def _is_sized(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.Text | sa.LargeBinary)


def _lengths(table: sa.Table) -> Any:
    sized = [column for column in table.c if _is_sized(column)]
    width = _INTEGER_BYTES * (len(table.c) - len(sized))
    row: Any = sa.literal_column(str(width))
    for column in sized:
        row = row + sa.func.coalesce(octets(column), sa.literal_column("0"))
    total = sa.func.coalesce(sa.func.sum(row), sa.literal_column("0"))
    return sa.select(sa.func.count(), total).select_from(table)


_all_lengths = {table.name: _lengths(table) for table in metadata.sorted_tables}
_session_lengths = {
    table.name: _lengths(table).where(table.c.session_id == _session_id)
    for table in SESSION_TABLES
}
_counts = {
    table.name: sa.select(sa.func.count()).select_from(table)
    for table in metadata.sorted_tables
}
_relation = sa.cast(BIND("relation", type_=sa.Text), postgresql.REGCLASS)
_relation_oid = sa.cast(_relation, postgresql.OID)
_of_relation = sa.select(
    sa.func.pg_stat_get_live_tuples(_relation_oid).label("rows"),
    sa.func.pg_total_relation_size(_relation).label("bytes"),
    sa.func.pg_indexes_size(_relation).label("index_bytes"),
)


_is_difference = sa.case((_b.base_ref.is_(None), 0), else_=1)
_stored_bytes = sa.func.length(_b.content)
_sums = (
    sa.func.count().label("blob_count"),
    sa.func.sum(_b.raw_bytes).label("raw_bytes"),
    sa.func.sum(_stored_bytes).label("stored_bytes"),
)
_blobs = sa.select(
    _b.kind, _b.compression, _is_difference.label("is_difference"), *_sums
).group_by(_b.kind, _b.compression, _is_difference)
_purpose = sa.case(
    (_cb.last_revision.is_(None), "other"),
    (_cb.last_revision == 0, "base"),
    (_cb.last_revision == _h.head_revision, "head"),
    else_="earlier",
)
_kept = (
    sa.select(_purpose.label("purpose"), *_sums)
    .select_from(
        session_blobs.outerjoin(
            session_checkpoint_blobs,
            (_cb.session_id == _b.session_id) & (_cb.blob_ref == _b.blob_ref),
        ).outerjoin(session_heads, _h.session_id == _b.session_id)
    )
    .group_by(sa.literal_column("purpose"))
)
_content = {
    False: (_blobs, _kept),
    True: tuple(each.where(_b.session_id == _session_id) for each in (_blobs, _kept)),
}
_last_commits = (
    sa.select(_t.head_revision, _t.committed_at_ms, _t.first_node_seq, _t.node_count)
    .where(_t.session_id == _session_id)
    .order_by(_t.head_revision.desc())
    .limit(sa.literal_column(str(LATELY)))
)
_late_nodes = sa.select(
    sa.func.count(), sa.func.coalesce(sa.func.sum(octets(_n.node_json)), 0)
).where(_n.session_id == _session_id, _n.seq >= BIND("first_seq"))
# What checkpoints named that the head's does not name any more: each commit
# leaves behind about as much as it stores anew.
_replaced = (
    sa.select(
        sa.func.min(_cb.last_revision),
        sa.func.coalesce(sa.func.sum(_b.raw_bytes), 0),
        sa.func.coalesce(sa.func.sum(_stored_bytes), 0),
    )
    .select_from(
        session_checkpoint_blobs.join(
            session_blobs,
            (_b.session_id == _cb.session_id) & (_b.blob_ref == _cb.blob_ref),
        )
    )
    .where(
        _cb.session_id == _session_id,
        _cb.last_revision > BIND("after_revision"),
        _cb.last_revision < BIND("head_revision"),
    )
)


class TableSize(Record, frozen=True, kw_only=True):
    """
    What a table takes; `index_bytes`, a part of `total_bytes`, is None where
    lengths were added up. `row_count` of a whole server is its own estimate.
    """

    table: str
    row_count: int
    total_bytes: int
    index_bytes: int | None


class Pages(Record, frozen=True, kw_only=True):
    """
    The pages of a SQLite file, as of the snapshot.
    """

    page_bytes: int
    page_count: int
    free_count: int


class BlobSize(Record, frozen=True, kw_only=True):
    """
    Blobs of one kind that are stored alike: before and after compression.
    """

    kind: str
    compression: str
    is_difference: bool
    blob_count: int
    raw_bytes: int
    stored_bytes: int


class KeptSize(Record, frozen=True, kw_only=True):
    """
    Blobs by what keeps them: the head's checkpoint ("head"), one that a
    retention keeps yet ("earlier"), those only that are stored as differences
    to them ("base"), or nothing of these ("other": artifacts, and what was
    put by itself).
    """

    purpose: str
    blob_count: int
    raw_bytes: int
    stored_bytes: int


class Growth(Record, frozen=True, kw_only=True):
    """
    What the last commits of a session added.

    Nodes are exact. Of checkpoints it is what the commits from
    `checkpoint_commit_count` ago to the one before the last had and the head
    has not: about what they stored anew.
    """

    commit_count: int
    first_at_ms: int | None
    last_at_ms: int | None
    node_count: int
    node_bytes: int
    checkpoint_commit_count: int
    checkpoint_raw_bytes: int
    checkpoint_bytes: int


class SizeRepository:
    """
    Sizes of tables and of what is in them.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._rows = Runner.over(connection)

    def pages(self) -> Pages:
        """
        Return the pages of a SQLite file.
        """
        size, count, free = (
            self._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_size", "page_count", "freelist_count")
        )
        return Pages(page_bytes=size, page_count=count, free_count=free)

    def from_dbstat(self, tables: Sequence[str]) -> tuple[TableSize, ...] | None:
        """
        Return the sizes of a SQLite file's tables; every page is read. None:
        this SQLite has no `dbstat`.
        """
        try:
            found = self._connection.exec_driver_sql(
                "SELECT m.tbl_name, m.type, sum(s.pgsize)"  # noqa: S608, our own name
                f" FROM {_DBSTAT}('main', 1) AS s JOIN sqlite_master AS m ON m.name = s.name"
                " GROUP BY m.tbl_name, m.type"
            ).all()
        except DRIVER_ERRORS as error:
            if f"no such table: {_DBSTAT}" not in str(error):
                raise
            return None
        sizes = {(table, kind): size for table, kind, size in found}
        return tuple(
            TableSize(
                table=table,
                row_count=self._rows.execute(_counts[table], {}).scalar_one(),
                total_bytes=sizes.get((table, "table"), 0)
                + sizes.get((table, "index"), 0),
                index_bytes=sizes.get((table, "index"), 0),
            )
            for table in tables
        )

    def from_server(self, tables: Sequence[str]) -> tuple[TableSize, ...]:
        """
        Return the sizes of a server's tables, TOAST included.
        """
        sizes = []
        schema = self._connection.schema_for_object(session_blobs)
        for table in tables:
            quoted = [f'"{part}"' for part in (schema, table) if part is not None]
            values = {"relation": ".".join(quoted)}
            (row,) = self._rows.execute(_of_relation, values).all()
            sizes.append(
                TableSize(
                    table=table,
                    row_count=row.rows,
                    total_bytes=row.bytes,
                    index_bytes=row.index_bytes,
                )
            )
        return tuple(sizes)

    def from_lengths(
        self, tables: Sequence[str], session_id: str | None
    ) -> tuple[TableSize, ...]:
        """
        Add up the lengths of a table's values, or of one session's rows.
        """
        statements = _all_lengths if session_id is None else _session_lengths
        values = {} if session_id is None else {"session_id": session_id}
        asked = [
            (name, self._rows.execute(statements[name], values)) for name in tables
        ]
        sizes = []
        for name, result in asked:
            ((count, size),) = result.all()
            sizes.append(
                TableSize(
                    table=name,
                    row_count=count,
                    total_bytes=int(size),
                    index_bytes=None,
                )
            )
        return tuple(sizes)

    def blobs(self, session_id: str | None) -> tuple[BlobSize, ...]:
        """
        Add up blobs by kind and form, of a session or of all.
        """
        statement, _ = _content[session_id is not None]
        rows = self._rows.execute(statement, _of_values(session_id)).all()
        return tuple(
            BlobSize(
                kind=row.kind,
                compression=row.compression,
                is_difference=bool(row.is_difference),
                blob_count=row.blob_count,
                raw_bytes=int(row.raw_bytes),
                stored_bytes=int(row.stored_bytes),
            )
            for row in sorted(rows, key=lambda row: tuple(row[:3]))
        )

    def kept(self, session_id: str | None) -> tuple[KeptSize, ...]:
        """
        Add up blobs by what keeps them, of a session or of all.
        """
        _, statement = _content[session_id is not None]
        rows = self._rows.execute(statement, _of_values(session_id)).all()
        return tuple(
            KeptSize(
                purpose=row.purpose,
                blob_count=row.blob_count,
                raw_bytes=int(row.raw_bytes),
                stored_bytes=int(row.stored_bytes),
            )
            for row in sorted(rows, key=lambda row: str(row.purpose))
        )

    def growth(self, session_id: str) -> Growth:
        """
        Add up what the last `LATELY` stamped commits added.
        """
        values = {"session_id": session_id}
        commits = self._rows.execute(_last_commits, values).all()
        if not commits:
            return Growth(
                commit_count=0,
                first_at_ms=None,
                last_at_ms=None,
                node_count=0,
                node_bytes=0,
                checkpoint_commit_count=0,
                checkpoint_raw_bytes=0,
                checkpoint_bytes=0,
            )
        seqs = [row.first_node_seq for row in commits if row.node_count]
        nodes = (0, 0)
        if seqs:
            (nodes,) = self._rows.execute(
                _late_nodes, {**values, "first_seq": min(seqs)}
            ).all()
        head = commits[0].head_revision
        ((first, raw_bytes, stored_bytes),) = self._rows.execute(
            _replaced,
            {
                **values,
                # 0 is no revision: it marks what is a base only.
                "after_revision": max(0, commits[-1].head_revision - 1),
                "head_revision": head,
            },
        ).all()
        return Growth(
            commit_count=len(commits),
            first_at_ms=commits[-1].committed_at_ms,
            last_at_ms=commits[0].committed_at_ms,
            node_count=nodes[0],
            node_bytes=int(nodes[1]),
            checkpoint_commit_count=0 if first is None else head - first,
            checkpoint_raw_bytes=int(raw_bytes),
            checkpoint_bytes=int(stored_bytes),
        )


def _of_values(session_id: str | None) -> dict[str, str]:
    return {} if session_id is None else {"session_id": session_id}
