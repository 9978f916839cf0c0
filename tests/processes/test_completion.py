"""
Ending a process.
"""

import msgspec
import pytest

from lashstore import (
    AbandonedOutput,
    AbandonEvidence,
    AbandonWriter,
    CancelledOutput,
    CompletedStatus,
    FailureClass,
    FailureOutput,
    InvalidArgumentError,
    InvalidProcessEventError,
    PointerSelector,
    ProcessConflictError,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessLeaseExpiredError,
    ProcessTerminalError,
    ProcessTerminalSpec,
    SignalWait,
    SuccessOutput,
    WaitState,
    codec,
)

from .kit import NOW_MS, event, owner, registration

OUTPUTS = {
    "completed": SuccessOutput(value={"ok": True}),
    "failed": FailureOutput(
        failure_class=FailureClass.TIMEOUT, code="c", message="m", raw=[1]
    ),
    "cancelled": CancelledOutput(message="m", control={"type": "finish", "value": 1}),
    "abandoned": AbandonedOutput(
        evidence=AbandonEvidence(
            writer=AbandonWriter.SWEEP, owner=owner("dead"), epoch_ms=5
        )
    ),
}
OTHERS = {
    "completed": SuccessOutput(value={"ok": 1}),
    "failed": FailureOutput(
        failure_class=FailureClass.TIMEOUT, code="c", message="m", raw=[1.0]
    ),
    "cancelled": CancelledOutput(message="other"),
    "abandoned": AbandonedOutput(
        evidence=AbandonEvidence(writer=AbandonWriter.OWNER_DRAIN, epoch_ms=5)
    ),
}
WAIT = WaitState(
    kind=SignalWait(name="a", event_type="signal.a", key="k", ordinal=1), since_ms=1
)


@pytest.mark.parametrize("state", OUTPUTS)
def test_an_outcome_ends_a_process(known, place, clock, state):
    """
    Status and event are written together, and the wait is over.
    """
    known.set_process_wait("p", WAIT)
    clock.advance(7)

    record = known.complete_process("p", OUTPUTS[state])

    assert state == record.status.label
    assert record.is_terminal
    assert OUTPUTS[state] == record.status.await_output
    assert record.wait is None
    assert NOW_MS + 7 == record.updated_at_ms
    registry = place.reopen(known)
    assert record == registry.get_process("p")
    (stored,) = registry.events_after("p", 0)
    assert f"process.{state}" == stored.event_type
    assert {
        "await_output": msgspec.json.decode(codec.to_json(OUTPUTS[state]))
    } == stored.payload
    assert (state, OUTPUTS[state]) == (
        stored.semantics.terminal.state,
        stored.semantics.terminal.await_output,
    )
    assert f"process:p:terminal:process.{state}" == stored.invocation["replay"]["key"]


@pytest.mark.parametrize("state", OUTPUTS)
def test_a_process_ends_once(known, clock, state):
    """
    The same outcome again is harmless, another one a conflict, and another
    state comes too late.
    """
    ended = known.complete_process("p", OUTPUTS[state])
    clock.advance(5)

    assert ended == known.complete_process("p", OUTPUTS[state])
    with pytest.raises(ProcessConflictError):
        known.complete_process("p", OTHERS[state])
    for other, output in OUTPUTS.items():
        if other != state:
            with pytest.raises(ProcessTerminalError):
                known.complete_process("p", output)
    assert ended == known.get_process("p")
    assert 1 == len(known.events_after("p", 0))


@pytest.mark.parametrize("state", OUTPUTS)
def test_after_an_end_of_its_own_a_process_cannot_be_completed(known, state):
    """
    Whatever the outcome: the declared event came first.
    """
    known.append_event("p", event("producer.done", 1, "k"))

    with pytest.raises(ProcessTerminalError):
        known.complete_process("p", OUTPUTS[state])


def test_the_whole_payload_is_the_outcome_without_a_selector(known):
    """
    Even if it looks like an outcome itself.
    """
    payload = {"type": "failure", "class": "timeout", "code": "c", "message": "m"}

    known.append_event("p", event("producer.done", payload, "k"))

    assert (
        CompletedStatus(await_output=SuccessOutput(value=payload))
        == known.get_process("p").status
    )


def _typed(state):
    return ProcessEventType(
        name="end",
        semantics=ProcessEventSemanticsSpec(
            terminal=ProcessTerminalSpec(
                state=state, await_output=PointerSelector(pointer="/out")
            )
        ),
    )


@pytest.mark.parametrize("value", ["text", {"a": 1}, None, {"type": "nothing"}, 1.5])
@pytest.mark.parametrize("state", OUTPUTS)
def test_what_is_no_outcome_is_made_one(registry, state, value):
    """
    A selected value is wrapped by the declared state.
    """
    registry.register_process(registration(event_types=(_typed(state),)))
    text = value if isinstance(value, str) else codec.encode_json(value, "it")

    registry.append_event("p", event("end", {"out": value}, "k"))

    expected = {
        "completed": SuccessOutput(value=value),
        "failed": FailureOutput(
            failure_class=FailureClass.EXECUTION,
            code="process_failed",
            message=text,
            raw=value,
        ),
        "cancelled": CancelledOutput(message=text, raw=value),
        "abandoned": AbandonedOutput(
            evidence=AbandonEvidence(writer=AbandonWriter.OWNER_DRAIN, epoch_ms=0)
        ),
    }
    status = registry.get_process("p").status
    assert (state, expected[state]) == (status.label, status.await_output)


@pytest.mark.parametrize("given", OUTPUTS)
@pytest.mark.parametrize("state", OUTPUTS)
def test_an_outcome_must_be_of_its_state(registry, state, given):
    """
    The outcome an event selects cannot contradict the state it declares.
    """
    registry.register_process(registration(event_types=(_typed(state),)))
    payload = {"out": msgspec.json.decode(codec.to_json(OUTPUTS[given]))}

    if state == given:
        registry.append_event("p", event("end", payload, "k"))
        assert OUTPUTS[given] == registry.get_process("p").status.await_output
        return
    with pytest.raises(InvalidProcessEventError):
        registry.append_event("p", event("end", payload, "k"))
    assert "running" == registry.get_process("p").status.label


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"type": "success", "value": 1},
        SuccessOutput(value=float("nan")),
        SuccessOutput(value={1: 2}),
        FailureOutput(failure_class="bad luck", code="c", message="m"),
        FailureOutput(failure_class=FailureClass.TIMEOUT, code="c\0", message="m"),
        CancelledOutput(message=None),
        CancelledOutput(message="\ud800"),
        AbandonedOutput(evidence=None),
        AbandonedOutput(
            evidence=AbandonEvidence(writer=AbandonWriter.SWEEP, epoch_ms=-1)
        ),
        AbandonedOutput(evidence=AbandonEvidence(writer="me", epoch_ms=1)),
    ],
    ids=str,
)
def test_what_is_no_outcome_ends_nothing(known, wrong):
    """
    It is refused before anything is read.
    """
    with pytest.raises(InvalidArgumentError):
        known.complete_process("p", wrong)

    assert "running" == known.get_process("p").status.label


def test_a_fence_guards_the_end(known, clock):
    """
    A stale owner cannot write the outcome, not even the same again.
    """
    stale = known.claim_process_lease("p", owner("a"), 100).lease
    clock.advance(100)
    lease = known.claim_process_lease("p", owner("b"), 100).lease

    with pytest.raises(ProcessLeaseExpiredError):
        known.complete_process("p", OUTPUTS["completed"], fence=stale)
    ended = known.complete_process("p", OUTPUTS["completed"], fence=lease)
    assert ended == known.complete_process("p", OUTPUTS["completed"], fence=lease)
    with pytest.raises(ProcessLeaseExpiredError):
        known.complete_process("p", OUTPUTS["completed"], fence=stale)
