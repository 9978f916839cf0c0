"""
Every cell of every row, changed with plain SQL: an error or the same answer,
and never another one.
"""

import contextlib
import shutil
import sqlite3

import pytest

from lashstore import (
    CorruptRecordError,
    LashStoreError,
    ManualClock,
    ProcessListFilter,
    ProcessRegistry,
    ProcessStatusFilter,
    SessionOriginator,
    SuccessOutput,
    tables,
)
from lashstore import ProcessHandleDescriptor as Descriptor
from lashstore import ProcessIdentity as Identity
from lashstore import ProcessProvenance as Provenance

from .kit import FRAME, NOW_MS, QUICK, ROOT, event, owner, registration
from .test_completion import WAIT
from .test_facts import REF, STARTED

TABLES = [table.name for table in tables.PROCESS_TABLES]

# A row that no longer answers to the key it is looked up by has vanished for
# that look-up; no local check can see that.
KEYS = {
    "processes": {"process_id", "status", "activity", "definition_hash"},
    "process_registrations": {"process_id"},
    "process_wake_targets": {"process_id", "session_id"},
    "process_events": {"process_id", "sequence", "event_type", "replay_key"},
    "process_wakes": {"process_id", "sequence", "delivery_json", "created_at_ms"},
    "process_handle_grants": {"session_id", "agent_frame_id", "process_id"},
    "process_leases": {"process_id"},
}


def opened(path):
    """
    Open a file at the time of these tests.
    """
    return ProcessRegistry.open(path, options=QUICK, clock=ManualClock(NOW_MS))


@pytest.fixture(name="sound", scope="module")
def _sound(tmp_path_factory):
    """
    Return a file with rows in every table.
    """
    path = tmp_path_factory.mktemp("damage") / "sound.db"
    with opened(path) as registry:
        registry.register_process(
            registration(
                "p",
                wake_target=FRAME,
                identity=Identity(kind="k", definition={"a": 1}),
                provenance=Provenance(originator=SessionOriginator(scope=ROOT)),
            )
        )
        registry.set_external_ref("p", REF)
        registry.record_first_started("p", STARTED)
        registry.set_process_wait("p", WAIT)
        registry.append_event("p", event("producer.line", {"n": 1}, "k"))
        registry.append_event("p", event("producer.wake", {"wake_input": "a"}, "w"))
        registry.grant_handle(ROOT, "p", Descriptor(kind="k", label="l"))
        registry.claim_process_lease("p", owner(), 1_000)
        registry.register_process(registration("q"))
        registry.complete_process("q", SuccessOutput(value={"x": 1}))
    return path


READS = {
    "p": lambda r: r.get_process("p"),
    "q": lambda r: r.get_process("q"),
    "any": lambda r: r.list_processes(
        ProcessListFilter(status=ProcessStatusFilter.ANY)
    ),
    "waiting": lambda r: r.list_processes(ProcessListFilter(waiting=True)),
    "by definition": lambda r: r.list_processes(ProcessListFilter(definition={"a": 1})),
    "events": lambda r: r.events_after("p", 0),
    "recent": lambda r: r.recent_events("p", 1),
    "wakes": lambda r: r.wake_events_after("p", 0),
    "deliveries": lambda r: r.pending_wake_deliveries(),
    "replay": lambda r: r.append_event(
        "p", event("producer.wake", {"wake_input": "a"}, "w")
    ),
    "grants": lambda r: r.list_handle_grants(ROOT),
    "grants of p": lambda r: r.handle_grants_for_process("p"),
    "has grant": lambda r: r.has_handle_grant(ROOT, "p"),
    "lease": lambda r: r.get_process_lease("p"),
    "end": lambda r: r.await_terminal("q", timeout_s=0),
}


def read_all(path):
    """
    Return every answer, errors of ours included.
    """
    answers = {}
    with opened(path) as registry:
        for name, read in READS.items():
            try:
                answers[name] = read(registry)
            except (LashStoreError, TimeoutError) as error:
                answers[name] = error
    return answers


def changes(value, kind):
    """
    Return other values of the cell's type: one bit off, and far off.
    """
    if value is None:
        return [1] if kind == "INTEGER" else ["x"]
    if isinstance(value, int):
        return [value ^ 1, 2**62, 0] if value else [1, 2**62]
    middle = len(value) // 2
    return [
        value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :]
        if value
        else "x",
        "",
        None,
    ]


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_cell_is_never_another_answer(sound, tmp_path, table):
    """
    What may vanish is named above; nothing else may change unseen.
    """
    expected = read_all(sound)
    wrong, copy = [], tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(sound)) as database:
        columns = [
            (name, kind)
            for _, name, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        ]
        rows = database.execute(f"SELECT rowid, * FROM {table}").fetchall()
    assert rows
    for rowid, *cells in rows:
        for (column, kind), cell in zip(columns, cells, strict=True):
            for value in changes(cell, kind):
                shutil.copy(sound, copy)
                if not _put(copy, table, column, rowid, value):
                    continue
                wrong += [
                    (column, value, name, answer)
                    for name, answer in read_all(copy).items()
                    if answer != expected[name]
                    and not isinstance(answer, CorruptRecordError)
                    and column not in KEYS[table]
                ]

    assert [] == wrong


def _put(path, table, column, rowid, value):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        try:
            with database:
                database.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, rowid)
                )
        except sqlite3.IntegrityError:
            # NOT NULL, UNIQUE or STRICT: SQLite sees to that itself.
            return False
    return True


def test_a_damaged_process_is_no_missing_one(sound, tmp_path):
    """
    Reading, writing, waiting and pruning all say that it is damaged.
    """
    copy = tmp_path / "copy.db"
    shutil.copy(sound, copy)
    with contextlib.closing(sqlite3.connect(copy)) as database, database:
        database.execute("UPDATE processes SET facts_json = '{}', last_sequence = 9")
        database.execute(
            "UPDATE processes SET terminal_at_ms = 1 WHERE terminal_at_ms IS NOT NULL"
        )
    with opened(copy) as registry:
        for use in (
            lambda: registry.get_process("p"),
            lambda: registry.list_processes(),
            lambda: registry.append_event("p", event()),
            lambda: registry.complete_process("p", SuccessOutput(value=1)),
            lambda: registry.claim_process_lease("p", owner(), 1),
            lambda: registry.await_terminal("p", timeout_s=0),
            lambda: registry.delete_session_process_state("root"),
            lambda: registry.prune_terminal_processes(NOW_MS),
        ):
            with pytest.raises(CorruptRecordError):
                use()
        assert 2 == len(registry.events_after("p", 0))
