"""
Events: what a process tells, and what follows from it.

An event is planned without any database: is it a repeat, is it allowed, does
it end the process, whom does it wake.
"""

import re
from collections.abc import Mapping

from lashstore import codec
from lashstore.errors import (
    InvalidProcessEventError,
    ProcessConflictError,
    ProcessTerminalError,
)

from .process_outputs import (
    AwaitOutput,
    ProcessStatus,
    SuccessOutput,
    check_output,
    output_from_value,
    output_to_value,
    state_of,
    status_of,
)
from .process_registration import check_scope, encode_checked
from .processes import (
    CANCEL_REQUESTED,
    RESUMED,
    WAITING,
    ConstKey,
    EventIdentityKey,
    ProcessEventType,
    ProcessTerminalSpec,
    ProcessWakeSpec,
    SessionScope,
)
from .record import (
    Json,
    Record,
    require_optional_text,
    require_record,
    require_text,
)
from .schemas import compile_schema
from .selectors import SelectorError, is_truthy, render, select
from .wakes import ProcessWakeDelivery

_RESERVED = "process:"
_SIGNAL = re.compile(r"signal\.[A-Za-z0-9_-]+")
_SIGNAL_WAIT = re.compile(r"signal\.[A-Za-z0-9_-]+:(0|[1-9][0-9]*)", re.ASCII)


class ProcessTerminalSemantics(Record, frozen=True, kw_only=True):
    """
    The event ended its process, this way.
    """

    state: str
    await_output: AwaitOutput


class ProcessWakeSemantics(Record, frozen=True, kw_only=True):
    """
    The event is worth waking a session for.
    """

    input: str
    dedupe_key: str


class ProcessEventSemantics(Record, frozen=True, kw_only=True):
    """
    What an event turned out to mean when it was appended.
    """

    terminal: ProcessTerminalSemantics | None = None
    wake: ProcessWakeSemantics | None = None


class ProcessEvent(Record, frozen=True, kw_only=True):
    """
    One entry of a process's log; sequence numbers start at 1, without gaps.
    """

    process_id: str
    sequence: int
    event_type: str
    payload: Json
    invocation: Json
    semantics: ProcessEventSemantics
    occurred_at_ms: int


class ProcessEventAppendRequest(Record, frozen=True, kw_only=True):
    """
    An event to append.

    With a `replay_key`, appending it again returns the stored event; keys
    that start with `process:` are the store's own. `wake_target_scope`
    overrules the process's wake target.
    """

    event_type: str
    payload: Json
    replay_key: str | None = None
    wake_target_scope: SessionScope | None = None

    @classmethod
    def cancel_requested(
        cls, process_id: str, reason: str | None
    ) -> "ProcessEventAppendRequest":
        """
        Make the request to cancel a process: one event per reason.
        """
        payload = {"reason": reason}
        return cls(
            event_type=CANCEL_REQUESTED,
            payload=payload,
            replay_key=_cancel_key(
                process_id, codec.encode_json(payload, "the reason")
            ),
        )


class ProcessEventAppendResult(Record, frozen=True, kw_only=True):
    """
    The stored event, and the wake that waits for its acknowledgement.

    `inserted` False: it was there before.
    """

    event: ProcessEvent
    wake_delivery: ProcessWakeDelivery | None = None
    inserted: bool = True


class PreparedAppend(Record, frozen=True, kw_only=True):
    """
    A request that may be appended, as far as that shows without the process.
    """

    event_type: str
    payload: Json
    payload_json: str
    replay_key: str | None
    wake_target_scope: SessionScope | None


class EventContext(Record, frozen=True, kw_only=True):
    """
    What planning an event needs to know of its process.
    """

    process_id: str
    is_terminal: bool
    last_sequence: int
    event_types: Mapping[str, ProcessEventType]
    caused_by: Json | None
    wake_target: SessionScope | None


class PlannedEvent(Record, frozen=True, kw_only=True):
    """
    An event ready to be written, and what else to write with it.
    """

    event: ProcessEvent
    payload_json: str
    replay_key: str | None
    status: ProcessStatus | None
    wake_delivery: ProcessWakeDelivery | None


def prepare_append(
    process_id: str, request: ProcessEventAppendRequest
) -> PreparedAppend:
    """
    Check a request before its process is looked at.

    Raises:
        InvalidArgumentError: It cannot be stored.
        InvalidProcessEventError: Its replay key is empty, or one that only
            the store may derive for that event.
    """
    require_record("the request", request, ProcessEventAppendRequest)
    event_type = require_text("event_type", request.event_type)
    replay_key = require_optional_text("replay_key", request.replay_key)
    if request.wake_target_scope is not None:
        check_scope("wake_target_scope", request.wake_target_scope)
    payload_json, payload = codec.encode_and_read(request.payload, "the payload")
    if replay_key is not None:
        _check_replay_key(process_id, event_type, replay_key, payload_json)
    return PreparedAppend(
        event_type=event_type,
        payload=payload,
        payload_json=payload_json,
        replay_key=replay_key,
        wake_target_scope=request.wake_target_scope,
    )


def prepare_completion(process_id: str, await_output: AwaitOutput) -> PreparedAppend:
    """
    Make the event that ends a process with an outcome.

    Raises:
        InvalidArgumentError: The outcome cannot be stored.
    """
    check_output(await_output)
    event_type = f"process.{state_of(await_output)}"
    encode_checked(await_output, "the await output")
    return prepare_append(
        process_id,
        ProcessEventAppendRequest(
            event_type=event_type,
            payload={"await_output": output_to_value(await_output)},
            replay_key=_terminal_key(process_id, event_type),
        ),
    )


def _cancel_key(process_id: str, payload_json: str) -> str:
    pair = f"[{codec.encode_json(CANCEL_REQUESTED, 'the type')},{payload_json}]"
    digest = codec.sha256_hex(pair.encode())
    return f"{_RESERVED}{process_id}:cancel_requested:{digest}"


def _terminal_key(process_id: str, event_type: str) -> str:
    return f"{_RESERVED}{process_id}:terminal:{event_type}"


def _check_replay_key(
    process_id: str, event_type: str, replay_key: str, payload_json: str
) -> None:
    if not replay_key:
        msg = f"event {event_type!r} of process {process_id!r} has an empty replay key"
        raise InvalidProcessEventError(msg, process_id=process_id)
    if replay_key.startswith(_RESERVED) and not _is_derived(
        process_id, event_type, replay_key, payload_json
    ):
        msg = (
            f"replay key {replay_key!r} is not the one the store derives for "
            f"{event_type!r} of process {process_id!r}: choose a key that does not "
            f"start with {_RESERVED!r}"
        )
        raise InvalidProcessEventError(msg, process_id=process_id)


def _is_derived(
    process_id: str, event_type: str, replay_key: str, payload_json: str
) -> bool:
    own = f"{_RESERVED}{process_id}:"
    if event_type == CANCEL_REQUESTED:
        return replay_key == _cancel_key(process_id, payload_json)
    if event_type in (WAITING, RESUMED):
        verb = event_type.removeprefix("process.")
        prefix = f"{own}{verb}:"
        return (
            replay_key.startswith(prefix)
            and _SIGNAL_WAIT.fullmatch(replay_key[len(prefix) :]) is not None
        )
    if _SIGNAL.fullmatch(event_type):
        prefix = f"{own}{event_type}:"
        return replay_key.startswith(prefix) and len(replay_key) > len(prefix)
    return event_type in _CORE_TERMINALS and replay_key == _terminal_key(
        process_id, event_type
    )


_CORE_TERMINALS = frozenset(
    ("process.completed", "process.failed", "process.cancelled", "process.abandoned")
)


def check_replay(
    process_id: str, request: PreparedAppend, *, event_type: str, payload_json: str
) -> None:
    """
    Compare a request with the event stored under its replay key.

    Raises:
        ProcessConflictError: They differ in type or payload.
    """
    if (request.event_type, request.payload_json) != (event_type, payload_json):
        msg = (
            f"replay key {request.replay_key!r} of process {process_id!r} already "
            "names another event: append this one under a key of its own"
        )
        raise ProcessConflictError(msg, process_id=process_id)


def plan_event(
    process: EventContext, request: PreparedAppend, *, now_ms: int
) -> PlannedEvent:
    """
    Decide what a new event means and what is written with it.

    Raises:
        InvalidProcessEventError: Its type is not declared, it needs a replay
            key, or its payload is not what the type promises.
        ProcessTerminalError: It would end a process that has ended.
    """
    declared = _require_declared(process, request)
    sequence = process.last_sequence + 1
    try:
        semantics = ProcessEventSemantics(
            terminal=_terminal_of(process, declared, request),
            wake=_wake_of(declared.semantics.wake, process, request.payload, sequence),
        )
    except SelectorError as error:
        msg = (
            f"payload of {request.event_type!r} of process {process.process_id!r}: "
            f"{error}"
        )
        raise InvalidProcessEventError(msg, process_id=process.process_id) from error
    if semantics.terminal is not None and process.is_terminal:
        raise ProcessTerminalError(process_id=process.process_id)
    event = ProcessEvent(
        process_id=process.process_id,
        sequence=sequence,
        event_type=request.event_type,
        payload=request.payload,
        invocation=event_invocation(
            process.process_id, sequence, request.event_type, request.replay_key
        ),
        semantics=semantics,
        occurred_at_ms=now_ms,
    )
    return PlannedEvent(
        event=event,
        payload_json=request.payload_json,
        replay_key=request.replay_key,
        status=_status_after(semantics),
        wake_delivery=_delivery_of(process, event, request.wake_target_scope),
    )


def _require_declared(
    process: EventContext, request: PreparedAppend
) -> ProcessEventType:
    process_id = process.process_id
    declared = process.event_types.get(request.event_type)
    if declared is None:
        msg = (
            f"process {process_id!r} declares no event type {request.event_type!r}: "
            "declare it when registering"
        )
        raise InvalidProcessEventError(msg, process_id=process_id)
    needs_key = (
        declared.semantics.terminal is not None
        or request.event_type == CANCEL_REQUESTED
    )
    if needs_key and request.replay_key is None:
        msg = (
            f"event {request.event_type!r} of process {process_id!r} requires a "
            "deterministic replay key"
        )
        raise InvalidProcessEventError(msg, process_id=process_id)
    mistake = compile_schema(declared.payload_schema).error_of(request.payload)
    if mistake is not None:
        msg = (
            f"payload of {request.event_type!r} of process {process_id!r} does not "
            f"fit its schema: {mistake}"
        )
        raise InvalidProcessEventError(msg, process_id=process_id)
    return declared


def _terminal_of(
    process: EventContext, declared: ProcessEventType, request: PreparedAppend
) -> ProcessTerminalSemantics | None:
    spec = declared.semantics.terminal
    if spec is None:
        return None
    output = _output_of(spec, request.payload)
    if state_of(output) != spec.state:
        msg = (
            f"event {request.event_type!r} of process {process.process_id!r} declares "
            f"the state {spec.state!r}, but its output says {state_of(output)!r}"
        )
        raise InvalidProcessEventError(msg, process_id=process.process_id)
    return ProcessTerminalSemantics(state=spec.state, await_output=output)


def _output_of(spec: ProcessTerminalSpec, payload: Json) -> AwaitOutput:
    if spec.await_output is None:
        return SuccessOutput(value=payload)
    return output_from_value(spec.state, select(spec.await_output, payload))


def _wake_of(
    spec: ProcessWakeSpec | None, process: EventContext, payload: Json, sequence: int
) -> ProcessWakeSemantics | None:
    if spec is None:
        return None
    if spec.when is not None and not is_truthy(select(spec.when, payload)):
        return None
    match spec.dedupe_key:
        case EventIdentityKey():
            dedupe_key = f"{process.process_id}:{sequence}"
        case ConstKey(text=text):
            dedupe_key = text
        case by_selector:
            dedupe_key = render(select(by_selector.selector, payload))
    return ProcessWakeSemantics(
        input=render(select(spec.input, payload)), dedupe_key=dedupe_key
    )


def _status_after(semantics: ProcessEventSemantics) -> ProcessStatus | None:
    if semantics.terminal is None:
        return None
    return status_of(semantics.terminal.state, semantics.terminal.await_output)


def event_invocation(
    process_id: str, sequence: int, event_type: str, replay_key: str | None
) -> Json:
    """
    Return the lineage of an event.
    """
    invocation: dict[str, Json] = {
        "scope": {"session_id": "runtime"},
        "subject": {
            "type": "process_event",
            "process_id": process_id,
            "sequence": sequence,
            "event_type": event_type,
        },
        "caused_by": {"type": "process", "process_id": process_id},
    }
    if replay_key is not None:
        invocation["replay"] = {"key": replay_key}
    return invocation


def _delivery_of(
    process: EventContext, event: ProcessEvent, requested: SessionScope | None
) -> ProcessWakeDelivery | None:
    wake, target = event.semantics.wake, requested or process.wake_target
    if wake is None or target is None:
        return None
    return ProcessWakeDelivery(
        wake_id=wake_id(target, process.process_id, wake.dedupe_key),
        target_session_id=target.session_id,
        target_scope_id=target.scope_id,
        process_id=process.process_id,
        sequence=event.sequence,
        event_type=event.event_type,
        event_invocation=event.invocation,
        process_caused_by=process.caused_by,
        dedupe_key=wake.dedupe_key,
        input=wake.input,
        created_at_ms=event.occurred_at_ms,
    )


def wake_id(target: SessionScope, process_id: str, dedupe_key: str) -> str:
    """
    Return the id of a wake: the same for the same target, process and key.
    """
    # Session and frame apart: their joined text is ambiguous.
    parts = [target.session_id, target.agent_frame_id or None, process_id, dedupe_key]
    text = codec.encode_json(parts, "the wake")
    return f"wake:{codec.sha256_hex(text.encode())}"
