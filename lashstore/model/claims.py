"""
Claims: the right to a few rows of a queue, for a while.

Queued work and turn inputs are claimed alike; only what a claim selects and
what becomes of it differs.
"""

import os

from .leases import (
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    is_live,
)
from .record import Record, deadline_ms


class ClaimGrant(Record, frozen=True, kw_only=True):
    """
    A claim about to be written over its rows.
    """

    claim_id: str
    token: str
    owner: LeaseOwnerIdentity
    claimed_at_ms: int
    expires_at_ms: int


class ClaimHold(Record, frozen=True, kw_only=True):
    """
    The claim on one row as it is stored.
    """

    claim_id: str
    token: str
    owner: LeaseOwnerIdentity
    claimed_at_ms: int
    expires_at_ms: int


def new_token() -> str:
    """
    Return fresh randomness: 128 bits as hex.
    """
    return os.urandom(16).hex()


def grant(
    prefix: str, owner: LeaseOwnerIdentity, *, head_seq: int, now_ms: int, ttl_ms: int
) -> ClaimGrant:
    """
    Make a claim named after its first row.
    """
    # Two tokens of one call to the operating system.
    fresh = os.urandom(32).hex()
    return ClaimGrant(
        claim_id=f"{prefix}:{head_seq}:{fresh[:32]}",
        token=fresh[32:],
        owner=owner,
        claimed_at_ms=now_ms,
        expires_at_ms=deadline_ms(now_ms, ttl_ms),
    )


def death_host(owner: LeaseOwnerIdentity) -> str | None:
    """
    Return the host on which the owner's death could be proven, if any.
    """
    if isinstance(owner.liveness, LocalProcessLiveness):
        return owner.liveness.host_id
    return None


def is_claimable(
    hold: ClaimHold | None, claimant: LeaseOwnerIdentity, now_ms: int
) -> bool:
    """
    Tell whether a row is free for the claimant: unclaimed, its claim expired,
    or its holder provably dead.
    """
    return (
        hold is None
        or not is_live(hold.expires_at_ms, now_ms)
        or hold.owner.is_definitely_dead_for(claimant)
    )
