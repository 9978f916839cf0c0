"""
A background process that an event starts, and that wakes its session.

    python background.py 17             # build 17 has ended
    python background.py 17             # told twice, nothing happens twice
    python background.py 18 --die-after analysis

A session subscribes to the builds of a project. Each build that ends starts a
process, which analyses it and wakes the session with what it found. Each step
may be the last before a kill: the next run goes on from there.
"""

import argparse
import contextlib
import os
import signal
from pathlib import Path

from lashstore import (
    ActivePath,
    EffectHost,
    EngineInput,
    GraphAppend,
    PointerSelector,
    ProcessEventAppendRequest,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRecord,
    ProcessRegistration,
    ProcessRegistry,
    ProcessScope,
    ProcessStarted,
    ProcessWakePayload,
    ProcessWakeSpec,
    RecoveryDisposition,
    RuntimeCommit,
    SessionNode,
    SessionOriginator,
    SessionScope,
    SessionStoreFactory,
    Store,
    SuccessOutput,
    TriggerDeliveryReservation,
    TriggerOccurrenceRequest,
    TriggerStore,
    TriggerSubscriptionDraft,
    source_key_for_subscription,
)
from lashstore.runtime import LeaseHeldError, Turn, Worker, keep_process_lease

SESSION = SessionScope(session_id="watcher")
SOURCE_TYPE = "example.build_ended"
SOURCE = {"project": "lashstore"}
SOURCE_KEY = source_key_for_subscription(SOURCE_TYPE, SOURCE)
FOUND = ProcessEventType(
    name="example.found",
    payload_schema={"type": "object", "required": ["text"]},
    # The event wakes the session, with the text as what it is told.
    semantics=ProcessEventSemanticsSpec(
        wake=ProcessWakeSpec(input=PointerSelector(pointer="/text"))
    ),
)


def subscribe(triggers: TriggerStore) -> None:
    """
    Let the session be told of builds; again is to no effect.
    """
    triggers.register_subscription(
        TriggerSubscriptionDraft(
            registrant=SessionOriginator(scope=SESSION),
            env_ref="example",
            wake_target=SESSION,
            source_type=SOURCE_TYPE,
            source_key=SOURCE_KEY,
            source=SOURCE,
            payload_schema={"type": "object", "required": ["build"]},
            target=EngineInput(kind="example.analysis", payload={}),
            target_identity=ProcessIdentity(kind="example.analysis"),
            event_types=(FOUND,),
            client_key="builds",
        )
    )


def tell(triggers: TriggerStore, build: int) -> None:
    """
    Record that a build has ended, and which processes that is to start.
    """
    occurrence = triggers.record_occurrence(
        TriggerOccurrenceRequest(
            source_type=SOURCE_TYPE,
            source_key=SOURCE_KEY,
            source=SOURCE,
            payload={"build": build},
            idempotency_key=f"build-{build}",
        )
    )
    triggers.reserve_matching_deliveries(occurrence.occurrence_id)


def start_processes(triggers: TriggerStore, registry: ProcessRegistry) -> None:
    """
    Register the process of each delivery, then acknowledge it: killed between
    the two, the next run registers it again, to no effect.
    """
    while deliveries := triggers.pending_deliveries():
        for delivery in deliveries:
            if delivery.payload_error is None:
                registry.register_process(registration(delivery))
            triggers.acknowledge_delivery(
                delivery.occurrence.occurrence_id,
                delivery.subscription.subscription_id,
                error=delivery.payload_error,
            )


def registration(delivery: TriggerDeliveryReservation) -> ProcessRegistration:
    """
    Make the process of a delivery; the same for the same delivery.
    """
    subscription = delivery.subscription
    return ProcessRegistration(
        id=delivery.process_id,
        input=EngineInput(kind="example.analysis", payload=delivery.occurrence.payload),
        disposition=RecoveryDisposition.RERUNNABLE,
        identity=subscription.target_identity,
        event_types=subscription.event_types,
        provenance=ProcessProvenance(
            originator=subscription.registrant,
            caused_by={"occurrence_id": delivery.occurrence.occurrence_id},
        ),
        env_ref=subscription.env_ref,
        wake_target=subscription.wake_target,
    )


def run_process(
    registry: ProcessRegistry,
    effects: EffectHost,
    process: ProcessRecord,
    die_after: str | None,
) -> None:
    """
    Run one process to its end, or go on with it.
    """
    assert isinstance(process.input, EngineInput), process
    build: int = process.input.payload["build"]
    with keep_process_lease(registry, process.id) as keeper:
        lease = keeper.lease()
        registry.record_first_started(
            process.id,
            ProcessStarted(owner=lease.owner, started_at_ms=lease.claimed_at_ms),
            fence=lease,
        )
        recorded = effects.scoped(ProcessScope(process_id=process.id))
        text: str = recorded.step("analyse", lambda: analyse(build), input=build)
        if die_after == "analysis":
            print("killed after the analysis", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        registry.append_event(
            process.id,
            ProcessEventAppendRequest(
                event_type=FOUND.name, payload={"text": text}, replay_key="found"
            ),
            fence=keeper.lease(),
        )
        keeper.expect_release()
        registry.complete_process(
            process.id, SuccessOutput(value=text), fence=keeper.lease()
        )


def analyse(build: int) -> str:
    """
    Stand in for what takes long and costs.
    """
    print(f"analysing build {build}", flush=True)
    return f"Build {build} is {'fine' if build % 2 else 'broken'}."


def react(turn: Turn) -> RuntimeCommit:
    """
    The session's turn: note what the processes found.
    """
    leaf = None if turn.head is None else turn.head.leaf_node_id
    nodes: list[SessionNode] = []
    for payload in (item.payload for batch in turn.batches for item in batch.items):
        assert isinstance(payload, ProcessWakePayload), payload
        node = SessionNode(
            node_id=payload.wake.wake_id,
            parent_node_id=leaf,
            payload={"role": "user", "content": payload.wake.input},
        )
        leaf = node.node_id
        nodes.append(node)
    return RuntimeCommit(
        session_id=SESSION.session_id, graph=GraphAppend(nodes=tuple(nodes))
    )


def show(store: Store) -> None:
    """
    Print what the session was told, ever.
    """
    session = store.load_session(ActivePath())
    for node in () if session is None else session.graph.active_path():
        print(node.payload["content"])


def main() -> None:
    """
    Tell of a build, then do all there is to do.
    """
    arguments = parse_arguments()
    root = Path(arguments.root)
    shared = root / "shared.db"
    with (
        SessionStoreFactory(root / "sessions") as factory,
        # One file for the three; each could have its own.
        TriggerStore.open(shared) as triggers,
        ProcessRegistry.open(shared) as registry,
        EffectHost.open(shared) as effects,
        factory.create_store(SESSION.session_id) as store,
    ):
        subscribe(triggers)
        if arguments.build is not None:
            tell(triggers, arguments.build)
        start_processes(triggers, registry)
        for process in registry.list_non_terminal():
            # Where another host runs it already, it is not ours to run.
            with contextlib.suppress(LeaseHeldError):
                run_process(registry, effects, process, arguments.die_after)
        # It puts the wakes into the session's queue, and runs their turns.
        Worker(store, react, registry=registry).run_waiting()
        show(store)


def parse_arguments() -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(description="What an event sets in motion.")
    parser.add_argument("build", type=int, nargs="?", help="number of the build")
    parser.add_argument("--root", default="background", help="folder to keep it in")
    parser.add_argument(
        "--die-after",
        choices=["analysis"],
        help="kill this process when that is done",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
