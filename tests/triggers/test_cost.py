"""
What triggers cost with ten thousand subscriptions and occurrences stored.
"""

import sqlite3

import pytest
from effects.meter import metering

from lashstore import (
    ProcessIdentity,
    SessionScope,
    TriggerStore,
    TriggerSubscriptionFilter,
)

from .conftest import NOW_MS, File, draft, emit, request, session

MANY = 10_000


def copy_rows(database, table, key, count, **changed):
    """
    Multiply the one row with *key*: columns named in *changed* become SQL
    expressions of `n`, and the checksums are no longer right.
    """
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(str(changed.get(name, f"old.{name}")) for name in columns)
    first = columns[0]
    database.execute(
        "WITH RECURSIVE numbers(n) AS"
        f" (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
        f" INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {values} FROM numbers, {table} AS old WHERE old.{first} = ?",
        (key,),
    )


def fill(file, count):
    """
    One session has few subscriptions, many sessions have many; all share
    the source type, and nearly all the name.
    """
    with file.open() as store:
        bulk = store.register_subscription(
            draft(
                registrant=session("bulk"),
                source_key="bulk",
                name="common",
                target_identity=ProcessIdentity(kind="lua", definition={"m": 0}),
                wake_target=SessionScope(session_id="bulk"),
            )
        )
        occurrence, _ = emit(store, "bulk", source_key="bulk")
        store.acknowledge_delivery(occurrence.occurrence_id, bulk.subscription_id)
    database = sqlite3.connect(file.path)
    copy_rows(
        database,
        "trigger_subscriptions",
        "subscription:1",
        count,
        subscription_id="'bulk:' || n",
        number="1000000 + n",
        handle="'bulk:' || n",
        registrant_key="'session:bulk-' || (n % 1000)",
        registrant_session_id="'bulk-' || (n % 1000)",
        definition_hash="'bulk-' || (n % 1000)",
        wake_session_id="'bulk-' || (n % 1000)",
    )
    copy_rows(
        database,
        "trigger_occurrences",
        occurrence.occurrence_id,
        count,
        occurrence_id="'bulk:' || n",
        idempotency_key="'bulk:' || n",
        occurred_at_ms=f"{NOW_MS} - 1 - n",
    )
    copy_rows(
        database,
        "trigger_deliveries",
        occurrence.occurrence_id,
        count,
        occurrence_id="'bulk:' || n",
        # Half of them are pending, behind whatever the tests reserve.
        seq="1000000 + n",
        acknowledged_at_ms="CASE WHEN n % 2 THEN 1 END",
    )
    database.commit()
    database.close()


def operations(store):
    """
    Return every operation by name, each about a few rows.
    """
    mine = session("mine")
    identity = ProcessIdentity(kind="lua", definition={"m": 1})

    def record(key):
        return store.record_occurrence(request(key)).occurrence_id

    def listed(**chosen):
        return lambda: store.list_subscriptions(TriggerSubscriptionFilter(**chosen))

    occurrence_ids = {}
    return {
        "register": lambda: store.register_subscription(
            draft(registrant=mine, client_key="k", target_identity=identity)
        ),
        "register again": lambda: store.register_subscription(
            draft(registrant=mine, client_key="k", target_identity=identity)
        ),
        "record": lambda: occurrence_ids.update(k1=record("k1")),
        "record again": lambda: record("k1"),
        "reserve": lambda: store.reserve_matching_deliveries(occurrence_ids["k1"]),
        "reserve again": lambda: store.reserve_matching_deliveries(
            occurrence_ids["k1"]
        ),
        "acknowledge": lambda: store.acknowledge_delivery(
            occurrence_ids["k1"], "subscription:2"
        ),
        "list session": listed(session_id="mine"),
        "list handle": listed(handle="trigger:2"),
        "list key": listed(source_key="blue"),
        "list definition": listed(target={"m": 1}),
        "list several": listed(
            session_id="mine",
            source_type="ui.button.pressed",
            source_key="blue",
            target={"m": 1},
            enabled=True,
        ),
        "list session and type": listed(
            session_id="mine", source_type="ui.button.pressed"
        ),
        "list session and what many share": listed(
            session_id="mine", name="common", source_key="bulk"
        ),
        "list key and type": listed(source_key="blue", source_type="ui.button.pressed"),
        "list type of none": listed(source_type="none"),
        "list name of none": listed(name="none"),
        "cancel": lambda: store.cancel_subscription("mine", "trigger:2"),
        "cancel by id": lambda: store.cancel_subscription_by_id("subscription:2"),
        "delete session": lambda: store.delete_session_subscriptions("mine"),
        "prune none": lambda: store.prune_occurrences(0),
    }


def measured(file, count, *, explain=False):
    fill(file, count)
    found = {}
    with file.open() as store:
        store.list_subscriptions(TriggerSubscriptionFilter(handle="warm"))
        for name, operation in operations(store).items():
            with metering(explain=explain) as meter:
                answer = operation()
            found[name] = (meter, answer)
    return found


def test_cost_does_not_grow_with_what_is_stored(tmp_path, clock):
    """
    Equal statements, and about equal work for SQLite, with ten and 10,000.
    """
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    few = measured(File(tmp_path / "few", clock), 10)
    many = measured(File(tmp_path / "many", clock), MANY)

    assert {
        "register": 4,
        "register again": 1,
        "record": 2,
        "record again": 2,
        "reserve": 4,
        "reserve again": 2,
        "acknowledge": 2,
        "list session": 1,
        "list handle": 1,
        "list key": 1,
        "list definition": 1,
        "list several": 1,
        "list session and type": 1,
        "list session and what many share": 1,
        "list key and type": 1,
        "list type of none": 1,
        "list name of none": 1,
        "cancel": 3,
        "cancel by id": 1,
        "delete session": 2,
        "prune none": 1,
    } == {name: len(meter.statements) for name, (meter, _) in many.items()}
    for name, (meter, _) in many.items():
        assert few[name][0].statements == meter.statements
        assert meter.instructions <= few[name][0].instructions + 300, name
    assert 1 == len(many["list several"][1]) == len(many["reserve"][1])
    assert 1 == many["delete session"][1]


def test_every_statement_is_served_by_an_index(file):
    """
    No plan reads a whole table; lists sort what they found at most.
    """
    for name, (meter, _) in measured(file, 1_000, explain=True).items():
        assert meter.plans, name
        complaints = [
            line
            for text, line in meter.complaints()
            if not (name.startswith("list ") and "ORDER BY" in line)
        ]
        assert [] == complaints, name


def test_a_list_of_everything_is_read_in_order(file):
    """
    Without a restriction there is nothing to sort either.
    """
    store = file.open()
    store.register_subscription(draft())
    with metering(explain=True) as meter:
        store.list_subscriptions()
        store.list_subscriptions(TriggerSubscriptionFilter(enabled=True))
        store.list_subscriptions(TriggerSubscriptionFilter(source_type="t"))
        store.list_subscriptions(TriggerSubscriptionFilter(session_id="s"))

    assert all("TEMP B-TREE" not in line for _, line in meter.complaints())


@pytest.mark.parametrize("count", [3, 300])
def test_many_matches_cost_no_statement_each(file, count):
    """
    Reserving, listing, acknowledging and deleting many is a few statements.
    """
    store = file.open()
    for _ in range(count):
        store.register_subscription(
            draft(registrant=session("s"), wake_target=SessionScope(session_id="w"))
        )
    occurrence = store.record_occurrence(request())

    def statements(operation):
        with metering() as meter:
            answer = operation()
        return len(meter.statements), answer

    reserved = statements(
        lambda: store.reserve_matching_deliveries(occurrence.occurrence_id)
    )
    assert (4, count) == (reserved[0], len(reserved[1]))
    listed = statements(lambda: store.pending_deliveries(count))
    assert (3, count) == (listed[0], len(listed[1]))
    assert (4, 0) == statements(lambda: store.delete_session_subscriptions("w"))
    assert (2, count) == statements(lambda: store.delete_session_subscriptions("s"))


def test_pending_deliveries_read_a_page(tmp_path, clock):
    """
    Of 10,000 pending ones, the page that was asked for.
    """
    found = {}
    for count in (20, 2_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        with TriggerStore.open(folder / "t.db", clock=clock) as store:
            store.register_subscription(draft())
            for number in range(20):
                emit(store, f"k{number}")
            database = sqlite3.connect(folder / "t.db")
            database.execute("DELETE FROM trigger_deliveries WHERE seq > 20")
            (some,) = database.execute(
                "SELECT occurrence_id FROM trigger_deliveries WHERE seq = 20"
            ).fetchone()
            copy_rows(
                database,
                "trigger_occurrences",
                some,
                count,
                occurrence_id="'bulk:' || n",
                idempotency_key="'bulk:' || n",
            )
            copy_rows(
                database,
                "trigger_deliveries",
                some,
                count,
                occurrence_id="'bulk:' || n",
                seq="100 + n",
            )
            database.commit()
            database.close()
            store.pending_deliveries(1)
            with metering() as meter:
                assert 10 == len(store.pending_deliveries(10))
            found[count] = meter
    assert found[20].statements == found[2_000].statements
    assert found[2_000].instructions <= found[20].instructions + 100
