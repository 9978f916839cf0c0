"""
Two hosts, really two processes: one is killed, or sleeps through its lease.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lashstore import (
    LeaseHeldError,
    LeaseTimings,
    SessionExecutionLeaseExpiredError,
    Store,
    keep_session_lease,
)

from .kit import QUICK, owner

ROOT = Path(__file__).parent.parent.parent

HOST = """
import asyncio, sys, time
from lashstore import LeaseTimings, Store, aio, keep_session_lease
from tests.runtime.kit import owner

path, kind, ttl_ms, is_async = sys.argv[1:]
holder = owner("first") if kind == "opaque" else None
timings = LeaseTimings.from_ttl(int(ttl_ms))

def sync():
    with Store.open(path, "chat") as store:
        with keep_session_lease(store, holder, timings=timings) as keeper:
            print("holding", keeper.lease().fencing_token, flush=True)
            while True:
                keeper.lease()
                time.sleep(0.01)

async def main():
    async with await aio.AsyncStore.open(path, "chat") as store:
        async with aio.keep_session_lease(store, holder, timings=timings) as keeper:
            print("holding", keeper.lease().fencing_token, flush=True)
            await asyncio.Event().wait()

try:
    asyncio.run(main()) if is_async == "async" else sync()
except Exception as error:
    print("lost:", type(error).__name__, flush=True)
    sys.exit(3)
"""


@pytest.fixture(name="start")
def _start(place):
    started = []

    def start(kind, ttl_ms, how="sync"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOST, str(place), kind, str(ttl_ms), how],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert "holding 1\n" == process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def stored_lease(store):
    """
    Return the lease as it stands, expired or not.
    """
    with store.transaction() as tx:
        return tx.execution_leases.find(store.session_id).lease


@pytest.mark.parametrize("how", ["sync", "async"])
def test_second_host_waits_for_the_expiry(place, start, how):
    """
    A killed host whose death nobody can prove keeps its session until the
    lease expires, and not a moment longer than the next look.
    """
    first = start("opaque", 1_500, how)
    first.kill()
    first.wait()

    with Store.open(place, "chat", options=QUICK) as store:
        old = stored_lease(store)
        with pytest.raises(LeaseHeldError):
            with keep_session_lease(store, owner("second")):
                pass
        with keep_session_lease(store, owner("second"), wait_s=20) as keeper:
            lease = keeper.lease()

    assert 2 == lease.fencing_token
    assert old.expires_at_ms <= lease.claimed_at_ms


def test_provably_dead_host_is_replaced_at_once(place, start):
    """
    A killed host on this machine is replaced long before its lease expires.
    """
    first = start("local", 600_000)
    with Store.open(place, "chat", options=QUICK) as store:
        with pytest.raises(LeaseHeldError):
            with keep_session_lease(store):
                pass
        first.kill()
        first.wait()

        with keep_session_lease(store) as keeper:
            assert 2 == keeper.lease().fencing_token


@pytest.mark.parametrize("how", ["sync", "async"])
def test_host_that_slept_through_its_lease_loses_loudly(place, start, how):
    """
    A host that was stopped for longer than its lease finds another in its
    place when it goes on, and ends with an error.
    """
    first = start("opaque", 600, how)
    first.send_signal(signal.SIGSTOP)
    timings = LeaseTimings(ttl_ms=60_000, renew_interval_ms=100)

    with Store.open(place, "chat", options=QUICK) as store:
        with keep_session_lease(
            store, owner("second"), timings=timings, wait_s=20
        ) as keeper:
            first.send_signal(signal.SIGCONT)
            assert "lost: SessionExecutionLeaseExpiredError\n" == (
                first.stdout.readline()
            )
            assert 3 == first.wait()
            assert 2 == keeper.lease().fencing_token


def test_living_host_is_never_replaced(place, start):
    """
    As long as the first renews, the second waits in vain.
    """
    start("opaque", 600)

    with Store.open(place, "chat", options=QUICK) as store:
        with pytest.raises(LeaseHeldError):
            with keep_session_lease(store, owner("second"), wait_s=2):
                pass
        with pytest.raises(SessionExecutionLeaseExpiredError):
            stolen = stored_lease(store)
            store.renew_session_execution_lease(
                stolen.fence().__class__(
                    session_id="chat",
                    owner=owner("second"),
                    lease_token="other",
                    fencing_token=stolen.fencing_token,
                ),
                1_000,
            )
