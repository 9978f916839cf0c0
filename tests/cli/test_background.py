"""
`lashstore processes`, `triggers` and `effects`, in files and on a server.
"""

import json
import sqlite3

import pytest
from processes.kit import LINE, QUICK, SIGNAL, WAKE, event, owner, registration
from triggers.conftest import draft, emit, session

from lashstore import (
    EffectEnvelope,
    EffectFailure,
    EffectHost,
    EffectReplayOptions,
    ManualClock,
    ProcessHandleDescriptor,
    ProcessRegistry,
    ProcessScope,
    SessionScope,
    SignalWait,
    SuccessOutput,
    TriggerStore,
    TurnScope,
    WaitState,
)

from .kit import assert_complains, files_of, run

NOW_MS = 1_700_000_000_000
FOREVER_MS = 10**12
COMMANDS = ("processes", "triggers", "effects")


def answer(*arguments, exit_code=0):
    done = run(*arguments, "--json")
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def database(place, name):
    return place if isinstance(place, str) else place / name


def edit(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def keys_of(page):
    return [each["replay_key"] for each in page["effects"]]


def ids_of(page):
    return [each["process_id"] for each in page["processes"]]


def everything(command, *arguments, member):
    """
    Read page by page, of one row each.
    """
    rows, after = [], []
    while True:
        page = answer(command, *arguments, "--limit", "1", *after)
        rows += page[member]
        if page["next_after"] is None:
            return rows
        after = ["--after", page["next_after"]]


def register(place, clock=None):
    """
    Make four processes: ended, leased, waiting with a wake, and just made.
    """
    with ProcessRegistry.open(
        database(place, "processes.db"),
        clock=clock or ManualClock(NOW_MS),
        options=QUICK,
    ) as registry:
        for name in ("done", "leased", "new", "waits"):
            registry.register_process(
                registration(name, wake_target=SessionScope(session_id="chat"))
            )
        registry.append_event("done", event(LINE.name, {"n": 1}))
        registry.complete_process("done", SuccessOutput(value={"answer": 42}))
        registry.append_event("leased", event(LINE.name, {"n": 1}))
        assert registry.claim_process_lease("leased", owner("host"), FOREVER_MS)
        registry.append_event("waits", event(WAKE.name, {"wake_input": "up"}))
        registry.append_event("waits", event(LINE.name, {"n": 2}))
        wait = SignalWait(name="ready", event_type=SIGNAL.name, key="k", ordinal=1)
        registry.set_process_wait("waits", WaitState(kind=wait, since_ms=NOW_MS))
        registry.grant_handle(
            SessionScope(session_id="chat"), "waits", ProcessHandleDescriptor()
        )


def subscribe(place):
    """
    Make two subscriptions and two occurrences; of the four deliveries one is
    done, one failed.
    """
    clock = ManualClock(NOW_MS)
    with TriggerStore.open(
        database(place, "triggers.db"), clock=clock, options=QUICK
    ) as store:
        store.register_subscription(draft(name="first"))
        store.register_subscription(
            draft(
                registrant=session("chat"), wake_target=SessionScope(session_id="chat")
            )
        )
        clock.advance(1)
        _, (done, failed) = emit(store, "k1")
        store.acknowledge_delivery(
            done.occurrence.occurrence_id, done.subscription.subscription_id
        )
        store.acknowledge_delivery(
            failed.occurrence.occurrence_id,
            failed.subscription.subscription_id,
            error="no such engine",
        )
        clock.advance(1)
        emit(store, "k2")


def record(place):
    """
    Make effects of two sessions' turns and of a process, one of them failed.
    """

    def fail(*_):
        raise EffectFailure("overloaded", "try later")

    with open_effects(place) as host:
        for scope, key, work in (
            (TurnScope(session_id="chat", turn_id="t1"), "a", lambda *_: {"big": 1}),
            (TurnScope(session_id="chat", turn_id="t1"), "b", fail),
            (TurnScope(session_id="chat", turn_id="t2"), "a", lambda *_: None),
            (TurnScope(session_id="chat2", turn_id="t1"), "a", lambda *_: 1),
            (ProcessScope(process_id="p"), "a", lambda *_: 1),
        ):
            effects = host.scoped(scope)
            try:
                effects.execute_effect(envelope(key), work)
            except EffectFailure:
                continue


def open_effects(place):
    return EffectHost.open(
        database(place, "effects.db"), options=EffectReplayOptions(store=QUICK)
    )


def envelope(key):
    return EffectEnvelope(
        kind="tool", effect_id=f"call-{key}", replay_key=key, command={"x": key}
    )


@pytest.fixture(name="made")
def _made(place):
    register(place)
    subscribe(place)
    record(place)
    return place


def test_processes_are_listed_by_id_with_lease_wait_and_last_event(made):
    """
    Each line tells where a process stands and who runs it.
    """
    page = answer("processes", made)

    assert ["done", "leased", "new", "waits"] == ids_of(page)
    done, leased, new, waits = page["processes"]
    assert ("completed", NOW_MS, "process.completed", 2) == (
        done["status"],
        done["ended_at_ms"],
        done["last_event"]["event_type"],
        done["event_count"],
    )
    assert ("host", True, 1) == (
        leased["lease"]["owner_id"],
        leased["lease"]["is_live"],
        leased["lease_fencing_token"],
    )
    assert (None, None, 0) == (new["lease"], new["last_event"], new["event_count"])
    assert "ready" == waits["wait"]["kind"]["name"]
    assert {"event_type": "producer.line", "occurred_at_ms": NOW_MS, "sequence": 2} == (
        waits["last_event"]
    )


def test_processes_are_filtered_and_paged(made):
    """
    Filters and pages restrict what is listed.
    """
    assert page_ids(made, "--status", "running") == ["leased", "new", "waits"]
    assert page_ids(made, "--status", "completed") == ["done"]
    assert page_ids(made, "--status", "completed", "--waiting") == []
    assert page_ids(made, "--waiting") == ["waits"]
    assert page_ids(made, "--after", "leased", "--limit", "1") == ["new"]
    rows = everything("processes", made, member="processes")
    assert rows == answer("processes", made)["processes"]


def page_ids(place, *arguments):
    return ids_of(answer("processes", place, *arguments))


def test_one_process_is_shown_with_its_events(made):
    """
    In detail come its record, grants, unacknowledged wakes and last events;
    with --after the events behind one.
    """
    detail = answer("processes", made, "waits")

    assert [1, 2] == [each["sequence"] for each in detail["events"]]
    assert ["chat"] == [each["session_id"] for each in detail["grants"]]
    assert ["up"] == [each["delivery"]["input"] for each in detail["wakes"]]
    assert "externally_owned" == detail["record"]["disposition"]
    assert "running" == detail["process"]["status"]
    last = answer("processes", made, "waits", "--limit", "1")
    assert [2] == [each["sequence"] for each in last["events"]]
    first = answer("processes", made, "waits", "--limit", "1", "--after", "0")
    assert ([1], "1") == (
        [each["sequence"] for each in first["events"]],
        first["next_after"],
    )
    text = run("processes", made, "done").stdout
    assert '"answer":42' in text
    assert "producer.line" in text


def test_triggers_are_listed(made):
    """
    Subscriptions, occurrences with what became of them, pending deliveries.
    """
    subscriptions = answer("triggers", made)["subscriptions"]
    occurrences = answer("triggers", made, "--show", "occurrences")["occurrences"]
    pending = answer("triggers", made, "--show", "pending")["deliveries"]

    assert {"subscription:1": "first", "subscription:2": None} == {
        each["subscription_id"]: each["name"] for each in subscriptions
    }
    assert [
        ("k2", {"delivery_count": 2, "error_count": 0, "pending_count": 2}),
        ("k1", {"delivery_count": 2, "error_count": 1, "pending_count": 0}),
    ] == [
        (each["occurrence"]["idempotency_key"], each["deliveries"])
        for each in occurrences
    ]
    assert [(3, "k2"), (4, "k2")] == [
        (each["delivery"]["seq"], each["occurrence"]["idempotency_key"])
        for each in pending
    ]
    for what, member, whole in (
        ("subscriptions", "subscriptions", subscriptions),
        ("occurrences", "occurrences", occurrences),
        ("pending", "deliveries", pending),
    ):
        assert whole == everything("triggers", made, "--show", what, member=member)
        assert 0 == run("triggers", made, "--show", what).exit_code


def test_effects_are_listed_by_scope_and_state(made):
    """
    Each line tells scope, key, state and error; filters restrict them.
    """
    page = answer("effects", made)

    assert [
        ("process", "a", "completed"),
        ("turn", "a", "completed"),
        ("turn", "b", "failed"),
        ("turn", "a", "completed"),
        ("turn", "a", "completed"),
    ] == [
        (each["scope"]["type"], each["replay_key"], each["status"])
        for each in page["effects"]
    ]
    failed = page["effects"][2]
    assert {"code": "overloaded", "message": "try later"} == failed["error"]
    assert (9, 9) == (failed["command_bytes"], page["effects"][1]["outcome_bytes"])
    assert [None, None] == [page["effects"][1][n] for n in ("command", "outcome")]
    assert ["b"] == keys_of(answer("effects", made, "--status", "failed"))
    assert ["a", "b", "a"] == keys_of(answer("effects", made, "--session", "chat"))
    assert ["a"] == keys_of(answer("effects", made, "--process", "p"))
    assert [] == keys_of(answer("effects", made, "--process", "chat"))
    whole = everything("effects", made, member="effects")
    assert page["effects"] == whole
    of_chat = everything("effects", made, "--session", "chat", member="effects")
    assert whole[1:4] == of_chat
    full = answer("effects", made, "--session", "chat", "--limit", "1", "--content")
    assert ({"x": "a"}, {"big": 1}) == (
        full["effects"][0]["command"],
        full["effects"][0]["outcome"],
    )
    assert "overloaded: try later" in run("effects", made).stdout


def test_an_effect_under_way_shows_its_claim(place):
    """
    While a host runs an effect, it is listed as claimed.
    """
    seen = []

    def look(*_):
        seen.append(answer("effects", place, "--status", "in_progress"))
        return 1

    with open_effects(place) as host:
        scope = TurnScope(session_id="chat", turn_id="t1")
        host.scoped(scope).execute_effect(envelope("a"), look)

    (effect,) = seen[0]["effects"]
    assert effect["lease"]["is_live"]
    assert (None, None) == (effect["finished_at_ms"], effect["outcome_bytes"])
    assert [] == answer("effects", place, "--status", "in_progress")["effects"]


def test_a_rare_status_ends_a_page_early(place, monkeypatch):
    """
    However many effects there are, a page looks at so many and says where to
    go on.
    """
    record(place)
    monkeypatch.setattr("lashstore.tools.effect_views._MOST_KEYS", 2)
    monkeypatch.setattr("lashstore.tools.effect_views._KEYS", 2)
    first = answer("effects", place, "--status", "failed")
    second = answer(
        "effects", place, "--status", "failed", "--after", first["next_after"]
    )

    assert ([], ["b"]) == (keys_of(first), keys_of(second))


@pytest.mark.parametrize(
    ("name", "statement", "arguments", "member", "key", "left"),
    [
        (
            "processes.db",
            "UPDATE processes SET facts_json = '{}X' WHERE process_id = 'new'",
            ("processes",),
            "processes",
            "new",
            3,
        ),
        (
            "processes.db",
            "DELETE FROM process_registrations WHERE process_id = 'new'",
            ("processes",),
            "processes",
            "new",
            3,
        ),
        (
            "processes.db",
            "UPDATE process_leases SET fencing_token = 7",
            ("processes",),
            "processes",
            "leased",
            4,
        ),
        (
            "processes.db",
            "UPDATE process_events SET payload_json = '{\"n\":9}'"
            " WHERE process_id = 'waits' AND sequence = 2",
            ("processes", "waits"),
            "events",
            "waits/2",
            1,
        ),
        (
            "triggers.db",
            "UPDATE trigger_subscriptions SET source_key = 'x' WHERE number = 1",
            ("triggers",),
            "subscriptions",
            "subscription:1",
            1,
        ),
        (
            "effects.db",
            "UPDATE effects SET error_json = '{}' WHERE status = 'failed'",
            ("effects",),
            "effects",
            '["turn","chat","t1"]/b',
            4,
        ),
    ],
)
def test_damage_is_told_and_hides_nothing_else(
    root, name, statement, arguments, member, key, left
):
    """
    A damaged row is named with its key, and the others are shown.
    """
    register(root)
    subscribe(root)
    record(root)
    edit(root / name, statement)
    command, *more = arguments

    page = answer(command, root, *more, exit_code=1)

    assert key in {each["key"] for each in page["damaged"]}
    assert left == len(page[member])
    done = run(command, root, *more)
    assert 1 == done.exit_code
    assert f"DAMAGED {page['damaged'][0]['table']}" in done.stderr


def test_a_damaged_process_is_shown_as_far_as_it_goes(root):
    """
    Of a process whose row is damaged, the events are shown.
    """
    register(root)
    edit(
        root / "processes.db",
        "UPDATE processes SET facts_json = '{}X' WHERE process_id = 'waits'",
    )

    detail = answer("processes", root, "waits", exit_code=1)

    assert (None, 2) == (detail["process"], len(detail["events"]))
    assert "its row is damaged" in run("processes", root, "waits").stdout


def test_a_listing_does_not_leave_a_damaged_process_out(root):
    """
    A host's listing raises on a process without its registration.
    """
    register(root)
    edit(root / "processes.db", "DELETE FROM process_registrations")

    with (
        ProcessRegistry.open(root / "processes.db") as registry,
        pytest.raises(Exception, match="damaged"),
    ):
        registry.list_processes()


def test_looking_leaves_no_trace(root):
    """
    Nothing is made or changed; a component that is not there is not made.
    """
    register(root)
    subscribe(root)
    before = files_of(root)

    assert 0 == run("processes", root).exit_code
    assert 0 == run("processes", root / "processes.db", "done").exit_code
    assert 0 == run("triggers", root).exit_code
    assert_complains(run("effects", root), 1, "effects.db")

    assert before == files_of(root)


def test_a_server_without_tables_is_left_alone(postgres):
    """
    An empty schema stays empty.
    """
    postgres.drop("nothing")
    url = postgres.url("nothing")

    for command in COMMANDS:
        assert 1 == run(command, url).exit_code

    with postgres.connect("nothing") as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'nothing'"
        ).fetchone()
    assert (0,) == found


@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes(command, root, tmp_path):
    """
    A user's mistake is one line and no traceback, and help has examples.
    """
    register(root)
    subscribe(root)
    record(root)

    assert_complains(run(command, tmp_path / "absent"), 1, "absent")
    assert_complains(run(command, "mysql://host/db"), 2, "mysql")
    assert_complains(run(command, root, "--limit", "x"), 2, "--limit")
    assert_complains(run(command), 2, "TARGET")
    text = " ".join(run(command, "--help").output.split())
    assert f"Examples: lashstore {command}" in text
    assert "Exit code 0" in text


def test_mistakes_about_places(root):
    """
    What is no place to go on from, and what does not go together, is said.
    """
    register(root)
    subscribe(root)
    record(root)

    assert_complains(run("processes", root, "nobody"), 1, "'nobody'")
    assert_complains(run("processes", root, "done", "--after", "x"), 1, "'x'")
    assert_complains(run("processes", root, "done", "--waiting"), 2, "--waiting")
    assert_complains(run("triggers", root, "--after", "x"), 1, "subscription 'x'")
    for what, word in (("occurrences", "occurrence 'x'"), ("pending", "'x' is no")):
        done = run("triggers", root, "--show", what, "--after", "x")
        assert_complains(done, 1, word)
    assert_complains(run("effects", root, "--after", "x"), 1, "'x' is no effect")
    assert_complains(run("effects", root, "--after", "[]"), 1, "'[]' is no effect")
    assert_complains(run("effects", root, "--content"), 2, "--json")
    done = run("effects", root, "--session", "a", "--process", "b")
    assert_complains(done, 2, "--process")
