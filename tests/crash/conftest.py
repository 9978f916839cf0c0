"""
Where replays are killed: in folders, and on a server.
"""

import itertools

import pytest

_numbers = itertools.count(1)


class Folders:
    """
    A folder for each name.
    """

    has_files = True

    def __init__(self, folder):
        self._folder = folder

    def place(self, name):
        """
        Return an empty place of that name.
        """
        return self._folder / f"{name}-{next(_numbers)}"

    def remove(self):
        """
        Leave the folders to pytest.
        """


class Schemas:
    """
    A schema of one PostgreSQL database for each name.
    """

    has_files = False

    def __init__(self, postgres):
        self._postgres = postgres
        self._schemas = []

    def place(self, name):
        """
        Return an empty place of that name.
        """
        schema = f"crash_{name}_{next(_numbers)}".replace("-", "_")
        self._schemas.append(schema)
        return self._postgres.url(schema)

    def remove(self):
        """
        Drop the schemas.
        """
        for schema in self._schemas:
            self._postgres.drop(schema)


@pytest.fixture(name="places", scope="module", params=["folder", "server"])
def _places(request, tmp_path_factory):
    if request.param == "folder":
        places = Folders(tmp_path_factory.mktemp("places"))
    else:
        places = Schemas(request.getfixturevalue("postgres"))
    yield places
    places.remove()
