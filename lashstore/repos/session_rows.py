"""
A whole session as a stream of rows, the same on every engine.

Rows come in the order of the tables and, within one, of their keys by code
point, so that equal sessions give equal streams. Two things are not part of
it: the session id, which is the same in every row, and the incarnation, which
is this making of the session's and never a copy's.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from lashstore.tables import SESSION_TABLES, sessions

from ._dialect import BIND, by_code_point

# Rows of one insert, and of one fetch.
_BATCH = 500
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
    .order_by(
        *(
            by_code_point(column) if isinstance(column.type, sa.Text) else column
            for column in table.primary_key
            if column.name != "session_id"
        )
    )
    for table in SESSION_TABLES
}
_add_rows = {table.name: sa.insert(table) for table in SESSION_TABLES}


def read_rows(
    connection: sa.Connection, session_id: str
) -> Iterator[tuple[sa.Table, Row]]:
    """
    Yield every row of a session with its table, as it is stored.

    Nothing is verified or decoded. Rows are fetched as they are asked for;
    the connection must stay on one snapshot until the last one.
    """
    for table in SESSION_TABLES:
        statement = _list_rows[table.name].execution_options(yield_per=_BATCH)
        for row in connection.execute(statement, {"session_id": session_id}):
            yield table, tuple(_portable(value) for value in row)


def _portable(value: Any) -> Any:
    # One driver gives a memoryview where another gives bytes.
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


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
            for _, row in itertools.islice(members, _BATCH)
        ]:
            connection.execute(_add_rows[table.name], batch)
            count += len(batch)
    return count
