"""
Where the registries of the tests live: a file, memory, and a server.
"""

import functools

import pytest
from postgres_server import server

from lashstore import ManualClock, ProcessRegistry

from .kit import NOW_MS, QUICK, registration


class FilePlace:
    """
    A file: what was written outlives the registry object.
    """

    has_file = True

    def __init__(self, folder, clock):
        self.path = self.address = folder / "processes.db"
        self.clock = clock
        self.opened = []

    def open(self):
        """
        Open the file; twice gives two handles.
        """
        found = ProcessRegistry.open(self.address, clock=self.clock, options=QUICK)
        self.opened.append(found)
        return found

    def reopen(self, registry):
        """
        Close a registry and open its file again.
        """
        registry.close()
        return self.open()

    def close(self):
        """
        Close what the test left open.
        """
        for each in self.opened:
            each.close()


class MemoryPlace(FilePlace):
    """
    Memory: a registry is its database.
    """

    has_file = False

    def open(self):
        """
        Make a registry.
        """
        found = ProcessRegistry.memory(clock=self.clock)
        self.opened.append(found)
        return found

    def reopen(self, registry):
        """
        Return the same registry: closing it would end it.
        """
        return registry


@functools.cache
def _anchor():
    # Keeps the pool of connections from one test to the next.
    return ProcessRegistry.open(server().url())


class PostgresPlace(FilePlace):
    """
    A server: what was written outlives the registry object.
    """

    has_file = False

    def __init__(self, folder, clock):
        super().__init__(folder, clock)
        _anchor()
        self.address = server().url()

    def close(self):
        """
        Close what the test left open, and leave an empty database.
        """
        super().close()
        server().clear()


@pytest.fixture(name="clock")
def _clock():
    return ManualClock(NOW_MS)


@pytest.fixture(
    name="place",
    params=[FilePlace, MemoryPlace, PostgresPlace],
    ids=["file", "memory", "postgres"],
)
def _place(request, tmp_path, clock):
    place = request.param(tmp_path, clock)
    yield place
    place.close()


@pytest.fixture(
    name="shared_place", params=[FilePlace, PostgresPlace], ids=["file", "postgres"]
)
def _shared_place(request, tmp_path, clock):
    place = request.param(tmp_path, clock)
    yield place
    place.close()


@pytest.fixture(name="postgres_place")
def _postgres_place(tmp_path, clock):
    place = PostgresPlace(tmp_path, clock)
    yield place
    place.close()


@pytest.fixture(name="file_place")
def _file_place(tmp_path, clock):
    place = FilePlace(tmp_path, clock)
    yield place
    place.close()


@pytest.fixture(name="registry")
def _registry(place):
    return place.open()


@pytest.fixture(name="known")
def _known(registry):
    """
    Return a registry that knows process `p`.
    """
    registry.register_process(registration("p"))
    return registry
