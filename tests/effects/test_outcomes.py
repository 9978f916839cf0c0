"""
What is recorded, what is replayed, and what is neither.
"""

import hashlib
import math

import pytest

from lashstore import (
    EffectEnvelope,
    EffectFailure,
    EffectReplayConflictError,
    EffectReplayMissingError,
    InvalidArgumentError,
    OperationScope,
    ProcessScope,
    QueueDrainScope,
    SessionDeleteScope,
    StoreClosedError,
    TurnScope,
)
from lashstore.codec import from_json, to_json
from lashstore.model.effects import ExecutionScope

from .conftest import TURN, Work


def envelope(**changed):
    fields = {
        "kind": "tool_attempt",
        "effect_id": "call-1",
        "replay_key": "call-1:1",
        "command": {"call": {"name": "weather", "args": {"a/b": 1, "m~n": [1, 2]}}},
    }
    return EffectEnvelope(**{**fields, **changed})


def test_an_outcome_is_replayed_without_running(backend, host):
    """
    The second call, and one after a restart, return the first one's outcome.
    """
    work = Work({"weather": ["sun", 21.5]})

    first = host.scoped(TURN).execute_effect(envelope(), work)
    again = host.scoped(TURN).execute_effect(envelope(), work)
    host = backend.reopen(host)
    later = host.scoped(TURN).execute_effect(envelope(), work)

    assert [{"weather": ["sun", 21.5]}] * 3 == [first, again, later]
    assert 1 == work.runs


def test_the_first_run_returns_what_a_replay_will(turn):
    """
    A tuple is a list at once, and the caller's object is not the record.
    """
    mutable = {"x": (1, 2)}

    first = turn.step("s", lambda: mutable)
    mutable["x"] = "changed"

    assert {"x": [1, 2]} == first == turn.step("s", Work(None))


@pytest.mark.parametrize("outcome", [None, False, 0, "", [], {}, "NUL \0", 2**63])
def test_every_json_value_is_an_outcome(backend, host, outcome):
    """
    Empty values are outcomes too, and are not run again.
    """
    host.scoped(TURN).step("s", lambda: outcome)
    host = backend.reopen(host)

    assert outcome == host.scoped(TURN).step("s", Work("ran again"))


def test_a_failure_is_recorded_and_replayed(backend, host):
    """
    EffectFailure is an outcome: for ever, with its code and message.
    """
    work = Work(EffectFailure("rate_limited", "try \0 tomorrow"), "fine")

    with pytest.raises(EffectFailure) as first:
        host.scoped(TURN).execute_effect(envelope(), work)
    host = backend.reopen(host)
    with pytest.raises(EffectFailure) as again:
        host.scoped(TURN).execute_effect(envelope(), work)

    for raised in (first.value, again.value):
        assert ("rate_limited", "try \0 tomorrow") == (raised.code, raised.message)
    assert 1 == work.runs


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()]
)
def test_any_other_exception_is_recorded_nowhere(turn, error):
    """
    It propagates, the claim is free at once, and the effect runs again.
    """
    work = Work(error, "fine")

    with pytest.raises(type(error)) as raised:
        turn.execute_effect(envelope(), work)

    assert error is raised.value
    assert "fine" == turn.execute_effect(envelope(command={"other": 1}), work)


@pytest.mark.parametrize(
    "outcome",
    [object(), math.nan, math.inf, b"bytes", {1: 2}, "\ud800", {"x": {3}}],
)
def test_an_outcome_that_is_no_json_is_refused_and_frees_the_claim(turn, outcome):
    """
    InvalidArgumentError, nothing recorded, and the effect may run again.
    """
    work = Work(outcome, "fine")

    with pytest.raises(InvalidArgumentError):
        turn.execute_effect(envelope(), work)

    assert "fine" == turn.execute_effect(envelope(), work)


@pytest.mark.parametrize("failure", [(1, "m"), ("c", None), ("\ud800", "m")])
def test_a_failure_that_is_no_text_is_refused_and_frees_the_claim(turn, failure):
    """
    A failure must be storable like an outcome.
    """
    work = Work(EffectFailure(*failure), "fine")

    with pytest.raises(InvalidArgumentError):
        turn.execute_effect(envelope(), work)

    assert "fine" == turn.execute_effect(envelope(), work)


def test_scopes_share_nothing(host):
    """
    A turn, a process, a drain and an operation of one name are five scopes.
    """
    scopes = [
        TurnScope(session_id="a", turn_id="x"),
        TurnScope(session_id="b", turn_id="x"),
        TurnScope(session_id='a","x', turn_id="x"),
        ProcessScope(process_id="x"),
        QueueDrainScope(session_id="a", drain_id="x"),
        SessionDeleteScope(session_id="x"),
        OperationScope(operation_id="x"),
    ]

    for number, scope in enumerate(scopes):
        assert number == host.scoped(scope).step("s", lambda n=number: n)
    for number, scope in enumerate(scopes):
        assert number == host.scoped(scope).step("s", Work("ran again"))
        assert (
            scope
            == host.scoped(scope).scope
            == from_json(ExecutionScope, to_json(scope))
        )

    assert '["turn","a","x"]' == host.scoped(scopes[0]).scope_id
    assert '["runtime_operation","x"]' == host.scoped(scopes[6]).scope_id


@pytest.mark.parametrize(
    ("changed", "paths"),
    [
        ({"kind": "direct"}, ("/kind",)),
        ({"effect_id": "call-2"}, ("/effect_id",)),
        ({"invocation": {"x": 1}}, ("/invocation",)),
        ({"command": {"call": 1}}, ("/command/call",)),
        (
            {"command": {"call": {"name": "w", "args": {"a/b": 1.0, "m~n": [1]}}}},
            (
                "/command/call/args/a~1b",
                "/command/call/args/m~0n/1",
                "/command/call/name",
            ),
        ),
        (
            {
                "command": {
                    "call": {"name": "weather", "args": {"m~n": [True, 2], "z": {}}}
                }
            },
            (
                "/command/call/args/a~1b",
                "/command/call/args/m~0n/0",
                "/command/call/args/z",
            ),
        ),
    ],
)
@pytest.mark.parametrize("outcome", ["fine", EffectFailure("c", "m")])
def test_another_envelope_is_a_conflict_that_names_the_paths(
    turn, changed, paths, outcome
):
    """
    JSON pointers into the envelope, for completed and failed effects.
    """
    if isinstance(outcome, str):
        turn.execute_effect(envelope(), Work(outcome))
    else:
        with pytest.raises(EffectFailure):
            turn.execute_effect(envelope(), Work(outcome))

    with pytest.raises(EffectReplayConflictError) as raised:
        turn.execute_effect(envelope(**changed), Work("never"))

    assert paths == raised.value.differing_paths
    assert (turn.scope_id, "call-1:1") == (
        raised.value.scope_id,
        raised.value.replay_key,
    )


def test_a_running_effect_of_another_envelope_is_a_conflict(turn):
    """
    A conflict comes before waiting.
    """
    conflicts = []

    def run(_):
        with pytest.raises(EffectReplayConflictError) as raised:
            turn.execute_effect(envelope(effect_id="other"), Work("never"))
        conflicts.append(raised.value.differing_paths)
        return "fine"

    assert "fine" == turn.execute_effect(envelope(), run)
    assert [("/effect_id",)] == conflicts


def test_equal_envelopes_have_equal_hashes():
    """
    Key order does not count; content does, and 1 is not 1.0.
    """
    one = envelope(command={"a": 1, "b": [1, 2]})

    assert one.stable_hash() == envelope(command={"b": [1, 2], "a": 1}).stable_hash()
    assert one.stable_hash() != envelope(command={"a": 1.0, "b": [1, 2]}).stable_hash()
    text = (
        '{"command":{"a":1,"b":[1,2]},"effect_id":"call-1","invocation":null,'
        '"kind":"tool_attempt","replay_key":"call-1:1"}'
    )
    assert hashlib.sha256(text.encode()).hexdigest() == one.stable_hash()
    assert one == from_json(EffectEnvelope, to_json(one))


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": " "},
        {"effect_id": ""},
        {"replay_key": "\n"},
        {"replay_key": "a\0b"},
        {"effect_id": "\ud800"},
        {"command": object()},
        {"command": {"x": math.nan}},
        {"invocation": b"x"},
        {"kind": "sleep"},
        {"kind": "sleep", "command": {"duration_ms": -1}},
        {"kind": "sleep", "command": {"duration_ms": True}},
        {"kind": "sleep", "command": {"duration_ms": 2**63}},
        {"kind": "sleep", "command": [1]},
    ],
)
def test_an_envelope_that_cannot_be_stored_is_refused(turn, changed):
    """
    Before anything runs or is written.
    """
    work = Work("never")

    with pytest.raises(InvalidArgumentError):
        turn.execute_effect(envelope(**changed), work)

    assert 0 == work.runs


def test_arguments_are_checked_first(host, turn):
    """
    Executors that are none, odd times, no events and blank names.
    """
    good = Work("never")
    for call in (
        lambda: turn.execute_effect({"kind": "x"}, good),
        lambda: turn.execute_effect(envelope(), "no executor"),
        lambda: turn.execute_effect(envelope(), good, timeout_s=-1),
        lambda: turn.execute_effect(envelope(), good, timeout_s=math.nan),
        lambda: turn.execute_effect(envelope(), good, timeout_s="1"),
        lambda: turn.execute_effect(envelope(), good, cancel=True),
        lambda: turn.step("", good),
        lambda: turn.step("s", None),
        lambda: turn.step("s", good, input={1}),
        lambda: turn.sleep(" ", 1),
        lambda: turn.sleep("s", -1),
        lambda: turn.sleep("s", 1.5),
        lambda: host.scoped(TurnScope(session_id="s", turn_id=" ")),
        lambda: host.scoped(ProcessScope(process_id="")),
        lambda: host.scoped(ProcessScope(process_id="a\0")),
        lambda: host.scoped(ProcessScope(process_id=7)),
        lambda: host.scoped("turn"),
        lambda: host.prune(-1),
        lambda: host.prune(1.0),
        lambda: host.delete_session("\ud800"),
        lambda: host.delete_session(None),
    ):
        with pytest.raises(InvalidArgumentError):
            call()

    assert 0 == good.runs
    assert 0 == host.prune(2**64)


def test_a_step_is_an_effect_of_its_input(turn):
    """
    Its envelope is a durable step's, and another input is a conflict.
    """
    assert 1 == turn.step("create", lambda: 1, input={"x": 1})
    assert 1 == turn.step("create", Work(2), input={"x": 1})
    with pytest.raises(EffectReplayConflictError) as raised:
        turn.step("create", Work(2), input={"x": 2})

    assert ("/command/input/x",) == raised.value.differing_paths
    assert 1 == turn.execute_effect(
        EffectEnvelope(
            kind="durable_step",
            effect_id="create",
            replay_key="step:create",
            command={"step_id": "create", "input": {"x": 1}},
        ),
        Work(2),
    )


def test_strict_replay_runs_nothing(backend, host):
    """
    Finished effects replay, conflicts are named, anything else is missing.
    """
    turn = host.scoped(TURN)
    turn.step("done", lambda: 1)
    with pytest.raises(EffectFailure):
        turn.step("failed", Work(EffectFailure("c", "m")))
    host = backend.reopen(host)
    host.start_replay()
    turn = host.scoped(TURN)
    work = Work("never")

    assert 1 == turn.step("done", work)
    with pytest.raises(EffectFailure):
        turn.step("failed", work)
    with pytest.raises(EffectReplayConflictError):
        turn.step("done", work, input=1)
    with pytest.raises(EffectReplayMissingError) as raised:
        turn.step("new", work)
    with pytest.raises(EffectReplayMissingError):
        turn.sleep("new", 0)

    assert 0 == work.runs
    assert (turn.scope_id, "step:new") == (
        raised.value.scope_id,
        raised.value.replay_key,
    )


def test_strict_replay_does_not_wait_for_what_is_under_way(host):
    """
    A running effect, or an expired claim, has no finished record.
    """
    turn = host.scoped(TURN)

    def run():
        host.start_replay()
        with pytest.raises(EffectReplayMissingError):
            turn.step("s", Work("never"))
        return "fine"

    assert "fine" == turn.step("s", run)
    assert "fine" == turn.step("s", Work("never"))


def test_effects_nest(turn):
    """
    An executor may run other effects; a failure of theirs is its own too.
    """

    def batch(_):
        return [turn.step(f"part-{n}", lambda n=n: n * n) for n in range(3)]

    def failing(_):
        return turn.step("bad", Work(EffectFailure("inner", "m")))

    assert [0, 1, 4] == turn.execute_effect(envelope(), batch)
    for _ in range(2):
        with pytest.raises(EffectFailure) as raised:
            turn.execute_effect(envelope(replay_key="b"), failing)
    assert "inner" == raised.value.code


def test_prune_forgets_what_finished_before(host, clock):
    """
    Strictly before, failures too; what is under way or newer stays.
    """
    turn = host.scoped(TURN)
    turn.step("old", lambda: 1)
    with pytest.raises(EffectFailure):
        turn.step("old-failed", Work(EffectFailure("c", "m")))
    clock.advance(10)
    turn.step("new", lambda: 1)

    def run():
        return [host.prune(clock.now_ms()), host.prune(clock.now_ms())]

    assert [2, 0] == turn.step("running", run)
    assert 2 == turn.step("old", lambda: 2)
    assert 1 == turn.step("new", lambda: 2)
    assert 3 == host.prune(2**80)
    assert 0 == host.prune(2**80)


def test_a_replay_does_not_postpone_pruning(host, clock):
    """
    Retention goes by the time of the outcome.
    """
    turn = host.scoped(TURN)
    turn.step("s", lambda: 1)
    clock.advance(100)
    turn.step("s", Work(2))

    assert 1 == host.prune(clock.now_ms())


def test_delete_session_forgets_every_scope_of_it(host):
    """
    Turns, drains and the deletion itself; others' effects stay.
    """
    mine = [
        TURN,
        TurnScope(session_id="chat", turn_id="8"),
        QueueDrainScope(session_id="chat", drain_id="d"),
        SessionDeleteScope(session_id="chat"),
    ]
    others = [
        TurnScope(session_id="chat2", turn_id="chat"),
        ProcessScope(process_id="chat"),
        OperationScope(operation_id="chat"),
    ]
    for scope in (*mine, *others):
        host.scoped(scope).step("s", lambda: 1)

    assert 4 == host.delete_session("chat")
    assert 0 == host.delete_session("chat")
    assert [2] * 4 == [host.scoped(s).step("s", lambda: 2) for s in mine]
    assert [1] * 3 == [host.scoped(s).step("s", lambda: 2) for s in others]


def test_a_closed_host_refuses_everything(host):
    """
    Closing twice is fine; every use after it is a StoreClosedError.
    """
    turn = host.scoped(TURN)
    turn.step("s", lambda: 1)
    host.close()
    host.close()

    for call in (
        lambda: turn.step("s", lambda: 1),
        lambda: turn.sleep("s", 0),
        lambda: host.scoped(TURN),
        lambda: host.prune(0),
        lambda: host.delete_session("s"),
        host.start_replay,
    ):
        with pytest.raises(StoreClosedError):
            call()
