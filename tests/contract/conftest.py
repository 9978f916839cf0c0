"""
A test asks for `backend` (or `store`) and runs on each backend there is. A
test that needs more says so with `@pytest.mark.requires("is_durable")` and
runs on the backends that have it; it never asks for a name.

Others run these tests too: nothing here may need this repository.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lashstore import ManualClock, SessionStoreFactory, Store
from lashstore.testing.contract import Backend

NOW_MS = 1_700_000_000_000

_DEFAULT = (
    "lashstore.testing.contract:FileBackend",
    "lashstore.testing.contract:MemoryBackend",
)


def pytest_configure(config: pytest.Config) -> None:
    """
    Declare the marker that asks for capabilities.
    """
    config.addinivalue_line(
        "markers",
        "requires(*capabilities): run on the backends that have them all",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    Run a test on every backend that has what it requires.
    """
    if "backend" not in metafunc.fixturenames:
        return
    wanted = [
        capability
        for marker in metafunc.definition.iter_markers("requires")
        for capability in marker.args
    ]
    names = getattr(metafunc.config.option, "lashstore_backend", None) or _DEFAULT
    found = {name: load_backend(name) for name in names}
    able = [
        pytest.param(backend, id=name.partition(":")[2])
        for name, backend in found.items()
        if all(getattr(backend, capability) for capability in wanted)
    ]
    metafunc.parametrize("backend", able, indirect=True)


def load_backend(name: str) -> type[Backend]:
    """
    Import a backend by its module and name.

    Raises:
        pytest.UsageError: There is none of that name.
    """
    module, _, member = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), member)
    except (ImportError, AttributeError, ValueError) as error:
        msg = (
            f"--lashstore-backend {name}: {error}; give MODULE:CLASS, and run "
            "`python -m pytest` if the module is in the working folder"
        )
        raise pytest.UsageError(msg) from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        msg = f"--lashstore-backend {name}: it is no lashstore.testing.contract.Backend"
        raise pytest.UsageError(msg)
    return found


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture(name="backend")
def _backend(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[Backend]:
    backend = request.param(tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="store")
def _store(backend: Backend) -> Store:
    return backend.open_store()


@pytest.fixture(name="factory")
def _factory(backend: Backend) -> SessionStoreFactory:
    return backend.open_factory()
