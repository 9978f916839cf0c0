"""
Subscriptions, occurrences and deliveries against a plain model, by two
stores on one file or server.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from postgres_server import server

from lashstore import (
    ManualClock,
    OccurrenceConflictError,
    SessionScope,
    TriggerError,
    TriggerStore,
    TriggerSubscriptionFilter,
    UnknownOccurrenceError,
)

from .conftest import HOST, NOW_MS, QUICK, draft, pairs, request, session

SCHEMA = {"properties": {"times": {"maximum": 1}}}


class TriggerMachine(RuleBasedStateMachine):
    """
    The model: subscriptions by number, occurrences by key, deliveries in the
    order they were reserved.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock(NOW_MS)
        self.stores = [self.open_store(), self.open_store()]
        self.number = 0
        self.subscriptions = {}
        self.occurrences = {}
        # (occurrence key, number) -> is it acknowledged?
        self.deliveries = {}

    on_server = False

    def open_store(self):
        address = server().url() if self.on_server else self.folder / "t.db"
        return TriggerStore.open(address, clock=self.clock, options=QUICK)

    which = st.integers(0, 1)
    sources = st.sampled_from(["blue", "red"])
    owners = st.sampled_from([None, "a", "b"])
    keys = st.sampled_from(["k1", "k2", "k3"])

    @rule(
        which=which,
        owner=owners,
        source=sources,
        client_key=st.sampled_from([None, None, "c"]),
        has_schema=st.booleans(),
        wakes=owners,
    )
    def register(self, which, owner, source, client_key, has_schema, wakes):
        stored = self.stores[which].register_subscription(
            draft(
                registrant=HOST if owner is None else session(owner),
                source_key=source,
                client_key=client_key,
                payload_schema=SCHEMA if has_schema else {},
                wake_target=wakes and SessionScope(session_id=wakes),
            )
        )
        known = [
            number
            for number, one in self.subscriptions.items()
            if client_key and (one["owner"], one["key"]) == (owner, client_key)
        ]
        if known:
            assert f"trigger:{known[0]}" == stored.handle
            return
        self.number += 1
        assert f"trigger:{self.number}" == stored.handle
        self.subscriptions[self.number] = {
            "owner": owner,
            "source": source,
            "key": client_key,
            "schema": has_schema,
            "wakes": wakes,
            "enabled": True,
            "created": self.clock.now_ms(),
        }

    @rule(which=which, number=st.integers(1, 8), by=owners)
    def cancel(self, which, number, by):
        if by is None:
            was = self.stores[which].cancel_subscription_by_id(f"subscription:{number}")
        else:
            was = self.stores[which].cancel_subscription(by, f"trigger:{number}")
        one = self.subscriptions.get(number)
        expected = (
            one is not None and one["enabled"] and (by is None or one["owner"] == by)
        )
        assert expected == was
        if was:
            one["enabled"] = False

    @rule(which=which, owner=st.sampled_from(["a", "b"]))
    def delete_session(self, which, owner):
        gone = [n for n, one in self.subscriptions.items() if one["owner"] == owner]
        assert len(gone) == self.stores[which].delete_session_subscriptions(owner)
        for number in gone:
            del self.subscriptions[number]
        for one in self.subscriptions.values():
            if one["wakes"] == owner:
                one["wakes"] = None
        self.deliveries = {
            pair: done for pair, done in self.deliveries.items() if pair[1] not in gone
        }

    @rule(which=which, key=keys, source=sources, times=st.integers(1, 2))
    def record(self, which, key, source, times):
        asked = request(key, source_key=source, payload={"times": times})
        known = self.occurrences.get((source, key))
        if known is not None and known["times"] != times:
            with pytest.raises(OccurrenceConflictError):
                self.stores[which].record_occurrence(asked)
            return
        stored = self.stores[which].record_occurrence(asked)
        if known is None:
            known = {
                "times": times,
                "at": self.clock.now_ms(),
                "id": stored.occurrence_id,
            }
            self.occurrences[source, key] = known
        assert (known["id"], known["at"]) == (
            stored.occurrence_id,
            stored.occurred_at_ms,
        )

    @rule(which=which, key=keys, source=sources)
    def reserve(self, which, key, source):
        known = self.occurrences.get((source, key))
        if known is None:
            with pytest.raises(UnknownOccurrenceError):
                self.stores[which].reserve_matching_deliveries(f"{source} {key}")
            return
        reserved = self.stores[which].reserve_matching_deliveries(known["id"])
        expected = [
            number
            for number, one in sorted(
                self.subscriptions.items(),
                key=lambda item: (item[1]["owner"] or "", item[0]),
            )
            if one["source"] == source
            and one["enabled"]
            and one["created"] <= known["at"]
            and ((source, key), number) not in self.deliveries
        ]
        assert [(key, f"trigger:{n}") for n in expected] == pairs(reserved)
        for each, number in zip(reserved, expected, strict=True):
            is_broken = self.subscriptions[number]["schema"] and known["times"] > 1
            assert is_broken == (each.payload_error is not None)
            self.deliveries[(source, key), number] = False

    @rule(
        which=which,
        key=keys,
        source=sources,
        number=st.integers(1, 8),
        error=st.sampled_from([None, "no"]),
    )
    def acknowledge(self, which, key, source, number, error):
        known = self.occurrences.get((source, key))
        occurrence_id = known["id"] if known else "unknown"
        pair = ((source, key), number)
        if pair not in self.deliveries:
            with pytest.raises(TriggerError):
                self.stores[which].acknowledge_delivery(
                    occurrence_id, f"subscription:{number}", error=error
                )
            return
        self.stores[which].acknowledge_delivery(
            occurrence_id, f"subscription:{number}", error=error
        )
        self.deliveries[pair] = True

    @rule(which=which, ago=st.integers(-1, 20))
    def prune(self, which, ago):
        cutoff = self.clock.now_ms() - ago
        pending = {name for (name, _), done in self.deliveries.items() if not done}
        gone = [
            name
            for name, one in self.occurrences.items()
            if one["at"] < cutoff and name not in pending
        ]
        assert len(gone) == self.stores[which].prune_occurrences(cutoff)
        for name in gone:
            del self.occurrences[name]
        self.deliveries = {
            pair: done for pair, done in self.deliveries.items() if pair[0] not in gone
        }

    @rule(ms=st.sampled_from([0, 1, 10]))
    def advance(self, ms):
        self.clock.advance(ms)

    @rule(which=which)
    def reopen(self, which):
        self.stores[which].close()
        self.stores[which] = self.open_store()

    @invariant()
    def what_is_pending_is_what_was_not_acknowledged(self):
        expected = [
            (name, number)
            for (name, number), done in self.deliveries.items()
            if not done
        ]
        found = [
            (
                (each.occurrence.source_key, each.occurrence.idempotency_key),
                int(each.subscription.handle.removeprefix("trigger:")),
            )
            for each in self.stores[0].pending_deliveries(1_000)
        ]
        assert expected == found

    @invariant()
    def the_subscriptions_are_the_models(self):
        for owner in (None, "a", "b"):
            chosen = TriggerSubscriptionFilter(session_id=owner)
            found = [
                (
                    int(each.handle.removeprefix("trigger:")),
                    each.enabled,
                    each.wake_target and each.wake_target.session_id,
                )
                for each in self.stores[1].list_subscriptions(chosen)
            ]
            assert sorted(found) == sorted(
                (number, one["enabled"], one["wakes"])
                for number, one in self.subscriptions.items()
                if owner in (None, one["owner"])
            )

    def teardown(self):
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)
        if self.on_server:
            server().clear()


class TriggerMachineOnServer(TriggerMachine):
    """
    The same on PostgreSQL.
    """

    on_server = True


TestTriggerMachine = TriggerMachine.TestCase
TestTriggerMachine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TestTriggerMachineOnServer = TriggerMachineOnServer.TestCase
# A server takes ten times as long for each step.
TestTriggerMachineOnServer.settings = settings(
    TestTriggerMachine.settings, max_examples=6, stateful_step_count=30
)
