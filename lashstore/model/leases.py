"""
Leases: who runs a session, proven by fencing tokens, ended by time, release
or proof of death.
"""

import os
from typing import Generic, TypeVar

import msgspec

from lashstore import procfs

from .record import (
    Record,
    deadline_ms,
    require_counter,
    require_record,
    require_text,
)

L = TypeVar("L")


class OpaqueLiveness(Record, frozen=True, kw_only=True, tag="opaque", tag_field="kind"):
    """
    Nothing is known; only time ends the owner's leases.
    """


class LocalProcessLiveness(
    Record, frozen=True, kw_only=True, tag="local_process", tag_field="kind"
):
    """
    A process that others on the same kernel can see die.

    `pid_namespace` is the inode text of its PID namespace; containers share
    a boot id, but not their process ids.
    """

    host_id: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_start: str

    @classmethod
    def current(cls, host_id: str) -> "LocalProcessLiveness | None":
        """
        Describe this process; None where /proc does not tell.
        """
        boot, namespace = procfs.boot_id(), procfs.pid_namespace()
        try:
            started = procfs.start_time(os.getpid())
        except (OSError, ValueError):
            return None
        if boot is None or namespace is None or started is None:
            return None
        return cls(
            host_id=host_id,
            boot_id=boot,
            pid_namespace=namespace,
            pid=os.getpid(),
            process_start=started,
        )


LeaseOwnerLiveness = OpaqueLiveness | LocalProcessLiveness


class LeaseOwnerIdentity(Record, frozen=True, kw_only=True):
    """
    Who holds a lease: an owner, and which run of it.
    """

    owner_id: str
    incarnation_id: str
    liveness: LeaseOwnerLiveness = OpaqueLiveness()

    @classmethod
    def opaque(cls, owner_id: str, incarnation_id: str) -> "LeaseOwnerIdentity":
        """
        Make an owner whose death cannot be proven.
        """
        return cls(owner_id=owner_id, incarnation_id=incarnation_id)

    @classmethod
    def local_process(
        cls, owner_id: str, incarnation_id: str, host_id: str
    ) -> "LeaseOwnerIdentity":
        """
        Make an owner that is this process; opaque where /proc does not tell.
        """
        return cls(
            owner_id=owner_id,
            incarnation_id=incarnation_id,
            liveness=LocalProcessLiveness.current(host_id) or OpaqueLiveness(),
        )

    def same_incarnation(self, other: "LeaseOwnerIdentity") -> bool:
        """
        Tell whether both are the same run of the same owner.
        """
        return (
            self.owner_id == other.owner_id
            and self.incarnation_id == other.incarnation_id
        )

    def is_definitely_dead_for(self, claimant: "LeaseOwnerIdentity") -> bool:
        """
        Tell whether this owner's process is provably gone, as seen from the
        claimant: same host, boot and PID namespace, a readable /proc, and no
        process of that id and start time. Any doubt means it lives.
        """
        holder, seen_from = self.liveness, claimant.liveness
        if not isinstance(holder, LocalProcessLiveness):
            return False
        if not isinstance(seen_from, LocalProcessLiveness):
            return False
        if (holder.host_id, holder.boot_id, holder.pid_namespace) != (
            seen_from.host_id,
            seen_from.boot_id,
            seen_from.pid_namespace,
        ):
            return False
        return procfs.is_gone(holder.pid, holder.process_start)


class SessionExecutionLeaseFence(Record, frozen=True, kw_only=True):
    """
    Proof of holding a session's execution lease.
    """

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int


class SessionExecutionLeaseCompletion(Record, frozen=True, kw_only=True):
    """
    What releases a session's execution lease.
    """

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int


class SessionExecutionLease(Record, frozen=True, kw_only=True):
    """
    The right to run a session until `expires_at_ms`.
    """

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_ms: int
    expires_at_ms: int

    def fence(self) -> SessionExecutionLeaseFence:
        """
        Return the proof that commits and claims present.
        """
        return SessionExecutionLeaseFence(
            session_id=self.session_id,
            owner=self.owner,
            lease_token=self.lease_token,
            fencing_token=self.fencing_token,
        )

    def completion(self) -> SessionExecutionLeaseCompletion:
        """
        Return what releases the lease.
        """
        return SessionExecutionLeaseCompletion(
            session_id=self.session_id,
            owner=self.owner,
            lease_token=self.lease_token,
            fencing_token=self.fencing_token,
        )


class LeaseAcquired(
    msgspec.Struct,
    Generic[L],
    frozen=True,
    kw_only=True,
    tag="acquired",
    tag_field="kind",
):
    """
    The lease is the caller's.
    """

    lease: L


class LeaseBusy(
    msgspec.Struct, Generic[L], frozen=True, kw_only=True, tag="busy", tag_field="kind"
):
    """
    Somebody else holds the lease.
    """

    holder: L


class LeaseRow(Record, frozen=True, kw_only=True):
    """
    A lease row: `lease` None means free; the fencing token outlives it.
    """

    fencing_token: int
    lease: SessionExecutionLease | None = None


def check_owner(owner: LeaseOwnerIdentity) -> None:
    """
    Raises:
        InvalidArgumentError: An id of the owner is no storable text.
    """
    require_record("the owner", owner, LeaseOwnerIdentity)
    require_text("owner_id", owner.owner_id)
    require_text("incarnation_id", owner.incarnation_id)
    if isinstance(owner.liveness, LocalProcessLiveness):
        require_text("host_id", owner.liveness.host_id)
        require_counter("pid", owner.liveness.pid)


def is_live(expires_at_ms: int, now_ms: int) -> bool:
    """
    Tell whether a lease or claim still runs; its last millisecond is over.
    """
    return expires_at_ms > now_ms


def holds(
    row: LeaseRow | None,
    proof: SessionExecutionLeaseFence | SessionExecutionLeaseCompletion,
) -> bool:
    """
    Tell whether the stored lease is exactly the one that is presented,
    whatever the time.
    """
    return (
        row is not None
        and row.lease is not None
        and row.lease.session_id == proof.session_id
        and row.lease.owner.same_incarnation(proof.owner)
        and row.lease.lease_token == proof.lease_token
        and row.fencing_token == proof.fencing_token
    )


def is_valid_fence(
    row: LeaseRow | None,
    fence: SessionExecutionLeaseFence,
    *,
    session_id: str,
    now_ms: int,
) -> bool:
    """
    Tell whether a fence proves the session's lease now.
    """
    return (
        fence.session_id == session_id
        and holds(row, fence)
        and row is not None
        and row.lease is not None
        and is_live(row.lease.expires_at_ms, now_ms)
    )


def extend(
    lease: SessionExecutionLease, *, now_ms: int, ttl_ms: int
) -> SessionExecutionLease:
    """
    Return the lease with a later end; never with an earlier one.
    """
    return msgspec.structs.replace(
        lease, expires_at_ms=max(lease.expires_at_ms, deadline_ms(now_ms, ttl_ms))
    )


def decide_claim(
    row: LeaseRow | None,
    owner: LeaseOwnerIdentity,
    *,
    session_id: str,
    token: str,
    now_ms: int,
    ttl_ms: int,
    observed: SessionExecutionLeaseFence | None = None,
) -> LeaseAcquired[SessionExecutionLease] | LeaseBusy[SessionExecutionLease]:
    """
    Decide who gets a session's lease.

    Args:
        row: The stored lease; None if the session was never leased.

        owner: Who asks.

        token: The token of a new lease.

        observed: For a reclaim: the holder the caller saw. Only if it still
            holds the lease and is provably dead is a live lease taken from
            it; for a claim None, and a live lease is never taken.
    """
    held = None if row is None else row.lease
    if held is not None and is_live(held.expires_at_ms, now_ms):
        if observed is None:
            if held.owner.same_incarnation(owner):
                extended = extend(held, now_ms=now_ms, ttl_ms=ttl_ms)
                return LeaseAcquired(
                    lease=msgspec.structs.replace(extended, owner=owner)
                )
            return LeaseBusy(holder=held)
        if not (
            observed.session_id == session_id
            and holds(row, observed)
            and held.owner.is_definitely_dead_for(owner)
        ):
            return LeaseBusy(holder=held)
    return LeaseAcquired(
        lease=SessionExecutionLease(
            session_id=session_id,
            owner=owner,
            lease_token=token,
            fencing_token=(0 if row is None else row.fencing_token) + 1,
            claimed_at_ms=now_ms,
            expires_at_ms=deadline_ms(now_ms, ttl_ms),
        )
    )
