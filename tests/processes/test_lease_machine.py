"""
Leases against a plain model: whatever happens, one holder, growing fences.
"""

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lashstore import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    ProcessLeaseCompletion,
    ProcessLeaseExpiredError,
    ProcessTerminalError,
    SuccessOutput,
)

from .kit import event, owner, registration
from .machine import CAMPAIGN, SHORT, SHORT_ON_SERVER, RegistryMachine

ALIVE = LocalProcessLiveness.current("host")
DEAD = msgspec.structs.replace(ALIVE, process_start="0")
OWNERS = {
    "a1": owner("a", "1"),
    "a2": owner("a", "2"),
    "b1": owner("b", "1"),
    "alive": LeaseOwnerIdentity(owner_id="l", incarnation_id="1", liveness=ALIVE),
    "dead": LeaseOwnerIdentity(owner_id="d", incarnation_id="1", liveness=DEAD),
}
owners = st.sampled_from(sorted(OWNERS))
ttls = st.sampled_from([0, 1, 50, 1_000, 60_000])
PROCESSES = ("p", "q")
processes = st.sampled_from(PROCESSES)


class LeaseMachine(RegistryMachine):
    """
    The model: for each process its last fence, and who holds it until when.
    """

    leases = Bundle("leases")

    def __init__(self):
        super().__init__()
        self.fences = dict.fromkeys(PROCESSES, 0)
        # Process id to (owner's name, token, claimed at, expires at).
        self.held = {}
        self.ended = set()
        self.logged = dict.fromkeys(PROCESSES, 0)
        self.tokens = set()
        for process_id in PROCESSES:
            self.registry.register_process(registration(process_id))

    def live(self, process_id):
        """
        Return the hold that is not over, if any.
        """
        hold = self.held.get(process_id)
        return hold if hold is not None and hold[3] > self.now_ms else None

    def proves(self, lease):
        """
        Tell whether a lease, as it was given out, still holds.
        """
        hold = self.live(lease.process_id)
        return hold is not None and hold[1] == lease.lease_token

    def taken(self, process_id, name, ttl_ms, lease):
        """
        Note that a lease was newly given.
        """
        self.fences[process_id] += 1
        assert self.fences[process_id] == lease.fencing_token
        assert lease.lease_token not in self.tokens
        self.tokens.add(lease.lease_token)
        assert (OWNERS[name], self.now_ms, self.now_ms + ttl_ms) == (
            lease.owner,
            lease.claimed_at_ms,
            lease.expires_at_ms,
        )
        self.held[process_id] = (
            name,
            lease.lease_token,
            lease.claimed_at_ms,
            lease.expires_at_ms,
        )

    def is_refused(self, process_id, call):
        """
        Tell whether the process has ended, and check that it then refuses.
        """
        if process_id not in self.ended:
            return False
        with pytest.raises(ProcessTerminalError):
            call()
        return True

    @rule(target=leases, process_id=processes, name=owners, ttl_ms=ttls)
    def claim(self, process_id, name, ttl_ms):
        """
        Free: taken. Held by the same: extended. Else: busy.
        """

        def call():
            return self.registry.claim_process_lease(process_id, OWNERS[name], ttl_ms)

        if self.is_refused(process_id, call):
            return multiple()
        outcome, hold = call(), self.live(process_id)
        if hold is None:
            assert isinstance(outcome, LeaseAcquired)
            self.taken(process_id, name, ttl_ms, outcome.lease)
            return outcome.lease
        if hold[0] == name:
            assert isinstance(outcome, LeaseAcquired)
            expires = max(hold[3], self.now_ms + ttl_ms)
            self.held[process_id] = (*hold[:3], expires)
            assert (hold[1], self.fences[process_id], hold[2], expires) == (
                outcome.lease.lease_token,
                outcome.lease.fencing_token,
                outcome.lease.claimed_at_ms,
                outcome.lease.expires_at_ms,
            )
            return outcome.lease
        assert isinstance(outcome, LeaseBusy)
        assert hold[1] == outcome.holder.lease_token
        return outcome.holder

    @rule(target=leases, observed=leases, name=owners, ttl_ms=ttls)
    def reclaim(self, observed, name, ttl_ms):
        """
        Live: only from the very one observed, and only if it is dead.
        """
        process_id = observed.process_id

        def call():
            return self.registry.reclaim_process_lease(
                process_id, OWNERS[name], observed, ttl_ms
            )

        if self.is_refused(process_id, call):
            return multiple()
        outcome, hold = call(), self.live(process_id)
        can_see_death = name in ("alive", "dead")
        if hold is None or (
            hold[0] == "dead" and can_see_death and hold[1] == observed.lease_token
        ):
            assert isinstance(outcome, LeaseAcquired)
            self.taken(process_id, name, ttl_ms, outcome.lease)
            return outcome.lease
        assert isinstance(outcome, LeaseBusy)
        return outcome.holder

    @rule(lease=leases, ttl_ms=ttls)
    def renew(self, lease, ttl_ms):
        """
        Only while it holds, and never to an earlier end.
        """
        if not self.proves(lease):
            with pytest.raises(ProcessLeaseExpiredError):
                self.registry.renew_process_lease(lease, ttl_ms)
            return
        hold = self.held[lease.process_id]
        expires = max(hold[3], self.now_ms + ttl_ms)
        renewed = self.registry.renew_process_lease(lease, ttl_ms)
        assert expires == renewed.expires_at_ms
        self.held[lease.process_id] = (*hold[:3], expires)

    @rule(lease=consumes(leases))
    def release(self, lease):
        """
        Frees its own hold, and never a newer one.
        """
        self.registry.complete_process_lease(
            ProcessLeaseCompletion(
                process_id=lease.process_id, lease_token=lease.lease_token
            )
        )
        hold = self.held.get(lease.process_id)
        if hold is not None and hold[1] == lease.lease_token:
            del self.held[lease.process_id]

    @rule(lease=leases)
    def write_under(self, lease):
        """
        A fence lets exactly the holder write.
        """
        process_id = lease.process_id
        if self.proves(lease):
            self.registry.append_event(process_id, event(), fence=lease)
            self.logged[process_id] += 1
        else:
            with pytest.raises(ProcessLeaseExpiredError):
                self.registry.append_event(process_id, event(), fence=lease)

    @precondition(lambda self: len(self.tokens) > 10)
    @rule(process_id=processes)
    def end(self, process_id):
        """
        Ending leaves the lease to its holder, but gives no new one.
        """
        if process_id not in self.ended:
            self.registry.complete_process(process_id, SuccessOutput(value=1))
            self.ended.add(process_id)
            self.logged[process_id] += 1

    @invariant()
    def stored_is_held(self):
        """
        What is stored is what the model holds.
        """
        for process_id in PROCESSES:
            lease = self.registry.get_process_lease(process_id)
            hold = self.held.get(process_id)
            assert (lease is None) == (hold is None)
            if lease is not None:
                assert (
                    OWNERS[hold[0]],
                    hold[1],
                    self.fences[process_id],
                    hold[2],
                    hold[3],
                ) == (
                    lease.owner,
                    lease.lease_token,
                    lease.fencing_token,
                    lease.claimed_at_ms,
                    lease.expires_at_ms,
                )
            assert self.logged[process_id] == len(
                self.registry.events_after(process_id, 0)
            )


class LeaseMachineOnServer(LeaseMachine):
    """
    The same on PostgreSQL.
    """

    on_server = True


def test_leases_are_as_the_model():
    """
    A short run; the campaign below goes on for long.
    """
    run_state_machine_as_test(LeaseMachine, settings=SHORT)


def test_leases_on_a_server():
    """
    The same there.
    """
    run_state_machine_as_test(LeaseMachineOnServer, settings=SHORT_ON_SERVER)


@pytest.mark.campaign
def test_leases_are_as_the_model_for_long():
    """
    A thousand long lives.
    """
    run_state_machine_as_test(LeaseMachine, settings=CAMPAIGN)
