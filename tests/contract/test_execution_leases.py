"""
The execution lease: one live holder, a fence that only grows.
"""

import threading

import msgspec
import pytest

from lashstore import (
    InvalidArgumentError,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    OpaqueLiveness,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
)
from lashstore.testing import (
    acquire_lease,
    dead_owner,
    live_owner,
    make_commit,
    make_owner,
)

A, B = make_owner("a"), make_owner("b")
REPLACE = msgspec.structs.replace


def claim(store, owner, ttl_ms=1000):
    """
    Try to claim the lease.
    """
    return store.try_claim_session_execution_lease(owner, ttl_ms)


def relived(**changes):
    """
    A dead owner with other facts of its process.
    """
    owner = dead_owner()
    return REPLACE(owner, liveness=REPLACE(owner.liveness, **changes))


def test_first_claim(store, clock):
    """
    A free session is leased from now on, with fence 1.
    """
    outcome = claim(store, A, 250)

    lease = outcome.lease
    assert isinstance(outcome, LeaseAcquired)
    assert ("root", A, 1) == (lease.session_id, lease.owner, lease.fencing_token)
    assert (clock.now_ms(), clock.now_ms() + 250) == (
        lease.claimed_at_ms,
        lease.expires_at_ms,
    )
    assert "" != lease.lease_token


def test_fence_and_completion_copy_the_lease(store):
    """
    Both proofs carry session, owner, token and fence.
    """
    lease = acquire_lease(store)
    facts = (lease.session_id, lease.owner, lease.lease_token, lease.fencing_token)

    for proof in (lease.fence(), lease.completion()):
        assert facts == (
            proof.session_id,
            proof.owner,
            proof.lease_token,
            proof.fencing_token,
        )


@pytest.mark.parametrize(
    "other", [B, make_owner("a", "2")], ids=["owner", "incarnation"]
)
def test_live_lease_excludes_others(backend, clock, other):
    """
    While a lease lives, another owner or incarnation is told who has it.
    """
    store = backend.open_store()
    lease = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(999)
    store = backend.reopen(store)

    assert LeaseBusy(holder=lease) == claim(store, other)
    assert LeaseBusy(holder=lease) == claim(store, other)


def test_lease_ends_in_its_last_millisecond(backend, clock):
    """
    An expired lease is free, for a new token and the next fence.
    """
    store = backend.open_store()
    old = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(1000)
    store = backend.reopen(store)

    new = acquire_lease(store, B, ttl_ms=500)

    assert 2 == new.fencing_token
    assert old.lease_token != new.lease_token
    assert (clock.now_ms(), clock.now_ms() + 500) == (
        new.claimed_at_ms,
        new.expires_at_ms,
    )


def test_expiry_ends_a_lease_for_its_holder_too(store, clock):
    """
    The holder that comes back late gets a new lease, not its old one.
    """
    old = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(1000)

    new = acquire_lease(store, A)

    assert 2 == new.fencing_token
    assert old.lease_token != new.lease_token


def test_lease_of_no_length(store):
    """
    A lease taken for 0 ms is expired at once.
    """
    assert 1 == acquire_lease(store, A, ttl_ms=0).fencing_token
    assert 2 == acquire_lease(store, B, ttl_ms=0).fencing_token


def test_reentry_keeps_token_and_fence(store, clock):
    """
    The same incarnation extends the lease it has.
    """
    first = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(400)

    again = acquire_lease(store, A, ttl_ms=1000)

    assert REPLACE(first, expires_at_ms=clock.now_ms() + 1000) == again


def test_reentry_ignores_liveness(store):
    """
    An owner is known by its ids; the answer carries the caller's liveness.
    """
    first = acquire_lease(store, live_owner())
    opaque = LeaseOwnerIdentity.opaque("local", "local:1")

    again = acquire_lease(store, opaque)

    assert first.lease_token == again.lease_token
    assert opaque == again.owner


def test_reentry_never_shortens(store):
    """
    A shorter second claim leaves the lease as long as it was.
    """
    first = acquire_lease(store, A, ttl_ms=1000)

    assert first == acquire_lease(store, A, ttl_ms=10)
    assert first == acquire_lease(store, A, ttl_ms=0)


def test_longest_lease(store):
    """
    An expiry beyond the range of times is held at its end.
    """
    lease = acquire_lease(store, A, ttl_ms=2**63 - 1)

    assert 2**63 - 1 == lease.expires_at_ms
    assert isinstance(claim(store, B), LeaseBusy)


@pytest.mark.parametrize("ttl_ms", [-1, 2**63, 1.5, "1", None], ids=repr)
def test_length_of_a_lease_has_a_range(store, ttl_ms):
    """
    A length outside the range of counters is refused on every operation.
    """
    lease = acquire_lease(store, A)

    for call in (
        lambda: store.try_claim_session_execution_lease(A, ttl_ms),
        lambda: store.reclaim_session_execution_lease(B, lease.fence(), ttl_ms),
        lambda: store.renew_session_execution_lease(lease.fence(), ttl_ms),
    ):
        with pytest.raises(InvalidArgumentError):
            call()
    assert LeaseBusy(holder=lease) == claim(store, B)


def test_renewal_extends(backend, clock):
    """
    A renewed lease ends later and is otherwise the same.
    """
    store = backend.open_store()
    lease = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(999)

    renewed = store.renew_session_execution_lease(lease.fence(), 1000)
    store = backend.reopen(store)

    assert REPLACE(lease, expires_at_ms=clock.now_ms() + 1000) == renewed
    assert LeaseBusy(holder=renewed) == claim(store, B)


def test_renewal_never_shortens(store):
    """
    A shorter renewal leaves the lease as long as it was.
    """
    lease = acquire_lease(store, A, ttl_ms=1000)

    assert lease == store.renew_session_execution_lease(lease.fence(), 10)


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_token": "stale"},
        {"fencing_token": 2},
        {"owner": B},
        {"owner": make_owner("a", "2")},
        {"session_id": "other"},
    ],
    ids=str,
)
def test_renewal_needs_the_exact_fence(store, changes):
    """
    A fence that differs in any member renews nothing.
    """
    lease = acquire_lease(store, A)

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.renew_session_execution_lease(REPLACE(lease.fence(), **changes), 10**9)

    assert LeaseBusy(holder=lease) == claim(store, B)


def test_renewal_names_the_session(store):
    """
    The error of a renewal names the fence's session.
    """
    lease = acquire_lease(store, A)
    store.release_session_execution_lease(lease.completion())

    with pytest.raises(SessionExecutionLeaseExpiredError) as caught:
        store.renew_session_execution_lease(lease.fence(), 1000)

    assert "root" == caught.value.session_id


def test_expired_lease_is_not_renewed(store, clock):
    """
    A lease that ran out stays out, though nobody took it.
    """
    lease = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(1000)

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.renew_session_execution_lease(lease.fence(), 1000)


def test_release_frees_the_session(backend):
    """
    A released session is leased at once, with the next fence.
    """
    store = backend.open_store()
    lease = acquire_lease(store, A)
    store.release_session_execution_lease(lease.completion())
    store = backend.reopen(store)

    new = acquire_lease(store, B)

    assert 2 == new.fencing_token
    assert lease.lease_token != new.lease_token


def test_release_twice_is_fine(store):
    """
    Releasing what is released changes nothing.
    """
    lease = acquire_lease(store, A)
    store.release_session_execution_lease(lease.completion())
    store.release_session_execution_lease(lease.completion())

    assert 2 == acquire_lease(store, B).fencing_token


def test_release_of_a_session_never_leased(backend):
    """
    Releasing where there is no lease changes nothing.
    """
    lease = acquire_lease(backend.open_store("other"))
    store = backend.open_store()
    store.release_session_execution_lease(
        REPLACE(lease.completion(), session_id="root")
    )

    assert 1 == acquire_lease(store).fencing_token


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_token": "stale"},
        {"fencing_token": 9},
        {"owner": B},
        {"owner": make_owner("a", "2")},
    ],
    ids=str,
)
def test_release_must_match(store, changes):
    """
    A completion that differs from the lease releases nothing.
    """
    lease = acquire_lease(store, A)

    store.release_session_execution_lease(REPLACE(lease.completion(), **changes))

    assert LeaseBusy(holder=lease) == claim(store, B)


def test_late_release_never_frees_a_newer_holder(store, clock):
    """
    The old holder's completion is worth nothing once another one leads.
    """
    old = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(1000)
    new = acquire_lease(store, B)

    store.release_session_execution_lease(old.completion())

    assert LeaseBusy(holder=new) == claim(store, make_owner("c"))


def test_expired_lease_can_be_released(store, clock):
    """
    A release asks for no expiry.
    """
    lease = acquire_lease(store, A, ttl_ms=1000)
    clock.advance(1000)
    store.release_session_execution_lease(lease.completion())

    assert 2 == acquire_lease(store, B).fencing_token


def test_release_for_another_session(store):
    """
    Another session's completion is refused by name.
    """
    lease = acquire_lease(store, A)

    with pytest.raises(SessionBindingMismatchError) as caught:
        store.release_session_execution_lease(
            REPLACE(lease.completion(), session_id="other")
        )

    assert ("root", "other") == (
        caught.value.bound_session_id,
        caught.value.attempted_session_id,
    )
    assert LeaseBusy(holder=lease) == claim(store, B)


def test_fence_grows_through_everything(store, clock):
    """
    Release, expiry and reclaim never bring back an old fence.
    """
    fences = []
    for owner in (A, B, A):
        lease = acquire_lease(store, owner, ttl_ms=1000)
        fences.append(lease.fencing_token)
        store.release_session_execution_lease(lease.completion())
        fences.append(acquire_lease(store, owner, ttl_ms=10).fencing_token)
        clock.advance(10)

    assert [1, 2, 3, 4, 5, 6] == fences


@pytest.mark.parametrize("how", ["released", "expired"])
def test_reclaim_of_a_free_session(store, clock, how):
    """
    A free session is reclaimed like claimed, whatever was observed.
    """
    held = acquire_lease(store, A, ttl_ms=1000)
    observed = REPLACE(held.fence(), lease_token="whatever")
    if how == "released":
        store.release_session_execution_lease(held.completion())
    else:
        clock.advance(1000)

    outcome = store.reclaim_session_execution_lease(B, observed, 1000)

    assert isinstance(outcome, LeaseAcquired)
    assert (B, 2) == (outcome.lease.owner, outcome.lease.fencing_token)


def test_reclaim_of_a_session_never_leased(backend):
    """
    Where there never was a lease, a reclaim makes the first.
    """
    observed = acquire_lease(backend.open_store("other")).fence()
    store = backend.open_store()

    outcome = store.reclaim_session_execution_lease(
        B, REPLACE(observed, session_id="root"), 1000
    )

    assert 1 == outcome.lease.fencing_token


def test_reclaim_from_the_dead(store, clock):
    """
    A live lease of a provably dead holder goes to who observed it exactly.
    """
    held = acquire_lease(store, dead_owner())

    outcome = store.reclaim_session_execution_lease(live_owner(), held.fence(), 1000)

    assert isinstance(outcome, LeaseAcquired)
    assert (live_owner(), 2) == (outcome.lease.owner, outcome.lease.fencing_token)
    assert held.lease_token != outcome.lease.lease_token
    assert clock.now_ms() + 1000 == outcome.lease.expires_at_ms
    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(make_commit(held))


def test_claim_never_steals_from_the_dead(store):
    """
    Only a reclaim uses a death proof.
    """
    held = acquire_lease(store, dead_owner())

    assert LeaseBusy(holder=held) == claim(store, live_owner())


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_token": "stale"},
        {"fencing_token": 7},
        {"owner": make_owner("dead", "9")},
    ],
    ids=str,
)
def test_reclaim_needs_the_exact_holder(store, changes):
    """
    A stale observation never takes a lease, though its holder is dead.
    """
    held = acquire_lease(store, dead_owner())

    outcome = store.reclaim_session_execution_lease(
        live_owner(), REPLACE(held.fence(), **changes), 1000
    )

    assert LeaseBusy(holder=held) == outcome


@pytest.mark.parametrize(
    "holder",
    [
        make_owner("opaque"),
        live_owner("alive"),
        relived(host_id="elsewhere"),
        relived(boot_id="another boot"),
        relived(pid_namespace="1"),
    ],
    ids=["opaque", "alive", "host", "boot", "namespace"],
)
def test_any_doubt_means_alive(store, holder):
    """
    A holder that is not provably dead keeps its lease.
    """
    held = acquire_lease(store, holder)

    outcome = store.reclaim_session_execution_lease(live_owner(), held.fence(), 1000)

    assert LeaseBusy(holder=held) == outcome


def test_opaque_claimant_proves_nothing(store):
    """
    Who does not say where it runs cannot prove a death.
    """
    held = acquire_lease(store, dead_owner())

    outcome = store.reclaim_session_execution_lease(A, held.fence(), 1000)

    assert LeaseBusy(holder=held) == outcome


def test_process_that_does_not_exist_is_dead():
    """
    A process id nobody has is a death, as is one with another start time.
    """
    nobody = relived(pid=2**22 + 1, process_start="5")

    assert nobody.is_definitely_dead_for(live_owner())
    assert dead_owner().is_definitely_dead_for(live_owner())
    assert not live_owner().is_definitely_dead_for(live_owner())
    assert not A.is_definitely_dead_for(live_owner())
    assert not dead_owner().is_definitely_dead_for(A)


def test_identity_constructors():
    """
    An identity is opaque, or tells its own process.
    """
    opaque = LeaseOwnerIdentity.opaque("o", "i")
    local = LeaseOwnerIdentity.local_process("o", "i", "host")

    assert ("o", "i", OpaqueLiveness()) == (
        opaque.owner_id,
        opaque.incarnation_id,
        opaque.liveness,
    )
    assert LocalProcessLiveness.current("host") == local.liveness
    assert opaque.same_incarnation(local)
    assert opaque != local
    assert not opaque.same_incarnation(LeaseOwnerIdentity.opaque("o", "j"))
    assert not opaque.same_incarnation(LeaseOwnerIdentity.opaque("p", "i"))


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["nul", "surrogate"])
def test_owner_ids_are_storable_text(store, text):
    """
    An owner that cannot be stored leases nothing.
    """
    for owner in (
        LeaseOwnerIdentity.opaque(text, "i"),
        LeaseOwnerIdentity.opaque("o", text),
    ):
        with pytest.raises(InvalidArgumentError):
            claim(store, owner)

    assert 1 == acquire_lease(store).fencing_token


@pytest.mark.parametrize("how", ["claim", "reclaim"])
def test_one_of_many_wins(backend, how):
    """
    Of owners that compete for a session exactly one gets it.
    """
    store = backend.open_store()
    held = acquire_lease(store, dead_owner()) if how == "reclaim" else None
    outcomes = []
    barrier = threading.Barrier(6)

    def compete(name, own):
        barrier.wait()
        if held is None:
            outcomes.append(claim(own, live_owner(name)))
        else:
            outcomes.append(
                own.reclaim_session_execution_lease(
                    live_owner(name), held.fence(), 1000
                )
            )

    threads = [
        threading.Thread(target=compete, args=(f"o{n}", backend.open_store()))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [outcome for outcome in outcomes if isinstance(outcome, LeaseAcquired)]
    losers = [outcome.holder for outcome in outcomes if isinstance(outcome, LeaseBusy)]
    assert 1 == len(winners)
    assert [winners[0].lease] * 5 == losers
