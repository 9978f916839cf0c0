"""
The contract on backends of others, in runs of pytest of their own.
"""

from pathlib import Path

import pytest
from contract.conftest import load_backend

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parents[1] / "contract"
PLUGIN = ("-p", "no:lashstore", "-p", "lashstore.testing.pytest_plugin")

# A third party's engine: stands before SQLite files.
ENGINE = """
from lashstore import Store, Synchronous
from lashstore.testing.contract import QUICK, Backend

class Proxy:
    def __init__(self, beneath):
        self._beneath = beneath

    def __getattr__(self, name):
        return getattr(self._beneath, name)

class Forgetful(Proxy):
    def append_usage_deltas(self, entries):
        self._beneath.append_usage_deltas(tuple(entries)[1:])

class ProxyBackend(Backend):
    is_durable = True
    has_many_handles = True
    has_plain_stores = False
    made = Proxy

    def open_store(self, session_id="root", *, options=None):
        path = self.folder / (session_id.encode().hex() or "empty")
        beneath = Store.open(path, session_id, options=options or QUICK, clock=self.clock)
        self._opened.append(beneath)
        return self.made(beneath)

    def reopen(self, store):
        store.close()
        return self.open_store(store.session_id)

class ForgetfulBackend(ProxyBackend):
    made = Forgetful

class Unrelated:
    pass
"""


def test_engines_from_outside(pytester):
    """
    The contract runs on each backend that is named, but for the tests that
    need more of it, and fails on the one that breaks it.
    """
    pytester.makepyfile(engine=ENGINE)
    pytester.syspathinsert()

    outcome = pytester.runpytest_subprocess(
        *PLUGIN,
        *("-c", "/dev/null", "--confcutdir", SUITE, "-v"),
        *("--lashstore-backend", "engine:ProxyBackend"),
        *("--lashstore-backend", "engine:ForgetfulBackend"),
        *(SUITE / name for name in ("test_usage.py", "test_space.py")),
    )

    ends = {
        (backend, end)
        for line in outcome.outlines
        for backend in ("ProxyBackend", "ForgetfulBackend", "NOTSET")
        for end in ("PASSED", "FAILED", "SKIPPED")
        if f"[{backend}" in line and f" {end} " in line and "::" in line
    }
    assert {
        ("ProxyBackend", "PASSED"),
        ("ForgetfulBackend", "PASSED"),
        ("ForgetfulBackend", "FAILED"),
        ("NOTSET", "SKIPPED"),
    } == ends


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("collections:Absent", "has no attribute 'Absent'; give MODULE:CLASS"),
        ("absent:Absent", "No module named 'absent'; give MODULE:CLASS"),
        (":", "Empty module name; give MODULE:CLASS"),
        ("collections:Counter", "it is no lashstore.testing.contract.Backend"),
    ],
)
def test_backend_that_is_none(name, trouble):
    """
    What cannot be loaded is named, with what to do.
    """
    with pytest.raises(pytest.UsageError, match=trouble):
        load_backend(name)
