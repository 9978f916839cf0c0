"""
What two hosts do at the same time on one server, each step of a race held
still by a lock that the test has.
"""

import threading

import pytest
from postgres_server import server
from racing import Racers, counting_deadlocks, kinds

from lashstore import (
    LeaseAcquired,
    LeaseBusy,
    ProcessConflictError,
    ProcessHandleDescriptor,
    ProcessRegistry,
    ProcessTerminalError,
    SuccessOutput,
)

from .kit import OTHER, QUICK, ROOT, event, owner, registration

TOOL = ProcessHandleDescriptor(kind="tool")


@pytest.fixture(name="host")
def _host(postgres_place):
    with postgres_place.open() as registry:
        yield registry


@pytest.fixture(name="racers")
def _racers():
    racers = Racers()
    yield racers
    racers.close()


HOLD_P = "SELECT 1 FROM processes WHERE process_id = 'p' FOR NO KEY UPDATE"


def test_appenders_number_events_one_by_one(host, racers):
    """
    Four that waited for the same row see each other's events.
    """
    host.register_process(registration("p"))
    racers.hold(HOLD_P)
    racers.start(
        *[lambda n=n: host.append_event("p", event(payload=n)) for n in "abcd"]
    )

    assert 4 == len([each for each in racers.release() if each.inserted])
    log = host.events_after("p", 0)
    assert [1, 2, 3, 4] == [each.sequence for each in log]
    assert ["a", "b", "c", "d"] == sorted(each.payload for each in log)


def test_one_replay_key_is_one_event(host, racers):
    """
    Whoever waited finds the event of who came first.
    """
    host.register_process(registration("p"))
    racers.hold(HOLD_P)
    append = lambda: host.append_event("p", event(payload=1, replay_key="k"))  # noqa: E731
    racers.start(append, append, append)

    assert [False, False, True] == sorted(each.inserted for each in racers.release())
    assert 1 == len(host.events_after("p", 0))


def test_a_process_ends_once(host, racers):
    """
    Of two outcomes one is refused; of two leases the second is refused too.
    """
    host.register_process(registration("p"))
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.complete_process("p", SuccessOutput(value=1)),
        lambda: host.complete_process("p", SuccessOutput(value=2)),
        lambda: host.claim_process_lease("p", owner(), 1_000),
    )

    assert kinds(racers.release()) == [
        ProcessConflictError.__name__,
        "ProcessRecord",
        ProcessTerminalError.__name__,
    ]
    assert 1 == len(host.events_after("p", 0))


def test_one_of_two_claims_has_the_lease(host, racers):
    """
    The other one is told who has it.
    """
    host.register_process(registration("p"))
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.claim_process_lease("p", owner("a"), 1_000),
        lambda: host.claim_process_lease("p", owner("b"), 1_000),
    )

    answers = racers.release()
    assert [LeaseAcquired.__name__, LeaseBusy.__name__] == kinds(answers)
    (lease,) = [each.lease for each in answers if isinstance(each, LeaseAcquired)]
    assert 1 == lease.fencing_token
    assert lease == host.get_process_lease("p")


def test_facts_do_not_overwrite_each_other(host, racers):
    """
    Facts are one cell: each writer starts from what the one before wrote.
    """
    from .test_completion import WAIT
    from .test_facts import REF, STARTED

    host.register_process(registration("p"))
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.set_external_ref("p", REF),
        lambda: host.record_first_started("p", STARTED),
        lambda: host.set_process_wait("p", WAIT),
    )

    assert ["ProcessRecord"] * 3 == kinds(racers.release())
    record = host.get_process("p")
    assert (REF, STARTED, WAIT) == (
        record.external_ref,
        record.first_started,
        record.wait,
    )


def test_two_hosts_register_one_process(host, racers):
    """
    One wins; who asked for the same sees it, who asked for another conflicts.
    """
    racers.hold("LOCK TABLE processes IN SHARE MODE")
    racers.start(
        lambda: host.register_process(registration("p", wake_target=ROOT)),
        lambda: host.register_process(registration("p", wake_target=ROOT)),
    )
    one, two = racers.release()
    assert one == two == host.get_process("p")

    racers.hold("LOCK TABLE processes IN SHARE MODE")
    racers.start(
        lambda: host.register_process(registration("q", wake_target=ROOT)),
        lambda: host.register_process(registration("q", wake_target=OTHER)),
    )
    assert ["ProcessConflictError", "ProcessRecord"] == kinds(racers.release())


def test_an_append_that_waited_wakes_no_deleted_session(host, racers):
    """
    The wake target is read behind the lock, and not with it.
    """
    host.register_process(registration("p", wake_target=ROOT))
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.delete_session_process_state("root"),
        lambda: host.append_event("p", event("producer.wake", {"wake_input": "a"})),
    )

    _, appended = sorted(racers.release(), key=lambda each: type(each).__name__)[::-1]
    assert appended.wake_delivery is None
    assert () == host.pending_wake_deliveries()


def test_what_runs_by_now_is_not_pruned(host, racers):
    """
    What had ended when it was found was pruned and registered anew before it
    could be held.
    """
    host.register_process(registration("p"))
    host.complete_process("p", SuccessOutput(value=1))
    # Past the library: in the end, the row of `p` is that of a running one.
    racers.hold(
        "UPDATE processes SET status = 'running', activity = 'idle',"
        " terminal_at_ms = NULL, await_output_json = NULL"
    )
    racers.start(lambda: host.prune_terminal_processes(2**63))

    (report,) = racers.release()
    assert (0, 0) == (report.pruned_processes, report.pruned_events)
    assert 1 == len(host.events_after("p", 0))


def test_a_grant_of_what_is_being_pruned_is_refused(host, racers):
    """
    An unknown process, and no failure of the database.
    """
    host.register_process(registration("p"))
    host.complete_process("p", SuccessOutput(value=1))
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.prune_terminal_processes(2**63),
        lambda: host.grant_handle(ROOT, "p", TOOL),
    )

    assert ["ProcessPruneReport", "UnknownProcessError"] == kinds(racers.release())


def test_a_grant_is_transferred_once(host, racers):
    """
    Two transfers of one grant: the second finds it gone.
    """
    host.register_process(registration("p"))
    host.grant_handle(ROOT, "p", TOOL)
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.transfer_handle_grants(ROOT, OTHER, ["p"]) or "moved",
        lambda: host.transfer_handle_grants(ROOT, OTHER, ["p"]) or "moved",
    )

    assert ["ProcessConflictError", "str"] == kinds(racers.release())
    assert [OTHER.session_id] == [
        each.session_id for each in host.handle_grants_for_process("p")
    ]


def test_the_last_of_two_sessions_leaves_an_orphan(host, racers):
    """
    Deleting both at once, one of them must say that nobody is left.
    """
    host.register_process(registration("p"))
    host.grant_handle(ROOT, "p", TOOL)
    host.grant_handle(OTHER, "p", TOOL)
    racers.hold(HOLD_P)
    racers.start(
        lambda: host.delete_session_process_state("root"),
        lambda: host.delete_session_process_state("other"),
    )

    reports = racers.release()
    assert [(), ("p",)] == sorted(each.orphaned_process_ids for each in reports)
    assert [(), ("p",)] == sorted(each.preserved_process_ids for each in reports)


def test_many_processes_are_locked_in_one_order(postgres_place, monkeypatch):
    """
    Transfers to and fro in opposite orders: no deadlock is ever counted.
    """
    hosts = [postgres_place.open(), postgres_place.open()]
    ids = [f"p{n}" for n in range(20)]
    for each in ids:
        hosts[0].register_process(registration(each, wake_target=ROOT))
        hosts[0].grant_handle(ROOT, each, TOOL)
    failures = []

    def work(number):
        mine = ids if number else ids[::-1]
        scopes = (ROOT, OTHER) if number else (OTHER, ROOT)
        for _ in range(15):
            try:
                hosts[number].transfer_handle_grants(*scopes, mine)
            except ProcessConflictError:
                continue
            except Exception as error:
                failures.append(error)
            hosts[number].delete_session_process_state("nobody")

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    with counting_deadlocks(monkeypatch) as deadlocks:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert [] == failures
    assert [] == deadlocks


def test_who_waits_for_the_first_process_holds_no_later_one(host, racers):
    """
    Processes are held in the order of their ids, whatever the caller's.
    """
    for n in range(9):
        host.register_process(registration(f"p{n}"))
        host.grant_handle(ROOT, f"p{n}", TOOL)
    racers.hold("SELECT 1 FROM processes WHERE process_id = 'p0' FOR UPDATE")
    ids = [f"p{n}" for n in reversed(range(9))]
    racers.start(lambda: host.transfer_handle_grants(ROOT, OTHER, ids))

    with server().connect() as looking:
        looking.execute(
            "SELECT 1 FROM processes WHERE process_id > 'p0' FOR UPDATE NOWAIT"
        )
    assert [None] == racers.release()


def test_writers_of_other_processes_do_not_wait(host, racers):
    """
    While one process is held, all can be done to another.
    """
    for each in ("p", "q"):
        host.register_process(registration(each, wake_target=ROOT))
    racers.hold(HOLD_P)
    quick = ProcessRegistry.open(server().url(), options=QUICK)
    with quick:
        quick.append_event("q", event("producer.wake", {"wake_input": "a"}))
        lease = quick.claim_process_lease("q", owner(), 10_000).lease
        quick.renew_process_lease(lease, 10_000)
        quick.grant_handle(ROOT, "q", TOOL)
        quick.transfer_handle_grants(ROOT, OTHER, ["q"])
        quick.register_process(registration("r"))
        quick.ack_wake("q", 1)
        quick.complete_process("q", SuccessOutput(value=1), fence=lease)
        assert 1 == quick.prune_terminal_processes(2**63).pruned_processes
    assert [] == racers.release()
