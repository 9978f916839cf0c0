"""
Pages of rows to look at, in which damaged rows are told and not left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ._dialect import BIND
from ._run import Runner
from ._scan import Scan, Scanned, scanned
from ._sealing import SEALED_COLUMNS


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """
    Some rows of a scan's table in an order of their own, `:page` at most.

    `blind` leaves out what is sealed in a sealed session.
    """

    scan: Scan
    statement: sa.Select[Any]
    blind: sa.Select[Any]


def listing(
    scan: Scan,
    *criteria: sa.ColumnElement[bool],
    order_by: tuple[sa.ColumnElement[Any], ...] = (),
    source: sa.FromClause | None = None,
) -> Listing:
    """
    Make a listing of those rows of a scan that meet *criteria*.

    Args:
        order_by: Empty: by the key.

        source: What *criteria* are of, if not of the scan's table alone.
    """
    statement = scan.statement.where(*criteria).limit(BIND("page"))
    if order_by:
        statement = statement.order_by(None).order_by(*order_by)
    if source is not None:
        statement = statement.select_from(source)
    plain = (c for c in statement.selected_columns if c.key not in SEALED_COLUMNS)
    return Listing(
        scan=scan, statement=statement, blind=statement.with_only_columns(*plain)
    )


def list_rows(
    rows: Runner,
    wanted: Listing,
    values: Mapping[str, Any],
    *,
    page: int,
    is_sealed: bool = False,
) -> tuple[Scanned, ...]:
    """
    Return a page of rows, each verified; of a sealed session they are not,
    and decode to None, since checksums are over plain content.
    """
    statement = wanted.blind if is_sealed else wanted.statement
    found = rows.execute(statement, {**values, "page": page}).all()
    decode = _unread if is_sealed else None
    return tuple(scanned(wanted.scan, row, decode=decode) for row in found)


def _unread(_row: Any) -> None:
    return None
