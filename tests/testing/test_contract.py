"""
The contract on backends of others, in runs of pytest of their own.
"""

import re
from pathlib import Path

import pytest
from contract.conftest import load_backend

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parents[1] / "contract"
PLUGIN = ("-p", "no:lashstore", "-p", "lashstore.testing.pytest_plugin")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "hold-a-backend-to-the-contract.md"
(ENGINE,) = re.findall(
    r"^```python.*?\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
)

BROKEN = """

class Forgetful(Proxy):
    def append_usage_deltas(self, entries):
        self._beneath.append_usage_deltas(tuple(entries)[1:])

class ForgetfulBackend(ProxyBackend):
    def open_store(self, session_id="root", *, options=None):
        return Forgetful(super().open_store(session_id, options=options)._beneath)
"""


def test_engines_from_outside(pytester):
    """
    The contract runs on each backend that is named, as the page says, but for
    the tests that need more of it, and fails on the one that breaks it.
    """
    pytester.makepyfile(engine=ENGINE + BROKEN)
    pytester.syspathinsert()

    outcome = pytester.runpytest_subprocess(
        *PLUGIN,
        *("-c", "/dev/null", "--confcutdir", SUITE, "-v", "-p", "no:cacheprovider"),
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
