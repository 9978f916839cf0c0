"""
What every test may use, and how many ran on which engine.
"""

import threading

import pytest
from postgres_server import PostgresServer, server

_ON_POSTGRES = "on_postgres"

# What the contracts run on, unless the command line says otherwise.
_BACKENDS = (
    "lashstore.testing.contract:FileBackend",
    "lashstore.testing.contract:MemoryBackend",
    "own_backends:PostgresBackend",
    "own_backends:AioBackend",
)


def pytest_configure(config):
    """
    Hold every backend of this repository to the contracts.
    """
    if not getattr(config.option, "lashstore_backend", None):
        config.option.lashstore_backend = _BACKENDS


@pytest.fixture(name="postgres", scope="session")
def _postgres() -> PostgresServer:
    return server()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """
    Note which tests were on the server.
    """
    outcome = yield
    if call.when == "call" and PostgresServer.was_used:
        outcome.get_result().user_properties.append((_ON_POSTGRES, True))
    if call.when == "teardown":
        PostgresServer.was_used = False


def pytest_terminal_summary(terminalreporter):
    """
    Say how many tests ran on each engine.
    """
    reports = [
        report
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if report.when == "call"
    ]
    server_count = sum(
        any(name == _ON_POSTGRES for name, _ in report.user_properties)
        for report in reports
    )
    terminalreporter.write_line(
        f"{len(reports) - server_count} tests on SQLite or on no database, "
        f"{server_count} on PostgreSQL"
    )


@pytest.fixture(autouse=True)
def _nothing_left_on_the_server():
    """
    Begin with an empty schema, whatever test was run here before.
    """
    if server.cache_info().currsize and server().is_dirty:
        server().clear()


@pytest.fixture(name="later")
def _later():
    """
    Return a function that has another one called by a thread a moment from
    now; all of it is over before the test's other fixtures are.
    """
    threads = []

    def start(call, after_s=0.05):
        thread = threading.Timer(after_s, call)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join()
