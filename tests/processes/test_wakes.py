"""
Wakes: written with the event, listed until acknowledged.
"""

import pytest

from lashstore import (
    InvalidArgumentError,
    PayloadSelector,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessProvenance,
    ProcessTerminalSpec,
    ProcessWakeSpec,
    SessionOriginator,
    SessionScope,
    UnknownProcessError,
)

from .kit import ALL_TYPES, FRAME, NOW_MS, OTHER, ROOT, event, registration

CAUSE = {"type": "turn", "session_id": "root", "turn_id": "t"}


@pytest.fixture(name="targeted")
def _targeted(registry):
    """
    Return a registry whose process `p` wakes session `root`.
    """
    registry.register_process(
        registration(
            "p",
            wake_target=ROOT,
            provenance=ProcessProvenance(
                originator=SessionOriginator(scope=ROOT), caused_by=CAUSE
            ),
        )
    )
    return registry


def wake(text="hello", **facts):
    """
    Make an event that wakes.
    """
    return event("producer.wake", {"wake_input": text}, **facts)


def test_a_delivery_says_all_its_consumer_needs(targeted, place, clock):
    """
    It is written with the event and stays until it is acknowledged.
    """
    clock.advance(3)

    result = targeted.append_event("p", wake(replay_key="k"))

    delivery = result.wake_delivery
    assert delivery.wake_id.startswith("wake:")
    assert ("root", "session:root", "p", 1, "producer.wake") == (
        delivery.target_session_id,
        delivery.target_scope_id,
        delivery.process_id,
        delivery.sequence,
        delivery.event_type,
    )
    assert result.event.invocation == delivery.event_invocation
    assert CAUSE == delivery.process_caused_by
    assert ("p:1", "hello", NOW_MS + 3) == (
        delivery.dedupe_key,
        delivery.input,
        delivery.created_at_ms,
    )
    assert ("hello", "p:1") == (
        result.event.semantics.wake.input,
        result.event.semantics.wake.dedupe_key,
    )
    registry = place.reopen(targeted)
    assert (delivery,) == registry.pending_wake_deliveries()
    assert (result.event,) == registry.wake_events_after("p", 0)
    registry.ack_wake("p", 1)
    assert () == place.reopen(registry).pending_wake_deliveries()


def test_an_event_that_is_not_worth_it_wakes_nobody(targeted):
    """
    The condition is looked at for each event.
    """
    result = targeted.append_event("p", event("producer.wake", {"other": 1}))

    assert result.wake_delivery is None
    assert result.event.semantics.wake is None
    assert () == targeted.pending_wake_deliveries()
    assert () == targeted.wake_events_after("p", 0)


def test_without_a_target_a_wake_is_only_an_event(known):
    """
    It is listed among the wake events, but there is nothing to deliver.
    """
    result = known.append_event("p", wake())

    assert result.wake_delivery is None
    assert () == known.pending_wake_deliveries()
    assert (result.event,) == known.wake_events_after("p", 0)
    known.ack_wake("p", 1)
    assert () == known.wake_events_after("p", 0)


def test_the_request_s_target_beats_the_process_s(targeted):
    """
    An event may be for another session or frame.
    """
    result = targeted.append_event("p", wake(target=FRAME))

    assert ("root", "session:root/frame:f") == (
        result.wake_delivery.target_session_id,
        result.wake_delivery.target_scope_id,
    )


def test_a_replay_returns_the_delivery_that_was_written(targeted):
    """
    Whatever target it names now, and until it is acknowledged.
    """
    first = targeted.append_event("p", wake(replay_key="k"))
    targeted.delete_session_process_state("root")

    again = targeted.append_event("p", wake(replay_key="k", target=OTHER))

    assert (first.wake_delivery, False) == (again.wake_delivery, again.inserted)
    targeted.ack_wake("p", 1)
    assert targeted.append_event("p", wake(replay_key="k")).wake_delivery is None


def test_a_wake_id_is_of_target_process_and_key(targeted):
    """
    Equal keys share it within one process and target, and only there.
    """
    targeted.register_process(registration("q", wake_target=ROOT))

    def wake_id(process_id, text, group, target=None):
        return targeted.append_event(
            process_id,
            event("producer.group", {"text": text, "group": group}, target=target),
        ).wake_delivery.wake_id

    first = wake_id("p", "a", "g")

    assert first == wake_id("p", "b", "g")
    assert first == wake_id(
        "p", "b", "g", SessionScope(session_id="root", agent_frame_id="")
    )
    others = {
        wake_id("p", "a", "h"),
        wake_id("q", "a", "g"),
        wake_id("p", "a", "g", FRAME),
        wake_id("p", "a", "g", OTHER),
        wake_id("p", "a", "g", SessionScope(session_id="root/frame:f")),
    }
    assert 5 == len(others - {first})


def test_const_keys_are_each_process_s_own(targeted):
    """
    Two processes with the same constant do not share wake ids.
    """
    targeted.register_process(registration("q", wake_target=ROOT))
    wakes = [
        targeted.append_event(
            process_id, event("producer.const", {"text": {"a": [1]}})
        ).wake_delivery
        for process_id in ("p", "p", "q")
    ]

    assert wakes[0].wake_id == wakes[1].wake_id != wakes[2].wake_id
    assert {"once"} == {each.dedupe_key for each in wakes}
    assert '{"a":[1]}' == wakes[0].input


def test_deliveries_are_listed_oldest_first(targeted, clock):
    """
    Across processes, by time, then process, then number; pages start over.
    """
    targeted.register_process(registration("a", wake_target=OTHER))
    targeted.append_event("p", wake())
    targeted.append_event("a", wake())
    targeted.append_event("p", wake())
    clock.advance(1)
    targeted.append_event("a", wake())
    clock.advance(-2)
    targeted.append_event("p", wake())

    def listed(limit=100):
        return [
            (each.process_id, each.sequence)
            for each in targeted.pending_wake_deliveries(limit)
        ]

    assert [("p", 3), ("a", 1), ("p", 1), ("p", 2), ("a", 2)] == listed()
    assert [("p", 3), ("a", 1)] == listed(2)
    assert [] == listed(0)
    targeted.ack_wake("a", 1)
    assert [("p", 3), ("p", 1)] == listed(2)


def test_acknowledging_is_for_everyone_and_for_good(targeted, place):
    """
    Twice is once, and what is no wake may be acknowledged.
    """
    targeted.append_event("p", wake())
    targeted.append_event("p", wake())
    targeted.append_event("p", event())

    for sequence in (1, 1, 3, 99, 0):
        targeted.ack_wake("p", sequence)

    registry = place.reopen(targeted)
    assert [2] == [each.sequence for each in registry.wake_events_after("p", 0)]
    assert () == registry.wake_events_after("p", 2)
    assert 3 == len(registry.events_after("p", 0))


def test_an_end_can_wake(registry):
    """
    A delivery of the event that ended a process is not dropped.
    """
    bell = ProcessEventType(
        name="bell",
        semantics=ProcessEventSemanticsSpec(
            terminal=ProcessTerminalSpec(state="completed"),
            wake=ProcessWakeSpec(input=PayloadSelector()),
        ),
    )
    registry.register_process(
        registration("p", wake_target=ROOT, event_types=(bell, *ALL_TYPES))
    )

    ended = registry.append_event("p", event("bell", "over", "k"))
    registry.append_event("p", wake("late"))

    assert "completed" == ended.event.semantics.terminal.state
    assert ["over", "late"] == [
        each.input for each in registry.pending_wake_deliveries()
    ]


def test_deleting_a_session_keeps_its_wakes(targeted):
    """
    A wake belongs to its process: it stays until it is acknowledged.
    """
    targeted.append_event("p", wake())

    report = targeted.delete_session_process_state("root")

    assert 0 == report.deleted_wake_count
    assert 1 == len(targeted.pending_wake_deliveries())
    assert targeted.append_event("p", wake()).wake_delivery is None


def test_an_unknown_process_wakes_nobody(registry):
    """
    It is an error to ask for its wakes, or to acknowledge one.
    """
    with pytest.raises(UnknownProcessError):
        registry.ack_wake("x", 1)
    with pytest.raises(UnknownProcessError):
        registry.wake_events_after("x", 0)
    for number in (-1, 2**63, True):
        with pytest.raises(InvalidArgumentError):
            registry.ack_wake("x", number)
