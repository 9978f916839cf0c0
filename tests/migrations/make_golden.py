"""
Write the golden file of this schema: a small database of every component.

    python -m tests.migrations.make_golden

For as long as version 1 is not released, run it after changing the tables.
Golden files of released versions never change: later versions prove on them
that they carry old data forward.
"""

import sqlite3
import tempfile
from pathlib import Path

from lashstore import (
    EffectHost,
    EngineInput,
    ExternalInput,
    GraphAppend,
    HostOriginator,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    ManualClock,
    NextTurnIngress,
    PendingTurnInputDraft,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    QueuedWorkBatchDraft,
    RecoveryDisposition,
    RuntimeCommit,
    SessionMeta,
    SessionNode,
    Store,
    TokenLedgerEntry,
    TokenUsage,
    TriggerStore,
    TriggerSubscriptionDraft,
    TurnScope,
    TurnWorkPayload,
)

GOLDEN = Path(__file__).parent / "golden"
CLOCK = ManualClock(1_700_000_000_000)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden.db"
        fill(path)
        (GOLDEN / "v1.sql").write_text(dump(path), encoding="utf-8")


def fill(path):
    """
    Make a database of every component, with a little in each.
    """
    with Store.open(path, "golden", clock=CLOCK) as store:
        owner = LeaseOwnerIdentity.opaque("host", "1")
        fence = store.try_claim_session_execution_lease(owner, 1000).lease.fence()
        store.save_session_meta(
            SessionMeta(
                session_id="golden", session_name="Golden", created_at="unix:1700000000"
            )
        )
        store.commit_runtime_state(
            RuntimeCommit(
                session_id="golden",
                session_execution_lease=fence,
                graph=GraphAppend(
                    nodes=(
                        SessionNode(
                            node_id="n1", payload={"role": "user", "content": "Grüezi"}
                        ),
                    )
                ),
                checkpoint=HydratedCheckpoint(
                    turn_state={"step": 1}, execution_state=b"state " * 2000
                ),
                usage_deltas=(
                    TokenLedgerEntry(
                        source="turn", model="m", usage=TokenUsage(input_tokens=3)
                    ),
                ),
            ).stamped("t1")
        )
        store.enqueue_queued_work(
            QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body={"do": "this"}),))
        )
        store.enqueue_pending_turn_input(
            PendingTurnInputDraft(ingress=NextTurnIngress(), input="and then?")
        )
        store.put_artifact_bytes("notes", b"golden notes")
    with ProcessRegistry.open(path, clock=CLOCK) as registry:
        registry.register_process(
            ProcessRegistration(
                id="p1",
                input=ExternalInput(),
                disposition=RecoveryDisposition.EXTERNALLY_OWNED,
                provenance=ProcessProvenance(originator=HostOriginator()),
            )
        )
    with TriggerStore.open(path, clock=CLOCK) as triggers:
        triggers.register_subscription(
            TriggerSubscriptionDraft(
                registrant=HostOriginator(),
                env_ref="env",
                name="when blue",
                source_type="button",
                source_key="blue",
                target=EngineInput(kind="lua", payload={}),
                target_identity=ProcessIdentity(kind="lua", label="Go"),
            )
        )
    with EffectHost.open(path, clock=CLOCK) as effects:
        turn = effects.scoped(TurnScope(session_id="golden", turn_id="t1"))
        turn.step("ask", lambda: {"answer": 42})


def dump(path):
    """
    Return a database as SQL text.
    """
    connection = sqlite3.connect(path)
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        lines = [f"PRAGMA application_id = {application_id};", *connection.iterdump()]
        return "\n".join(lines) + "\n"
    finally:
        connection.close()


def restore(name, path):
    """
    Make a database from a golden file.
    """
    connection = sqlite3.connect(path)
    try:
        connection.executescript((GOLDEN / f"{name}.sql").read_text(encoding="utf-8"))
    finally:
        connection.close()


if __name__ == "__main__":
    main()
