"""
The facts that others write on a process: checks, and who may still write.
"""

import msgspec

from lashstore.errors import ProcessConflictError, ProcessTerminalError

from .leases import check_owner
from .process_registration import encode_checked
from .processes import (
    AbandonRequest,
    ProcessExternalRef,
    ProcessListFilter,
    ProcessStarted,
    SignalWait,
    WaitState,
)
from .record import (
    Record,
    require_counter,
    require_optional_text,
    require_record,
    require_text,
)


class ProcessFacts(Record, frozen=True, kw_only=True, omit_defaults=True):
    """
    What became known of a process besides its events.
    """

    external_ref: ProcessExternalRef | None = None
    first_started: ProcessStarted | None = None
    abandon_request: AbandonRequest | None = None
    wait: WaitState | None = None


def with_external_ref(
    process_id: str, facts: ProcessFacts, external_ref: ProcessExternalRef
) -> ProcessFacts:
    """
    Set the external ref; the same one again changes nothing.

    Raises:
        ProcessConflictError: Another one is set.
    """
    if facts.external_ref is None:
        return msgspec.structs.replace(facts, external_ref=external_ref)
    # As JSON: True equals 1 in Python.
    if encode_checked(facts.external_ref, "the stored ref") != encode_checked(
        external_ref, "the external ref"
    ):
        msg = (
            f"process {process_id!r} already has external ref "
            f"{facts.external_ref.backend}:{facts.external_ref.id} or other metadata "
            "with it: an external ref never changes"
        )
        raise ProcessConflictError(msg, process_id=process_id)
    return facts


def with_first_started(facts: ProcessFacts, started: ProcessStarted) -> ProcessFacts:
    """
    Record who started first; later ones are ignored.
    """
    if facts.first_started is not None:
        return facts
    return msgspec.structs.replace(facts, first_started=started)


def with_abandon_request(facts: ProcessFacts, request: AbandonRequest) -> ProcessFacts:
    """
    Record the request; later ones are ignored.
    """
    if facts.abandon_request is not None:
        return facts
    return msgspec.structs.replace(facts, abandon_request=request)


def require_running(process_id: str, *, is_terminal: bool, what: str) -> None:
    """
    Raises:
        ProcessTerminalError: The process has ended; it *what* no more.
    """
    if is_terminal:
        msg = f"process {process_id!r} has ended: it {what} no more"
        raise ProcessTerminalError(msg, process_id=process_id)


def check_external_ref(external_ref: ProcessExternalRef) -> None:
    """
    Raises:
        InvalidArgumentError: It cannot be stored.
    """
    require_record("the external ref", external_ref, ProcessExternalRef)
    require_text("the external ref's backend", external_ref.backend)
    require_text("the external ref's id", external_ref.id)
    encode_checked(external_ref, "the external ref")


def check_started(started: ProcessStarted) -> None:
    """
    Raises:
        InvalidArgumentError: It cannot be stored.
    """
    require_record("the start", started, ProcessStarted)
    check_owner(started.owner)
    require_counter("started_at_ms", started.started_at_ms)
    encode_checked(started, "the start")


def check_abandon_request(request: AbandonRequest) -> None:
    """
    Raises:
        InvalidArgumentError: It cannot be stored.
    """
    require_record("the abandon request", request, AbandonRequest)
    require_text("requested_by", request.requested_by)
    require_counter("requested_at_ms", request.requested_at_ms)
    require_optional_text("the reason", request.reason)
    encode_checked(request, "the abandon request")


def check_wait(wait: WaitState) -> None:
    """
    Raises:
        InvalidArgumentError: It cannot be stored.
    """
    require_record("the wait state", wait, WaitState)
    require_record("the wait's kind", wait.kind, SignalWait)
    require_text("the signal's name", wait.kind.name)
    require_text("the signal's event_type", wait.kind.event_type)
    require_text("the wait's key", wait.kind.key)
    require_counter("the wait's ordinal", wait.kind.ordinal)
    require_counter("since_ms", wait.since_ms)
    encode_checked(wait, "the wait state")


def check_filter(given: ProcessListFilter) -> None:
    """
    Raises:
        InvalidArgumentError: It is no filter.
    """
    require_record("the filter", given, ProcessListFilter)
    encode_checked(given, "the filter")
