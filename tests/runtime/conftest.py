"""
Where the hosts' sessions are.
"""

import pytest


@pytest.fixture(name="place", params=["file", "postgres"])
def _place(request, tmp_path):
    """
    Return the address of an empty database.
    """
    if request.param == "file":
        yield tmp_path / "chat.db"
        return
    server = request.getfixturevalue("postgres")
    yield server.url()
    server.clear()
