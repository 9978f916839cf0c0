"""
Short ways to say what most tests need.
"""

from lashstore import (
    ConstKey,
    ExternalInput,
    HostOriginator,
    LeaseOwnerIdentity,
    PointerSelector,
    PresentSelector,
    ProcessEventAppendRequest,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessProvenance,
    ProcessRegistration,
    ProcessTerminalSpec,
    ProcessWakeSpec,
    RecoveryDisposition,
    SelectorKey,
    SessionScope,
    StoreOptions,
    Synchronous,
)

NOW_MS = 1_700_000_000_000

# No test cuts the power, so none waits for the disk.
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)

ROOT = SessionScope(session_id="root")
FRAME = SessionScope(session_id="root", agent_frame_id="f")
OTHER = SessionScope(session_id="other")

LINE = ProcessEventType(
    name="producer.line",
    payload_schema={
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
    },
)
PLAIN = ProcessEventType(name="producer.plain")
WAKE = ProcessEventType(
    name="producer.wake",
    semantics=ProcessEventSemanticsSpec(
        wake=ProcessWakeSpec(
            when=PresentSelector(pointer="/wake_input"),
            input=PointerSelector(pointer="/wake_input"),
        )
    ),
)
GROUP_WAKE = ProcessEventType(
    name="producer.group",
    semantics=ProcessEventSemanticsSpec(
        wake=ProcessWakeSpec(
            input=PointerSelector(pointer="/text"),
            dedupe_key=SelectorKey(selector=PointerSelector(pointer="/group")),
        )
    ),
)
CONST_WAKE = ProcessEventType(
    name="producer.const",
    semantics=ProcessEventSemanticsSpec(
        wake=ProcessWakeSpec(
            input=PointerSelector(pointer="/text"), dedupe_key=ConstKey(text="once")
        )
    ),
)
DONE = ProcessEventType(
    name="producer.done",
    semantics=ProcessEventSemanticsSpec(
        terminal=ProcessTerminalSpec(state="completed")
    ),
)
BROKE = ProcessEventType(
    name="producer.broke",
    semantics=ProcessEventSemanticsSpec(
        terminal=ProcessTerminalSpec(
            state="failed", await_output=PointerSelector(pointer="/why")
        )
    ),
)
SIGNAL = ProcessEventType(name="signal.ready")
ALL_TYPES = (LINE, PLAIN, WAKE, GROUP_WAKE, CONST_WAKE, DONE, BROKE, SIGNAL)


def registration(process_id="p", **facts):
    """
    Make an external process with all event types of this kit.
    """
    return ProcessRegistration(
        **{
            "id": process_id,
            "input": ExternalInput(),
            "disposition": RecoveryDisposition.EXTERNALLY_OWNED,
            "provenance": ProcessProvenance(originator=HostOriginator()),
            "event_types": ALL_TYPES,
        }
        | facts
    )


def event(event_type="producer.plain", payload=None, replay_key=None, target=None):
    """
    Make a request to append an event.
    """
    return ProcessEventAppendRequest(
        event_type=event_type,
        payload=payload,
        replay_key=replay_key,
        wake_target_scope=target,
    )


def owner(name="a", incarnation="1"):
    """
    Make an owner whose death nobody can prove.
    """
    return LeaseOwnerIdentity.opaque(name, incarnation)
