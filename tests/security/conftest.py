"""
A session on each engine, and what stands in its database.
"""

import sqlite3
from pathlib import Path

import pytest
from postgres_server import server

from lashstore import Store, StoreOptions, Synchronous

QUICK = StoreOptions(synchronous=Synchronous.NORMAL)


class Place:
    """
    Where one test's sessions are.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = target

    def open(self, session_id="s", options=QUICK) -> Store:
        """
        Open a session.
        """
        return Store.open(self.target, session_id, options=options)

    def run(self, statement: str) -> list[tuple]:
        """
        Run SQL behind lashstore's back.
        """
        if isinstance(self.target, str):
            with server().connect() as conn:
                found = conn.execute(statement)
                return found.fetchall() if found.description else []
        conn = sqlite3.connect(self.target, isolation_level=None)
        try:
            return conn.execute(statement).fetchall()
        finally:
            conn.close()

    def dump(self, tables) -> bytes:
        """
        Return every stored cell as one string.
        """
        cells = [
            cell
            for table in tables
            for row in self.run(f"SELECT * FROM {table.name}")
            for cell in row
        ]
        return b"\n".join(
            bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode()
            for cell in cells
        )


@pytest.fixture(name="place", params=["sqlite", "postgres"])
def _place(request, tmp_path):
    if request.param == "sqlite":
        return Place(tmp_path / "s.db")
    server().clear()
    return Place(server().url())
