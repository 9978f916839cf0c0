"""
External refs, first starts, abandon requests, waits.
"""

import pytest

from lashstore import (
    AbandonRequest,
    InvalidArgumentError,
    ProcessConflictError,
    ProcessExternalRef,
    ProcessLeaseExpiredError,
    ProcessStarted,
    ProcessTerminalError,
    SignalWait,
    SuccessOutput,
    UnknownProcessError,
    WaitState,
)

from .kit import NOW_MS, event, owner, registration

REF = ProcessExternalRef(backend="k8s", id="job-1", metadata={"a": 1})
STARTED = ProcessStarted(owner=owner("a"), started_at_ms=5)
REQUEST = AbandonRequest(requested_by="ops", requested_at_ms=6, reason="stuck")


def wait(ordinal=1):
    """
    Make the wait for a signal.
    """
    return WaitState(
        kind=SignalWait(
            name="ready",
            event_type="signal.ready",
            key=f"process:p:signal.ready:{ordinal}",
            ordinal=ordinal,
        ),
        since_ms=7,
    )


WRITES = {
    "external_ref": lambda registry, process_id: registry.set_external_ref(
        process_id, REF
    ),
    "first_started": lambda registry, process_id: registry.record_first_started(
        process_id, STARTED
    ),
    "abandon_request": lambda registry, process_id: registry.request_process_abandon(
        process_id, REQUEST
    ),
    "wait": lambda registry, process_id: registry.set_process_wait(process_id, wait()),
    "no wait": lambda registry, process_id: registry.clear_process_wait(process_id),
}
VALUES = {
    "external_ref": REF,
    "first_started": STARTED,
    "abandon_request": REQUEST,
    "wait": wait(),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_fact_is_kept_and_touches_the_record(known, place, clock, name):
    """
    It stands on the record from then on, through events and reopening.
    """
    clock.advance(9)

    record = WRITES[name](known, "p")

    assert VALUES[name] == getattr(record, name)
    assert (NOW_MS, NOW_MS + 9) == (record.created_at_ms, record.updated_at_ms)
    assert record == known.get_process("p")
    registry = place.reopen(known)
    clock.advance(1)
    registry.append_event("p", event())
    assert VALUES[name] == getattr(registry.get_process("p"), name)


@pytest.mark.parametrize("name", WRITES)
def test_an_unknown_process_has_no_facts(registry, name):
    """
    Every write says so.
    """
    with pytest.raises(UnknownProcessError):
        WRITES[name](registry, "x")
    with pytest.raises(InvalidArgumentError):
        WRITES[name](registry, "")


@pytest.mark.parametrize("name", ["external_ref", "first_started", "abandon_request"])
def test_the_same_fact_again_changes_nothing(known, clock, name):
    """
    Not even the time of the record.
    """
    first = WRITES[name](known, "p")
    clock.advance(9)

    assert first == WRITES[name](known, "p")


@pytest.mark.parametrize(
    "other",
    [
        ProcessExternalRef(backend="other", id="job-1", metadata={"a": 1}),
        ProcessExternalRef(backend="k8s", id="job-2", metadata={"a": 1}),
        ProcessExternalRef(backend="k8s", id="job-1"),
        ProcessExternalRef(backend="k8s", id="job-1", metadata={"a": 1.0}),
        ProcessExternalRef(backend="k8s", id="job-1", metadata={"a": True}),
    ],
    ids=str,
)
def test_an_external_ref_never_changes(known, other):
    """
    Another one is a conflict, whatever it differs in.
    """
    before = known.set_external_ref("p", REF)

    with pytest.raises(ProcessConflictError):
        known.set_external_ref("p", other)

    assert before == known.get_process("p")


def test_the_first_start_and_request_stay(known):
    """
    Later ones are ignored without a word.
    """
    known.record_first_started("p", STARTED)
    known.request_process_abandon("p", REQUEST)

    known.record_first_started("p", ProcessStarted(owner=owner("b"), started_at_ms=50))
    known.request_process_abandon(
        "p", AbandonRequest(requested_by="other", requested_at_ms=60)
    )

    record = known.get_process("p")
    assert (STARTED, REQUEST) == (record.first_started, record.abandon_request)


def test_a_wait_is_replaced_and_cleared(known, clock):
    """
    Setting and clearing touch the record each time, even to no effect.
    """
    for step, change in enumerate(
        (
            lambda: known.set_process_wait("p", wait(1)),
            lambda: known.set_process_wait("p", wait(2)),
            lambda: known.set_process_wait("p", wait(2)),
            lambda: known.clear_process_wait("p"),
            lambda: known.clear_process_wait("p"),
        ),
        start=1,
    ):
        clock.advance(1)
        record = change()
        assert NOW_MS + step == record.updated_at_ms
        assert (None if step > 3 else wait(min(step, 2))) == record.wait


def test_an_ended_process_still_takes_some_facts(known):
    """
    A ref, a first start and clearing the wait; neither a wait nor a request.
    """
    known.complete_process("p", SuccessOutput(value=1))

    assert REF == known.set_external_ref("p", REF).external_ref
    assert STARTED == known.record_first_started("p", STARTED).first_started
    assert known.clear_process_wait("p").is_terminal
    with pytest.raises(ProcessTerminalError):
        known.set_process_wait("p", wait())
    with pytest.raises(ProcessTerminalError):
        known.request_process_abandon("p", REQUEST)


def test_an_ended_process_refuses_even_the_same_request(known):
    """
    That it has ended comes before who was first.
    """
    known.request_process_abandon("p", REQUEST)
    known.complete_process("p", SuccessOutput(value=1))

    with pytest.raises(ProcessTerminalError):
        known.request_process_abandon("p", REQUEST)
    assert REQUEST == known.get_process("p").abandon_request


@pytest.mark.parametrize(
    "write",
    [
        lambda r, fence: r.record_first_started("p", STARTED, fence=fence),
        lambda r, fence: r.set_process_wait("p", wait(), fence=fence),
        lambda r, fence: r.clear_process_wait("p", fence=fence),
    ],
)
def test_a_fence_guards_the_facts_of_an_owner(known, clock, write):
    """
    Only the holder of the very lease writes; without a fence anybody does.
    """
    known.register_process(registration("q"))
    foreign = known.claim_process_lease("q", owner(), 1_000).lease
    stale = known.claim_process_lease("p", owner(), 10).lease
    clock.advance(10)
    lease = known.claim_process_lease("p", owner(), 10).lease
    before = known.get_process("p")

    for wrong in (stale, foreign):
        with pytest.raises(ProcessLeaseExpiredError) as caught:
            write(known, wrong)
        assert "p" == caught.value.process_id
    assert before == known.get_process("p")
    write(known, lease)
    write(known, None)
    with pytest.raises(InvalidArgumentError):
        write(known, "fence")


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.set_external_ref("p", None),
        lambda r: r.set_external_ref("p", ProcessExternalRef(backend="a\0", id="i")),
        lambda r: r.set_external_ref(
            "p", ProcessExternalRef(backend="a", id="i", metadata=float("nan"))
        ),
        lambda r: r.record_first_started("p", owner()),
        lambda r: r.record_first_started(
            "p", ProcessStarted(owner=owner(), started_at_ms=-1)
        ),
        lambda r: r.record_first_started(
            "p", ProcessStarted(owner=owner("\ud800"), started_at_ms=1)
        ),
        lambda r: r.request_process_abandon(
            "p", AbandonRequest(requested_by="a", requested_at_ms=2**63)
        ),
        lambda r: r.request_process_abandon(
            "p", AbandonRequest(requested_by=None, requested_at_ms=2)
        ),
        lambda r: r.set_process_wait("p", wait(-1)),
        lambda r: r.set_process_wait("p", wait(2**63)),
        lambda r: r.set_process_wait("p", WaitState(kind=None, since_ms=1)),
        lambda r: r.set_process_wait("p", None),
    ],
)
def test_what_cannot_be_stored_is_refused(known, write):
    """
    Before anything is written.
    """
    before = known.get_process("p")

    with pytest.raises(InvalidArgumentError):
        write(known)

    assert before == known.get_process("p")
