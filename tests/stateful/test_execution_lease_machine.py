"""
The execution lease against a model of one row.
"""

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lashstore import (
    InvalidArgumentError,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    QueuedWorkBoundary,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    SessionExecutionLeaseFence,
)

from .kit import (
    CAMPAIGN,
    OWNER_NAMES,
    SESSION,
    StoreMachine,
    completion_of,
    proves_dead,
    short,
    ttls,
)

owner_names = st.sampled_from(OWNER_NAMES)


class LeaseMachine(StoreMachine):
    """
    Model: `fencing` only grows; `held` is (owner, token, claimed, expires).
    """

    fences = Bundle("fences")

    def __init__(self):
        super().__init__()
        self.fencing = 0
        self.held = None
        self.revision = 0

    def is_live(self):
        return self.held is not None and self.held["expires"] > self.now

    def proves(self, fence):
        """Tell whether a fence is exactly the stored lease, whatever the time."""
        return (
            self.held is not None
            and fence.session_id == SESSION
            and fence.fencing_token == self.fencing
            and fence.lease_token == self.held["token"]
            and fence.owner.owner_id == self.owners[self.held["owner"]].owner_id
            and fence.owner.incarnation_id
            == self.owners[self.held["owner"]].incarnation_id
        )

    def expect_lease(self, lease):
        held = self.held
        assert lease.session_id == SESSION
        assert lease.owner == self.owners[held["owner"]]
        assert lease.lease_token == held["token"]
        assert lease.fencing_token == self.fencing
        assert lease.claimed_at_ms == held["claimed"]
        assert lease.expires_at_ms == held["expires"]

    def expect_new(self, outcome, owner, ttl_ms):
        assert isinstance(outcome, LeaseAcquired)
        self.fencing += 1
        self.held = {
            "owner": owner,
            "token": self.fresh(outcome.lease.lease_token),
            "claimed": self.now,
            "expires": self.now + ttl_ms,
        }
        self.expect_lease(outcome.lease)
        return outcome.lease.fence()

    def expect_busy(self, outcome):
        assert isinstance(outcome, LeaseBusy)
        self.expect_lease(outcome.holder)
        return multiple()

    @rule(target=fences, owner=owner_names, ttl_ms=ttls)
    def claim(self, owner, ttl_ms):
        """Claim: free or expired is taken, re-entry extends, else busy."""
        outcome = self.store.try_claim_session_execution_lease(
            self.owners[owner], ttl_ms
        )
        if not self.is_live():
            return self.expect_new(outcome, owner, ttl_ms)
        if self.held["owner"] != owner:
            return self.expect_busy(outcome)
        self.held["expires"] = max(self.held["expires"], self.now + ttl_ms)
        assert isinstance(outcome, LeaseAcquired)
        self.expect_lease(outcome.lease)
        return outcome.lease.fence()

    @rule(target=fences, owner=owner_names, observed=fences, ttl_ms=ttls)
    def reclaim(self, owner, observed, ttl_ms):
        """Reclaim: a live lease goes only on proof of its holder's death."""
        outcome = self.store.reclaim_session_execution_lease(
            self.owners[owner], observed, ttl_ms
        )
        if not self.is_live():
            return self.expect_new(outcome, owner, ttl_ms)
        if self.proves(observed) and proves_dead(self.held["owner"], owner):
            return self.expect_new(outcome, owner, ttl_ms)
        return self.expect_busy(outcome)

    @rule(fence=fences, ttl_ms=ttls)
    def renew(self, fence, ttl_ms):
        """Renew: live and exact, and never shorter than before."""
        if not (self.proves(fence) and self.is_live()):
            with pytest.raises(SessionExecutionLeaseExpiredError):
                self.store.renew_session_execution_lease(fence, ttl_ms)
            return
        renewed = self.store.renew_session_execution_lease(fence, ttl_ms)
        self.held["expires"] = max(self.held["expires"], self.now + ttl_ms)
        self.expect_lease(renewed)

    @rule(fence=fences)
    def release(self, fence):
        """Release: frees exactly the lease it names, or nothing."""
        self.store.release_session_execution_lease(completion_of(fence))
        if self.proves(fence):
            self.held = None

    @rule(fence=fences, releases=st.booleans(), released=fences)
    def commit(self, fence, releases, released):
        """Commit: only under a live exact fence; may release in passing."""
        facts = {
            "release_session_execution_lease": completion_of(released)
            if releases
            else None
        }
        if not (self.proves(fence) and self.is_live()):
            with pytest.raises(SessionExecutionLeaseExpiredError):
                self.plain_commit(fence, **facts)
            return
        result = self.plain_commit(fence, **facts)
        self.revision += 1
        assert result.head_revision == self.revision
        if releases and self.proves(released):
            self.held = None

    @rule(fence=fences)
    def use(self, fence):
        """Claim work: a stale fence is refused before the queue is looked at."""

        def claim():
            return self.store.claim_ready_queued_work(
                fence, fence.owner, QueuedWorkBoundary.IDLE, 1_000, 1
            )

        if self.proves(fence) and self.is_live():
            assert claim() is None
        else:
            with pytest.raises(SessionExecutionLeaseExpiredError):
                claim()

    @rule(fence=fences)
    def other_session(self, fence):
        """A fence or completion of another session never works here."""
        foreign = SessionExecutionLeaseFence(
            session_id="another",
            owner=fence.owner,
            lease_token=fence.lease_token,
            fencing_token=fence.fencing_token,
        )
        with pytest.raises(SessionExecutionLeaseExpiredError):
            self.store.renew_session_execution_lease(foreign, 1_000)
        with pytest.raises(SessionBindingMismatchError):
            self.store.release_session_execution_lease(completion_of(foreign))

    @rule(fence=fences)
    def forged(self, fence):
        """A proof with one member wrong proves nothing and frees nothing."""
        other = LeaseOwnerIdentity.opaque(fence.owner.owner_id, "another")
        for wrong in (
            msgspec.structs.replace(fence, lease_token="forged"),
            msgspec.structs.replace(fence, fencing_token=fence.fencing_token + 9),
            msgspec.structs.replace(fence, owner=other),
        ):
            with pytest.raises(SessionExecutionLeaseExpiredError):
                self.store.renew_session_execution_lease(wrong, 60_000)
            with pytest.raises(SessionExecutionLeaseExpiredError):
                self.plain_commit(wrong)
            self.store.release_session_execution_lease(completion_of(wrong))

    @rule(owner=owner_names, ttl_ms=st.sampled_from([-1, 2**63, 2**70]))
    def impossible_ttl(self, owner, ttl_ms):
        """A ttl outside the counters changes nothing."""
        with pytest.raises(InvalidArgumentError):
            self.store.try_claim_session_execution_lease(self.owners[owner], ttl_ms)

    @rule()
    @precondition(lambda self: self.held is None)
    def commit_without_fence(self):
        """No fence, no commit."""
        with pytest.raises(SessionExecutionLeaseExpiredError):
            self.plain_commit(None)

    @invariant()
    def head_counts_commits(self):
        """Refused commits leave no trace in the head."""
        head = self.store.load_session_head_meta()
        assert (0 if head is None else head.head_revision) == self.revision


class MemoryLeaseMachine(LeaseMachine):
    """The same, in memory."""

    durable = False


class ServerLeaseMachine(LeaseMachine):
    """The same, on a server."""

    on_server = True


@pytest.mark.parametrize(
    "machine", [LeaseMachine, MemoryLeaseMachine, ServerLeaseMachine]
)
def test_lease_follows_its_model(machine):
    """
    Any program of claims, reclaims, renewals and releases goes as the model.
    """
    run_state_machine_as_test(machine, settings=short(machine))


@pytest.mark.campaign
@pytest.mark.parametrize(
    "machine", [LeaseMachine, MemoryLeaseMachine, ServerLeaseMachine]
)
def test_lease_follows_its_model_for_long(machine):
    """
    The same with many more programs.
    """
    run_state_machine_as_test(machine, settings=CAMPAIGN)
