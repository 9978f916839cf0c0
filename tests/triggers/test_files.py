"""
Trigger stores on a file: sharing, damage, and killed processes.
"""

import logging
import subprocess
import sys
import threading

import pytest

from lashstore import (
    BackendError,
    CorruptRecordError,
    EffectHost,
    InvalidArgumentError,
    NotALashStoreError,
    SchemaVersionError,
    SessionScope,
    Store,
    StoreBusyError,
    StoreOptions,
    TriggerStore,
)

from .conftest import draft, emit, pairs, request, session


def test_components_share_a_file(file):
    """
    In any order, and none minds the others.
    """
    with (
        EffectHost.open(file.path),
        Store.open(file.path, "chat"),
        file.open() as store,
    ):
        store.register_subscription(draft())
    with Store.open(file.path, "chat"), file.open() as store:
        assert 1 == len(emit(store)[1])
    assert ["effect", "session", "trigger"] == [
        name for (name,) in file.sql("SELECT component FROM schema_versions ORDER BY 1")
    ]


def test_other_files_are_refused(file):
    """
    By name, and left as they are.
    """
    file.path.write_bytes(b"something else" * 99)
    with pytest.raises(NotALashStoreError):
        file.open()
    with pytest.raises(InvalidArgumentError):
        TriggerStore.open("mysql://host/db")
    file.path.unlink()
    file.open().close()
    file.sql("UPDATE schema_versions SET version = '0'")
    with pytest.raises(SchemaVersionError):
        file.open()


def test_a_removed_or_locked_file_is_a_typed_error(file):
    """
    BackendError and StoreBusyError; nothing is made anew.
    """
    import sqlite3

    options = StoreOptions(busy_timeout_ms=20)
    with TriggerStore.open(file.path, options=options) as store:
        blocker = sqlite3.connect(file.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            store.register_subscription(draft())
        blocker.close()
        file.path.unlink()
        with pytest.raises(BackendError):
            store.pending_deliveries()
        assert not file.path.exists()


SUBSCRIPTION_DAMAGE = [
    "body_json = 'no json'",
    "body_json = replace(body_json, 'go()', 'no()')",
    "updated_at_ms = updated_at_ms + 1",
    "created_at_ms = created_at_ms - 1",
    "wake_session_id = 'else'",
    "client_key = 'k'",
    "checksum = checksum + 1",
    "definition_hash = 'x'",
    "number = 77",
]


@pytest.mark.parametrize("damage", SUBSCRIPTION_DAMAGE)
def test_a_damaged_subscription_does_not_stop_the_others(shared, caplog, damage):
    """
    It is logged, left out of matching and of what is pending, and a list of
    it is an error. Cancelled, it is tried no more.
    """
    check_that_damage_stops_no_other(shared, caplog, damage)


@pytest.mark.parametrize(
    "damage", ["body_json = CAST(x'7bff7d' AS TEXT)", "name = CAST(x'ff' AS TEXT)"]
)
def test_a_subscription_that_is_no_text_does_not_stop_the_others(file, caplog, damage):
    """
    The same for bytes that only SQLite stores as text.
    """
    check_that_damage_stops_no_other(file, caplog, damage)


def check_that_damage_stops_no_other(shared, caplog, damage):
    store = shared.open()
    for _ in range(3):
        store.register_subscription(draft())
    emit(store, "before")
    shared.sql(f"UPDATE trigger_subscriptions SET {damage} WHERE handle = 'trigger:2'")

    with caplog.at_level(logging.ERROR):
        _, reserved = emit(store, "after")
        pending = store.pending_deliveries(4)
        assert pending[:3] == store.pending_deliveries(3)

    assert [("after", "trigger:1"), ("after", "trigger:3")] == pairs(reserved)
    assert [
        ("before", "trigger:1"),
        ("before", "trigger:3"),
        ("after", "trigger:1"),
        ("after", "trigger:3"),
    ] == pairs(pending)
    assert "trigger subscription" in caplog.text
    assert "damaged" in caplog.text
    with pytest.raises((CorruptRecordError, BackendError)):
        store.list_subscriptions()
    with pytest.raises(CorruptRecordError):
        store.cancel_subscription_by_id("subscription:2")
    caplog.clear()
    assert 2 == len(emit(store, "cancelled")[1])
    assert "" == caplog.text


def test_a_flipped_enabled_flag_is_damage(shared, caplog):
    """
    A cancelled subscription cannot come back by a bit.
    """
    store = shared.open()
    store.register_subscription(draft())
    store.cancel_subscription_by_id("subscription:1")
    shared.sql("UPDATE trigger_subscriptions SET is_enabled = 1")

    assert () == emit(store)[1]
    assert "damaged" in caplog.text
    with pytest.raises(CorruptRecordError):
        store.list_subscriptions()


def test_a_damaged_subscription_goes_with_its_session(shared, caplog):
    """
    Deleting a session needs nothing of it to be readable.
    """
    store = shared.open()
    wake = SessionScope(session_id="s")
    store.register_subscription(draft(registrant=session("s"), wake_target=wake))
    store.register_subscription(draft(wake_target=wake))
    store.register_subscription(draft(wake_target=wake))
    shared.sql("UPDATE trigger_subscriptions SET checksum = 1 WHERE number < 3")

    assert 1 == store.delete_session_subscriptions("s")

    assert "subscription:2" in caplog.text
    assert [(None,), ("s",)] == sorted(
        shared.sql("SELECT wake_session_id FROM trigger_subscriptions"),
        key=lambda row: row[0] or "",
    )


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("trigger_occurrences", "payload_json = '7'"),
        ("trigger_occurrences", "source_json = '7'"),
        ("trigger_occurrences", "occurred_at_ms = 7"),
        ("trigger_occurrences", "checksum = 7"),
        ("trigger_deliveries", "process_id = 'other'"),
        ("trigger_deliveries", "payload_error = 'other'"),
        ("trigger_deliveries", "reserved_at_ms = 7"),
        ("trigger_deliveries", "seq = 7"),
        ("trigger_deliveries", "checksum = 7"),
    ],
)
def test_other_damage_is_an_error(shared, table, damage):
    """
    Never another answer.
    """
    store = shared.open()
    store.register_subscription(draft())
    occurrence, _ = emit(store)
    shared.sql(f"UPDATE {table} SET {damage}")

    with pytest.raises(CorruptRecordError):
        store.pending_deliveries()
    if table == "trigger_occurrences":
        with pytest.raises(CorruptRecordError):
            store.record_occurrence(request())
        with pytest.raises(CorruptRecordError):
            store.reserve_matching_deliveries(occurrence.occurrence_id)
    else:
        with pytest.raises(CorruptRecordError):
            store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")


def test_an_unacknowledged_delivery_cannot_be_forgotten_by_a_bit(shared):
    """
    The acknowledgement is checked like everything else.
    """
    store = shared.open()
    store.register_subscription(draft())
    occurrence, _ = emit(store)
    store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")
    shared.sql("UPDATE trigger_deliveries SET acknowledged_at_ms = NULL")

    with pytest.raises(CorruptRecordError):
        store.pending_deliveries()


def test_many_stores_reserve_each_pair_once(shared):
    """
    Eight threads on two handles: every pair is handed out exactly once.
    """
    stores = [shared.open(), shared.open()]
    for _ in range(5):
        stores[0].register_subscription(draft())
    barrier, reserved = threading.Barrier(8), []

    def work(number):
        barrier.wait(10)
        for key in range(10):
            reserved.extend(pairs(emit(stores[number % 2], f"k{key}")[1]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(reserved) == sorted(
        (f"k{key}", f"trigger:{n}") for key in range(10) for n in range(1, 6)
    )
    assert sorted(reserved) == sorted(pairs(stores[0].pending_deliveries(1_000)))


def test_one_client_key_registers_once_from_many_threads(shared):
    """
    A race of equal registrations has one winner.
    """
    stores = [shared.open(), shared.open()]
    barrier, found = threading.Barrier(6), []

    def work(number):
        barrier.wait(10)
        found.append(stores[number % 2].register_subscription(draft(client_key="k")))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert 6 == len(found)
    assert 1 == len({record.handle for record in found})


def test_a_host_killed_between_reserving_and_starting_loses_nothing(shared):
    """
    The next host finds the deliveries and starts the same processes.
    """
    store = shared.open()
    store.register_subscription(draft())
    code = """
import os, signal, sys
from lashstore import TriggerStore, TriggerOccurrenceRequest
store = TriggerStore.open(sys.argv[1])
for key in ("k1", "k2"):
    occurrence = store.record_occurrence(TriggerOccurrenceRequest(
        source_type="ui.button.pressed", source_key="blue", idempotency_key=key))
    (delivery,) = store.reserve_matching_deliveries(occurrence.occurrence_id)
    print(delivery.process_id, flush=True)
    if key == "k1":
        store.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")
os.kill(os.getpid(), signal.SIGKILL)
"""
    # The subscription must not be younger than what a real clock stamps.
    killed = subprocess.run(
        [sys.executable, "-c", code, str(shared.address)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )

    assert -9 == killed.returncode
    (pending,) = store.pending_deliveries()
    assert "k2" == pending.occurrence.idempotency_key
    assert killed.stdout.split()[1] == pending.process_id


def test_delivery_without_its_occurrence_is_corrupt(file):
    """
    An occurrence that vanished from under its delivery is an error of ours.
    """
    store = file.open()
    store.register_subscription(draft())
    emit(store)
    file.sql("PRAGMA foreign_keys = OFF")
    file.sql("DELETE FROM trigger_occurrences")

    with pytest.raises(CorruptRecordError) as caught:
        store.pending_deliveries()

    assert "trigger occurrence" == caught.value.record_kind
