"""
Several OS processes on one file, and on one server.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lashstore import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    ProcessLeaseExpiredError,
    ProcessListFilter,
    ProcessStatusFilter,
    SuccessOutput,
)

from .kit import ROOT, event, registration
from .worker import HOST, opened

TESTS = Path(__file__).parent.parent


@pytest.fixture(name="start")
def _start():
    """
    Return a function that runs a task of `worker` in a process of its own.
    """
    package = Path(__file__).parent.name
    workers = []

    def start(path, task, *arguments):
        worker = subprocess.Popen(
            [sys.executable, "-m", f"{package}.worker", task, str(path), *arguments],
            cwd=TESTS,
            stdout=subprocess.PIPE,
            text=True,
        )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.communicate()


@pytest.fixture(name="path")
def _path(shared_place):
    """
    Return the address of a database that knows process `p`.
    """
    with opened(shared_place.address) as registry:
        registry.register_process(registration("p", wake_target=ROOT))
    return shared_place.address


def test_a_killed_owner_is_replaced_by_proof(path, start):
    """
    Its lease has an hour to go; that it is dead shows on this machine.
    """
    worker = start(path, "die_holding")
    assert -signal.SIGKILL == worker.wait(timeout=60)
    me = LeaseOwnerIdentity.local_process("me", "1", HOST)
    with opened(path) as registry:
        busy = registry.claim_process_lease("p", me, 1_000)
        assert isinstance(busy, LeaseBusy)
        assert worker.pid == busy.holder.owner.liveness.pid

        taken = registry.reclaim_process_lease("p", me, busy.holder, 60_000)

        assert isinstance(taken, LeaseAcquired)
        assert 2 == taken.lease.fencing_token
        with pytest.raises(ProcessLeaseExpiredError):
            registry.append_event("p", event(), fence=busy.holder)
        registry.complete_process("p", SuccessOutput(value=1), fence=taken.lease)
        assert ["begun"] == [each.payload for each in registry.events_after("p", 0)[:1]]


def test_what_was_acknowledged_survives_a_kill(path, start):
    """
    Every event that was told is there, with its wake, and once.
    """
    worker = start(path, "die_appending")
    told = [int(worker.stdout.readline()) for _ in range(50)]
    worker.kill()
    # Not `communicate`, which would pass over what is buffered here.
    rest = worker.stdout.read()
    told += [int(line) for line in rest.splitlines(keepends=True) if line[-1] == "\n"]

    with opened(path) as registry:
        log = registry.events_after("p", 0)
        wakes = registry.pending_wake_deliveries(10**6)
        assert [str(n + 1) for n in range(len(log))] == [
            each.payload["wake_input"] for each in log
        ]
        assert len(log) - told[-1] in (0, 1)
        assert [each.sequence for each in log] == [each.sequence for each in wakes]
        again = registry.append_event(
            "p", event("producer.wake", {"wake_input": "1"}, "k1")
        )
        assert not again.inserted


def test_many_appenders_leave_one_log(path, start):
    """
    No gaps, nothing lost, and each shared key once.
    """
    count, names = 40, ("a", "b", "c", "d")
    workers = [start(path, "append_many", name, str(count)) for name in names]
    assert [0] * 4 == [worker.wait(timeout=120) for worker in workers]

    with opened(path) as registry:
        log = registry.events_after("p", 0)

    assert list(range(1, 4 * count + count + 1)) == [each.sequence for each in log]
    own = [each.payload for each in log if "replay" not in each.invocation]
    assert {f"{name}-{n}" for name in names for n in range(count)} == set(own)
    for name in names:
        mine = [each for each in own if each.startswith(name)]
        assert [f"{name}-{n}" for n in range(count)] == mine


def test_a_race_ends_every_process_once(path, start):
    """
    Whoever holds the lease ends it, and nobody ends it again.
    """
    workers = [start(path, "race_to_end", name) for name in "abcd"]
    refused = []
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        assert 0 == worker.returncode
        refused += output.split()

    assert sorted(f"race-{n}" for n in range(20)) == sorted(refused)
    with opened(path) as registry:
        ended = registry.list_processes(
            ProcessListFilter(status=ProcessStatusFilter.COMPLETED)
        )
        assert 20 == len(ended)
        for record in ended:
            told, end = registry.events_after(record.id, 0)
            assert (told.payload, 2) == (record.status.await_output.value, end.sequence)


def test_processes_wait_for_each_other(path, start):
    """
    A signal from here, an end from there.
    """
    worker = start(path, "complete_after_signal")
    with opened(path) as registry:
        registry.append_event("p", event("signal.ready", "go"))

        outcome = registry.await_terminal("p", timeout_s=60)

    assert SuccessOutput(value="go") == outcome
    assert 0 == worker.wait(timeout=60)
