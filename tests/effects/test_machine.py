"""
Claims on effects against a plain model, by two hosts on one file or
server.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lashstore import (
    EffectEnvelope,
    EffectHost,
    EffectLeaseLostError,
    EffectReplayConflictError,
    EffectReplayMissingError,
    ManualClock,
    ProcessScope,
    QueueDrainScope,
    TurnScope,
)
from lashstore.model.effects import (
    EffectBusy,
    EffectClaim,
    EffectFinished,
    EffectFree,
    prepare_effect,
    scope_key,
    scope_session_id,
)

from .conftest import NOW_MS, File, Postgres, options

TTL_MS = 30
SCOPES = [
    TurnScope(session_id="a", turn_id="x"),
    QueueDrainScope(session_id="a", drain_id="x"),
    TurnScope(session_id="b", turn_id="x"),
    ProcessScope(process_id="x"),
]
SESSIONS = ["a", "a", "b", None]


@dataclass
class Model:
    """
    One effect as it ought to be stored.
    """

    variant: int
    token: str | None
    expires_ms: int
    due_ms: int | None
    outcome: str | None = None
    finished_ms: int | None = None


class EffectMachine(RuleBasedStateMachine):
    """
    Each rule does one step on a host, and the same on the model.
    """

    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock(NOW_MS)
        self.stored = self.place(self.folder, self.clock)
        self.hosts = [self.open_host(), self.open_host()]
        self.model = {}

    place = File

    def open_host(self):
        return EffectHost.open(
            self.stored.address, clock=self.clock, options=options(TTL_MS)
        )

    def effect(self, scope, key, variant):
        is_timer = key == "timer"
        command = {"duration_ms": 40 + variant} if is_timer else {"v": variant}
        envelope = EffectEnvelope(
            kind="sleep" if is_timer else "direct",
            effect_id="e",
            replay_key=key,
            command=command,
        )
        return prepare_effect(
            scope_key(SCOPES[scope]), scope_session_id(SCOPES[scope]), envelope
        )

    keys = st.sampled_from(["one", "two", "timer"])
    scopes = st.integers(0, 3)
    hosts_ = st.integers(0, 1)

    @rule(
        target=claims,
        host=hosts_,
        scope=scopes,
        key=keys,
        variant=st.sampled_from([0, 0, 0, 1]),
    )
    def begin(self, host, scope, key, variant):
        journal = self.hosts[host]._journal
        effect = self.effect(scope, key, variant)
        stored = self.model.get((scope, key))
        now = self.clock.now_ms()
        if stored is not None and stored.variant != variant:
            with pytest.raises(EffectReplayConflictError) as raised:
                journal.look_up(effect)
            member = "duration_ms" if key == "timer" else "v"
            assert (f"/command/{member}",) == raised.value.differing_paths
            return None
        state = journal.look_up(effect)
        if stored is not None and stored.outcome is not None:
            assert isinstance(state, EffectFinished)
            assert stored.outcome == (state.row.outcome_json or state.row.error_json)
            return None
        if stored is not None and stored.token and stored.expires_ms > now:
            assert EffectBusy(token=stored.token) == state
            assert journal.is_busy(effect, state)
            return None
        assert isinstance(state, EffectFree)
        assert (state.stored is None) == (stored is None)
        claim = journal.claim(effect, state)
        assert isinstance(claim, EffectClaim)
        due = None
        if key == "timer":
            due = now + 40 + variant if stored is None else stored.due_ms
        assert due == claim.row.due_at_ms
        self.model[scope, key] = Model(variant, claim.lease.token, now + TTL_MS, due)
        return (scope, key, claim)

    def is_held(self, scope, key, claim):
        stored = self.model.get((scope, key))
        return (
            stored is not None
            and stored.token == claim.lease.token
            and stored.expires_ms > self.clock.now_ms()
        )

    @rule(host=hosts_, held=claims)
    def renew(self, host, held):
        if held is None:
            return
        scope, key, claim = held
        is_held = self.is_held(scope, key, claim)
        assert is_held == self.hosts[host]._journal.renew(claim)
        if is_held:
            stored = self.model[scope, key]
            stored.expires_ms = max(stored.expires_ms, self.clock.now_ms() + TTL_MS)

    @rule(host=hosts_, held=claims, is_failure=st.booleans(), value=st.integers(0, 9))
    def record(self, host, held, is_failure, value):
        if held is None:
            return
        scope, key, claim = held
        journal = self.hosts[host]._journal
        record = journal.record_failure if is_failure else journal.record_outcome
        if not self.is_held(scope, key, claim):
            with pytest.raises(EffectLeaseLostError):
                record(claim, str(value))
            return
        record(claim, str(value))
        stored = self.model[scope, key]
        stored.outcome, stored.finished_ms = str(value), self.clock.now_ms()
        stored.token = None

    @rule(host=hosts_, held=consumes(claims))
    def free(self, host, held):
        if held is None:
            return
        scope, key, claim = held
        self.hosts[host]._journal.free(claim)
        stored = self.model.get((scope, key))
        if stored is not None and stored.token == claim.lease.token:
            if key == "timer":
                stored.token = None
            else:
                del self.model[scope, key]

    @rule(ms=st.sampled_from([1, 10, 29, 30, 31, 100]))
    def advance(self, ms):
        self.clock.advance(ms)

    @rule(host=hosts_)
    def reopen(self, host):
        self.hosts[host].close()
        self.hosts[host] = self.open_host()

    @rule(host=hosts_, ago=st.integers(-1, 60))
    def prune(self, host, ago):
        cutoff = self.clock.now_ms() - ago
        gone = [
            name
            for name, stored in self.model.items()
            if stored.finished_ms is not None and stored.finished_ms < cutoff
        ]
        assert len(gone) == self.hosts[host].prune(cutoff)
        for name in gone:
            del self.model[name]

    @rule(host=hosts_, session=st.sampled_from(["a", "b", "x"]))
    def delete_session(self, host, session):
        gone = [name for name in self.model if SESSIONS[name[0]] == session]
        assert len(gone) == self.hosts[host].delete_session(session)
        for name in gone:
            del self.model[name]

    @rule(scope=scopes, key=keys)
    def replay_strictly(self, scope, key):
        journal = self.hosts[0]._journal
        stored = self.model.get((scope, key))
        effect = self.effect(scope, key, stored.variant if stored else 0)
        journal.is_strict = True
        try:
            if stored is None or stored.outcome is None:
                with pytest.raises(EffectReplayMissingError):
                    journal.look_up(effect)
            else:
                assert isinstance(journal.look_up(effect), EffectFinished)
        finally:
            journal.is_strict = False

    @invariant()
    def the_journal_is_the_model(self):
        rows = self.stored.sql(
            "SELECT scope_id, replay_key, lease_token, lease_expires_at_ms,"
            " coalesce(outcome_json, error_json), finished_at_ms, due_at_ms"
            " FROM effects ORDER BY 1, 2"
        )
        expected = sorted(
            (
                scope_key(SCOPES[scope]),
                key,
                stored.token,
                stored.expires_ms if stored.token else None,
                stored.outcome,
                stored.finished_ms,
                stored.due_ms,
            )
            for (scope, key), stored in self.model.items()
        )
        assert expected == rows

    def teardown(self):
        for host in self.hosts:
            host.close()
        self.stored.close()
        shutil.rmtree(self.folder)


class EffectMachineOnServer(EffectMachine):
    """
    The same on PostgreSQL.
    """

    place = Postgres


TestEffectMachine = EffectMachine.TestCase
TestEffectMachine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TestEffectMachineOnServer = EffectMachineOnServer.TestCase
# A server takes ten times as long for each step.
TestEffectMachineOnServer.settings = settings(
    TestEffectMachine.settings, max_examples=6, stateful_step_count=30
)
