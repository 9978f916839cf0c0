"""
Effects: the journal that lets a rerun of a scope repeat no side effect.
"""

from enum import StrEnum
from typing import Any, get_args

import msgspec

from lashstore import codec
from lashstore.errors import (
    EffectReplayConflictError,
    EffectReplayMissingError,
    InvalidArgumentError,
)

from .leases import is_live
from .names import require_name
from .options import LeaseTimings, StoreOptions
from .record import (
    Json,
    Record,
    require_counter,
    require_record,
)

SLEEP = "sleep"
DURABLE_STEP = "durable_step"

_encode_leaf = msgspec.json.Encoder().encode


class TurnScope(Record, frozen=True, kw_only=True, tag="turn", tag_field="type"):
    """
    The effects of one turn of a session.
    """

    session_id: str
    turn_id: str


class ProcessScope(Record, frozen=True, kw_only=True, tag="process", tag_field="type"):
    """
    The effects of a background process.
    """

    process_id: str


class QueueDrainScope(
    Record, frozen=True, kw_only=True, tag="queue_drain", tag_field="type"
):
    """
    The effects of one drain of a session's queue.
    """

    session_id: str
    drain_id: str


class SessionDeleteScope(
    Record, frozen=True, kw_only=True, tag="session_delete", tag_field="type"
):
    """
    The effects of deleting a session.
    """

    session_id: str


class OperationScope(
    Record, frozen=True, kw_only=True, tag="runtime_operation", tag_field="type"
):
    """
    The effects of an operation of the host's own.
    """

    operation_id: str


ExecutionScope = (
    TurnScope | ProcessScope | QueueDrainScope | SessionDeleteScope | OperationScope
)


class EffectEnvelope(Record, frozen=True, kw_only=True):
    """
    What is to be done, and the key its outcome is recorded under.

    `kind` "sleep" is a durable timer: its command is
    `{"duration_ms": <milliseconds>}`, and it has no executor.
    """

    kind: str
    effect_id: str
    replay_key: str
    command: Json = {}
    invocation: Json | None = None

    def stable_hash(self) -> str:
        """
        Return the SHA-256 of the canonical envelope, equal for equal ones in
        every process.

        Raises:
            InvalidArgumentError: The command or the invocation is no JSON.
        """
        return codec.hash_json(msgspec.structs.asdict(self), "the envelope")


class EffectReplayOptions(Record, frozen=True, kw_only=True):
    """
    Options of one effect host.
    """

    lease_timings: LeaseTimings = LeaseTimings()
    store: StoreOptions = StoreOptions()


class EffectStatus(StrEnum):
    """
    Where an effect stands; only the first may still change.
    """

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Effect(Record, frozen=True, kw_only=True):
    """
    An envelope checked and encoded, bound to its scope.
    """

    scope_id: str
    session_id: str | None
    envelope: EffectEnvelope
    envelope_json: str
    duration_ms: int | None

    @property
    def replay_key(self) -> str:
        """
        The key within the scope.
        """
        return self.envelope.replay_key


class EffectFailureRecord(Record, frozen=True, kw_only=True):
    """
    A recorded failure.
    """

    code: str
    message: str


class EffectRow(Record, frozen=True, kw_only=True):
    """
    The content of a stored effect.
    """

    scope_id: str
    replay_key: str
    session_id: str | None
    envelope_json: str
    status: EffectStatus
    outcome_json: str | None
    error_json: str | None
    due_at_ms: int | None
    created_at_ms: int
    finished_at_ms: int | None


class EffectLease(Record, frozen=True, kw_only=True):
    """
    Who runs an effect, and until when nobody else may.
    """

    owner_id: str
    token: str
    expires_at_ms: int


class StoredEffect(Record, frozen=True, kw_only=True):
    """
    An effect as it is stored; `lease` None: nobody runs it.
    """

    row: EffectRow
    lease: EffectLease | None


class EffectClaim(Record, frozen=True, kw_only=True):
    """
    The right to run an effect and to record its outcome.
    """

    row: EffectRow
    lease: EffectLease


class EffectFree(Record, frozen=True, kw_only=True):
    """
    Nobody runs the effect; `stored` None: nobody ever did.
    """

    stored: StoredEffect | None


class EffectBusy(Record, frozen=True, kw_only=True):
    """
    Somebody runs the effect.
    """

    token: str


class EffectFinished(Record, frozen=True, kw_only=True):
    """
    The effect has its outcome.
    """

    row: EffectRow


EffectState = EffectFree | EffectBusy | EffectFinished


def scope_session_id(scope: ExecutionScope) -> str | None:
    """
    Return the session a scope belongs to, if any.
    """
    if isinstance(scope, TurnScope | QueueDrainScope | SessionDeleteScope):
        return scope.session_id
    return None


def scope_key(scope: ExecutionScope) -> str:
    """
    Return the journal's key of a scope: its kind and all of its ids, so that
    a turn and a process of one name share nothing.

    Raises:
        InvalidArgumentError: It is no scope, or one of its ids is blank.
    """
    require_record("the scope", scope, ExecutionScope)
    fields = msgspec.to_builtins(scope, builtin_types=(bytes,))
    kind = fields.pop("type")
    for name, value in fields.items():
        require_name(f"the scope's {name}", value)
    return codec.encode_json([kind, *fields.values()], "the scope")


def scope_from_key(key: str) -> ExecutionScope:
    """
    Return the scope of a journal's key.

    Raises:
        InvalidArgumentError: It is no key.
    """
    kinds: dict[str, Any] = {
        str(kind.__struct_config__.tag): kind for kind in get_args(ExecutionScope)
    }
    try:
        name, *ids = msgspec.json.decode(key, type=list[str])
        kind = kinds[name]
        fields = dict(zip(kind.__struct_fields__, ids, strict=True))
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        msg = f"{key!r} is no scope's key"
        raise InvalidArgumentError(msg) from error
    scope: ExecutionScope = kind(**fields)
    return scope


def prepare_effect(
    scope_id: str, session_id: str | None, envelope: EffectEnvelope
) -> Effect:
    """
    Check an envelope and bring it into its canonical form.

    Raises:
        InvalidArgumentError: An id is blank, the command or invocation is no
            JSON, or a timer has no duration.
    """
    require_record("the envelope", envelope, EffectEnvelope)
    require_name("the effect's kind", envelope.kind)
    require_name("effect_id", envelope.effect_id)
    require_name("replay_key", envelope.replay_key)
    return Effect(
        scope_id=scope_id,
        session_id=session_id,
        envelope=envelope,
        envelope_json=codec.encode_record(envelope, "the envelope"),
        duration_ms=_duration_ms(envelope.command) if envelope.kind == SLEEP else None,
    )


def _duration_ms(command: Json) -> int:
    if not isinstance(command, dict) or "duration_ms" not in command:
        msg = 'the command of a sleep must be {"duration_ms": <milliseconds>}'
        raise InvalidArgumentError(msg)
    return require_counter("duration_ms", command["duration_ms"])


def judge(
    effect: Effect, stored: StoredEffect | None, *, now_ms: int, is_strict: bool
) -> EffectState:
    """
    Decide what an effect's record means to somebody who wants it done.

    Args:
        is_strict: Nothing may run, so anything but an outcome is an error.

    Raises:
        EffectReplayConflictError: The key is recorded with another envelope,
            whatever its state.
        EffectReplayMissingError: Strict, and there is no finished record.
    """
    if stored is not None and stored.row.envelope_json != effect.envelope_json:
        raise EffectReplayConflictError(
            scope_id=effect.scope_id,
            replay_key=effect.replay_key,
            differing_paths=differing_paths(
                stored.row.envelope_json, effect.envelope_json
            ),
        )
    if stored is not None and stored.row.status is not EffectStatus.IN_PROGRESS:
        return EffectFinished(row=stored.row)
    if is_strict:
        raise EffectReplayMissingError(
            scope_id=effect.scope_id, replay_key=effect.replay_key
        )
    lease = None if stored is None else stored.lease
    if lease is not None and is_live(lease.expires_at_ms, now_ms):
        return EffectBusy(token=lease.token)
    return EffectFree(stored=stored)


def first_row(effect: Effect, *, now_ms: int, due_at_ms: int | None) -> EffectRow:
    """
    Return the row of an effect that nobody has begun.
    """
    return EffectRow(
        scope_id=effect.scope_id,
        replay_key=effect.replay_key,
        session_id=effect.session_id,
        envelope_json=effect.envelope_json,
        status=EffectStatus.IN_PROGRESS,
        outcome_json=None,
        error_json=None,
        due_at_ms=due_at_ms,
        created_at_ms=now_ms,
        finished_at_ms=None,
    )


def encode_failure(code: object, message: object) -> str:
    """
    Return a failure's stored form.

    Raises:
        InvalidArgumentError: Its code or message is no text.
    """
    if not isinstance(code, str) or not isinstance(message, str):
        msg = "an EffectFailure's code and message must be text"
        raise InvalidArgumentError(msg)
    return codec.encode_record(
        EffectFailureRecord(code=code, message=message), "the failure"
    )


def differing_paths(stored_json: str, given_json: str) -> tuple[str, ...]:
    """
    Return the JSON pointers at which two texts differ, in document order.

    A member that only one of them has is named as a whole.
    """
    found: list[str] = []
    pending: list[tuple[str, Any, Any]] = [
        ("", msgspec.json.decode(stored_json), msgspec.json.decode(given_json))
    ]
    while pending:
        path, stored, given = pending.pop()
        if isinstance(stored, dict) and isinstance(given, dict):
            keys = sorted(stored.keys() | given.keys(), reverse=True)
            pending.extend(
                (
                    f"{path}/{_escaped(key)}",
                    stored.get(key, _ABSENT),
                    given.get(key, _ABSENT),
                )
                for key in keys
            )
        elif isinstance(stored, list) and isinstance(given, list):
            pending.extend(
                (
                    f"{path}/{index}",
                    stored[index] if index < len(stored) else _ABSENT,
                    given[index] if index < len(given) else _ABSENT,
                )
                for index in reversed(range(max(len(stored), len(given))))
            )
        elif (
            stored is _ABSENT
            or given is _ABSENT
            or _encode_leaf(stored) != _encode_leaf(given)
        ):
            found.append(path)
    return tuple(found)


_ABSENT: Any = object()


def _escaped(key: str) -> str:
    # https://www.rfc-editor.org/rfc/rfc6901#section-3
    return key.replace("~", "~0").replace("/", "~1")
