"""
Registering a process.
"""

import pytest

from lashstore import (
    EngineInput,
    ExternalInput,
    HostOriginator,
    InvalidArgumentError,
    PointerSelector,
    ProcessConflictError,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessIdentity,
    ProcessProvenance,
    ProcessTerminalSpec,
    ProcessWakeSpec,
    RecoveryDisposition,
    RunningStatus,
    SessionOriginator,
    SessionScope,
    SessionTurnInput,
    SuccessOutput,
    ToolCallInput,
)
from lashstore.model.processes import CORE_EVENT_TYPES

from .kit import ALL_TYPES, NOW_MS, PLAIN, ROOT, registration

RERUNNABLE = RecoveryDisposition.RERUNNABLE


def test_registering_gives_the_whole_record(place):
    """
    Everything given is kept, everything else starts out empty.
    """
    registry = place.open()
    given = registration(
        "p",
        input=EngineInput(kind="python", payload={"code": [1, 2.5, None]}),
        disposition=RERUNNABLE,
        identity=ProcessIdentity(kind="k", label="l", definition={"d": 1}),
        provenance=ProcessProvenance(
            originator=SessionOriginator(scope=ROOT),
            caused_by={"type": "turn", "session_id": "root", "turn_id": "t"},
        ),
        env_ref="process-env:sha256:0",
        wake_target=SessionScope(session_id="root", agent_frame_id="f"),
    )

    record = registry.register_process(given)

    assert "p" == record.id
    assert given.input == record.input
    assert RERUNNABLE == record.disposition
    assert given.identity == record.identity
    assert (*ALL_TYPES, *CORE_EVENT_TYPES) == record.event_types
    assert given.provenance == record.provenance
    assert given.env_ref == record.env_ref
    assert given.wake_target == record.wake_target
    assert (NOW_MS, NOW_MS) == (record.created_at_ms, record.updated_at_ms)
    assert RunningStatus() == record.status
    assert "running" == record.status.label
    assert not record.is_terminal
    assert (None, None, None, None) == (
        record.external_ref,
        record.first_started,
        record.abandon_request,
        record.wait,
    )
    assert record == place.reopen(registry).get_process("p")


def test_an_equal_registration_returns_what_is_there(registry, clock):
    """
    Registering again changes nothing, however the process went on.
    """
    first = registry.register_process(registration("p"))
    clock.advance(10)

    assert first == registry.register_process(registration("p"))

    ended = registry.complete_process("p", SuccessOutput(value=1))
    assert ended == registry.register_process(registration("p"))


@pytest.mark.parametrize(
    "other",
    [
        {"input": ExternalInput(metadata={})},
        {"disposition": RecoveryDisposition.OWNER_BOUND},
        {"identity": ProcessIdentity(kind="other")},
        {"event_types": ALL_TYPES[::-1]},
        {"event_types": (*CORE_EVENT_TYPES, *ALL_TYPES)},
        {"provenance": ProcessProvenance(originator=HostOriginator(), caused_by=1)},
        {"wake_target": ROOT},
    ],
)
def test_another_registration_of_an_id_is_a_conflict(registry, other):
    """
    Everything in a registration counts, the order of event types as well.
    """
    before = registry.register_process(registration("p"))

    with pytest.raises(ProcessConflictError) as caught:
        registry.register_process(registration("p", **other))

    assert "p" == caught.value.process_id
    assert before == registry.get_process("p")


def test_hashes_ignore_what_says_nothing(registry):
    """
    Key order, left-out core types and a derived identity hash alike.
    """
    registry.register_process(
        registration(
            "p", input=ExternalInput(metadata={"a": 1, "b": 2}), event_types=()
        )
    )

    record = registry.register_process(
        registration(
            "p",
            input=ExternalInput(metadata={"b": 2, "a": 1}),
            identity=ProcessIdentity(kind="external"),
            event_types=CORE_EVENT_TYPES,
        )
    )

    assert CORE_EVENT_TYPES == record.event_types


def test_whole_and_fractional_numbers_differ(registry):
    """
    1 and 1.0 are two payloads.
    """
    registry.register_process(registration("p", input=ExternalInput(metadata=1)))

    with pytest.raises(ProcessConflictError):
        registry.register_process(registration("p", input=ExternalInput(metadata=1.0)))


@pytest.mark.parametrize(
    ("given", "kind", "label"),
    [
        (ToolCallInput(call={"tool_name": "grep"}), "tool", "grep"),
        (ToolCallInput(call={}), "tool", None),
        (ToolCallInput(call=None), "tool", None),
        (EngineInput(kind="python"), "python", None),
        (ExternalInput(), "external", None),
        (ExternalInput(metadata={"name": "n", "title": "t"}), "external", "n"),
        (ExternalInput(metadata={"label": 5, "name": "n"}), "external", None),
        (ExternalInput(metadata={"title": "t"}), "external", "t"),
    ],
)
def test_identity_is_derived_from_the_input(registry, given, kind, label):
    """
    A process that nobody named is named after its input.
    """
    needs_env = isinstance(given, ToolCallInput | EngineInput)

    record = registry.register_process(
        registration("p", input=given, env_ref="env" if needs_env else None)
    )

    assert ProcessIdentity(kind=kind, label=label) == record.identity


@pytest.mark.parametrize(
    ("create_request", "label"),
    [
        ({"subagent": {"capability": "c"}, "usage_source": "u"}, "c"),
        ({"usage_source": "u", "session_id": "s"}, "u"),
        ({"subagent": None, "session_id": "s"}, "s"),
        ({}, None),
        (None, None),
    ],
    ids=str,
)
def test_a_session_turn_is_named_after_its_request(registry, create_request, label):
    """
    Capability, usage source, session id: the first that is there.
    """
    given = SessionTurnInput(
        create_request=create_request, turn_input={}, output_contract={"kind": "static"}
    )

    record = registry.register_process(registration("p", input=given))

    assert ProcessIdentity(kind="session_turn", label=label) == record.identity


def _typed(name="x", schema=None, terminal=None, wake=None):
    return ProcessEventType(
        name=name,
        payload_schema={} if schema is None else schema,
        semantics=ProcessEventSemanticsSpec(terminal=terminal, wake=wake),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "  \n"},
        {"id": "a\0b"},
        {"id": "\ud800"},
        {"id": 5},
        {"input": EngineInput(kind="python")},
        {"input": ToolCallInput(call={}), "env_ref": " "},
        {"env_ref": "env"},
        {"input": SessionTurnInput(create_request={}, turn_input={}, output_contract={}), "env_ref": "env"},
        {"input": "external"},
        {"input": ExternalInput(metadata=float("nan"))},
        {"input": ExternalInput(metadata="\ud800")},
        {"input": ExternalInput(metadata={1: 2})},
        {"disposition": RERUNNABLE},
        {"disposition": "sometimes"},
        {"identity": ProcessIdentity(kind="a\0")},
        {"identity": ProcessIdentity(kind=5)},
        {"wake_target": SessionScope(session_id="a\0")},
        {"wake_target": "root"},
        {"provenance": None},
        {"provenance": ProcessProvenance(originator=SessionOriginator(scope=SessionScope(session_id="\ud800")))},
        {"event_types": None},
        {"event_types": ("x",)},
        {"event_types": (_typed(""),)},
        {"event_types": (_typed(" "),)},
        {"event_types": (_typed("a\0"),)},
        {"event_types": (PLAIN, PLAIN)},
        {"event_types": (CORE_EVENT_TYPES[0], CORE_EVENT_TYPES[0])},
        {"event_types": (_typed("process.completed"),)},
        {"event_types": (_typed("process.waiting", schema=True),)},
        {"event_types": (_typed("process.waiting", schema={"type": "null"}),)},
        {"event_types": (_typed(schema=5),)},
        {"event_types": (_typed(schema={"type": "text"}),)},
        {"event_types": (_typed(schema={"$ref": "https://example.com/schema"}),)},
        {"event_types": (_typed(schema={"$ref": "other.json"}),)},
        {"event_types": (_typed(schema={"properties": {"a": {"$ref": "#/nowhere"}}}),)},
        {"event_types": (_typed(schema={"$schema": "http://json-schema.org/draft-07/schema#"}),)},
        {"event_types": (_typed(terminal=ProcessTerminalSpec(state="failed")),)},
        {"event_types": (_typed(terminal=ProcessTerminalSpec(state="running")),)},
        {"event_types": (_typed(wake=ProcessWakeSpec(input="/a")),)},
        {"event_types": (_typed(wake=ProcessWakeSpec(input=PointerSelector(pointer="\0"))),)},
    ],
    ids=lambda wrong: str(wrong)[:70],
)  # fmt: skip
def test_what_can_never_be_registered_is_refused(registry, wrong):
    """
    Nothing is written, and the next registration is as good as ever.
    """
    with pytest.raises(InvalidArgumentError):
        registry.register_process(
            registration(**({"process_id": "p"} | _renamed(wrong)))
        )

    assert () == registry.list_processes()
    registry.register_process(registration("p"))


def _renamed(wrong):
    return {"process_id" if key == "id" else key: value for key, value in wrong.items()}


def test_no_registration_is_no_registration(registry):
    """
    A record of another kind is an argument error.
    """
    with pytest.raises(InvalidArgumentError):
        registry.register_process({"id": "p"})


def test_core_types_may_be_repeated_as_they_are(registry):
    """
    An identical declaration of a core type is accepted, where it stands.
    """
    completed = CORE_EVENT_TYPES[3]

    record = registry.register_process(
        registration("p", event_types=(completed, PLAIN))
    )

    rest = (each for each in CORE_EVENT_TYPES if each != completed)
    assert (completed, PLAIN, *rest) == record.event_types


def test_external_input_may_be_owner_bound(registry):
    """
    Only rerunnable contradicts external input.
    """
    record = registry.register_process(
        registration("p", disposition=RecoveryDisposition.OWNER_BOUND)
    )

    assert RecoveryDisposition.OWNER_BOUND == record.disposition


def test_an_unknown_process_is_none(registry):
    """
    Looking for what is not there is no error.
    """
    assert registry.get_process("p") is None
    with pytest.raises(InvalidArgumentError):
        registry.get_process(" ")
