"""
The comparisons of making and opening sessions.
"""

import fcntl
import os
import secrets
import sqlite3
import struct
from pathlib import Path

from lashstore import SessionStoreFactory, Store, StoreOptions, Synchronous

from .floor import Floor
from .floor_sql import SESSION
from .session_cases import CommitTurn, Pair

_APPLICATION_ID = 0x6C617368


class _Folder:
    """
    A folder, and the schema as the library writes it.
    """

    def __init__(self, folder: Path, synchronous: Synchronous) -> None:
        self.folder = folder
        self.options = StoreOptions(synchronous=synchronous)
        Store.open(folder / "template.db", SESSION, options=self.options).close()
        database = sqlite3.connect(folder / "template.db")
        self.schema = [
            sql
            for (sql,) in database.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC"
            )
        ]
        self.versions = database.execute("SELECT * FROM schema_versions").fetchall()
        database.close()

    def close(self) -> None:
        """
        Nothing stays open.
        """


class _HandOpened(Floor):
    """
    A file opened by hand: header looked at, pragmas set, journal mode, schema
    version and session id checked.
    """

    def __init__(self, path, options) -> None:
        with open(path, "rb") as file:
            header = file.read(100)
        if struct.unpack(">I", header[68:72])[0] != _APPLICATION_ID:
            msg = "not ours"
            raise RuntimeError(msg)
        super().__init__(
            path,
            synchronous=options.synchronous.upper(),
            wal_limit_bytes=options.wal_limit_bytes,
        )
        if self._execute("PRAGMA journal_mode").fetchone() != ("wal",):
            msg = "no WAL"
            raise RuntimeError(msg)
        self._begin_read()
        version = self._execute(
            "SELECT version FROM schema_versions WHERE component = 'session'"
        ).fetchone()
        found = self._execute("SELECT session_id, incarnation FROM sessions").fetchone()
        self._end_read()
        if version != ("1",) or found[0] != SESSION:
            msg = "another schema or session"
            raise RuntimeError(msg)


class CreateSession:
    """
    Make a session's file with mode 0600 under a lock on its folder: tables,
    indexes, schema version, session row, WAL; then open it.
    """

    pair_kind = _Folder
    statistic = "median"

    def __init__(self, pair: _Folder) -> None:
        self._pair = pair
        self._number = 0
        self._open = []

    def prepare(self) -> None:
        """
        Close and remove the last round's.
        """
        for store in self._open:
            store.close()
        self._open.clear()
        for path in self._pair.folder.glob("round-*"):
            path.unlink()
        self._number += 1

    def library(self) -> None:
        """
        The library's side.
        """
        path = self._pair.folder / f"round-library-{self._number}.db"
        self._open.append(Store.open(path, SESSION, options=self._pair.options))

    def floor(self) -> None:
        """
        The floor's side.
        """
        path = self._pair.folder / f"round-floor-{self._number}.db"
        folder = os.open(self._pair.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            self._fill(path)
            os.fsync(folder)
        finally:
            os.close(folder)
        self._open.append(_HandOpened(path, self._pair.options))

    def _fill(self, path) -> None:
        database = sqlite3.connect(path, isolation_level=None)
        execute = database.execute
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {self._pair.options.synchronous.upper()}")
        execute("BEGIN IMMEDIATE")
        execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        for statement in self._pair.schema:
            execute(statement)
        marks = ", ".join("?" * len(self._pair.versions[0]))
        database.executemany(
            f"INSERT INTO schema_versions VALUES ({marks})", self._pair.versions
        )
        execute(
            "INSERT INTO sessions (session_id, incarnation, admission_seq)"
            " VALUES (?, ?, 0)",
            (SESSION, secrets.token_hex(16)),
        )
        execute("COMMIT")
        database.close()


class OpenCold:
    """
    Open a session's file that this process does not have open, and ask for
    its head. It is in the operating system's cache.
    """

    statistic = "median"

    class pair_kind(Pair):  # noqa: N801, it stands for one
        def __init__(self, folder: Path, synchronous: Synchronous) -> None:
            super().__init__(folder, synchronous)
            commits = CommitTurn(self)
            commits.prepare()
            commits.library()
            commits.floor()
            self.folder = folder
            super().close()
            self.options = StoreOptions(synchronous=synchronous)

        def close(self) -> None:
            """
            Closed already.
            """

    def __init__(self, pair) -> None:
        self._pair = pair
        self._open = []

    def prepare(self) -> None:
        """
        Close what the last round opened; not timed.
        """
        for store in self._open:
            store.close()
        self._open.clear()

    def library(self) -> None:
        """
        The library's side.
        """
        pair = self._pair
        store = Store.open(pair.folder / "library.db", SESSION, options=pair.options)
        assert store.load_session_head_meta().head_revision == 2
        self._open.append(store)

    def floor(self) -> None:
        """
        The floor's side.
        """
        opened = _HandOpened(self._pair.folder / "floor.db", self._pair.options)
        assert opened.read_head_meta().head_revision == 2
        self._open.append(opened)


class OpenWarm(OpenCold):
    """
    The same through a factory that has the file open; by hand, through a
    connection that is kept by path.
    """

    def __init__(self, pair) -> None:
        super().__init__(pair)
        self._factory = SessionStoreFactory(pair.folder, options=pair.options)
        (pair.folder / "library.db").rename(self._factory.path_for_session(SESSION))
        self._kept = {}
        path = pair.folder / "floor.db"
        self._kept[path] = _HandOpened(path, pair.options)

    def prepare(self) -> None:
        """
        Nothing changes between rounds.
        """

    def library(self) -> None:
        store = self._factory.open_existing_store(SESSION)
        assert store.load_session_head_meta().head_revision == 2

    def floor(self) -> None:
        path = self._pair.folder / "floor.db"
        kept = self._kept[path]
        # Whose it is was asked when it was opened; is it still the file?
        found = os.stat(path)
        if not found.st_size or (found.st_dev, found.st_ino) != kept._identity:
            msg = "absent, or another one"
            raise RuntimeError(msg)
        assert kept.read_head_meta().head_revision == 2
