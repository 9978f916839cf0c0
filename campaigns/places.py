"""
Where the databases of a campaign are, and what is in them, row by row.
"""

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from lashstore.tables import COMPONENT_TABLES, schema_versions

ROOT = Path(__file__).resolve().parents[1]
TABLES = {
    table.name: table
    for tables in COMPONENT_TABLES.values()
    for table in tables
    if table is not schema_versions
}

# Rows by table, in the order of their keys: equal on both engines.
Rows = Mapping[str, list[tuple[Any, ...]]]

_SERVER_PATIENCE_S = 30


class Place(Protocol):
    """
    One deployment's databases.
    """

    folder: Path
    sessions: str
    others: str

    def rows(self) -> Rows:
        """
        Return every row of every table.
        """
        ...

    def settle(self) -> None:
        """
        Wait until nothing of a killed host is at work any more.
        """
        ...

    def copied_to(self, folder: Path) -> "Place":
        """
        Return a place to look at without changing this one.
        """
        ...

    def complaints(self) -> list[str]:
        """
        Return what the engine itself finds wrong.
        """
        ...


def fast_folder() -> Path | None:
    """
    Return a folder in memory, where a kill costs no wait for a disk; None if
    there is none. What a SIGKILL leaves does not depend on the disk.
    """
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


@contextlib.contextmanager
def scratch(name: str, within: Path | None = None) -> Iterator[Path]:
    """
    Make a folder for the length of a context.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"lashstore-{name}-", dir=within))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ordered(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(found, key=repr)


class Files:
    """
    SQLite: a file a session, and one for the deployment's stores.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions = str(folder / "sessions")
        self.others = str(folder / "deployment.db")

    def databases(self) -> list[Path]:
        """
        Return the files that are there and not empty.
        """
        found = sorted(self.folder.rglob("*.db"))
        return [path for path in found if path.stat().st_size > 0]

    def rows(self) -> Rows:
        """
        Return every row of every table.
        """
        found: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        for path in self.databases():
            for name, rows in _file_rows(path):
                found[name] += rows
        return {name: _ordered(rows) for name, rows in found.items()}

    def rows_of(self, path: Path) -> Rows:
        """
        Return every row of one of the files.
        """
        return {name: _ordered(rows) for name, rows in _file_rows(path)}

    def settle(self) -> None:
        """
        Return at once: a killed process is gone.
        """

    def complaints(self) -> list[str]:
        """
        Return what `integrity_check` says of the files.
        """
        wrong = []
        for path in self.databases():
            with contextlib.closing(sqlite3.connect(path)) as database:
                for pragma in ("integrity_check", "foreign_key_check"):
                    for answer in database.execute(f"PRAGMA {pragma}"):
                        if answer != ("ok",):
                            wrong.append(f"{path.name}: {pragma}: {answer}")
        return wrong

    def copied_to(self, folder: Path) -> "Files":
        """
        Copy what is there, WALs and all, so that looking at the copy leaves
        recovery to the next host.
        """
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Files(folder)

    def save(self) -> dict[str, bytes]:
        """
        Return the databases' content.
        """
        content = {}
        for path in self.databases():
            with contextlib.closing(sqlite3.connect(path)) as database:
                content[str(path.relative_to(self.folder))] = database.serialize()
        return content

    def restore(self, content: Mapping[str, bytes]) -> None:
        """
        Put saved content in the place of what is there.
        """
        for path in self.folder.rglob("*.db*"):
            path.unlink()
        for name, data in content.items():
            path = self.folder / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)


def _file_rows(path: Path) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    with contextlib.closing(sqlite3.connect(path, timeout=15)) as database:
        database.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        database.execute("BEGIN")
        present = {
            name
            for (name,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
        }
        for name, table in TABLES.items():
            if name in present:
                yield name, database.execute(_select_all(table)).fetchall()


def _select_all(table: Any, schema: str = "") -> str:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f'SELECT {columns} FROM {schema}"{table.name}"'


class ServerPlace:
    """
    PostgreSQL: one schema of a server that this process started.
    """

    def __init__(self, folder: Path, schema: str) -> None:
        self.folder = folder
        self.schema = schema
        self.sessions = self.others = _server().url(schema)

    def connect(self) -> Any:
        """
        Open the database behind lashstore's back.
        """
        return _server().connect(self.schema)

    def rows(self) -> Rows:
        """
        Return every row of every table.
        """
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.connect() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            present = self._present(connection)
            for name, table in TABLES.items():
                rows = (
                    connection.execute(_select_all(table)).fetchall()
                    if name in present
                    else []
                )
                found[name] = _ordered([tuple(map(_plain, row)) for row in rows])
        return found

    def _present(self, connection: Any) -> set[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        return {name for (name,) in connection.execute(query, (self.schema,))}

    def settle(self) -> None:
        """
        Wait until the server has noticed that its client died: it finishes,
        or undoes, what it was at.
        """
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'lashstore' AND backend_type = 'client backend'"
        )
        deadline = time.monotonic() + _SERVER_PATIENCE_S
        with self.connect() as connection:
            while connection.execute(query).fetchone()[0]:
                if time.monotonic() > deadline:
                    msg = "the server still works for a host that is dead"
                    raise TimeoutError(msg)
                time.sleep(0.002)

    def copied_to(self, folder: Path) -> "ServerPlace":  # noqa: ARG002, only files are changed by being looked at
        """
        Return this place.
        """
        return self

    def complaints(self) -> list[str]:
        """
        Return nothing: the server checks its pages when it reads them.
        """
        return []

    def save(self) -> Rows:
        """
        Return the databases' content.
        """
        found = {}
        with self.connect() as connection:
            for name in self._present(connection) & set(TABLES):
                rows = connection.execute(_select_all(TABLES[name])).fetchall()
                found[name] = rows
        return found

    def restore(self, content: Rows) -> None:
        """
        Put saved content in the place of what is there.
        """
        with self.connect() as connection, connection.transaction():
            names = ", ".join(f'"{name}"' for name in content)
            connection.execute(f"TRUNCATE {names}")
            # Tables are listed with those they refer to before them.
            for name, table in TABLES.items():
                if rows := content.get(name):
                    places = ", ".join(["%s"] * len(rows[0]))
                    columns = ", ".join(f'"{c.name}"' for c in table.columns)
                    connection.cursor().executemany(
                        f'INSERT INTO "{name}" ({columns}) VALUES ({places})',
                        rows,
                    )

    def drop(self) -> None:
        """
        Remove the schema.
        """
        _server().drop(self.schema)


def _plain(value: Any) -> Any:
    # SQLite has no booleans and PostgreSQL's driver may give memoryviews.
    if isinstance(value, bool):
        return int(value)
    return bytes(value) if isinstance(value, memoryview) else value


def _server() -> Any:
    folder = str(ROOT / "tests")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from postgres_server import server

    return server()
