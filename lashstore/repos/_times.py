"""
When things happened and until when others hold, for looking at clocks.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.tables import (
    effects,
    process_events,
    process_leases,
    processes,
    session_execution_leases,
    session_queued_batches,
    session_turn_commits,
    session_turn_inputs,
    trigger_deliveries,
    trigger_occurrences,
)

from ._dialect import BIND

# Columns that a store writes from its clock, about what has happened.
PAST = (
    session_turn_commits.c.committed_at_ms,
    session_execution_leases.c.claimed_at_ms,
    session_queued_batches.c.enqueued_at_ms,
    session_queued_batches.c.claimed_at_ms,
    session_turn_inputs.c.enqueued_at_ms,
    session_turn_inputs.c.claimed_at_ms,
    processes.c.updated_at_ms,
    process_events.c.occurred_at_ms,
    process_leases.c.claimed_at_ms,
    trigger_occurrences.c.occurred_at_ms,
    trigger_deliveries.c.reserved_at_ms,
    effects.c.created_at_ms,
)
# Until when somebody holds something.
EXPIRIES = (
    session_execution_leases.c.expires_at_ms,
    session_queued_batches.c.claim_expires_at_ms,
    session_turn_inputs.c.claim_expires_at_ms,
    process_leases.c.expires_at_ms,
    effects.c.lease_expires_at_ms,
)

_last_times = {
    column: sa.select(sa.func.count(), sa.func.max(column)).where(
        column > BIND("after_ms")
    )
    for column in (*PAST, *EXPIRIES)
}
_stale = {
    column: sa.select(sa.func.count(), sa.func.min(column)).where(
        column <= BIND("now_ms")
    )
    for column in EXPIRIES
}


def later_than(
    connection: sa.Connection, column: sa.Column[Any], after_ms: int
) -> tuple[int, int]:
    """
    Return how many rows have a later time there, and the latest; 0 without
    one.
    """
    row = connection.execute(_last_times[column], {"after_ms": after_ms}).one()
    return row[0], row[1] or 0


def expired(
    connection: sa.Connection, column: sa.Column[Any], now_ms: int
) -> tuple[int, int]:
    """
    Return how many holds have run out and stand there still, and the end of
    the oldest; 0 without one.
    """
    row = connection.execute(_stale[column], {"now_ms": now_ms}).one()
    return row[0], row[1] or 0
