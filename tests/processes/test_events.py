"""
Appending to a log and reading it.
"""

import pytest

from lashstore import (
    InvalidArgumentError,
    InvalidProcessEventError,
    ProcessConflictError,
    ProcessEventAppendRequest,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessLeaseExpiredError,
    ProcessTerminalError,
    SuccessOutput,
    UnknownProcessError,
)

from .kit import NOW_MS, event, owner, registration

CORE_TERMINALS = (
    "process.completed",
    "process.failed",
    "process.cancelled",
    "process.abandoned",
)


def test_an_event_carries_its_lineage(known, place, clock):
    """
    Number, time, invocation and meaning are stored with the payload.
    """
    clock.advance(5)

    result = known.append_event("p", event("producer.line", {"n": 1}, "k"))

    stored = result.event
    assert result.inserted
    assert result.wake_delivery is None
    assert ("p", 1, "producer.line", {"n": 1}, NOW_MS + 5) == (
        stored.process_id,
        stored.sequence,
        stored.event_type,
        stored.payload,
        stored.occurred_at_ms,
    )
    assert {
        "scope": {"session_id": "runtime"},
        "subject": {
            "type": "process_event",
            "process_id": "p",
            "sequence": 1,
            "event_type": "producer.line",
        },
        "caused_by": {"type": "process", "process_id": "p"},
        "replay": {"key": "k"},
    } == stored.invocation
    assert (None, None) == (stored.semantics.terminal, stored.semantics.wake)
    again = place.reopen(known)
    assert (stored,) == again.events_after("p", 0)
    assert NOW_MS + 5 == again.get_process("p").updated_at_ms


def test_an_unkeyed_event_has_no_replay_and_is_never_one(known):
    """
    Two equal events without keys are two events.
    """
    first = known.append_event("p", event(payload=1))
    second = known.append_event("p", event(payload=1))

    assert (1, 2) == (first.event.sequence, second.event.sequence)
    assert "replay" not in first.event.invocation


def test_sequence_numbers_are_each_process_s_own(known):
    """
    Every log starts at 1 and has no gaps, whatever fails in between.
    """
    known.register_process(registration("q"))
    for process_id in ("p", "q", "p", "q"):
        known.append_event(process_id, event())
        with pytest.raises(InvalidProcessEventError):
            known.append_event(process_id, event("producer.line", {}))

    for process_id in ("p", "q"):
        log = known.events_after(process_id, 0)
        assert [1, 2] == [each.sequence for each in log]


def test_the_clock_may_go_back(known, clock):
    """
    An event has the time it was; the record's does not go back.
    """
    clock.advance(-100)

    result = known.append_event("p", event())

    assert NOW_MS - 100 == result.event.occurred_at_ms
    assert NOW_MS == known.get_process("p").updated_at_ms


def test_a_replay_returns_the_stored_event(known, place, clock):
    """
    Same key, type and payload: the event as it was, and nothing changes.
    """
    first = known.append_event("p", event("producer.line", {"n": 1, "a": 2}, "k"))
    known.append_event("p", event())
    before = known.get_process("p")
    clock.advance(50)
    registry = place.reopen(known)

    again = registry.append_event("p", event("producer.line", {"a": 2, "n": 1}, "k"))

    assert first.event == again.event
    assert not again.inserted
    assert before == registry.get_process("p")
    assert 2 == len(registry.events_after("p", 0))


def test_a_replay_is_answered_after_the_end(known):
    """
    A stored event is returned whatever became of its process.
    """
    stored = known.append_event("p", event("producer.done", 1, "k")).event

    again = known.append_event("p", event("producer.done", 1, "k"))

    assert (stored, False) == (again.event, again.inserted)


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("producer.line", {"n": 2}),
        ("producer.line", {"n": 1.0}),
        ("producer.line", {"n": 1, "m": None}),
        ("producer.plain", {"n": 1}),
        ("nobody.declared", {"n": 1}),
    ],
)
def test_a_key_names_one_event(known, event_type, payload):
    """
    The key with another type or payload is a conflict, before all else.
    """
    known.append_event("p", event("producer.line", {"n": 1}, "k"))

    with pytest.raises(ProcessConflictError):
        known.append_event("p", event(event_type, payload, "k"))

    assert 1 == len(known.events_after("p", 0))


def test_keys_are_each_process_s_own(known):
    """
    Another process may use the same key otherwise.
    """
    known.register_process(registration("q"))
    known.append_event("p", event(payload=1, replay_key="k"))

    assert known.append_event("q", event(payload=2, replay_key="k")).inserted


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (event("nobody.declared"), "nobody.declared"),
        (event(""), "declares no event type"),
        (event("producer.line", {"n": "x"}), "$.n"),
        (event("producer.line", {}), "'n' is a required property"),
        (event("producer.line", []), "$: [] is not of type 'object'"),
        (event("producer.done", 1), "replay key"),
        (event("process.completed", {"await_output": 1}), "replay key"),
        (event("process.cancel_requested", {"reason": None}), "replay key"),
        (event(replay_key=""), "empty replay key"),
        (event("producer.done", 1, ""), "empty replay key"),
        (event("producer.broke", {}, "k"), "'/why' did not match"),
        (event("producer.broke", {"why": {"type": "success", "value": 1}}, "k"), "success"),
        (event("producer.group", {"text": "a"}), "'/group' did not match"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_an_event_that_does_not_fit_is_refused(known, place, request_, told):
    """
    The error says what is wrong and where; nothing is written.
    """
    before = known.get_process("p")
    told = "'completed'" if told == "success" else told

    with pytest.raises(InvalidProcessEventError) as caught:
        known.append_event("p", request_)

    assert told in str(caught.value)
    assert "p" == caught.value.process_id
    registry = place.reopen(known)
    assert () == registry.events_after("p", 0)
    assert before == registry.get_process("p")


@pytest.mark.parametrize(
    ("process_id", "request_"),
    [
        ("", event()),
        ("p\0", event()),
        ("p", event("a\0")),
        ("p", event(5)),
        ("p", event(payload=float("inf"))),
        ("p", event(payload="\ud800")),
        ("p", event(payload=object())),
        ("p", event(payload={1: 2})),
        ("p", event(replay_key="a\0")),
        ("p", event(replay_key=5)),
        ("p", event(target="root")),
        ("p", {"event_type": "producer.plain"}),
        ("p", None),
    ],
)
def test_what_cannot_be_stored_is_an_argument_error(known, process_id, request_):
    """
    It fails before the process is looked at.
    """
    with pytest.raises(InvalidArgumentError):
        known.append_event(process_id, request_)

    assert () == known.events_after("p", 0)


def test_payloads_may_hold_nul_and_read_back_equal(known, place):
    """
    Any JSON is welcome where the schema allows it.
    """
    payload = {"nul": "a\0b", "big": 2**63 - 1, "neg": -1.5, "deep": [[[{}]]], "é": "\U0001f600"}  # fmt: skip

    known.append_event("p", event(payload=payload))

    (stored,) = place.reopen(known).events_after("p", 0)
    assert payload == stored.payload


def test_a_tuple_is_a_json_array(registry):
    """
    What is returned now is what is read later.
    """
    registry.register_process(
        registration(
            event_types=(
                ProcessEventType(name="list", payload_schema={"type": "array"}),
            )
        )
    )

    result = registry.append_event("p", event("list", (1, 2)))

    assert [1, 2] == result.event.payload
    assert (result.event,) == registry.events_after("p", 0)


@pytest.mark.parametrize("event_type", CORE_TERMINALS)
def test_an_ordinary_event_cannot_take_a_reserved_key(known, event_type):
    """
    No event can block the end of its process.
    """
    for stolen in ("producer.plain", "process.waiting", "producer.done"):
        with pytest.raises(InvalidProcessEventError):
            known.append_event(
                "p", event(stolen, 1, f"process:p:terminal:{event_type}")
            )


@pytest.mark.parametrize(
    ("event_type", "payload", "key"),
    [
        ("producer.plain", None, "process:"),
        ("producer.plain", None, "process:anything"),
        ("producer.plain", None, "process:p:signal.ready:1"),
        ("process.completed", {"await_output": 1}, "process:q:terminal:process.completed"),
        ("process.completed", {"await_output": 1}, "process:p:terminal:process.failed"),
        ("process.cancel_requested", {"reason": "x"}, "process:p:cancel_requested:0"),
        ("process.waiting", {}, "process:p:resumed:signal.a:1"),
        ("process.waiting", {}, "process:p:waiting:signal.a:01"),
        ("process.waiting", {}, "process:p:waiting:signal.a b:1"),
        ("process.resumed", {}, "process:p:resumed:"),
        ("signal.ready", {}, "process:p:signal.other:1"),
        ("signal.ready", {}, "process:p:signal.ready:"),
        ("signal.ready", {}, "process:q:signal.ready:1"),
    ],
)  # fmt: skip
def test_reserved_keys_are_refused_unless_derived(known, event_type, payload, key):
    """
    Only the key that belongs to the event may start with `process:`.
    """
    with pytest.raises(InvalidProcessEventError):
        known.append_event("p", event(event_type, payload, key))


@pytest.mark.parametrize(
    ("event_type", "payload", "key"),
    [
        ("process.completed", {"await_output": 1}, "process:p:terminal:process.completed"),
        ("process.waiting", {"wait": {}}, "process:p:waiting:signal.a-b_1:0"),
        ("process.resumed", {}, "process:p:resumed:signal.ready:12"),
        ("signal.ready", 1, "process:p:signal.ready:sig-1"),
        ("producer.plain", 1, "processes:are fine"),
    ],
)  # fmt: skip
def test_derived_keys_are_accepted(known, event_type, payload, key):
    """
    The runtime's own keys are the ones the reference derives.
    """
    assert known.append_event("p", event(event_type, payload, key)).inserted
    assert not known.append_event("p", event(event_type, payload, key)).inserted


def test_a_process_id_with_colons_has_its_own_keys(registry):
    """
    Ids are free text, inside keys as well.
    """
    registry.register_process(registration("a:b"))

    registry.append_event("a:b", ProcessEventAppendRequest.cancel_requested("a:b", "x"))
    registry.complete_process("a:b", SuccessOutput(value=None))

    assert 2 == len(registry.events_after("a:b", 0))


def test_a_cancel_is_one_event_per_reason(known):
    """
    Asking again for the same reason replays; for another one it is another.
    """
    stop = ProcessEventAppendRequest.cancel_requested("p", "stop")
    bare = ProcessEventAppendRequest.cancel_requested("p", None)

    inserted = [
        known.append_event("p", each).inserted for each in (stop, stop, bare, bare)
    ]

    assert [True, False, True, False] == inserted
    assert {"reason": "stop"} == stop.payload
    assert {"reason": None} == bare.payload
    assert stop.replay_key.startswith("process:p:cancel_requested:")
    assert "running" == known.get_process("p").status.label


def test_a_cancel_may_have_a_key_of_its_own(known):
    """
    Any key that is not reserved will do.
    """
    assert known.append_event(
        "p", event("process.cancel_requested", {"reason": "x"}, "mine")
    ).inserted


def test_an_ended_process_still_tells(known):
    """
    Events that end nothing are welcome after the end; a second end is not.
    """
    known.append_event("p", event("producer.done", 1, "end"))

    late = known.append_event("p", event())

    assert 2 == late.event.sequence
    with pytest.raises(ProcessTerminalError):
        known.append_event("p", event("producer.done", 1, "end again"))
    assert 2 == len(known.events_after("p", 0))


def test_a_schema_that_refers_to_itself_checks_deep_payloads(registry):
    """
    References inside the document are followed, and the path is told.
    """
    tree = {
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"kids": {"items": {"$ref": "#/$defs/tree"}}},
            }
        },
        "$ref": "#/$defs/tree",
    }
    registry.register_process(
        registration(event_types=(ProcessEventType(name="t", payload_schema=tree),))
    )

    registry.append_event("p", event("t", {"kids": [{"kids": []}]}))
    with pytest.raises(InvalidProcessEventError) as caught:
        registry.append_event("p", event("t", {"kids": [{"kids": [5]}]}))

    assert "$.kids[0].kids[0]" in str(caught.value)


def test_a_schema_of_false_lets_nothing_in(registry):
    """
    Booleans are schemas.
    """
    registry.register_process(
        registration(
            event_types=(
                ProcessEventType(name="never", payload_schema=False),
                ProcessEventType(
                    name="ever",
                    payload_schema=True,
                    semantics=ProcessEventSemanticsSpec(),
                ),
            )
        )
    )

    assert registry.append_event("p", event("ever", [])).inserted
    with pytest.raises(InvalidProcessEventError):
        registry.append_event("p", event("never", None))


def test_events_are_read_from_a_cursor(known):
    """
    `events_after` starts behind its cursor, `recent_events` at the end.
    """
    for n in range(5):
        known.append_event("p", event("producer.line", {"n": n}))

    def numbers(events):
        return [each.sequence for each in events]

    assert [1, 2, 3, 4, 5] == numbers(known.events_after("p", 0))
    assert [4, 5] == numbers(known.events_after("p", 3))
    assert [2, 3] == numbers(known.events_after("p", 1, limit=2))
    assert [] == numbers(known.events_after("p", 1, limit=0))
    assert [] == numbers(known.events_after("p", 5))
    assert [] == numbers(known.events_after("p", 2**63 - 1))
    assert [3, 4, 5] == numbers(known.recent_events("p", 3))
    assert [1, 2, 3, 4, 5] == numbers(known.recent_events("p", 2**70))
    assert [] == numbers(known.recent_events("p", 0))


def test_events_are_counted_through_a_number(known):
    """
    By type, the last number included; beyond the range means all.
    """
    for event_type in ("producer.plain", "signal.ready", "producer.plain"):
        known.append_event("p", event(event_type))

    assert 1 == known.count_events_through("p", "producer.plain", 2)
    assert 2 == known.count_events_through("p", "producer.plain", 3)
    assert 2 == known.count_events_through("p", "producer.plain", 2**64 - 1)
    assert 1 == known.count_events_through("p", "signal.ready", 2)
    assert 0 == known.count_events_through("p", "signal.ready", 1)
    assert 0 == known.count_events_through("p", "no.such", 2**64 - 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.append_event("x", event()),
        lambda registry: registry.events_after("x", 0),
        lambda registry: registry.recent_events("x", 1),
        lambda registry: registry.count_events_through("x", "a", 1),
        lambda registry: registry.complete_process("x", SuccessOutput(value=1)),
    ],
)
def test_an_unknown_process_has_no_log(registry, ask):
    """
    An empty log and none are told apart.
    """
    with pytest.raises(UnknownProcessError) as caught:
        ask(registry)

    assert "x" == caught.value.process_id


@pytest.mark.parametrize("number", [-1, 2**63, 1.0, True, "1", None])
def test_a_cursor_is_a_counter(known, number):
    """
    What is no counter never reaches the database.
    """
    with pytest.raises(InvalidArgumentError):
        known.events_after("p", number)
    with pytest.raises(InvalidArgumentError):
        known.wake_events_after("p", number)


@pytest.mark.parametrize("number", [-1, 1.0, True, "1"])
def test_a_bound_is_a_number(known, number):
    """
    Bounds may be too large, but not something else.
    """
    for ask in (
        lambda: known.events_after("p", 0, limit=number),
        lambda: known.recent_events("p", number),
        lambda: known.count_events_through("p", "a", number),
        lambda: known.pending_wake_deliveries(number),
        lambda: known.list_processes(limit=number),
        lambda: known.prune_terminal_processes(number),
    ):
        with pytest.raises(InvalidArgumentError):
            ask()


def test_a_fence_must_hold_the_lease(known, clock):
    """
    With a fence, an event is written only under the very lease it proves.
    """
    lease = known.claim_process_lease("p", owner(), 100).lease
    assert known.append_event("p", event(replay_key="k"), fence=lease).inserted
    clock.advance(100)

    for request in (event(), event(replay_key="k")):
        with pytest.raises(ProcessLeaseExpiredError):
            known.append_event("p", request, fence=lease)

    assert 1 == len(known.events_after("p", 0))
    assert known.append_event("p", event()).inserted
