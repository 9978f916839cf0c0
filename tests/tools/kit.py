"""
Files with content in every table, and ways to damage them.
"""

import contextlib
import sqlite3

from damage import rich
from processes import kit as processes

from lashstore import (
    EffectEnvelope,
    EffectFailure,
    EffectHost,
    EffectReplayOptions,
    EngineInput,
    HostOriginator,
    ManualClock,
    ProcessHandleDescriptor,
    ProcessIdentity,
    ProcessRegistry,
    SessionOriginator,
    SessionScope,
    SuccessOutput,
    TriggerOccurrenceRequest,
    TriggerStore,
    TriggerSubscriptionDraft,
    TurnScope,
    verify,
)
from lashstore.codec import row_checksum

SESSION = rich.SESSION
NOW_MS = processes.NOW_MS
QUICK = processes.QUICK


def build_deployment(path):
    """
    Make a file with processes, triggers and effects in every state.
    """
    clock = ManualClock(NOW_MS)
    with ProcessRegistry.open(path, clock=clock, options=QUICK) as registry:
        registry.register_process(
            processes.registration("p1", wake_target=processes.FRAME)
        )
        registry.register_process(processes.registration("p2"))
        registry.grant_handle(processes.ROOT, "p1", ProcessHandleDescriptor())
        registry.claim_process_lease("p1", processes.owner(), 10**6)
        for n in range(4):
            registry.append_event("p1", processes.event("producer.line", {"n": n}))
        registry.append_event(
            "p1", processes.event("producer.wake", {"wake_input": "up"})
        )
        registry.append_event("p2", processes.event("producer.plain", "x"))
        registry.complete_process("p2", SuccessOutput(value={"ok": True}))
    with TriggerStore.open(path, clock=clock, options=QUICK) as triggers:
        for name, registrant in (
            ("host", HostOriginator()),
            ("session", SessionOriginator(scope=SessionScope(session_id="chat"))),
        ):
            triggers.register_subscription(
                TriggerSubscriptionDraft(
                    registrant=registrant,
                    env_ref="process-env:sha256:1",
                    source_type="button",
                    source_key="blue",
                    name=name,
                    target=EngineInput(kind="lua", payload={"code": "go()"}),
                    target_identity=ProcessIdentity(kind="lua", label="Go"),
                )
            )
        for key in ("k1", "k2"):
            occurrence = triggers.record_occurrence(
                TriggerOccurrenceRequest(
                    source_type="button",
                    source_key="blue",
                    payload={"times": 1},
                    idempotency_key=key,
                )
            )
            triggers.reserve_matching_deliveries(occurrence.occurrence_id)
    options = EffectReplayOptions(store=QUICK)
    with contextlib.closing(
        EffectHost.open(path, clock=clock, options=options)
    ) as host:
        scope = host.scoped(TurnScope(session_id="chat", turn_id="1"))
        scope.execute_effect(_envelope("good"), lambda _: {"answer": 42})
        with contextlib.suppress(EffectFailure):
            scope.execute_effect(_envelope("bad"), _fail)


def _envelope(key):
    return EffectEnvelope(kind="tool", effect_id=key, replay_key=key)


def _fail(*_):
    raise EffectFailure("no", "it failed")


@contextlib.contextmanager
def opened(path):
    """
    Open a file behind lashstore's back, with every guard off.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA foreign_keys = OFF")
        yield connection
    finally:
        connection.close()


def edit(path, statement, *values):
    """
    Change rows; at least one must be reached.
    """
    with opened(path) as connection:
        assert connection.execute(statement, values).rowcount >= 1


def reseal(path, table, where, changed, content, *, offset=0):
    """
    Change a row and give it the checksum that its new content has.

    Args:
        content: The columns that the checksum covers, after the table's name
            and, if any, the session id.
    """
    with opened(path) as connection:
        row = dict(
            connection.execute(f"SELECT * FROM {table} WHERE {where}").fetchone()
        )
        row |= changed
        row["checksum"] = row_checksum(table, *(row[name] for name in content)) + offset
        names = [*changed, "checksum"]
        connection.execute(
            f"UPDATE {table} SET {', '.join(f'{n} = ?' for n in names)} WHERE {where}",
            [row[name] for name in names],
        )


def damage_index(path, index, statement, *values):
    """
    Change rows while an index does not know of it.
    """
    with opened(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        found = connection.execute(
            "SELECT * FROM sqlite_master WHERE name = ?", (index,)
        ).fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
    with opened(path) as connection:
        connection.execute(statement, values)
    with opened(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", found)
        # Read the schema anew when it is next used.
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute(f"PRAGMA schema_version = {version + 1}")


def seen(target, **options):
    """
    Verify, and return what was found without its words.
    """
    return [(str(f.kind), f.table, f.key) for f in verify(target, **options).findings]


def dump(path):
    """
    Return everything a file holds, by table.
    """
    with opened(path) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
        ]
        return {
            table: sorted(
                map(tuple, connection.execute(f"SELECT * FROM {table}")), key=repr
            )
            for table in tables
        }
