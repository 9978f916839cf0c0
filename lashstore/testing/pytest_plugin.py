"""
Fixtures for the tests of hosts; pytest finds them by itself wherever lashstore
is installed, and `-p no:lashstore` leaves them out.

A test that names none of them imports nothing of lashstore but this module.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lashstore import (
        EffectHost,
        ManualClock,
        ProcessRegistry,
        SessionStoreFactory,
        Store,
        TriggerStore,
    )

    from .deployments import Deployment


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Declare what `lashstore.testing.contract` is run on.
    """
    parser.getgroup("lashstore").addoption(
        "--lashstore-backend",
        action="append",
        metavar="MODULE:CLASS",
        help="run lashstore's contract on this backend; may be given again",
    )


@pytest.fixture
def lashstore_clock() -> "ManualClock":
    """
    Return the clock of every store; it stands until the test moves it.
    """
    from lashstore import ManualClock  # noqa: PLC0415, late on purpose

    from .deployments import NOW_MS  # noqa: PLC0415, late on purpose

    return ManualClock(NOW_MS)


@pytest.fixture
def lashstore_target(tmp_path: Path) -> str | Path:
    """
    Return where everything is stored; by default a folder that is the test's
    own. Override it to return the address of a PostgreSQL database.
    """
    return tmp_path / "lashstore"


@pytest.fixture
def lashstore_deployment(
    lashstore_target: str | Path, lashstore_clock: "ManualClock"
) -> "Iterator[Deployment]":
    """
    Yield all stores of a host, which can be restarted and killed.
    """
    from .deployments import Deployment  # noqa: PLC0415, late on purpose

    deployment = Deployment(lashstore_target, lashstore_clock)
    yield deployment
    deployment.close()


@pytest.fixture
def lashstore_factory(lashstore_deployment: "Deployment") -> "SessionStoreFactory":
    """
    Return the sessions; until a restart, as all below.
    """
    return lashstore_deployment.factory


@pytest.fixture
def lashstore_store(lashstore_deployment: "Deployment") -> "Store":
    """
    Return the session "session".
    """
    return lashstore_deployment.open_store()


@pytest.fixture
def lashstore_registry(lashstore_deployment: "Deployment") -> "ProcessRegistry":
    """
    Return the background processes.
    """
    return lashstore_deployment.registry


@pytest.fixture
def lashstore_triggers(lashstore_deployment: "Deployment") -> "TriggerStore":
    """
    Return the triggers.
    """
    return lashstore_deployment.triggers


@pytest.fixture
def lashstore_effects(lashstore_deployment: "Deployment") -> "EffectHost":
    """
    Return the host of recorded effects.
    """
    return lashstore_deployment.effects
