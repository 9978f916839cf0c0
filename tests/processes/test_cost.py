"""
What an operation costs does not depend on how much is stored: the same
statements, indexed, with no more work among 10,000 processes and 100,000
events than among 30 and 300.
"""

import fcntl
import shutil

import pytest

from lashstore import (
    AbandonRequest,
    ProcessEventAppendRequest,
    ProcessExternalRef,
    ProcessHandleDescriptor,
    ProcessLeaseCompletion,
    ProcessListFilter,
    ProcessStarted,
    ProcessStatusFilter,
    SuccessOutput,
)

from .history import HOT, LITTLE, MUCH, build, open_file
from .kit import FRAME, NOW_MS, OTHER, ROOT, event, owner, registration
from .meter import complaints, metering
from .test_completion import WAIT

TOOL = ProcessHandleDescriptor(kind="tool")
WAKE = event("producer.wake", {"wake_input": "a"})


@pytest.fixture(name="built", scope="session")
def _built(tmp_path_factory):
    """
    Return a function from a number of processes to the file that has them.
    """
    # Shared by the workers of pytest-xdist: whoever is first builds it.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "processes"
    folder.mkdir(exist_ok=True)

    def of_size(count):
        path = folder / f"{count}.db"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                build(path.with_suffix(".tmp"), count)
                path.with_suffix(".tmp").rename(path)
        return path

    return of_size


def lease_of(registry):
    """
    Claim the hot process.
    """
    return registry.claim_process_lease(HOT, owner(), 10**6).lease


def prepared_leases(registry):
    """
    Return the hot process's lease, held.
    """
    return lease_of(registry)


def prepared_session(registry):
    """
    Give session `other` three grants and three wake targets.
    """
    for n in range(3):
        registry.register_process(registration(f"new-{n}", wake_target=OTHER))
        registry.grant_handle(OTHER, f"new-{n}", TOOL)
    registry.grant_handle(ROOT, "new-1", TOOL)


def prepared_pruning(registry):
    """
    End three processes before all others.
    """
    for n in range(3):
        registry.register_process(registration(f"new-{n}", wake_target=OTHER))
        registry.grant_handle(OTHER, f"new-{n}", TOOL)
        registry.append_event(f"new-{n}", WAKE)
    registry._clock.advance(-(10**6))
    for n in range(3):
        registry.complete_process(f"new-{n}", SuccessOutput(value=1))
    registry._clock.advance(10**6)


def prepared_wakes(registry):
    """
    Have five wakes written, and the first two acknowledged.
    """
    for _ in range(5):
        registry.append_event(HOT, WAKE)
    first = registry.pending_wake_deliveries(2)
    for delivery in first:
        registry.ack_wake(HOT, delivery.sequence)


def nothing(_registry):
    """
    Prepare nothing.
    """


OPERATIONS = {
    "register": (nothing, lambda r, _: r.register_process(registration("new", wake_target=ROOT))),
    "register again": (nothing, lambda r, _: r.register_process(registration(HOT, wake_target=ROOT))),
    "get": (nothing, lambda r, _: r.get_process(HOT)),
    "append": (nothing, lambda r, _: r.append_event(HOT, event("producer.line", {"n": 1}))),
    "append keyed": (nothing, lambda r, _: r.append_event(HOT, event(replay_key="new"))),
    "append fenced": (prepared_leases, lambda r, lease: r.append_event(HOT, event(), fence=lease)),
    "append wake": (nothing, lambda r, _: r.append_event(HOT, WAKE)),
    "replay": (nothing, lambda r, _: r.append_event(HOT, event("producer.line", {"n": 11}, "k11"))),
    "cancel": (nothing, lambda r, _: r.append_event(HOT, ProcessEventAppendRequest.cancel_requested(HOT, "x"))),
    "complete": (nothing, lambda r, _: r.complete_process(HOT, SuccessOutput(value=1))),
    "events after": (nothing, lambda r, _: r.events_after(HOT, 100, limit=10)),
    "recent events": (nothing, lambda r, _: r.recent_events(HOT, 10)),
    "count": (nothing, lambda r, _: r.count_events_through(HOT, "producer.line", 100)),
    "await event": (nothing, lambda r, _: r.await_event(HOT, "producer.line", 100, timeout_s=0)),
    "wake events": (prepared_wakes, lambda r, _: r.wake_events_after(HOT, 0)),
    "wake drain": (prepared_wakes, lambda r, _: r.pending_wake_deliveries(2)),
    "ack": (prepared_wakes, lambda r, _: r.ack_wake(HOT, r.pending_wake_deliveries(1)[0].sequence)),
    "external ref": (nothing, lambda r, _: r.set_external_ref(HOT, ProcessExternalRef(backend="b", id="i"))),
    "first started": (nothing, lambda r, _: r.record_first_started(HOT, ProcessStarted(owner=owner(), started_at_ms=1))),
    "abandon": (nothing, lambda r, _: r.request_process_abandon(HOT, AbandonRequest(requested_by="a", requested_at_ms=1))),
    "set wait": (nothing, lambda r, _: r.set_process_wait(HOT, WAIT)),
    "clear wait": (nothing, lambda r, _: r.clear_process_wait(HOT)),
    "claim": (nothing, lambda r, _: r.claim_process_lease(HOT, owner(), 10)),
    "claim again": (prepared_leases, lambda r, _: r.claim_process_lease(HOT, owner(), 10)),
    "reclaim": (prepared_leases, lambda r, lease: r.reclaim_process_lease(HOT, owner("b"), lease, 10)),
    "renew": (prepared_leases, lambda r, lease: r.renew_process_lease(lease, 10)),
    "release": (prepared_leases, lambda r, lease: r.complete_process_lease(ProcessLeaseCompletion(process_id=HOT, lease_token=lease.lease_token))),
    "get lease": (prepared_leases, lambda r, _: r.get_process_lease(HOT)),
    "grant": (nothing, lambda r, _: r.grant_handle(ROOT, HOT, TOOL)),
    "revoke": (prepared_session, lambda r, _: r.revoke_handle(OTHER, "new-1")),
    "transfer": (prepared_session, lambda r, _: r.transfer_handle_grants(OTHER, FRAME, ["new-0", "new-1", "new-2"])),
    "has grant": (prepared_session, lambda r, _: r.has_handle_grant(OTHER, "new-1")),
    "list grants": (prepared_session, lambda r, _: r.list_handle_grants(OTHER)),
    "list live grants": (prepared_session, lambda r, _: r.list_live_handle_grants(OTHER)),
    "grants of a process": (prepared_session, lambda r, _: r.handle_grants_for_process("new-1")),
    "delete session": (prepared_session, lambda r, _: r.delete_session_process_state("other")),
    "prune": (prepared_pruning, lambda r, _: r.prune_terminal_processes(NOW_MS + 1)),
    "prune nothing": (nothing, lambda r, _: r.prune_terminal_processes(NOW_MS)),
    "list running": (nothing, lambda r, _: r.list_non_terminal(after_id="old-000000", limit=2)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_cost_does_not_grow_with_history(built, tmp_path, name):
    """
    Equal statements, indexed plans, and no more instructions.
    """
    prepare, call = OPERATIONS[name]
    meters = []
    for count in (LITTLE, MUCH):
        copy = tmp_path / f"{count}.db"
        shutil.copy(built(count), copy)
        with open_file(copy) as registry:
            given = prepare(registry)
            with metering() as meter:
                call(registry, given)
        meters.append(meter)
        assert [] == complaints(copy, meter)

    little, much = meters
    assert little.texts() == much.texts()
    assert much.instructions <= little.instructions * 1.2 + 40


@pytest.mark.parametrize("definition", [None, "busy"])
def test_no_list_grows_with_history(built, tmp_path, definition):
    """
    Whatever its filter, a page of two costs as much among many as among few.
    """
    filters = [
        ProcessListFilter(status=status, waiting=waiting, definition=definition)
        for status in ProcessStatusFilter
        for waiting in (None, True, False)
    ]
    work = []
    for count in (LITTLE, MUCH):
        copy = tmp_path / f"{count}.db"
        shutil.copy(built(count), copy)
        with open_file(copy) as registry:
            for given in filters:
                with metering() as meter:
                    registry.list_processes(given, after_id="old-000003", limit=2)
                assert len(meter.statements) <= 1
                assert [] == complaints(copy, meter)
                work.append(meter.instructions)

    little, much = work[: len(filters)], work[len(filters) :]
    for few, many in zip(little, much, strict=True):
        assert many <= few * 1.2 + 40


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("register", 4),
        ("get", 1),
        ("append", 3),
        ("append keyed", 3),
        ("append fenced", 4),
        ("append wake", 4),
        ("replay", 3),
        ("complete", 4),
        ("claim", 3),
        ("renew", 2),
        ("ack", 3),
        ("list running", 1),
        ("list grants", 2),
        ("delete session", 5),
        ("prune", 3),
        ("transfer", 3),
    ],
)
def test_operations_take_few_statements(built, tmp_path, name, count):
    """
    The number is part of the contract: it is what a remote engine costs.
    """
    prepare, call = OPERATIONS[name]
    copy = tmp_path / "copy.db"
    shutil.copy(built(LITTLE), copy)
    with open_file(copy) as registry:
        given = prepare(registry)
        with metering() as meter:
            call(registry, given)

    assert count == len(meter.statements), meter.texts()


def test_deleting_a_session_of_many_takes_as_many_statements(built, tmp_path):
    """
    Two hundred grants and targets go like three.
    """
    copy = tmp_path / "copy.db"
    shutil.copy(built(MUCH), copy)
    with open_file(copy) as registry, metering() as meter:
        report = registry.delete_session_process_state("session-0")

    assert MUCH // 50 == report.revoked_handle_count
    assert 5 == len(meter.statements)
    assert [] == complaints(copy, meter)


def test_pruning_many_takes_three_statements_a_thousand(built, tmp_path):
    """
    Nine thousand processes with their logs, in one transaction.
    """
    copy = tmp_path / "copy.db"
    shutil.copy(built(MUCH), copy)
    with open_file(copy) as registry, metering() as meter:
        report = registry.prune_terminal_processes(2**63)

    assert (9_000, 45_000) == (report.pruned_processes, report.pruned_events)
    assert 3 * 9 + 1 == len(meter.statements)
    assert [] == complaints(copy, meter)
