"""
Process leases.
"""

import os

import msgspec
import pytest

from lashstore import (
    InvalidArgumentError,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    ProcessLeaseCompletion,
    ProcessLeaseExpiredError,
    ProcessTerminalError,
    SuccessOutput,
    UnknownProcessError,
)

from .kit import NOW_MS, owner, registration

HOST = "test-host"


def local(name, **facts):
    """
    Make an owner that is this OS process, but for *facts*.
    """
    mine = LocalProcessLiveness.current(HOST)
    assert mine is not None
    return LeaseOwnerIdentity(
        owner_id=name,
        incarnation_id="1",
        liveness=msgspec.structs.replace(mine, **facts),
    )


def release(lease):
    """
    Return what gives a lease back.
    """
    return ProcessLeaseCompletion(
        process_id=lease.process_id, lease_token=lease.lease_token
    )


def test_a_free_lease_is_acquired(known, place):
    """
    Fencing starts at 1, and the lease says who has it until when.
    """
    assert known.get_process_lease("p") is None

    outcome = known.claim_process_lease("p", owner(), 100)

    assert isinstance(outcome, LeaseAcquired)
    lease = outcome.lease
    assert (2, "p", owner(), 1, NOW_MS, NOW_MS + 100) == (
        lease.schema_version,
        lease.process_id,
        lease.owner,
        lease.fencing_token,
        lease.claimed_at_ms,
        lease.expires_at_ms,
    )
    assert lease == place.reopen(known).get_process_lease("p")


def test_a_held_lease_is_busy(known, clock):
    """
    Until its last millisecond is over.
    """
    held = known.claim_process_lease("p", owner("a"), 100).lease
    clock.advance(99)

    assert LeaseBusy(holder=held) == known.claim_process_lease("p", owner("b"), 100)
    assert LeaseBusy(holder=held) == known.claim_process_lease(
        "p", owner("a", "2"), 100
    )

    clock.advance(1)
    taken = known.claim_process_lease("p", owner("b"), 100).lease
    assert 2 == taken.fencing_token
    assert held.lease_token != taken.lease_token


def test_the_same_incarnation_re_enters(known, clock):
    """
    Token and fence stay, and the lease is never shortened.
    """
    first = known.claim_process_lease("p", owner(), 100).lease
    clock.advance(10)

    shorter = known.claim_process_lease("p", owner(), 1).lease
    longer = known.claim_process_lease("p", owner(), 100).lease

    assert first == shorter
    assert msgspec.structs.replace(first, expires_at_ms=NOW_MS + 110) == longer


def test_an_expired_lease_is_claimed_anew_by_its_own_holder(known, clock):
    """
    Expiry ends a lease for everybody.
    """
    first = known.claim_process_lease("p", owner(), 10).lease
    clock.advance(10)

    second = known.claim_process_lease("p", owner(), 10).lease

    assert (1, 2) == (first.fencing_token, second.fencing_token)
    assert first.lease_token != second.lease_token


def test_a_ttl_of_zero_is_over_at_once(known):
    """
    The lease is acquired, and free again.
    """
    known.claim_process_lease("p", owner("a"), 0)

    outcome = known.claim_process_lease("p", owner("b"), 2**63 - 1)

    assert (2, 2**63 - 1) == (outcome.lease.fencing_token, outcome.lease.expires_at_ms)


def test_fencing_tokens_grow_through_release_and_reopening(known, place):
    """
    The row outlives the lease.
    """
    registry = known
    for fencing_token in (1, 2, 3):
        lease = registry.claim_process_lease("p", owner(), 100).lease
        assert fencing_token == lease.fencing_token
        registry.complete_process_lease(release(lease))
        assert registry.get_process_lease("p") is None
        registry = place.reopen(registry)


def test_releasing_never_frees_a_newer_holder(known, clock):
    """
    Only the very token releases; anything else is silently too late.
    """
    old = known.claim_process_lease("p", owner("a"), 10).lease
    clock.advance(10)
    new = known.claim_process_lease("p", owner("b"), 10).lease

    known.complete_process_lease(release(old))
    known.complete_process_lease(
        ProcessLeaseCompletion(process_id="x", lease_token=new.lease_token)
    )
    known.complete_process_lease(ProcessLeaseCompletion(process_id="p", lease_token=""))

    assert new == known.get_process_lease("p")
    known.complete_process_lease(release(new))
    known.complete_process_lease(release(new))
    assert known.get_process_lease("p") is None


def test_renewing_extends_and_never_shortens(known, clock):
    """
    From now on, if that is later; also for a lease given long ago.
    """
    lease = known.claim_process_lease("p", owner(), 100).lease
    clock.advance(50)

    longer = known.renew_process_lease(lease, 100)
    shorter = known.renew_process_lease(lease, 10)

    assert msgspec.structs.replace(lease, expires_at_ms=NOW_MS + 150) == longer
    assert longer == shorter == known.get_process_lease("p")


@pytest.mark.parametrize(
    "wrong",
    [
        {"process_id": "x"},
        {"process_id": "q"},
        {"lease_token": "other"},
        {"fencing_token": 2},
        {"owner": owner("b")},
        {"owner": owner("a", "2")},
    ],
    ids=str,
)
def test_only_the_very_lease_is_renewed(known, wrong):
    """
    Token, fence and incarnation must all be the stored ones.
    """
    known.register_process(registration("q"))
    lease = known.claim_process_lease("p", owner("a"), 100).lease

    with pytest.raises(ProcessLeaseExpiredError) as caught:
        known.renew_process_lease(msgspec.structs.replace(lease, **wrong), 100)

    assert wrong.get("process_id", "p") == caught.value.process_id
    assert lease == known.get_process_lease("p")


def test_a_lease_that_is_over_is_not_renewed(known, clock):
    """
    Neither expired nor released.
    """
    lease = known.claim_process_lease("p", owner(), 10).lease
    clock.advance(10)
    with pytest.raises(ProcessLeaseExpiredError):
        known.renew_process_lease(lease, 10)

    lease = known.claim_process_lease("p", owner(), 10).lease
    known.complete_process_lease(release(lease))
    with pytest.raises(ProcessLeaseExpiredError):
        known.renew_process_lease(lease, 10)


def test_unknown_and_ended_processes_are_not_leased(known):
    """
    There is nothing to run; a lease held meanwhile may still be given back.
    """
    lease = known.claim_process_lease("p", owner(), 100).lease
    known.complete_process("p", SuccessOutput(value=1), fence=lease)

    for name in ("a", "b"):
        with pytest.raises(ProcessTerminalError):
            known.claim_process_lease("p", owner(name), 100)
        with pytest.raises(ProcessTerminalError):
            known.reclaim_process_lease("p", owner(name), lease, 100)
        with pytest.raises(UnknownProcessError):
            known.claim_process_lease("x", owner(name), 100)
        with pytest.raises(UnknownProcessError):
            known.reclaim_process_lease("x", owner(name), lease, 100)
    assert lease == known.get_process_lease("p")
    assert known.get_process_lease("x") is None
    known.complete_process_lease(release(lease))
    assert known.get_process_lease("p") is None


def test_a_dead_holder_loses_its_lease(known):
    """
    If the claimant can see that its process is gone.
    """
    dead = local("dead", process_start="0")
    held = known.claim_process_lease("p", dead, 1_000).lease
    assert isinstance(known.claim_process_lease("p", local("me"), 100), LeaseBusy)

    outcome = known.reclaim_process_lease("p", local("me"), held, 100)

    assert isinstance(outcome, LeaseAcquired)
    assert (2, local("me")) == (outcome.lease.fencing_token, outcome.lease.owner)


@pytest.mark.parametrize(
    ("holder", "claimant"),
    [
        (local("alive"), local("me")),
        (local("dead", process_start="0", host_id="elsewhere"), local("me")),
        (local("dead", process_start="0", boot_id="earlier"), local("me")),
        (local("dead", process_start="0", pid_namespace="pid:[1]"), local("me")),
        (local("dead", process_start="0"), owner("me")),
        (owner("unknown"), local("me")),
        (local("me"), local("me")),
    ],
    ids=[
        "alive",
        "host",
        "boot",
        "namespace",
        "opaque claimant",
        "opaque holder",
        "itself",
    ],
)
def test_any_doubt_means_it_lives(known, holder, claimant):
    """
    Only an equal host, boot and PID namespace can prove a death.
    """
    held = known.claim_process_lease("p", holder, 1_000).lease

    assert LeaseBusy(holder=held) == known.reclaim_process_lease(
        "p", claimant, held, 100
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"process_id": "q"},
        {"lease_token": "other"},
        {"fencing_token": 7},
        {"owner": owner("b")},
    ],
    ids=str,
)
def test_only_the_observed_lease_is_reclaimed(known, wrong):
    """
    Somebody else may have reclaimed it since.
    """
    held = known.claim_process_lease("p", local("dead", process_start="0"), 99).lease
    observed = msgspec.structs.replace(held, **wrong)

    assert LeaseBusy(holder=held) == known.reclaim_process_lease(
        "p", local("me"), observed, 100
    )


def test_a_free_or_expired_lease_is_reclaimed_like_claimed(known, clock):
    """
    Whatever was observed.
    """
    held = known.claim_process_lease("p", owner("a"), 10).lease
    clock.advance(10)
    second = known.reclaim_process_lease("p", owner("b"), held, 10).lease
    known.complete_process_lease(release(second))
    third = known.reclaim_process_lease("p", owner("c"), held, 10).lease

    assert (2, 3) == (second.fencing_token, third.fencing_token)


def test_tokens_are_fresh_after_pruning(known, clock):
    """
    An id that is used again starts fencing anew, with another token.
    """
    old = known.claim_process_lease("p", owner(), 10**6).lease
    known.complete_process("p", SuccessOutput(value=1))
    clock.advance(1)
    known.prune_terminal_processes(NOW_MS + 1)
    known.register_process(registration("p"))

    assert known.get_process_lease("p") is None
    new = known.claim_process_lease("p", owner(), 10**6).lease

    assert (1, 1) == (old.fencing_token, new.fencing_token)
    with pytest.raises(ProcessLeaseExpiredError):
        known.renew_process_lease(old, 10)


def test_thousands_of_tokens_differ_on_a_frozen_clock(known):
    """
    A token is randomness, not a hash of what is known.
    """
    tokens = set()
    for _ in range(300):
        lease = known.claim_process_lease("p", owner(), 10).lease
        known.complete_process_lease(release(lease))
        tokens.add(lease.lease_token)

    assert 300 == len(tokens)


@pytest.mark.parametrize(
    "call",
    [
        lambda r, _: r.claim_process_lease("", owner(), 1),
        lambda r, _: r.claim_process_lease("p", "me", 1),
        lambda r, _: r.claim_process_lease("p", owner("\0"), 1),
        lambda r, _: r.claim_process_lease("p", owner(), -1),
        lambda r, _: r.claim_process_lease("p", owner(), 2**63),
        lambda r, _: r.claim_process_lease("p", owner(), 1.5),
        lambda r, _: r.reclaim_process_lease("p", owner(), None, 1),
        lambda r, _: r.renew_process_lease(None, 1),
        lambda r, lease: r.renew_process_lease(lease, -1),
        lambda r, lease: r.renew_process_lease(
            msgspec.structs.replace(lease, fencing_token="1"), 1
        ),
        lambda r, lease: r.complete_process_lease(lease),
        lambda r, _: r.complete_process_lease(
            ProcessLeaseCompletion(process_id="p", lease_token="\0")
        ),
        lambda r, _: r.get_process_lease(None),
    ],
)
def test_bad_arguments_are_refused(known, call):
    """
    And the lease stays as it was.
    """
    lease = known.claim_process_lease("p", owner(), 100).lease

    with pytest.raises(InvalidArgumentError):
        call(known, lease)

    assert lease == known.get_process_lease("p")


def test_this_process_is_alive_to_itself():
    """
    The kit's owner stands for this very process.
    """
    assert os.getpid() == local("me").liveness.pid
