"""
Pages that name a server share its roles, so they run one after another.
"""

import pytest

from .blocks import read


def pytest_collection_modifyitems(items):
    """
    Keep what needs the documents' server in one process.
    """
    for item in items:
        page = getattr(item, "callspec", None) and item.callspec.params.get("page")
        is_on_server = page and any(
            block.is_run and (block.language == "sql" or "db.example" in block.text)
            for block in read(page)
        )
        if is_on_server or item.path.name == "test_postgresql.py":
            item.add_marker(pytest.mark.xdist_group("documented-server"))
