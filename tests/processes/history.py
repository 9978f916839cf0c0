"""
Registries with little history and with much, written past the library: ten
thousand registrations through it would take longer than all tests.
"""

import contextlib
import hashlib
import sqlite3

from lashstore import ManualClock, ProcessRegistry, codec

from .kit import LINE, NOW_MS, QUICK, ROOT, event, registration
from .test_completion import WAIT

LITTLE, MUCH = 30, 10_000
EVENTS_EACH = 5
# One process has half of all events.
HOT = "hot"


def build(path, count):
    """
    Make a file of so many processes and ten times as many events.
    """
    with ProcessRegistry.open(path, options=QUICK, clock=ManualClock(NOW_MS)) as seed:
        seed.register_process(registration(HOT, wake_target=ROOT))
        seed.register_process(registration("model", event_types=(LINE,)))
        seed.append_event("model", event("producer.line", {"n": 1}))
    with contextlib.closing(sqlite3.connect(path)) as database:
        _fill(database, count)
        database.commit()
    with ProcessRegistry.open(path, options=QUICK, clock=ManualClock(NOW_MS)) as found:
        _check(found, count)


def open_file(path):
    """
    Open a copy of such a file, a while later.
    """
    return ProcessRegistry.open(path, options=QUICK, clock=ManualClock(NOW_MS + 10**6))


def _rows(database, table, process_id):
    cursor = database.execute(
        f"SELECT * FROM {table} WHERE process_id = ?", (process_id,)
    )
    names = [column for column, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _insert(database, table, rows):
    first, *_ = rows
    marks = ", ".join(f":{name}" for name in first)
    database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _fill(database, count):
    (fixed,) = _rows(database, "process_registrations", "model")
    states, registrations, targets, grants = [], [], [], []
    wait_json = codec.encode_record(WAIT, "a wait")
    for n in range(count):
        process_id = f"old-{n:06d}"
        # Every tenth still runs, every other of those waits.
        is_running, is_waiting = n % 10 == 0, n % 20 == 0
        flow = "busy" if n % 2 else "lazy"
        definition = hashlib.sha256(f'"{flow}"'.encode()).hexdigest()
        state = {
            "status": "running" if is_running else "completed",
            "activity": ("waiting" if is_waiting else "idle")
            if is_running
            else "ended",
            "definition_hash": definition,
            "terminal_at_ms": None if is_running else NOW_MS + 1_000 + n,
            "last_sequence": EVENTS_EACH,
            "facts_json": f'{{"wait":{wait_json}}}' if is_waiting else "{}",
            "await_output_json": None
            if is_running
            else '{"control":null,"type":"success","value":1}',
        }
        checksum = codec.row_checksum("processes", process_id, *state.values())
        states.append(
            {
                "process_id": process_id,
                "status": state["status"],
                "activity": state["activity"],
                "definition_hash": definition,
                "updated_at_ms": NOW_MS,
                "terminal_at_ms": state["terminal_at_ms"],
                "last_sequence": EVENTS_EACH,
                "facts_json": state["facts_json"],
                "await_output_json": state["await_output_json"],
                "checksum": checksum - NOW_MS,
            }
        )
        identity_json = f'{{"definition":"{flow}","kind":"external","label":null}}'
        registrations.append(
            fixed
            | {
                "process_id": process_id,
                "identity_json": identity_json,
                "checksum": codec.row_checksum(
                    "process_registrations",
                    process_id,
                    fixed["registration_hash"],
                    fixed["disposition"],
                    identity_json,
                    fixed["provenance_json"],
                    fixed["env_ref"],
                    fixed["created_at_ms"],
                    fixed["event_types_json"],
                ),
                "input_checksum": codec.row_checksum(
                    "process_registrations.input", process_id, fixed["input_json"]
                ),
            }
        )
        session_id = f"session-{n % 50}"
        targets.append(
            {
                "process_id": process_id,
                "session_id": session_id,
                "agent_frame_id": None,
                "checksum": codec.row_checksum(
                    "process_wake_targets", process_id, session_id, None
                ),
            }
        )
        descriptor = '{"kind":null,"label":null}'
        grants.append(
            {
                "session_id": session_id,
                "agent_frame_id": "",
                "process_id": process_id,
                "descriptor_json": descriptor,
                "checksum": codec.row_checksum(
                    "process_handle_grants", session_id, "", process_id, descriptor
                ),
            }
        )
    _insert(database, "processes", states)
    _insert(database, "process_registrations", registrations)
    _insert(database, "process_wake_targets", targets)
    _insert(database, "process_handle_grants", grants)
    _fill_events(database, count)


def _fill_events(database, count):
    def row(process_id, sequence):
        # One in ten has a key.
        content = {
            "event_type": LINE.name,
            "replay_key": f"k{sequence}" if sequence % 10 == 1 else None,
            "occurred_at_ms": NOW_MS,
            "semantics_json": None,
            "payload_json": f'{{"n":{sequence}}}',
        }
        checksum = codec.row_checksum(
            "process_events", process_id, sequence, *content.values()
        )
        payload_json = content.pop("payload_json")
        return {
            "process_id": process_id,
            "sequence": sequence,
            **content,
            "checksum": checksum,
            "payload_json": payload_json,
        }

    _insert(
        database,
        "process_events",
        [
            row(f"old-{n:06d}", sequence)
            for n in range(count)
            for sequence in range(1, EVENTS_EACH + 1)
        ]
        + [row(HOT, sequence) for sequence in range(1, count * EVENTS_EACH + 1)],
    )
    (state,) = _rows(database, "processes", HOT)
    state["last_sequence"] = count * EVENTS_EACH
    content = [
        state[name]
        for name in (
            "status",
            "activity",
            "definition_hash",
            "terminal_at_ms",
            "last_sequence",
            "facts_json",
            "await_output_json",
        )
    ]
    database.execute(
        "UPDATE processes SET last_sequence = ?, checksum = ? WHERE process_id = ?",
        (
            state["last_sequence"],
            codec.row_checksum("processes", HOT, *content) - state["updated_at_ms"],
            HOT,
        ),
    )


def _check(registry, count):
    # What was written past the library reads as if it had written it.
    assert count // 10 + 2 == len(registry.list_non_terminal())
    assert [count * EVENTS_EACH] == [
        each.sequence for each in registry.recent_events(HOT, 1)
    ]
    assert EVENTS_EACH == len(registry.events_after("old-000001", 0))
    assert registry.get_process("old-000001").is_terminal
