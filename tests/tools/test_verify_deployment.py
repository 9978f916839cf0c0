"""
Every kind of damage to processes, triggers and effects, and exactly what
verifying says.
"""

import pytest

from lashstore import FindingKind, verify
from lashstore.tables import EFFECT_TABLES, PROCESS_TABLES, TRIGGER_TABLES

from .kit import edit, opened, reseal, seen

STATE = (
    "process_id",
    "status",
    "activity",
    "definition_hash",
    "terminal_at_ms",
    "last_sequence",
    "facts_json",
    "await_output_json",
)
DELIVERY = (
    "occurrence_id",
    "subscription_id",
    "seq",
    "process_id",
    "payload_error",
    "reserved_at_ms",
    "acknowledged_at_ms",
    "start_error",
)
EFFECT = (
    "scope_id",
    "replay_key",
    "session_id",
    "envelope_json",
    "status",
    "outcome_json",
    "error_json",
    "due_at_ms",
    "created_at_ms",
    "finished_at_ms",
)
TURN = '["turn","chat","1"]'
NOW = 1_700_000_000_000


def test_a_healthy_deployment_has_no_findings(deployment):
    """
    Nothing is found, and every row was looked at.
    """
    report = verify(deployment)

    assert report.findings == ()
    covered = {"process_registrations", "process_wake_targets"}
    with opened(deployment) as connection:
        for table in (*PROCESS_TABLES, *TRIGGER_TABLES, *EFFECT_TABLES):
            (count,) = connection.execute(
                f"SELECT count(*) FROM {table.name}"
            ).fetchone()
            assert count >= 1
            # Two are read with their process.
            assert table.name in covered or report.rows[table.name] == count


CELLS = [
    ("processes", "process_id = 'p1'", "facts_json = '{ }'", "p1"),
    ("process_registrations", "process_id = 'p1'", "input_json = '{ }'", "p1"),
    ("process_registrations", "process_id = 'p2'", "created_at_ms = 1", "p2"),
    ("process_wake_targets", "process_id = 'p1'", "session_id = 'x'", "p1"),
    (
        "process_events",
        "process_id = 'p1' AND sequence = 2",
        "payload_json = '1'",
        "p1/2",
    ),
    (
        "process_events",
        "process_id = 'p2' AND sequence = 2",
        "payload_json = '1'",
        "p2/2",
    ),
    ("process_wakes", "1", "created_at_ms = 1", "p1/5"),
    ("process_handle_grants", "1", "descriptor_json = '{ }'", "root//p1"),
    ("process_leases", "1", "fencing_token = 7", "p1"),
    ("trigger_subscriptions", "number = 1", "body_json = '{ }'", "subscription:1"),
    ("effects", "replay_key = 'good'", "outcome_json = '43'", f"{TURN}/good"),
]


@pytest.mark.parametrize(("table", "where", "change", "key"), CELLS)
def test_a_changed_cell_is_one_finding(deployment, table, where, change, key):
    """
    A row that fails its checksum is named, and its neighbours are not blamed.
    """
    edit(deployment, f"UPDATE {table} SET {change} WHERE {where}")
    # What is stored beside the process is read with it.
    beside = {"process_registrations", "process_wake_targets"}

    assert seen(deployment) == [
        ("row_damaged", "processes" if table in beside else table, key)
    ]


@pytest.mark.parametrize("table", ["trigger_occurrences", "trigger_deliveries"])
def test_changed_trigger_rows(deployment, table):
    """
    Rows with derived keys.
    """
    edit(deployment, f"UPDATE {table} SET checksum = 1 WHERE rowid = 1")

    assert [entry[:2] for entry in seen(deployment)] == [("row_damaged", table)]


def test_logs_with_holes(deployment):
    """
    An event that vanished from the middle or from the end of a log.
    """
    edit(
        deployment,
        "DELETE FROM process_events WHERE process_id = 'p1' AND sequence = 3",
    )
    assert seen(deployment) == [("sequence_broken", "process_events", "p1/4")]

    edit(
        deployment,
        "DELETE FROM process_events WHERE process_id = 'p2' AND sequence = 2",
    )
    assert seen(deployment) == [
        ("sequence_broken", "process_events", "p1/4"),
        ("count_wrong", "processes", "p2"),
    ]


def test_a_state_that_its_events_contradict(deployment):
    """
    A process that runs though it has ended, and one with another end.
    """
    reseal(
        deployment,
        "processes",
        "process_id = 'p2'",
        {
            "status": "running",
            "activity": "idle",
            "terminal_at_ms": None,
            "await_output_json": None,
        },
        STATE,
        offset=-NOW,
    )
    assert seen(deployment) == [("state_wrong", "processes", "p2")]


def test_an_activity_that_its_facts_contradict(deployment):
    """
    Listings go by a column that says something else than the facts.
    """
    reseal(
        deployment,
        "processes",
        "process_id = 'p1'",
        {"activity": "waiting"},
        STATE,
        offset=-NOW,
    )
    assert seen(deployment) == [("row_inconsistent", "processes", "p1")]


def test_a_process_that_vanished(deployment):
    """
    Its log, its wake, its grant and its lease are left, each named once.
    """
    edit(deployment, "DELETE FROM processes WHERE process_id = 'p1'")

    assert seen(deployment) == [
        ("reference_missing", "process_events", "p1"),
        ("reference_missing", "process_handle_grants", "root//p1"),
        ("reference_missing", "process_leases", "p1"),
        ("foreign_key", "process_registrations", "p1"),
        ("foreign_key", "process_wake_targets", "p1"),
    ]


def test_a_process_without_registration(deployment):
    """
    It cannot be read at all.
    """
    edit(deployment, "DELETE FROM process_registrations WHERE process_id = 'p1'")

    assert seen(deployment) == [("row_damaged", "processes", "p1")]


def test_wakes_and_their_events(deployment):
    """
    A wake whose event wakes nobody, and one that says something else.
    """
    reseal(
        deployment,
        "process_wakes",
        "1",
        {"sequence": 1},
        ("process_id", "sequence", "created_at_ms", "delivery_json"),
    )
    assert seen(deployment) == [("reference_missing", "process_wakes", "p1/1")]

    reseal(
        deployment,
        "process_wakes",
        "1",
        {"sequence": 5},
        ("process_id", "sequence", "created_at_ms", "delivery_json"),
    )
    assert seen(deployment) == []

    with opened(deployment) as connection:
        (delivery,) = connection.execute(
            "SELECT delivery_json FROM process_wakes"
        ).fetchone()
    reseal(
        deployment,
        "process_wakes",
        "1",
        {"delivery_json": delivery.replace('"input":"up"', '"input":"down"')},
        ("process_id", "sequence", "created_at_ms", "delivery_json"),
    )
    assert seen(deployment) == [("row_inconsistent", "process_wakes", "p1/5")]


def test_two_ends(deployment):
    """
    A log that ends its process twice.
    """
    with opened(deployment) as connection:
        row = connection.execute(
            "SELECT * FROM process_events WHERE process_id = 'p2' AND sequence = 2"
        ).fetchone()
        connection.execute(
            "INSERT INTO process_events VALUES (?, 3, ?, 'again', ?, ?, 0, ?)",
            (
                row["process_id"],
                row["event_type"],
                row["occurred_at_ms"],
                row["semantics_json"],
                row["payload_json"],
            ),
        )
    content = (
        "process_id",
        "sequence",
        "event_type",
        "replay_key",
        "occurred_at_ms",
        "semantics_json",
        "payload_json",
    )
    reseal(
        deployment, "process_events", "sequence = 3 AND process_id = 'p2'", {}, content
    )
    reseal(
        deployment,
        "processes",
        "process_id = 'p2'",
        {"last_sequence": 3},
        STATE,
        offset=-NOW,
    )

    assert seen(deployment) == [("state_wrong", "process_events", "p2/3")]


def test_subscription_numbers(deployment):
    """
    A counter behind a number in use, which would be given again.
    """
    edit(deployment, "UPDATE trigger_counters SET last_number = 1")

    (finding,) = verify(deployment).findings

    assert (finding.kind, finding.table, finding.key) == (
        "counter_behind",
        "trigger_counters",
        "subscription",
    )
    assert finding.is_repairable


def test_a_subscription_under_another_handle(deployment):
    """
    Ids and handles are made of the number.
    """
    columns = (
        "subscription_id number handle registrant_key registrant_session_id source_type"
        " source_key name client_key definition_hash wake_session_id"
        " wake_agent_frame_id is_enabled created_at_ms updated_at_ms body_json"
    ).split()
    reseal(
        deployment,
        "trigger_subscriptions",
        "number = 1",
        {"handle": "trigger:7"},
        columns,
    )

    assert seen(deployment) == [
        ("row_inconsistent", "trigger_subscriptions", "subscription:1")
    ]


def test_deliveries(deployment):
    """
    A process id that is not derived, a place taken twice, an occurrence that
    vanished and one under another id.
    """
    reseal(deployment, "trigger_deliveries", "rowid = 1", {"process_id": "p"}, DELIVERY)
    assert [entry[:2] for entry in seen(deployment)] == [
        ("row_inconsistent", "trigger_deliveries")
    ]

    reseal(deployment, "trigger_deliveries", "rowid = 2", {"seq": 1}, DELIVERY)
    assert sorted(entry[:2] for entry in seen(deployment)) == [
        ("row_inconsistent", "trigger_deliveries"),
        ("sequence_broken", "trigger_deliveries"),
    ]


def test_an_occurrence_that_vanished(deployment):
    """
    Each of its deliveries says so, once.
    """
    edit(deployment, "DELETE FROM trigger_occurrences WHERE idempotency_key = 'k1'")

    assert [entry[:2] for entry in seen(deployment)] == [
        ("reference_missing", "trigger_deliveries"),
        ("reference_missing", "trigger_deliveries"),
    ]


def test_an_occurrence_under_another_key(deployment):
    """
    Its id is derived from its source and key.
    """
    reseal(
        deployment,
        "trigger_occurrences",
        "idempotency_key = 'k1'",
        {"idempotency_key": "k3"},
        (
            "occurrence_id",
            "source_type",
            "source_key",
            "idempotency_key",
            "occurred_at_ms",
            "payload_json",
            "source_json",
        ),
    )

    assert [entry[:2] for entry in seen(deployment)] == [
        ("row_inconsistent", "trigger_occurrences")
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"session_id": "other"},
        {"replay_key": "other"},
        {"outcome_json": "{"},
        {"scope_id": "[]"},
        {"scope_id": '["turn","chat"]'},
    ],
)
def test_effects(deployment, changed):
    """
    Effects whose checksums are right, and whose columns contradict each
    other.
    """
    reseal(deployment, "effects", "replay_key = 'good'", changed, EFFECT)

    assert [entry[:2] for entry in seen(deployment)] == [
        ("row_inconsistent", "effects")
    ]


def test_constraints(deployment):
    """
    An effect that is finished and still leased: a constraint, no checksum,
    forbids it.
    """
    edit(
        deployment,
        "UPDATE effects SET lease_token = 'x', lease_owner_id = 'x',"
        " lease_expires_at_ms = 1 WHERE replay_key = 'bad'",
    )

    assert seen(deployment) == [("row_inconsistent", "effects", f"{TURN}/bad")]


def test_a_foreign_key(deployment):
    """
    A wake target without its process is named by its key.
    """
    edit(deployment, "INSERT INTO process_wake_targets VALUES ('ghost', 's', NULL, 0)")

    assert seen(deployment) == [("foreign_key", "process_wake_targets", "ghost")]


def test_every_kind_has_a_test():
    """
    The tests of this folder name every kind of finding.
    """
    from pathlib import Path

    told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))

    assert [kind for kind in FindingKind if f'"{kind}"' not in told] == []
