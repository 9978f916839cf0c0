"""
A whole session as a stream of rows, the same on every engine.

Rows come in the order of the tables and, within one, of their keys by code
point, so that equal sessions give equal streams. Two things are not part of
it: the session id, which is the same in every row, and the incarnation, which
is this making of the session's and never a copy's.

Memory is bounded: rows are fetched and inserted in batches, small ones where
a row may be large. The statements are run by SQLAlchemy, which fetches piece
by piece; a connection to a server must be one of `read_through_core` or
`write_through_core`.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from lashstore.tables import SESSION_TABLES, session_blobs, sessions

from ._dialect import BIND
from ._run import Runner
from .blobs import BlobRepository

# Rows of one insert, and of one fetch; a blob may be megabytes.
_BATCH = 250
_BLOB_BATCH = 8
_LEFT_OUT = frozenset(("session_id", "incarnation"))

Row = tuple[Any, ...]


def row_columns(table: sa.Table) -> tuple[str, ...]:
    """
    Return which columns a row of the stream has, in order.
    """
    return tuple(str(column.name) for column in table.c if column.name not in _LEFT_OUT)


_list_rows = {
    table.name: sa.select(*(table.c[name] for name in row_columns(table)))
    .where(table.c.session_id == BIND("session_id"))
    .order_by(*(column for column in table.primary_key if column.name != "session_id"))
    for table in SESSION_TABLES
}
_add_rows = {table.name: sa.insert(table) for table in SESSION_TABLES}


def _batch_of(table: sa.Table) -> int:
    return _BLOB_BATCH if table is session_blobs else _BATCH


def read_rows(
    connection: sa.Connection, session_id: str
) -> Iterator[tuple[sa.Table, Row]]:
    """
    Yield every row of a session with its table, as it is stored.

    Nothing is verified or decoded; see `check_blobs`. Rows are fetched as they
    are asked for; the connection must stay on one snapshot until the last.
    """
    for table in SESSION_TABLES:
        statement = _list_rows[table.name].execution_options(yield_per=_batch_of(table))
        with connection.execute(statement, {"session_id": session_id}) as result:
            for row in result:
                yield table, tuple(map(_portable, row))


def _portable(value: Any) -> Any:
    # One driver gives a memoryview where another gives bytes.
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def check_blobs(connection: sa.Connection | Runner, session_id: str) -> None:
    """
    Verify that every blob of a session has its hash.

    Args:
        connection: Of a sealed session a runner that opens its content.

    Raises:
        CorruptRecordError: One has another.
    """
    blobs = BlobRepository(connection)
    after = ""
    while page := blobs.list_page(session_id, after):
        refs = [entry.blob_ref for entry in page]
        for first in range(0, len(refs), _BLOB_BATCH):
            blobs.list_contents(session_id, refs[first : first + _BLOB_BATCH])
        after = refs[-1]


def write_rows(
    connection: sa.Connection,
    session_id: str,
    incarnation: str,
    rows: Iterable[tuple[sa.Table, Row]],
) -> int:
    """
    Insert the rows of a session that is not here; return how many.

    Fencing tokens, claims and the admission sequence stay as they are.

    Args:
        incarnation: Of the session as it is made here; never the source's,
            so that no handle of the source takes the copy for it.

        rows: Of `read_rows`, or in its order.
    """
    count = 0
    for table, members in itertools.groupby(rows, key=lambda pair: pair[0]):
        own: dict[str, Any] = {"session_id": session_id}
        if table is sessions:
            own["incarnation"] = incarnation
        names = row_columns(table)
        while batch := [
            own | dict(zip(names, row, strict=True))
            for _, row in itertools.islice(members, _batch_of(table))
        ]:
            connection.execute(_add_rows[table.name], batch)
            count += len(batch)
    return count
