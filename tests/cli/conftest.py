"""
Files to work with.
"""

import json

import pytest

from .kit import (
    HISTORY,
)


@pytest.fixture(name="transcript")
def _transcript(tmp_path):
    path = tmp_path / "talk.json"
    path.write_text(json.dumps({"history": HISTORY}))
    return path


@pytest.fixture(name="root")
def _root(tmp_path):
    return tmp_path / "sessions"


@pytest.fixture(name="place", params=["folder", "server"])
def _place(request, root):
    if request.param == "folder":
        yield root
        return
    postgres = request.getfixturevalue("postgres")
    yield postgres.url()
    postgres.clear()
