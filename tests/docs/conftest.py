"""
Pages that name a server share its roles, so they run one after another.
"""

from pathlib import Path

import pytest

from .blocks import read

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """
    Keep what needs the documents' server in one process.
    """
    for item in items:
        # All tests of the run come by, not this folder's alone.
        if item.path.parent == HERE and _is_on_server(item):
            item.add_marker(pytest.mark.xdist_group("documented-server"))


def _is_on_server(item):
    if item.path.name == "test_postgresql.py":
        return True
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "page" in parameters and any(
        block.is_run and (block.language == "sql" or "db.example" in block.text)
        for block in read(parameters["page"])
    )
