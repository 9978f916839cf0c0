"""
Registering a process: what is refused, what is filled in, and the hash that
makes a repeated registration harmless.
"""

import functools
from collections.abc import Mapping

import msgspec

from lashstore import codec
from lashstore.errors import InvalidArgumentError

from .process_outputs import TERMINAL_STATES
from .processes import (
    CORE_EVENT_TYPES,
    ConstKey,
    EngineInput,
    ExternalInput,
    ProcessEventType,
    ProcessIdentity,
    ProcessInput,
    ProcessRegistration,
    ProcessTerminalSpec,
    ProcessWakeSpec,
    RecoveryDisposition,
    SelectorKey,
    SessionOriginator,
    SessionScope,
    SessionTurnInput,
    ToolCallInput,
)
from .record import (
    Json,
    Record,
    require_optional_text,
    require_record,
    require_text,
)
from .schemas import compile_schema
from .selectors import check_selector

_EXTERNAL_LABELS = ("label", "name", "title")


class PreparedRegistration(Record, frozen=True, kw_only=True):
    """
    A registration that was checked and completed, with its hash.
    """

    registration: ProcessRegistration
    identity: ProcessIdentity
    registration_hash: str
    definition_hash: str | None


def require_process_id(process_id: object) -> str:
    """
    Raises:
        InvalidArgumentError: It is blank, or no storable text.
    """
    text = require_text("process_id", process_id)
    if not text.strip():
        msg = "process_id must be a non-empty string"
        raise InvalidArgumentError(msg)
    return text


def check_scope(what: str, scope: object) -> SessionScope:
    """
    Raises:
        InvalidArgumentError: It is no scope that can be stored.
    """
    require_record(what, scope, SessionScope)
    assert isinstance(scope, SessionScope)  # noqa: S101, for the type checker
    require_text(f"the session_id of {what}", scope.session_id)
    require_optional_text(f"the agent_frame_id of {what}", scope.agent_frame_id)
    return scope


def encode_checked(record: Record, what: str) -> str:
    """
    Encode a record whose fields may hold anything.

    Raises:
        InvalidArgumentError: A field is not of its type, or not plain data.
    """
    try:
        return codec.encode_record(record, what)
    except msgspec.ValidationError as error:
        msg = f"{what}: {error}"
        raise InvalidArgumentError(msg) from error


def prepare_registration(registration: ProcessRegistration) -> PreparedRegistration:
    """
    Check a registration and fill in what it leaves out.

    Returns:
        It with its identity and the core event types, as it reads back from
        storage.

    Raises:
        InvalidArgumentError: It can never be registered.
    """
    require_record("the registration", registration, ProcessRegistration)
    require_process_id(registration.id)
    require_record("the input", registration.input, ProcessInput)
    _check_environment(registration)
    _check_disposition(registration)
    identity = registration.identity or derive_identity(registration.input)
    completed = msgspec.structs.replace(
        registration,
        identity=identity,
        event_types=complete_event_types(registration.event_types),
    )
    text = encode_checked(completed, "the registration")
    require_text("the identity's kind", identity.kind)
    require_optional_text("the identity's label", identity.label)
    if registration.wake_target is not None:
        check_scope("wake_target", registration.wake_target)
    originator = registration.provenance.originator
    if isinstance(originator, SessionOriginator):
        check_scope("the originator", originator.scope)
    return PreparedRegistration(
        registration=codec.from_json(ProcessRegistration, text),
        identity=identity,
        registration_hash=codec.sha256_hex(text.encode()),
        definition_hash=definition_hash(identity.definition),
    )


def definition_hash(definition: Json | None) -> str | None:
    """
    Return the hash by which definitions are compared; None for none.

    Raises:
        InvalidArgumentError: It is not plain data.
    """
    if definition is None:
        return None
    text = codec.encode_json(definition, "the definition")
    return codec.sha256_hex(text.encode())


def derive_identity(given: ProcessInput) -> ProcessIdentity:
    """
    Return what a process is called when nobody says it.
    """
    match given:
        case ToolCallInput():
            name = given.call.get("tool_name") if isinstance(given.call, dict) else None
            return ProcessIdentity(kind="tool", label=_text_or_none(name))
        case EngineInput():
            return ProcessIdentity(kind=given.kind)
        case SessionTurnInput():
            return ProcessIdentity(
                kind="session_turn", label=_turn_label(given.create_request)
            )
    return ProcessIdentity(kind="external", label=_external_label(given))


def _turn_label(create_request: Json) -> str | None:
    if not isinstance(create_request, dict):
        return None
    subagent = create_request.get("subagent")
    candidates = (
        subagent.get("capability") if isinstance(subagent, dict) else None,
        create_request.get("usage_source"),
        create_request.get("session_id"),
    )
    return _text_or_none(next((one for one in candidates if one is not None), None))


def _external_label(given: ExternalInput) -> str | None:
    # The first of them that is there decides, text or not.
    if isinstance(given.metadata, dict):
        for key in _EXTERNAL_LABELS:
            if key in given.metadata:
                return _text_or_none(given.metadata[key])
    return None


def _text_or_none(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _check_environment(registration: ProcessRegistration) -> None:
    env_ref = require_optional_text("env_ref", registration.env_ref)
    needs_one = isinstance(registration.input, ToolCallInput | EngineInput)
    if needs_one and not (env_ref and env_ref.strip()):
        msg = f"process {registration.id!r} requires a captured execution env: set env_ref"
        raise InvalidArgumentError(msg)
    if not needs_one and env_ref is not None:
        msg = (
            f"process {registration.id!r} must not capture an execution env for this "
            "input kind: leave env_ref out"
        )
        raise InvalidArgumentError(msg)


def _check_disposition(registration: ProcessRegistration) -> None:
    if registration.disposition not in list(RecoveryDisposition):
        msg = f"{registration.disposition!r} is no disposition"
        raise InvalidArgumentError(msg)
    if (
        isinstance(registration.input, ExternalInput)
        and registration.disposition == RecoveryDisposition.RERUNNABLE
    ):
        msg = (
            f"process {registration.id!r} runs elsewhere and cannot be rerunnable: "
            "register it as externally_owned or owner_bound"
        )
        raise InvalidArgumentError(msg)


def complete_event_types(
    declared: tuple[ProcessEventType, ...],
) -> tuple[ProcessEventType, ...]:
    """
    Check declared event types and append the core ones that are not there.

    Raises:
        InvalidArgumentError: A name is blank or repeated, a core type is
            declared otherwise than it is, a schema is none, or a terminal
            type does not say what the outcome is.
    """
    require_record("event_types", declared, tuple | list)
    core = {event_type.name: event_type for event_type in CORE_EVENT_TYPES}
    names = set()
    for event_type in declared:
        require_record("an event type", event_type, ProcessEventType)
        name = require_text("an event type's name", event_type.name)
        if not name.strip():
            msg = "a process cannot declare an empty event type"
            raise InvalidArgumentError(msg)
        if name in names:
            msg = f"event type {name!r} is declared twice"
            raise InvalidArgumentError(msg)
        names.add(name)
        if name in core and not _is_same(event_type, core[name]):
            msg = f"event type {name!r} is a core type: leave it out, or declare it as it is"
            raise InvalidArgumentError(msg)
        _check_event_type(event_type)
    missing = (event_type for name, event_type in core.items() if name not in names)
    return (*declared, *missing)


def _is_same(one: ProcessEventType, other: ProcessEventType) -> bool:
    # As JSON: True equals 1 in Python.
    return encode_checked(one, "an event type") == encode_checked(
        other, "an event type"
    )


def _check_event_type(event_type: ProcessEventType) -> None:
    try:
        compile_schema(event_type.payload_schema)
    except InvalidArgumentError as error:
        msg = f"the payload_schema of event type {event_type.name!r}: {error}"
        raise InvalidArgumentError(msg) from error
    encode_checked(event_type, f"event type {event_type.name!r}")
    semantics = event_type.semantics
    if semantics.terminal is not None:
        _check_terminal(event_type.name, semantics.terminal)
    if semantics.wake is not None:
        _check_wake(event_type.name, semantics.wake)


def _check_terminal(name: str, spec: ProcessTerminalSpec) -> None:
    if spec.state not in TERMINAL_STATES:
        msg = f"event type {name!r}: {spec.state!r} is no terminal state"
        raise InvalidArgumentError(msg)
    if spec.await_output is not None:
        check_selector(f"await_output of {name!r}", spec.await_output)
    elif spec.state != "completed":
        msg = f"terminal event type {name!r} must declare await_output"
        raise InvalidArgumentError(msg)


def _check_wake(name: str, spec: ProcessWakeSpec) -> None:
    if spec.when is not None:
        check_selector(f"the wake condition of {name!r}", spec.when)
    check_selector(f"the wake input of {name!r}", spec.input)
    if isinstance(spec.dedupe_key, SelectorKey):
        check_selector(f"the dedupe key of {name!r}", spec.dedupe_key.selector)
    elif isinstance(spec.dedupe_key, ConstKey):
        require_text(f"the dedupe key of {name!r}", spec.dedupe_key.text)


_event_types = msgspec.json.Decoder(tuple[ProcessEventType, ...])


@functools.lru_cache(maxsize=256)
def declared_types(event_types_json: str) -> Mapping[str, ProcessEventType]:
    """
    Return a registration's event types by name; equal lists are read once.

    Raises:
        msgspec.MsgspecError: It is no list of event types.
    """
    return {each.name: each for each in _event_types.decode(event_types_json)}
