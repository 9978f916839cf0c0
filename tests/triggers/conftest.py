"""
Trigger stores for the tests: in memory, and on a file, and on a server.
"""

import functools
import sqlite3

import psycopg
import pytest
from postgres_server import server

from lashstore import (
    EngineInput,
    HostOriginator,
    ManualClock,
    ProcessIdentity,
    SessionOriginator,
    SessionScope,
    StoreOptions,
    Synchronous,
    TriggerOccurrenceRequest,
    TriggerStore,
    TriggerSubscriptionDraft,
)

NOW_MS = 1_700_000_000_000
# No test cuts the power, so none waits for the disk.
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)
HOST = HostOriginator()


def session(session_id, frame=None):
    return SessionOriginator(
        scope=SessionScope(session_id=session_id, agent_frame_id=frame)
    )


def draft(**changed):
    fields = {
        "registrant": HOST,
        "env_ref": "process-env:sha256:1",
        "source_type": "ui.button.pressed",
        "source_key": "blue",
        "target": EngineInput(kind="lua", payload={"code": "go()"}),
        "target_identity": ProcessIdentity(kind="lua", label="Go"),
    }
    return TriggerSubscriptionDraft(**{**fields, **changed})


def request(key="k1", **changed):
    fields = {
        "source_type": "ui.button.pressed",
        "source_key": "blue",
        "payload": {"times": 1},
        "idempotency_key": key,
    }
    return TriggerOccurrenceRequest(**{**fields, **changed})


def emit(store, key="k1", **changed):
    """
    Record an occurrence and reserve; return (occurrence, reservations).
    """
    occurrence = store.record_occurrence(request(key, **changed))
    return occurrence, store.reserve_matching_deliveries(occurrence.occurrence_id)


def pairs(reservations):
    return [
        (each.occurrence.idempotency_key, each.subscription.handle)
        for each in reservations
    ]


class Memory:
    """
    A store is its database.
    """

    def __init__(self, folder, clock):
        self.path = self.address = folder / "triggers.db"
        self.clock = clock
        self.opened = []

    def open(self):
        if not self.opened:
            self.opened.append(TriggerStore.memory(clock=self.clock))
        return self.opened[0]

    def reopen(self, store):
        return store

    def close(self):
        for store in self.opened:
            store.close()


class File(Memory):
    """
    All stores share one file.
    """

    def open(self):
        store = TriggerStore.open(self.address, clock=self.clock, options=QUICK)
        self.opened.append(store)
        return store

    def reopen(self, store):
        store.close()
        return self.open()

    violation = sqlite3.IntegrityError

    def sql(self, statement, *parameters):
        """
        Look at, or change, rows behind the store's back.
        """
        database = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        try:
            return database.execute(statement, parameters).fetchall()
        finally:
            database.close()


@functools.cache
def _anchor():
    # Keeps the pool of connections from one test to the next.
    return TriggerStore.open(server().url())


class Postgres(File):
    """
    All share one server.
    """

    violation = psycopg.errors.CheckViolation

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


@pytest.fixture(name="store")
def _store(backend):
    return backend.open()
