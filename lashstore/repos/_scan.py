"""
Reading a whole table, one row at a time, by the rules of its repository.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from lashstore.errors import ContentKeyError
from lashstore.tables import SESSION_TABLES, metadata

from ._dialect import BIND

_PAGE = 256
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _violations(table: sa.Table) -> sa.Select[Any] | None:
    checks = [
        f"({constraint.sqltext})"
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    ]
    if not checks:
        return None
    # As in a constraint, what is unknown is allowed.
    return sa.select(*table.primary_key).where(
        sa.text(f"NOT ({' AND '.join(sorted(checks))})")
    )


@functools.cache
def _forbidden() -> Mapping[str, sa.Select[Any]]:
    # The rows that a CHECK constraint forbids, by table: only tools ask.
    return {
        table.name: statement
        for table in metadata.sorted_tables
        if (statement := _violations(table)) is not None
    }


def list_forbidden(connection: sa.Connection, table: str) -> tuple[str, ...]:
    """
    Return the keys of the rows that a CHECK constraint of *table* forbids.

    SQLite's integrity check leaves CHECK constraints out where the file was
    opened for reading only.
    """
    statement = _forbidden().get(table)
    if statement is None:
        return ()
    names = key_names(metadata.tables[table])
    return tuple(
        "/".join(_printable(getattr(row, name)) for name in names)
        for row in connection.execute(statement)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """
    How every row of a table is read and verified.

    `decode` raises what the repository's own reads raise of a damaged row;
    `around` as far as the columns go that are never sealed, of which alone it
    returns something.
    """

    table: sa.Table
    key_names: tuple[str, ...]
    statement: sa.Select[Any]
    decode: Callable[[Any], Any]
    around: Callable[[Any], Any] = lambda _row: None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scanned:
    """
    One row: its key as text, its columns, and either what it decodes to or
    what is wrong with it.
    """

    key: str
    row: Any
    value: Any
    error: Exception | None


def key_names(table: sa.Table) -> tuple[str, ...]:
    """
    Return the columns that tell the rows of a table apart, within a session
    if it is a session's.
    """
    names = tuple(str(column.name) for column in table.primary_key)
    return names[1:] or names if table in SESSION_TABLES else names


def session_scan(
    table: sa.Table,
    columns: Sequence[sa.ColumnElement[Any]],
    decode: Callable[[str, Any], Any],
    around: Callable[[str, Any], Any] = lambda _session_id, _row: None,
) -> Scan:
    """
    Make the scan of a session table, restricted to `:session_id`.
    """
    statement = (
        sa.select(*columns, table.c.session_id)
        .where(table.c.session_id == BIND("session_id"))
        .order_by(*table.primary_key)
    )
    return Scan(
        table=table,
        key_names=key_names(table),
        statement=statement,
        decode=lambda row: decode(row.session_id, row),
        around=lambda row: around(row.session_id, row),
    )


def full_scan(
    table: sa.Table,
    columns: Sequence[sa.ColumnElement[Any]],
    decode: Callable[[Any], Any],
    *,
    source: sa.FromClause | None = None,
) -> Scan:
    """
    Make the scan of a table that belongs to no session.

    Args:
        source: What *columns* are of, if not of the table alone.
    """
    statement = (
        sa.select(*columns)
        .select_from(table if source is None else source)
        .order_by(*table.primary_key)
    )
    return Scan(
        table=table, key_names=key_names(table), statement=statement, decode=decode
    )


def scan_rows(
    connection: sa.Connection,
    scan: Scan,
    values: Mapping[str, Any] = _NOTHING,
    *,
    decode: Callable[[Any], Any] | None = None,
) -> Iterator[Scanned]:
    """
    Yield every row in the order of its key, damaged ones too.

    Rows are fetched as they are asked for, so that a table of any length
    fits into memory.

    Args:
        decode: In place of the scan's own; None: that.

    Raises:
        ContentKeyError: Of *decode*: that a key is missing is no damage.
    """
    statement = scan.statement.execution_options(yield_per=_PAGE)
    for row in connection.execute(statement, dict(values)):
        yield scanned(scan, row, decode=decode)


def scanned(
    scan: Scan, row: Any, *, decode: Callable[[Any], Any] | None = None
) -> Scanned:
    """
    Verify and decode one row of a scan; see `scan_rows`.
    """
    decode = scan.decode if decode is None else decode
    key = "/".join(_printable(getattr(row, name)) for name in scan.key_names)
    try:
        value, error = decode(row), None
    except ContentKeyError:
        raise
    except Exception as caught:  # noqa: BLE001, the row's damage, which is reported
        value, error = None, caught
    return Scanned(key=key, row=row, value=value, error=error)


def _printable(part: object) -> str:
    # A key read from a damaged file may hold bytes that are no text.
    return str(part).encode("utf-8", "backslashreplace").decode()
