"""
What the rows of a process say: its state, its registration, whom it wakes.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from lashstore.codec import (
    decode_stored,
    encode_record,
    row_checksum,
    stored_decoder,
    verify_row,
)
from lashstore.errors import CorruptRecordError
from lashstore.model.process_events import EventContext
from lashstore.model.process_facts import ProcessFacts
from lashstore.model.process_outputs import (
    AwaitOutput,
    ProcessStatus,
    RunningStatus,
    status_of,
)
from lashstore.model.process_registration import declared_types
from lashstore.model.process_states import ProcessState
from lashstore.model.processes import (
    ProcessIdentity,
    ProcessInput,
    ProcessProvenance,
    ProcessRecord,
    RecoveryDisposition,
    SessionScope,
)
from lashstore.model.record import Record
from lashstore.tables import (
    process_registrations,
    process_wake_targets,
    processes,
)

from ._scan import full_scan

_KIND = "process"
_decode_facts = stored_decoder(ProcessFacts, _KIND)

_p, _r, _w = processes.c, process_registrations.c, process_wake_targets.c

# The columns of a state as they are hashed; `updated_at_ms` is taken off.
_STATE = (
    "status",
    "activity",
    "definition_hash",
    "terminal_at_ms",
    "last_sequence",
    "facts_json",
    "await_output_json",
)
_state_columns = (
    _p.process_id,
    *(_p[name] for name in _STATE),
    _p.updated_at_ms,
    _p.checksum,
)
_FIXED = (
    "registration_hash",
    "disposition",
    "identity_json",
    "provenance_json",
    "env_ref",
    "created_at_ms",
    "event_types_json",
)
_context_columns = (
    *_state_columns,
    *(_r[name] for name in _FIXED),
    _r.checksum.label("registration_checksum"),
    _w.session_id.label("target_session_id"),
    _w.agent_frame_id.label("target_frame_id"),
    _w.checksum.label("target_checksum"),
)
_record_columns = (*_context_columns, _r.input_json, _r.input_checksum)
# Where every row has them.
_STATE_PLACES = slice(1, 1 + len(_STATE))
_FIXED_PLACES = slice(len(_state_columns), len(_state_columns) + len(_FIXED))
_joined = processes.join(
    process_registrations, _r.process_id == _p.process_id
).outerjoin(process_wake_targets, _w.process_id == _p.process_id)


class StoredProcess(Record, frozen=True, kw_only=True):
    """
    A process with its state, which is what changes and is written back.
    """

    state: ProcessState
    record: ProcessRecord


class StoredContext(Record, frozen=True, kw_only=True):
    """
    A process as far as planning an event needs it, and whether the event was
    appended before. `columns` is the state as it is stored.
    """

    state: ProcessState
    context: EventContext
    is_replayed: bool
    columns: tuple[Any, ...]


def _state_checksum(
    process_id: str, values: Sequence[Any], *, updated_at_ms: int
) -> int:
    return row_checksum("processes", process_id, *values) - updated_at_ms


def _fixed_checksum(process_id: str, values: Sequence[Any]) -> int:
    return row_checksum("process_registrations", process_id, *values)


def _input_checksum(process_id: str, input_json: str) -> int:
    return row_checksum("process_registrations.input", process_id, input_json)


def _target_checksum(process_id: str, target: SessionScope) -> int:
    return row_checksum(
        "process_wake_targets", process_id, target.session_id, target.agent_frame_id
    )


def _state_values(state: ProcessState) -> dict[str, Any]:
    values = {
        "status": state.status.label,
        "activity": state.activity,
        "definition_hash": state.definition_hash,
        "terminal_at_ms": state.terminal_at_ms,
        "last_sequence": state.last_sequence,
        "facts_json": encode_record(state.facts, "the facts of a process"),
        "await_output_json": None
        if isinstance(state.status, RunningStatus)
        else encode_record(state.status.await_output, "the await output"),
    }
    checksum = _state_checksum(
        state.process_id, list(values.values()), updated_at_ms=state.updated_at_ms
    )
    return {**values, "updated_at_ms": state.updated_at_ms, "checksum": checksum}


def _state_from_row(row: Any) -> ProcessState:
    key = str(row.process_id)
    values = row[_STATE_PLACES]
    # What is no number, in a damaged page, is no checksum either.
    parts = (row.checksum, row.updated_at_ms)
    stored = sum(parts) if all(isinstance(part, int) for part in parts) else None
    verify_row(_KIND, key, stored, "processes", key, *values)
    facts: ProcessFacts = _decode_facts(row.facts_json, key)
    return ProcessState(
        process_id=row.process_id,
        status=_status_from_row(key, row),
        definition_hash=row.definition_hash,
        updated_at_ms=row.updated_at_ms,
        terminal_at_ms=row.terminal_at_ms,
        last_sequence=row.last_sequence,
        facts=facts,
    )


def _status_from_row(key: str, row: Any) -> ProcessStatus:
    if row.status == "running":
        return RunningStatus()
    output: AwaitOutput = decode_stored(AwaitOutput, row.await_output_json, _KIND, key)
    return status_of(row.status, output)


def _verify_fixed(row: Any) -> None:
    key = str(row.process_id)
    values = row[_FIXED_PLACES]
    verify_row(
        _KIND, key, row.registration_checksum, "process_registrations", key, *values
    )


def _wake_target_from_row(row: Any) -> SessionScope | None:
    if row.target_session_id is None:
        return None
    verify_row(
        _KIND,
        str(row.process_id),
        row.target_checksum,
        "process_wake_targets",
        row.process_id,
        row.target_session_id,
        row.target_frame_id,
    )
    return SessionScope(
        session_id=row.target_session_id, agent_frame_id=row.target_frame_id
    )


def _stored_from_row(row: Any) -> StoredProcess:
    key = str(row.process_id)
    state = _state_from_row(row)
    _verify_fixed(row)
    verify_row(
        _KIND,
        key,
        row.input_checksum,
        "process_registrations.input",
        key,
        row.input_json,
    )
    identity: ProcessIdentity = decode_stored(
        ProcessIdentity, row.identity_json, _KIND, key
    )
    given: ProcessInput = decode_stored(ProcessInput, row.input_json, _KIND, key)
    provenance: ProcessProvenance = decode_stored(
        ProcessProvenance, row.provenance_json, _KIND, key
    )
    record = ProcessRecord(
        id=row.process_id,
        registration_hash=row.registration_hash,
        input=given,
        disposition=RecoveryDisposition(row.disposition),
        identity=identity,
        event_types=tuple(_event_types_from_row(row).values()),
        provenance=provenance,
        env_ref=row.env_ref,
        wake_target=_wake_target_from_row(row),
        created_at_ms=row.created_at_ms,
        updated_at_ms=state.updated_at_ms,
    )
    return StoredProcess(state=state, record=state.on(record))


def _event_types_from_row(row: Any) -> Any:
    try:
        return declared_types(row.event_types_json)
    except msgspec.MsgspecError as error:
        raise CorruptRecordError(
            record_kind=_KIND, key=row.process_id, reason=str(error)
        ) from error


# A process without its registration fails the registration's checksum; a
# registration without its process is what foreign keys are for.
SCAN = full_scan(
    processes,
    (*_record_columns, _p.activity.label("stored_activity")),
    _stored_from_row,
    source=processes.outerjoin(
        process_registrations, _r.process_id == _p.process_id
    ).outerjoin(process_wake_targets, _w.process_id == _p.process_id),
)
