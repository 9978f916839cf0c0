"""
Subscriptions: registering, listing, cancelling, deleting.
"""

import math

import pytest

from lashstore import (
    EngineInput,
    EventBinding,
    ExternalInput,
    FixedBinding,
    InvalidArgumentError,
    ProcessEventType,
    ProcessIdentity,
    SessionScope,
    ToolCallInput,
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TriggerSubscriptionRecord,
    source_key_for_subscription,
)
from lashstore.codec import from_json, to_json

from .conftest import HOST, NOW_MS, draft, emit, pairs, session

FULL = draft(
    registrant=session("s1", "frame"),
    wake_target=SessionScope(session_id="s2", agent_frame_id="f"),
    name="press",
    source={"button": "Blue"},
    payload_schema={"type": "object", "required": ["times"]},
    target_identity=ProcessIdentity(kind="lua", label="Go", definition={"m": [1, "x"]}),
    event_types=(ProcessEventType(name="line", payload_schema={"type": "string"}),),
    input_template={"event": EventBinding(), "fixed": FixedBinding(value={"a": None})},
    target_label="Go",
    client_key="mine",
)


def handles(records):
    return [record.handle for record in records]


def test_a_subscription_reads_back_as_it_was_registered(backend, store, clock):
    """
    Every field, after a restart too.
    """
    stored = store.register_subscription(FULL)
    store = backend.reopen(store)

    assert (stored,) == store.list_subscriptions()
    assert (
        TriggerSubscriptionRecord(
            subscription_id="subscription:1",
            registrant=session("s1", "frame"),
            env_ref="process-env:sha256:1",
            wake_target=SessionScope(session_id="s2", agent_frame_id="f"),
            handle="trigger:1",
            name="press",
            source_type="ui.button.pressed",
            source_key="blue",
            source={"button": "Blue"},
            payload_schema={"type": "object", "required": ["times"]},
            target=EngineInput(kind="lua", payload={"code": "go()"}),
            target_identity=ProcessIdentity(
                kind="lua", label="Go", definition={"m": [1, "x"]}
            ),
            event_types=(
                ProcessEventType(name="line", payload_schema={"type": "string"}),
            ),
            input_template={
                "event": EventBinding(),
                "fixed": FixedBinding(value={"a": None}),
            },
            target_label="Go",
            client_key="mine",
            enabled=True,
            created_at_ms=NOW_MS,
            updated_at_ms=NOW_MS,
        )
        == stored
    )
    assert FULL == from_json(TriggerSubscriptionDraft, to_json(FULL))
    assert stored == from_json(TriggerSubscriptionRecord, to_json(stored))


def test_numbers_are_never_used_again(backend, store):
    """
    Not after a deletion, and not after a restart.
    """
    for number in (1, 2):
        record = store.register_subscription(draft(registrant=session("s")))
        assert f"trigger:{number}" == record.handle
    assert 2 == store.delete_session_subscriptions("s")
    store = backend.reopen(store)

    assert "subscription:3" == store.register_subscription(draft()).subscription_id


def test_without_a_client_key_registering_twice_gives_two(store):
    """
    Two subscriptions, two deliveries.
    """
    store.register_subscription(draft())
    store.register_subscription(draft())

    assert ["trigger:1", "trigger:2"] == handles(store.list_subscriptions())
    assert 2 == len(emit(store)[1])


def test_a_client_key_names_one_subscription_of_a_registrant(backend, store, clock):
    """
    The same registrant and key again: the stored one, changed draft or not,
    cancelled or not; another registrant's key is another's.
    """
    first = store.register_subscription(draft(client_key="k"))
    clock.advance(5)
    store = backend.reopen(store)

    assert first == store.register_subscription(draft(client_key="k"))
    assert first == store.register_subscription(draft(client_key="k", name="other"))
    others = [
        store.register_subscription(draft(client_key="k", registrant=registrant))
        for registrant in (
            session("s"),
            session("s", "f"),
            session("s/frame:f"),
            session("s%2Fframe:f"),
            session("host"),
        )
    ]
    assert 6 == len({first.handle, *handles(others)})
    assert store.cancel_subscription_by_id(first.subscription_id)
    assert not store.register_subscription(draft(client_key="k")).enabled
    assert 2 == store.delete_session_subscriptions("s")
    renewed = store.register_subscription(
        draft(client_key="k", registrant=session("s"))
    )
    assert "trigger:7" == renewed.handle


def test_a_list_is_ordered_by_registrant_and_number(store):
    """
    The host first, then sessions; ten comes after two.
    """
    for number in range(11):
        store.register_subscription(
            draft(registrant=session("b") if number else session("a"))
        )
    store.register_subscription(draft())

    expected = ["trigger:12", "trigger:1", *(f"trigger:{n}" for n in range(2, 12))]
    assert expected == handles(store.list_subscriptions())


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"session_id": "s"}, [2, 3]),
        ({"session_id": "host"}, []),
        ({"handle": "trigger:3"}, [3]),
        ({"handle": "trigger:03"}, []),
        ({"name": "n"}, [1, 3]),
        ({"source_type": "t2"}, [4]),
        ({"source_key": "blue"}, [1, 2, 4]),
        ({"target": {"m": 1}}, [2, 4]),
        ({"target": {"m": 1.0}}, []),
        ({"target": "x"}, []),
        ({"enabled": False}, [3]),
        ({"enabled": True}, [1, 2, 4]),
        ({"source_key": "blue", "enabled": True, "name": "n"}, [1]),
        ({"session_id": "s", "source_type": "ui.button.pressed"}, [2, 3]),
        ({"session_id": "s", "handle": "trigger:1"}, []),
        ({"target": {"m": 1}, "session_id": "s"}, [2]),
        ({"source_type": "t2", "target": {"m": 1}, "source_key": "blue"}, [4]),
    ],
)
def test_a_filter_takes_what_meets_all_of_it(store, chosen, expected):
    """
    Each condition alone and together.
    """
    identity = ProcessIdentity(kind="lua", definition={"m": 1})
    store.register_subscription(draft(name="n"))
    store.register_subscription(
        draft(registrant=session("s"), target_identity=identity)
    )
    store.register_subscription(
        draft(registrant=session("s", "f"), name="n", source_key="red")
    )
    store.register_subscription(
        draft(registrant=session("z"), source_type="t2", target_identity=identity)
    )
    assert store.cancel_subscription("s", "trigger:3")

    found = store.list_subscriptions(TriggerSubscriptionFilter(**chosen))

    assert [f"trigger:{number}" for number in expected] == handles(found)


def test_cancelling_disables_once(backend, store, clock):
    """
    Only its session's own; the second time changes nothing.
    """
    mine = store.register_subscription(draft(registrant=session("s", "f")))
    hosts = store.register_subscription(draft())
    clock.advance(7)

    assert store.cancel_subscription("other", mine.handle) is False
    assert store.cancel_subscription("s", "trigger:99") is False
    assert store.cancel_subscription("s", hosts.handle) is False
    assert store.cancel_subscription("s", mine.handle) is True
    clock.advance(7)
    store = backend.reopen(store)
    assert store.cancel_subscription("s", mine.handle) is False
    assert store.cancel_subscription_by_id(mine.subscription_id) is False
    assert store.cancel_subscription_by_id("subscription:99") is False

    (found,) = store.list_subscriptions(TriggerSubscriptionFilter(session_id="s"))
    assert (False, NOW_MS, NOW_MS + 7) == (
        found.enabled,
        found.created_at_ms,
        found.updated_at_ms,
    )
    assert store.cancel_subscription_by_id(hosts.subscription_id) is True
    assert () == emit(store)[1]


def test_deleting_a_session_takes_its_subscriptions(backend, store, clock):
    """
    Every frame's, with their pending deliveries; and others wake it no more.
    """
    for registrant in (session("s"), session("s", "f"), session("t"), HOST):
        store.register_subscription(
            draft(
                registrant=registrant,
                wake_target=SessionScope(session_id="s", agent_frame_id="f"),
            )
        )
    store.register_subscription(draft(wake_target=SessionScope(session_id="t")))
    emit(store)
    clock.advance(3)

    assert 2 == store.delete_session_subscriptions("s")
    assert 0 == store.delete_session_subscriptions("s")
    store = backend.reopen(store)

    left = store.list_subscriptions()
    assert ["trigger:4", "trigger:5", "trigger:3"] == handles(left)
    assert [None, SessionScope(session_id="t"), None] == [
        record.wake_target for record in left
    ]
    assert [3, 0, 3] == [record.updated_at_ms - NOW_MS for record in left]
    assert ["trigger:4", "trigger:5", "trigger:3"] == [
        handle for _, handle in pairs(store.pending_deliveries())
    ]
    # The occurrence stayed.
    assert () == emit(store)[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"registrant": "host"},
        {"registrant": session("a\0")},
        {"registrant": session(7)},
        {"env_ref": ""},
        {"env_ref": None},
        {"source_type": " "},
        {"source_key": ""},
        {"source_key": "\ud800"},
        {"source": math.nan},
        {"source": {1: 2}},
        {"name": "a\0"},
        {"name": 7},
        {"client_key": " "},
        {"payload_schema": {"type": "nonsense"}},
        {"payload_schema": 7},
        {"payload_schema": {"$ref": "https://example.org/schema"}},
        {"target": ToolCallInput(call={})},
        {"target": ExternalInput()},
        {"target": EngineInput(kind="lua")},
        {"target": EngineInput(kind="lua", payload=[1])},
        {"target": EngineInput(kind="lua", payload={"x": b"y"})},
        {"target_identity": None},
        {"target_identity": ProcessIdentity(kind=" ")},
        {"target_identity": ProcessIdentity(kind="lua", definition={1})},
        {"target_label": "Stop"},
        {"target_label": 7},
        {"event_types": (ProcessEventType(name=" "),)},
        {"event_types": (ProcessEventType(name="process.completed"),)},
        {"event_types": (ProcessEventType(name="x", payload_schema={"type": 1}),)},
        {"event_types": ("x",)},
        {"event_types": None},
        {"input_template": {"x": "event"}},
        {"input_template": {7: EventBinding()}},
        {"input_template": {"x": FixedBinding(value=math.inf)}},
        {"input_template": None},
        {"wake_target": "s"},
        {"wake_target": SessionScope(session_id="a\0")},
    ],
)
def test_a_draft_that_could_never_work_is_refused(store, changed):
    """
    At registration, and nothing is written.
    """
    with pytest.raises(InvalidArgumentError):
        store.register_subscription(draft(**changed))

    assert () == store.list_subscriptions()
    assert "trigger:1" == store.register_subscription(draft()).handle


def test_a_label_must_be_the_identitys(store):
    """
    Both given, they are equal; one alone is fine.
    """
    with pytest.raises(InvalidArgumentError, match="target_label must match"):
        store.register_subscription(draft(target_label="Other"))
    store.register_subscription(draft(target_label="Go"))
    unnamed = ProcessIdentity(kind="lua")
    stored = store.register_subscription(
        draft(target_label="Mine", target_identity=unnamed)
    )
    assert ("Mine", None) == (stored.target_label, stored.target_identity.label)
    assert store.register_subscription(draft()).target_label is None


def test_arguments_are_checked_first(store):
    """
    Wrong types, NUL and surrogates.
    """
    for call in (
        lambda: store.register_subscription({"x": 1}),
        lambda: store.list_subscriptions("all"),
        lambda: store.list_subscriptions(TriggerSubscriptionFilter(handle=7)),
        lambda: store.list_subscriptions(TriggerSubscriptionFilter(name="\0")),
        lambda: store.list_subscriptions(TriggerSubscriptionFilter(enabled=1)),
        lambda: store.list_subscriptions(TriggerSubscriptionFilter(target={1})),
        lambda: store.cancel_subscription("\0", "x"),
        lambda: store.cancel_subscription("s", None),
        lambda: store.cancel_subscription_by_id("\ud800"),
        lambda: store.delete_session_subscriptions(7),
        lambda: source_key_for_subscription(" ", {}),
        lambda: source_key_for_subscription("t", {1}),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def test_source_keys_are_stable():
    """
    The digests of the contract's catalogue; key order does not count.
    """
    assert (
        "source:ui.button.pressed:sha256:"
        "93e835cc58c043e45895883a41ffa460ab70a2372d57b8b6c23920025601c479"
        == source_key_for_subscription("ui.button.pressed", {})
    )
    assert (
        "source:ui.button.pressed:sha256:"
        "554734334199f3716c406581013c58d3f5572377d6257dc8ca22ec09e5259fe4"
        == source_key_for_subscription("ui.button.pressed", {"button": "Blue"})
    )
    assert source_key_for_subscription(
        "t", {"a": 1, "b": 2}
    ) == source_key_for_subscription("t", {"b": 2, "a": 1})
