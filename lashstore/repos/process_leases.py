"""
Process lease rows: who runs a process.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, encode_record, row_checksum, verify_row
from lashstore.model.leases import LeaseOwnerIdentity
from lashstore.model.process_leases import ProcessLease, ProcessLeaseRow
from lashstore.tables import process_leases

from ._dialect import BIND, any_of, upsert
from ._listing import list_rows, listing
from ._run import Runner
from ._scan import Scanned, full_scan

_KIND = "process lease"
_c = process_leases.c
_CONTENT = (
    "fencing_token",
    "lease_token",
    "owner_json",
    "claimed_at_ms",
    "expires_at_ms",
)
_columns = (*(_c[name] for name in _CONTENT), _c.checksum)
_find = sa.select(*_columns).where(_c.process_id == BIND("process_id"))
_put = upsert(process_leases, (*_CONTENT, "checksum"))


def _lease_from_row(process_id: str, row: Any) -> ProcessLeaseRow:
    verify_row(
        _KIND,
        process_id,
        row.checksum,
        "process_leases",
        process_id,
        *row[: len(_CONTENT)],
    )
    if row.lease_token is None:
        return ProcessLeaseRow(fencing_token=row.fencing_token)
    owner: LeaseOwnerIdentity = decode_stored(
        LeaseOwnerIdentity, row.owner_json, _KIND, process_id
    )
    return ProcessLeaseRow(
        fencing_token=row.fencing_token,
        lease=ProcessLease(
            process_id=process_id,
            owner=owner,
            lease_token=row.lease_token,
            fencing_token=row.fencing_token,
            claimed_at_ms=row.claimed_at_ms,
            expires_at_ms=row.expires_at_ms,
        ),
    )


SCAN = full_scan(
    process_leases,
    (*_columns, _c.process_id),
    lambda row: _lease_from_row(row.process_id, row),
)
_look = listing(SCAN, any_of(_c.process_id, "process_ids"))


class ProcessLeaseRepository:
    """
    Rows of `process_leases`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, process_id: str) -> ProcessLeaseRow | None:
        """
        Return the process's lease row; None if it was never leased.
        """
        row = self._connection.execute(_find, {"process_id": process_id}).one_or_none()
        return None if row is None else _lease_from_row(process_id, row)

    def look(self, process_ids: Sequence[str]) -> tuple[Scanned, ...]:
        """
        Return the lease rows of processes, damaged ones too: each decodes to
        a `ProcessLeaseRow`.
        """
        values = {"process_ids": process_ids}
        return list_rows(self._connection, _look, values, page=len(process_ids))

    def put(self, process_id: str, row: ProcessLeaseRow) -> None:
        """
        Write the process's lease in place of the one before.
        """
        lease = row.lease
        values = {
            "fencing_token": row.fencing_token,
            "lease_token": None if lease is None else lease.lease_token,
            "owner_json": None
            if lease is None
            else encode_record(lease.owner, "the owner"),
            "claimed_at_ms": None if lease is None else lease.claimed_at_ms,
            "expires_at_ms": None if lease is None else lease.expires_at_ms,
        }
        checksum = row_checksum("process_leases", process_id, *values.values())
        self._connection.execute(
            _put, {"process_id": process_id, **values, "checksum": checksum}
        )
