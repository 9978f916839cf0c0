"""
Finding processes, and forgetting them.
"""

import itertools

import pytest

from lashstore import (
    AbandonedOutput,
    AbandonEvidence,
    AbandonWriter,
    CancelledOutput,
    FailureClass,
    FailureOutput,
    InvalidArgumentError,
    ProcessExternalRef,
    ProcessHandleDescriptor,
    ProcessIdentity,
    ProcessListFilter,
    ProcessPruneReport,
    ProcessStatusFilter,
    SignalWait,
    SuccessOutput,
    UnknownProcessError,
    WaitState,
)

from .kit import NOW_MS, ROOT, event, owner, registration

OUTPUTS = {
    "completed": SuccessOutput(value=1),
    "failed": FailureOutput(
        failure_class=FailureClass.EXECUTION, code="c", message="m"
    ),
    "cancelled": CancelledOutput(message="m"),
    "abandoned": AbandonedOutput(
        evidence=AbandonEvidence(writer=AbandonWriter.SWEEP, epoch_ms=1)
    ),
}
DEFINITIONS = {"none": None, "one": {"flow": 1}, "two": {"flow": 1.0}}
STATES = ("idle", "waiting", *OUTPUTS)
WAIT = WaitState(
    kind=SignalWait(name="a", event_type="signal.a", key="k", ordinal=1), since_ms=1
)


def ids(records):
    """
    Return the ids in their order.
    """
    return [each.id for each in records]


@pytest.fixture(name="mixed")
def _mixed(registry):
    """
    Return a registry with two processes of each state and definition.
    """
    for n, state, definition in itertools.product("12", STATES, DEFINITIONS):
        process_id = f"{n}-{state}-{definition}"
        identity = ProcessIdentity(kind="k", definition=DEFINITIONS[definition])
        registry.register_process(registration(process_id, identity=identity))
        if state == "waiting":
            registry.set_process_wait(process_id, WAIT)
        elif state != "idle":
            registry.complete_process(process_id, OUTPUTS[state])
    return registry


def expected(status, waiting, definition):
    """
    Say what a filter lists, the plain way.
    """
    found = []
    for n, state, named in itertools.product("12", STATES, DEFINITIONS):
        label = "running" if state in ("idle", "waiting") else state
        if (
            status in ("any", label)
            and waiting in (None, state == "waiting")
            and definition in (None, named)
        ):
            found.append(f"{n}-{state}-{named}")
    return sorted(found)


@pytest.mark.parametrize("definition", [None, "one", "two", "three"])
@pytest.mark.parametrize("waiting", [None, True, False])
@pytest.mark.parametrize("status", list(ProcessStatusFilter))
def test_every_filter_lists_what_it_says(mixed, status, waiting, definition):
    """
    In order of ids, whole or by pages.
    """
    given = ProcessListFilter(
        status=status,
        waiting=waiting,
        definition=DEFINITIONS.get(definition, {"flow": 3} if definition else None),
    )
    wanted = expected(status, waiting, definition)

    assert wanted == ids(mixed.list_processes(given))
    paged, after = [], None
    while page := mixed.list_processes(given, after_id=after, limit=3):
        assert 3 >= len(page)
        paged += ids(page)
        after = paged[-1]
    assert wanted == paged


def test_running_ones_are_listed_by_default(mixed):
    """
    `list_non_terminal` is the same list.
    """
    wanted = expected("running", None, None)

    assert wanted == ids(mixed.list_processes()) == ids(mixed.list_non_terminal())
    assert wanted[2:4] == ids(mixed.list_non_terminal(after_id=wanted[1], limit=2))
    assert mixed.get_process(wanted[0]) == mixed.list_processes(limit=1)[0]


def test_ids_sort_by_code_point(registry):
    """
    Not by any language's rules, and pages go on behind any text.
    """
    names = ["a", "B", "b", "ä", "Z", "\U0001f600", "\uffee", "a b", "10", "9", " x"]
    for name in names:
        registry.register_process(registration(name))

    assert sorted(names) == ids(registry.list_processes())
    assert ["ä", "\uffee", "\U0001f600"] == ids(registry.list_processes(after_id="b"))
    assert sorted(names) == ids(registry.list_processes(after_id=""))
    assert [] == ids(registry.list_processes(after_id="\U0010ffff"))


def test_a_page_of_nothing_and_of_everything(mixed):
    """
    Limits from 0 to beyond the range.
    """
    assert () == mixed.list_processes(limit=0)
    assert 12 == len(mixed.list_processes(limit=2**64))


@pytest.mark.parametrize(
    "wrong",
    [
        {"filter": None},
        {"filter": {"status": "running"}},
        {"filter": ProcessListFilter(status="finished")},
        {"filter": ProcessListFilter(waiting="yes")},
        {"filter": ProcessListFilter(waiting=1)},
        {"filter": ProcessListFilter(definition=float("nan"))},
        {"after_id": 5},
        {"after_id": "a\0"},
        {"limit": -1},
    ],
    ids=str,
)
def test_what_is_no_filter_is_refused(registry, wrong):
    """
    Before the database is touched.
    """
    with pytest.raises(InvalidArgumentError):
        registry.list_processes(**wrong)


def test_a_filter_may_name_its_status_as_text(mixed):
    """
    A word is as good as the member.
    """
    given = ProcessListFilter(status="completed")

    assert expected("completed", None, None) == ids(mixed.list_processes(given))


def test_pruning_goes_by_the_time_of_the_end(registry, clock):
    """
    Strictly before the cutoff; what came later keeps nothing alive.
    """
    for process_id in "abc":
        registry.register_process(registration(process_id))
        registry.append_event(process_id, event())
    registry.complete_process("a", OUTPUTS["completed"])
    clock.advance(10)
    registry.append_event("b", event("producer.done", 1, "k"))
    clock.advance(10)
    registry.append_event("a", event())
    registry.set_external_ref("a", ProcessExternalRef(backend="b", id="i"))
    registry.clear_process_wait("a")

    assert ProcessPruneReport() == registry.prune_terminal_processes(NOW_MS)
    assert ProcessPruneReport(
        pruned_processes=1, pruned_events=3
    ) == registry.prune_terminal_processes(NOW_MS + 10)
    assert ProcessPruneReport() == registry.prune_terminal_processes(NOW_MS + 10)
    assert registry.get_process("b").is_terminal
    assert ProcessPruneReport(
        pruned_processes=1, pruned_events=2
    ) == registry.prune_terminal_processes(2**64)
    assert ["c"] == ids(
        registry.list_processes(ProcessListFilter(status=ProcessStatusFilter.ANY))
    )


def test_a_cutoff_of_zero_prunes_nothing(registry, clock):
    """
    Nothing ended before the epoch.
    """
    clock.advance(-NOW_MS)
    registry.register_process(registration("p"))
    registry.complete_process("p", OUTPUTS["completed"])

    assert 0 == registry.prune_terminal_processes(0).pruned_processes
    assert 1 == registry.prune_terminal_processes(1).pruned_processes


def test_pruned_is_unknown_everywhere(registry, place, clock):
    """
    Log, wakes, grants and lease go along, and the id is free again.
    """
    registry.register_process(registration("p", wake_target=ROOT))
    registry.append_event("p", event("producer.wake", {"wake_input": "a"}))
    registry.grant_handle(ROOT, "p", ProcessHandleDescriptor())
    registry.claim_process_lease("p", owner(), 10**6)
    registry.complete_process("p", OUTPUTS["completed"])
    clock.advance(1)

    report = registry.prune_terminal_processes(NOW_MS + 1)

    assert ProcessPruneReport(pruned_processes=1, pruned_events=2) == report
    registry = place.reopen(registry)
    assert registry.get_process("p") is None
    assert registry.get_process_lease("p") is None
    assert () == registry.pending_wake_deliveries()
    assert () == registry.list_handle_grants(ROOT)
    with pytest.raises(UnknownProcessError):
        registry.events_after("p", 0)
    registry.register_process(registration("p"))
    assert 1 == registry.append_event("p", event()).event.sequence
    assert () == registry.wake_events_after("p", 0)
    assert not registry.has_handle_grant(ROOT, "p")


def test_pruning_takes_more_than_a_page(registry, monkeypatch):
    """
    However many ended, one call forgets them all.
    """
    monkeypatch.setattr("lashstore.processes.listing._PRUNE_PAGE", 3)
    for n in range(7):
        registry.register_process(registration(f"p{n}"))
        registry.complete_process(f"p{n}", OUTPUTS["failed"])

    report = registry.prune_terminal_processes(NOW_MS + 1)

    assert ProcessPruneReport(pruned_processes=7, pruned_events=7) == report
