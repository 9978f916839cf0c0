"""
Process leases: who runs a process, proven by fencing tokens.
"""

import msgspec

from .leases import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    check_owner,
    is_live,
)
from .record import Record, deadline_ms, require_counter, require_record, require_text


class ProcessLease(Record, frozen=True, kw_only=True):
    """
    The right to run a process until `expires_at_ms`, and its own proof.
    """

    schema_version: int = 2
    process_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_ms: int
    expires_at_ms: int


class ProcessLeaseCompletion(Record, frozen=True, kw_only=True):
    """
    What releases a process's lease.
    """

    process_id: str
    lease_token: str


class ProcessLeaseRow(Record, frozen=True, kw_only=True):
    """
    A lease row: `lease` None means free; the fencing token outlives it.
    """

    fencing_token: int
    lease: ProcessLease | None = None


ProcessLeaseOutcome = LeaseAcquired[ProcessLease] | LeaseBusy[ProcessLease]


def check_lease(what: str, lease: object) -> None:
    """
    Raises:
        InvalidArgumentError: It is no lease.
    """
    require_record(what, lease, ProcessLease)
    assert isinstance(lease, ProcessLease)  # noqa: S101, for the type checker
    require_text(f"the process_id of {what}", lease.process_id)
    require_text(f"the lease_token of {what}", lease.lease_token)
    require_counter(f"the fencing_token of {what}", lease.fencing_token)
    check_owner(lease.owner)


def holds(row: ProcessLeaseRow | None, proof: ProcessLease) -> bool:
    """
    Tell whether the stored lease is exactly the one that is presented,
    whatever the time.
    """
    return (
        row is not None
        and row.lease is not None
        and row.lease.process_id == proof.process_id
        and row.lease.owner.same_incarnation(proof.owner)
        and row.lease.lease_token == proof.lease_token
        and row.fencing_token == proof.fencing_token
    )


def find_held(
    row: ProcessLeaseRow | None, proof: ProcessLease, *, now_ms: int
) -> ProcessLease | None:
    """
    Return the stored lease if the proof holds it and it is not over.
    """
    if row is None or row.lease is None or not holds(row, proof):
        return None
    return row.lease if is_live(row.lease.expires_at_ms, now_ms) else None


def extend(lease: ProcessLease, *, now_ms: int, ttl_ms: int) -> ProcessLease:
    """
    Return the lease with a later end; never with an earlier one.
    """
    return msgspec.structs.replace(
        lease, expires_at_ms=max(lease.expires_at_ms, deadline_ms(now_ms, ttl_ms))
    )


def decide_claim(
    row: ProcessLeaseRow | None,
    owner: LeaseOwnerIdentity,
    *,
    process_id: str,
    token: str,
    now_ms: int,
    ttl_ms: int,
    observed: ProcessLease | None = None,
) -> ProcessLeaseOutcome:
    """
    Decide who gets a process's lease.

    Args:
        row: The stored lease; None if the process was never leased.

        token: The token of a new lease.

        observed: For a reclaim: the lease the caller saw. Only if it is still
            held and its owner is provably dead is a live lease taken away;
            for a claim None, and a live lease is never taken.
    """
    held = None if row is None else row.lease
    if held is not None and is_live(held.expires_at_ms, now_ms):
        if observed is None:
            if not held.owner.same_incarnation(owner):
                return LeaseBusy(holder=held)
            extended = extend(held, now_ms=now_ms, ttl_ms=ttl_ms)
            return LeaseAcquired(lease=msgspec.structs.replace(extended, owner=owner))
        if not (holds(row, observed) and held.owner.is_definitely_dead_for(owner)):
            return LeaseBusy(holder=held)
    return LeaseAcquired(
        lease=ProcessLease(
            process_id=process_id,
            owner=owner,
            lease_token=token,
            fencing_token=(0 if row is None else row.fencing_token) + 1,
            claimed_at_ms=now_ms,
            expires_at_ms=deadline_ms(now_ms, ttl_ms),
        )
    )
