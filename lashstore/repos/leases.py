"""
Execution lease rows: who runs a session.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import encode_record, row_checksum, stored_decoder, verify_row
from lashstore.model.leases import (
    LeaseOwnerIdentity,
    LeaseRow,
    SessionExecutionLease,
)
from lashstore.tables import session_execution_leases

from ._dialect import BIND, upsert
from ._run import Runner
from ._scan import session_scan

_decode_owner = stored_decoder(LeaseOwnerIdentity, "execution lease")

_c = session_execution_leases.c
_CONTENT = (
    "fencing_token",
    "lease_token",
    "owner_json",
    "claimed_at_ms",
    "expires_at_ms",
)
COLUMNS = (*(_c[name] for name in _CONTENT), _c.checksum)
# Of what the checksum is over; a scan adds columns behind it.
_COUNT = len(COLUMNS) - 1
_find = sa.select(*COLUMNS).where(_c.session_id == BIND("session_id"))
_put = upsert(session_execution_leases, (*_CONTENT, "checksum"))


def lease_from_row(session_id: str, row: Sequence[Any]) -> LeaseRow:
    """
    Return the lease that the values of `COLUMNS` are.

    Raises:
        CorruptRecordError: The row is damaged.
    """
    content, checksum = row[:_COUNT], row[_COUNT]
    verify_row(
        "execution lease",
        session_id,
        checksum,
        "session_execution_leases",
        session_id,
        *content,
    )
    fencing_token, lease_token, owner_json, claimed_at_ms, expires_at_ms = content
    if lease_token is None:
        return LeaseRow(fencing_token=fencing_token)
    owner: LeaseOwnerIdentity = _decode_owner(owner_json, session_id)
    return LeaseRow(
        fencing_token=fencing_token,
        lease=SessionExecutionLease(
            session_id=session_id,
            owner=owner,
            lease_token=lease_token,
            fencing_token=fencing_token,
            claimed_at_ms=claimed_at_ms,
            expires_at_ms=expires_at_ms,
        ),
    )


SCAN = session_scan(session_execution_leases, COLUMNS, lease_from_row)


class ExecutionLeaseRepository:
    """
    Rows of `session_execution_leases`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, session_id: str) -> LeaseRow | None:
        """
        Return the session's lease row; None if it was never leased.
        """
        row = self._connection.execute(_find, {"session_id": session_id}).one_or_none()
        return None if row is None else lease_from_row(session_id, row)

    def put(self, session_id: str, row: LeaseRow) -> None:
        """
        Write the session's lease in place of the one before.
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
        checksum = row_checksum(
            "session_execution_leases", session_id, *values.values()
        )
        self._connection.execute(
            _put, {"session_id": session_id, **values, "checksum": checksum}
        )
