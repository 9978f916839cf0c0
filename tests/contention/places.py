"""
Where the crowds meet: files in a folder, or a server.
"""

import secrets
import sqlite3
import stat
from pathlib import Path

import psycopg
from postgres_server import server

from lashstore.tables import SESSION_TABLES


class FilePlace:
    """
    Files in a folder. An address is a path.
    """

    name = "files"
    rounds = 20
    deletions = 3
    kills = 12

    def __init__(self, folder):
        self._folder = folder
        self.root = str(folder / "root")

    def database(self, turn):
        """Return the address of a database that nobody has made yet."""
        return str(self._folder / f"{turn}.db")

    session = database

    def count(self, address, table):
        database = sqlite3.connect(address)
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        database.close()
        return count

    def check(self, address):
        """Check that a database is whole and nobody else's to read."""
        assert stat.S_IMODE(Path(address).stat().st_mode) == 0o600
        database = sqlite3.connect(address)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()

    def close(self):
        pass


class ServerPlace:
    """
    Schemas of a server, made by the crowds. An address is a URL, with the
    session's id behind `#` if it is not the usual one.
    """

    name = "server"
    rounds = 5
    deletions = 1
    kills = 4

    def __init__(self, _folder):
        self._server = server()
        self._token = secrets.token_hex(4)
        self._schemas = []
        self.root = self.database("root")

    def _schema(self, turn):
        name = f"crowd_{self._token}_{turn}"
        if name not in self._schemas:
            self._schemas.append(name)
        return name

    def database(self, turn):
        """Return the address of a schema that nobody has made yet."""
        return self._server.url(self._schema(turn))

    def session(self, turn):
        """Return the address of a session that nobody has made yet."""
        return f"{self.database('sessions')}#{turn}"

    def count(self, address, table):
        url, _, _ = address.partition("#")
        (schema,) = (each for each in self._schemas if url.endswith(f"={each}"))
        with self._server.connect(schema) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return count

    def check(self, address):
        """Check that every table is there, and no connection is stuck."""
        for table in SESSION_TABLES:
            self.count(address, table.name)
        with psycopg.connect(self._server.base_uri) as connection:
            stuck = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%'"
            ).fetchone()
        assert stuck == (0,)

    def close(self):
        for schema in self._schemas:
            self._server.drop(schema)


PLACES = (FilePlace, ServerPlace)
