"""
Hosts for the tests of effects: in memory, and on a file, and on a server.
"""

import functools
import sqlite3

import psycopg
import pytest
from postgres_server import server

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    LeaseTimings,
    ManualClock,
    StoreOptions,
    Synchronous,
    TurnScope,
)

NOW_MS = 1_700_000_000_000
TURN = TurnScope(session_id="chat", turn_id="7")
# No test cuts the power, so none waits for the disk.
STORE = StoreOptions(synchronous=Synchronous.NORMAL)


def options(ttl_ms=30_000, *, busy_timeout_ms=15_000):
    return EffectReplayOptions(
        lease_timings=LeaseTimings.from_ttl(ttl_ms),
        store=StoreOptions(
            synchronous=Synchronous.NORMAL, busy_timeout_ms=busy_timeout_ms
        ),
    )


class Memory:
    """
    Each host is its own journal.
    """

    def __init__(self, folder, clock):
        self.path = self.address = folder / "effects.db"
        self.clock = clock
        self.opened = []

    def open(self, ttl_ms=30_000):
        if not self.opened:
            self.opened.append(
                EffectHost.memory(clock=self.clock, options=options(ttl_ms))
            )
        return self.opened[0]

    def reopen(self, host):
        return host

    def close(self):
        for host in self.opened:
            host.close()


class File(Memory):
    """
    All hosts share one file.
    """

    def open(self, ttl_ms=30_000):
        host = EffectHost.open(self.address, clock=self.clock, options=options(ttl_ms))
        self.opened.append(host)
        return host

    def reopen(self, host):
        host.close()
        return self.open()

    violation = sqlite3.IntegrityError
    # What no writer gets past, for `blocker`.
    lock = "BEGIN IMMEDIATE"

    def blocker(self):
        """
        Return a connection that others may be blocked with.
        """
        return sqlite3.connect(
            self.path, isolation_level=None, timeout=5, check_same_thread=False
        )

    def sql(self, statement, *parameters):
        """
        Look at, or change, rows behind the host's back.
        """
        database = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        try:
            return database.execute(statement, parameters).fetchall()
        finally:
            database.close()


@functools.cache
def _anchor():
    # Keeps the pool of connections from one test to the next.
    return EffectHost.open(server().url())


class Postgres(File):
    """
    All share one server.
    """

    violation = psycopg.errors.CheckViolation
    lock = "BEGIN; LOCK TABLE effects IN EXCLUSIVE MODE"

    def blocker(self):
        """
        Return a connection that others may be blocked with.
        """
        return server().connect()

    def __init__(self, folder, clock):
        super().__init__(folder, clock)
        _anchor()
        self.address = server().url()

    def sql(self, statement, *parameters):
        """
        Look at, or change, rows behind the library's back.
        """
        with server().connect() as database:
            found = database.execute(statement.replace("?", "%s"), parameters or None)
            return found.fetchall() if found.description else []

    def close(self):
        super().close()
        server().clear()


@pytest.fixture(name="clock")
def _clock():
    return ManualClock(NOW_MS)


@pytest.fixture(name="backend", params=[Memory, File, Postgres])
def _backend(request, tmp_path, clock):
    backend = request.param(tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="shared", params=[File, Postgres])
def _shared(request, tmp_path, clock):
    backend = request.param(tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="postgres_place")
def _postgres_place(tmp_path, clock):
    backend = Postgres(tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="file")
def _file(tmp_path, clock):
    backend = File(tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="host")
def _host(backend):
    return backend.open()


@pytest.fixture(name="turn")
def _turn(host):
    return host.scoped(TURN)


class Work:
    """
    An executor that counts its runs.
    """

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.runs = 0

    def __call__(self, *_):
        outcome = self.outcomes[min(self.runs, len(self.outcomes) - 1)]
        self.runs += 1
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
