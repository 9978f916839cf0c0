"""
Walking a table while its damaged rows are reported.
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from lashstore.errors import CorruptRecordError
from lashstore.failures import DRIVER_ERRORS, driver_error
from lashstore.repos._scan import Scan, Scanned, scan_rows

from .findings import FindingKind, Findings


def lenient(connection: sa.Connection) -> None:
    """
    Let a SQLite connection return text that is none, with surrogates in it:
    the row's checksum then fails, and the rows behind it are still read.
    """
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.text_factory = _decode_leniently


def _decode_leniently(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def sound_rows(
    connection: sa.Connection,
    scan: Scan,
    findings: Findings,
    decode: Callable[[Any], Any] | None = None,
    **values: Any,
) -> Iterator[Scanned]:
    """
    Yield the rows that verify, in the order of their key, and report the
    others; count them all.

    Args:
        decode: As of `scan_rows`.
    """
    table = scan.table.name
    findings.rows.setdefault(table, 0)
    try:
        for scanned in scan_rows(connection, scan, values, decode=decode):
            findings.rows[table] += 1
            if scanned.error is None:
                yield scanned
            else:
                findings.add(
                    FindingKind.ROW_DAMAGED,
                    reason_of(scanned.error),
                    table=table,
                    key=scanned.key,
                )
    except DRIVER_ERRORS as error:
        if connection.dialect.name != "sqlite":
            # It may be the connection that failed, and the transaction is over.
            raise
        findings.add(
            FindingKind.ROW_DAMAGED,
            f"the table cannot be read to its end: {driver_error(error)}",
            table=table,
        )


def reason_of(error: Exception) -> str:
    """
    Say what is wrong with a row, without the advice of the error's message.
    """
    reason = error.reason if isinstance(error, CorruptRecordError) else str(error)
    return reason.encode("utf-8", "backslashreplace").decode()
