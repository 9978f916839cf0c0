"""
Occurrences, and their deliveries to subscriptions.
"""

import math

import pytest

from lashstore import (
    DurabilityTier,
    InvalidArgumentError,
    OccurrenceConflictError,
    StoreClosedError,
    TriggerDeliveryReservation,
    TriggerError,
    TriggerOccurrenceRecord,
    TriggerStore,
    UnknownOccurrenceError,
    delivery_process_id,
    source_key_for_subscription,
)
from lashstore.codec import from_json, to_json

from .conftest import NOW_MS, draft, emit, pairs, request, session


def test_an_occurrence_is_recorded_once(backend, store, clock):
    """
    A replay returns the stored one with its first time.
    """
    asked = request(payload={"a": [1, None]}, source={"b": 2})
    first = store.record_occurrence(asked)
    clock.advance(9)
    store = backend.reopen(store)

    assert first == store.record_occurrence(asked)
    assert first == store.record_occurrence(
        request(payload={"a": (1, None)}, source={"b": 2})
    )
    assert (NOW_MS, {"a": [1, None]}, {"b": 2}) == (
        first.occurred_at_ms,
        first.payload,
        first.source,
    )
    assert first == from_json(TriggerOccurrenceRecord, to_json(first))


def test_ids_are_those_of_the_catalogue(store):
    """
    Occurrence and process ids are functions of names alone.
    """
    source_key = source_key_for_subscription("ui.button.pressed", {})
    store.register_subscription(draft(source_key=source_key))
    occurrence, (delivery,) = emit(store, "button-blue-1", source_key=source_key)

    assert (
        "trigger:6afdfa6994a29e10641199b3c53f3e9cf8668f0d65da23c95c8ba454769ad4f3"
        == occurrence.occurrence_id
    )
    assert (
        "process:trigger:"
        "e4f30cc8f0d340e3058a22af55b1f4b8ae5ebbe7f490c99bd99b1af3200995de"
        == delivery.process_id
        == delivery_process_id(occurrence.occurrence_id, "subscription:1")
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"payload": {"times": 2}},
        {"payload": {"times": 1.0}},
        {"payload": {"times": True}},
        {"payload": None},
        {"source": {}},
    ],
)
def test_a_used_idempotency_key_with_other_content_is_a_conflict(store, changed):
    """
    1, 1.0 and true are three payloads.
    """
    store.record_occurrence(request())

    with pytest.raises(OccurrenceConflictError) as raised:
        store.record_occurrence(request(**changed))

    assert "k1" == raised.value.idempotency_key


def test_idempotency_keys_are_each_sources_own(store):
    """
    Another source type or key may use the same one.
    """
    ids = {
        store.record_occurrence(asked).occurrence_id
        for asked in (
            request(),
            request(source_type="other", payload=1),
            request(source_key="other", payload=2),
            request("k2", payload=3),
        )
    }

    assert 4 == len(ids)


def test_no_source_is_null_and_not_an_empty_one(store):
    """
    Absent and null are the same.
    """
    first = store.record_occurrence(request(source=None))
    assert first == store.record_occurrence(request())
    assert first.source is None

    store.record_occurrence(request("k2", source={}))
    with pytest.raises(OccurrenceConflictError):
        store.record_occurrence(request("k2"))


@pytest.mark.parametrize(
    "changed",
    [
        {"source_type": " "},
        {"source_key": ""},
        {"idempotency_key": "\t"},
        {"idempotency_key": "a\0b"},
        {"payload": math.nan},
        {"payload": {1: 2}},
        {"payload": "\ud800"},
        {"source": object()},
    ],
)
def test_a_request_that_cannot_be_stored_is_refused(store, changed):
    """
    Before anything is written.
    """
    with pytest.raises(InvalidArgumentError):
        store.record_occurrence(request(**changed))


def test_matching_is_by_type_key_time_and_state(store, clock):
    """
    From the millisecond of the registration on, while enabled.
    """
    old = store.record_occurrence(request("before"))
    clock.advance(1)
    matching = store.register_subscription(draft(registrant=session("z")))
    store.register_subscription(draft(source_type="other"))
    store.register_subscription(draft(source_key="other"))
    cancelled = store.register_subscription(draft())
    store.cancel_subscription_by_id(cancelled.subscription_id)
    hosts = store.register_subscription(draft())

    _, same_time = emit(store, "same millisecond")
    clock.advance(1)
    _, later = emit(store, "later")

    assert () == store.reserve_matching_deliveries(old.occurrence_id)
    assert [hosts.handle, matching.handle] == [h for _, h in pairs(same_time)]
    assert [hosts.handle, matching.handle] == [h for _, h in pairs(later)]


def test_a_pair_is_reserved_once(backend, store, clock):
    """
    A second call reserves nothing, also after a restart and acknowledgement;
    a subscription made later meets no earlier occurrence.
    """
    store.register_subscription(draft())
    occurrence, (delivery,) = emit(store)
    clock.advance(1)
    store.register_subscription(draft())
    store = backend.reopen(store)

    assert () == store.reserve_matching_deliveries(occurrence.occurrence_id)
    assert (delivery,) == store.pending_deliveries()
    store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")
    assert () == store.reserve_matching_deliveries(occurrence.occurrence_id)
    assert delivery == from_json(TriggerDeliveryReservation, to_json(delivery))


def test_a_subscription_of_the_same_millisecond_is_met_by_a_later_call(store):
    """
    Each call reserves what is new to it.
    """
    store.register_subscription(draft())
    occurrence, first = emit(store)
    store.register_subscription(draft())

    second = store.reserve_matching_deliveries(occurrence.occurrence_id)

    assert [("k1", "trigger:1")] == pairs(first)
    assert [("k1", "trigger:2")] == pairs(second)


def test_what_was_reserved_stays_pending_until_acknowledged(backend, store, clock):
    """
    Oldest first, on a frozen clock too; failed starts are done with as well.
    """
    store.register_subscription(draft(registrant=session("b")))
    store.register_subscription(draft(registrant=session("a")))
    first, _ = emit(store, "z")
    second, _ = emit(store, "a")
    store = backend.reopen(store)

    expected = [
        ("z", "trigger:2"),
        ("z", "trigger:1"),
        ("a", "trigger:2"),
        ("a", "trigger:1"),
    ]
    assert expected == pairs(store.pending_deliveries())
    assert expected[:3] == pairs(store.pending_deliveries(3))
    assert () == store.pending_deliveries(0)
    store.acknowledge_delivery(first.occurrence_id, "subscription:2")
    store.acknowledge_delivery(
        second.occurrence_id, "subscription:1", error="registry busy"
    )
    store = backend.reopen(store)
    assert expected[1:3] == pairs(store.pending_deliveries())
    # The order does not start again when nothing is pending.
    store.acknowledge_delivery(first.occurrence_id, "subscription:1")
    store.acknowledge_delivery(second.occurrence_id, "subscription:2")
    emit(store, "m")
    emit(store, "b")
    assert ["m", "m", "b", "b"] == [k for k, _ in pairs(store.pending_deliveries())]


def test_the_first_acknowledgement_stands(shared):
    """
    Acknowledging again changes nothing.
    """
    store = shared.open()
    store.register_subscription(draft())
    occurrence, _ = emit(store)
    store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1", error="no")
    shared.clock.advance(5)
    store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")

    assert [("no", NOW_MS)] == shared.sql(
        "SELECT start_error, acknowledged_at_ms FROM trigger_deliveries"
    )


def test_a_payload_that_breaks_the_schema_is_reported_and_not_lost(backend, store):
    """
    Reserved with the JSON path of the mistake, and pending like any other.
    """
    schema = {"properties": {"times": {"type": "string"}}}
    store.register_subscription(draft(payload_schema=schema))
    store.register_subscription(draft(payload_schema={"type": "object"}))
    occurrence, (broken, fine) = emit(store)
    store = backend.reopen(store)

    assert broken.payload_error.startswith("$.times:")
    assert fine.payload_error is None
    assert (broken, fine) == store.pending_deliveries()
    assert () == store.reserve_matching_deliveries(occurrence.occurrence_id)


def test_cancelling_does_not_recall_what_was_reserved(store):
    """
    It stays pending, with the subscription as it is now.
    """
    store.register_subscription(draft())
    emit(store)
    store.cancel_subscription_by_id("subscription:1")

    (pending,) = store.pending_deliveries()

    assert pending.subscription.enabled is False


def test_unknown_things_are_errors(store):
    """
    Occurrences by their own error, pairs that never met by another.
    """
    store.register_subscription(draft())
    occurrence = store.record_occurrence(request())

    for call in (
        lambda: store.reserve_matching_deliveries("trigger:none"),
        lambda: store.acknowledge_delivery("trigger:none", "subscription:1"),
    ):
        with pytest.raises(UnknownOccurrenceError) as raised:
            call()
        assert "trigger:none" == raised.value.occurrence_id
    for subscription_id in ("subscription:1", "subscription:9"):
        with pytest.raises(TriggerError, match="reserve it first"):
            store.acknowledge_delivery(occurrence.occurrence_id, subscription_id)


def test_pruning_takes_old_occurrences_with_nothing_pending(backend, store, clock):
    """
    Strictly older; acknowledged deliveries go along, pending ones keep theirs.
    """
    store.register_subscription(draft())
    done, _ = emit(store, "done")
    store.acknowledge_delivery(done.occurrence_id, "subscription:1")
    emit(store, "pending")
    store.record_occurrence(request("unmatched", source_key="other"))
    clock.advance(10)
    newer, _ = emit(store, "newer")
    store.acknowledge_delivery(newer.occurrence_id, "subscription:1")

    assert 0 == store.prune_occurrences(NOW_MS)
    assert 2 == store.prune_occurrences(NOW_MS + 10)
    assert 0 == store.prune_occurrences(NOW_MS + 10)
    store = backend.reopen(store)
    assert [("pending", "trigger:1")] == pairs(store.pending_deliveries())
    with pytest.raises(UnknownOccurrenceError):
        store.reserve_matching_deliveries(done.occurrence_id)
    assert 1 == store.prune_occurrences(2**64)
    # Recorded again, it is new.
    again, (delivery,) = emit(store, "done")
    assert done.occurrence_id == again.occurrence_id
    assert NOW_MS + 10 == again.occurred_at_ms
    assert delivery_process_id(done.occurrence_id, "subscription:1") == (
        delivery.process_id
    )


def test_arguments_are_checked_first(store):
    """
    Wrong types and ranges.
    """
    for call in (
        lambda: store.record_occurrence({"x": 1}),
        lambda: store.reserve_matching_deliveries(None),
        lambda: store.reserve_matching_deliveries("a\0"),
        lambda: store.pending_deliveries(-1),
        lambda: store.pending_deliveries(1.5),
        lambda: store.acknowledge_delivery("a", 7),
        lambda: store.acknowledge_delivery("a", "b", error=7),
        lambda: store.prune_occurrences(-1),
        lambda: delivery_process_id("a\0", "b"),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def test_a_closed_store_refuses_everything(store):
    """
    Closing twice is fine; every use after it is a StoreClosedError.
    """
    store.close()
    store.close()

    for call in (
        lambda: store.register_subscription(draft()),
        store.list_subscriptions,
        lambda: store.cancel_subscription("s", "trigger:1"),
        lambda: store.cancel_subscription_by_id("x"),
        lambda: store.delete_session_subscriptions("s"),
        lambda: store.record_occurrence(request()),
        lambda: store.reserve_matching_deliveries("x"),
        store.pending_deliveries,
        lambda: store.acknowledge_delivery("a", "b"),
        lambda: store.prune_occurrences(0),
    ):
        with pytest.raises(StoreClosedError):
            call()


def test_tiers(shared):
    """
    A file is durable, memory is inline.
    """
    with TriggerStore.memory() as store:
        assert DurabilityTier.INLINE == store.durability_tier
    assert DurabilityTier.DURABLE == shared.open().durability_tier
