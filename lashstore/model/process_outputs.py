"""
How a process ended: its outcome, and the status made of it.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec

from lashstore import codec

from .leases import LeaseOwnerIdentity, check_owner
from .record import Json, Record, require_counter, require_record, require_text
from .selectors import render


class FailureClass(StrEnum):
    """
    What kind of failure it was.
    """

    INVALID_REQUEST = "invalid_request"
    UNAVAILABLE = "unavailable"
    PERMISSION_DENIED = "permission_denied"
    TIMEOUT = "timeout"
    EXECUTION = "execution"
    EXTERNAL = "external"
    RESOURCE_LIMIT = "resource_limit"
    INTERNAL = "internal"


class AbandonWriter(StrEnum):
    """
    Who gave a process up: its owner on the way out, a sweep that saw the
    owner dead, or a sweep that met a request.
    """

    OWNER_DRAIN = "owner_drain"
    SWEEP = "sweep"
    RECONCILED_REQUEST = "reconciled_request"


class AbandonEvidence(Record, frozen=True, kw_only=True):
    """
    Why a process was given up, and by whom.
    """

    writer: AbandonWriter
    owner: LeaseOwnerIdentity | None = None
    epoch_ms: int


class SuccessOutput(Record, frozen=True, kw_only=True, tag="success", tag_field="type"):
    """
    It returned `value`.
    """

    value: Json
    control: Json | None = None


class FailureOutput(
    Record,
    frozen=True,
    kw_only=True,
    tag="failure",
    tag_field="type",
    rename={"failure_class": "class"},
):
    """
    It failed.
    """

    failure_class: FailureClass
    code: str
    message: str
    raw: Json | None = None
    control: Json | None = None


class CancelledOutput(
    Record, frozen=True, kw_only=True, tag="cancelled", tag_field="type"
):
    """
    It was cancelled.
    """

    message: str
    raw: Json | None = None
    control: Json | None = None


class AbandonedOutput(
    Record, frozen=True, kw_only=True, tag="abandoned", tag_field="type"
):
    """
    Nobody knows how it went, and nobody will run it again.
    """

    evidence: AbandonEvidence
    control: Json | None = None


AwaitOutput = SuccessOutput | FailureOutput | CancelledOutput | AbandonedOutput

_STATE_OF_OUTPUT: dict[type[AwaitOutput], str] = {
    SuccessOutput: "completed",
    FailureOutput: "failed",
    CancelledOutput: "cancelled",
    AbandonedOutput: "abandoned",
}
TERMINAL_STATES = tuple(_STATE_OF_OUTPUT.values())
PROCESS_STATES = ("running", *TERMINAL_STATES)


class RunningStatus(
    Record, frozen=True, kw_only=True, tag="running", tag_field="state"
):
    """
    It has not ended.
    """

    is_terminal: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """
        The state in one word.
        """
        return "running"


class CompletedStatus(
    Record, frozen=True, kw_only=True, tag="completed", tag_field="state"
):
    """
    It ended with a value.
    """

    is_terminal: ClassVar[bool] = True
    await_output: AwaitOutput

    @property
    def label(self) -> str:
        """
        The state in one word.
        """
        return "completed"


class FailedStatus(Record, frozen=True, kw_only=True, tag="failed", tag_field="state"):
    """
    It ended with a failure.
    """

    is_terminal: ClassVar[bool] = True
    await_output: AwaitOutput

    @property
    def label(self) -> str:
        """
        The state in one word.
        """
        return "failed"


class CancelledStatus(
    Record, frozen=True, kw_only=True, tag="cancelled", tag_field="state"
):
    """
    It was cancelled.
    """

    is_terminal: ClassVar[bool] = True
    await_output: AwaitOutput

    @property
    def label(self) -> str:
        """
        The state in one word.
        """
        return "cancelled"


class AbandonedStatus(
    Record, frozen=True, kw_only=True, tag="abandoned", tag_field="state"
):
    """
    It was given up.
    """

    is_terminal: ClassVar[bool] = True
    await_output: AwaitOutput

    @property
    def label(self) -> str:
        """
        The state in one word.
        """
        return "abandoned"


ProcessStatus = (
    RunningStatus | CompletedStatus | FailedStatus | CancelledStatus | AbandonedStatus
)

_STATUS_OF_STATE: dict[
    str,
    type[CompletedStatus]
    | type[FailedStatus]
    | type[CancelledStatus]
    | type[AbandonedStatus],
] = {
    "completed": CompletedStatus,
    "failed": FailedStatus,
    "cancelled": CancelledStatus,
    "abandoned": AbandonedStatus,
}


def status_of(state: str, await_output: AwaitOutput) -> ProcessStatus:
    """
    Return the status of a process that ended this way.
    """
    return _STATUS_OF_STATE[state](await_output=await_output)


def state_of(await_output: AwaitOutput) -> str:
    """
    Return the state an outcome belongs to.
    """
    return _STATE_OF_OUTPUT[type(await_output)]


def check_output(await_output: object) -> None:
    """
    Raises:
        InvalidArgumentError: It is no outcome that can be stored.
    """
    require_record("the await output", await_output, AwaitOutput)
    if isinstance(await_output, AbandonedOutput):
        require_record("the evidence", await_output.evidence, AbandonEvidence)
        require_counter("epoch_ms", await_output.evidence.epoch_ms)
        if await_output.evidence.owner is not None:
            check_owner(await_output.evidence.owner)
    if isinstance(await_output, FailureOutput):
        require_text("a failure's code", await_output.code)


def output_from_value(state: str, value: Json) -> AwaitOutput:
    """
    Return the outcome that a terminal event selected.

    Args:
        state: The state the event's type declares.

        value: The JSON form of an outcome is taken for one; anything else is
            the outcome's content.
    """
    try:
        output: AwaitOutput = msgspec.convert(value, AwaitOutput)
    except msgspec.ValidationError:
        return _wrapped(state, value)
    return output


def _wrapped(state: str, value: Json) -> AwaitOutput:
    if state == "completed":
        return SuccessOutput(value=value)
    if state == "failed":
        return FailureOutput(
            failure_class=FailureClass.EXECUTION,
            code="process_failed",
            message=render(value),
            raw=value,
        )
    if state == "cancelled":
        return CancelledOutput(message=render(value), raw=value)
    return AbandonedOutput(
        evidence=AbandonEvidence(writer=AbandonWriter.OWNER_DRAIN, epoch_ms=0)
    )


def output_to_value(await_output: AwaitOutput) -> Json:
    """
    Return an outcome's JSON form.

    Raises:
        InvalidArgumentError: It holds what JSON cannot carry.
    """
    text = codec.encode_record(await_output, "the await output")
    value: Json = codec.from_json(object, text)
    return value
