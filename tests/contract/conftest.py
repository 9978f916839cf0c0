"""
Backends: the engines every contract is held to.

A test asks for `backend` (or `store`) and runs on each of them. A test that
needs more says so with `@pytest.mark.requires("is_durable")` and runs on the
backends that have it; it never asks for a name.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aio_bridge import Bridge, shared_loop
from postgres_server import server

from lashstore import (
    ManualClock,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
)
from lashstore.aio import AsyncSessionStoreFactory, AsyncStore

NOW_MS = 1_700_000_000_000

# No test cuts the power, so none waits for the disk.
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)


class Backend:
    """
    Where the stores of one test live.
    """

    # Content outlives the store object.
    is_durable: ClassVar[bool] = False
    # A session can be opened by two stores at once.
    has_many_handles: ClassVar[bool] = False
    # SessionStoreFactory works on it.
    has_factory: ClassVar[bool] = False
    # Rows can be changed behind the store's back.
    is_damageable: ClassVar[bool] = False
    # A session is a file.
    has_files: ClassVar[bool] = False
    # Its stores are `Store` objects.
    has_plain_stores: ClassVar[bool] = True

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder = folder
        self.clock = clock
        self._opened: list[Any] = []

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Open the session; twice gives two handles where that can be.
        """
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """
        Close a store and open its session again.
        """
        raise NotImplementedError

    def open_factory(self, **arguments: Any) -> SessionStoreFactory:
        """
        Make a factory of this backend's sessions.
        """
        raise NotImplementedError

    def close(self) -> None:
        """
        Close what the test left open.
        """
        for opened in reversed(self._opened):
            opened.close()


class MemoryBackend(Backend):
    """
    SQLite in memory: a store is its database.
    """

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__(folder, clock)
        self._stores: dict[str, Store] = {}

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Return the session's one store.
        """
        if session_id not in self._stores:
            self._stores[session_id] = Store.memory(
                session_id, options=options or QUICK, clock=self.clock
            )
            self._opened.append(self._stores[session_id])
        return self._stores[session_id]

    def reopen(self, store: Store) -> Store:
        """
        Return the same store: closing it would end it.
        """
        return store


class FileBackend(Backend):
    """
    SQLite files, one a session.
    """

    is_durable = True
    has_many_handles = True
    has_factory = True
    is_damageable = True
    has_files = True

    def path_of(self, session_id: str) -> Path:
        """
        Return the file `open_store` keeps the session in.
        """
        return self.folder / f"{session_id.encode().hex() or 'empty'}.db"

    def connect(self, path: Path) -> contextlib.closing[sqlite3.Connection]:
        """
        Open a file behind lashstore's back.
        """
        return contextlib.closing(sqlite3.connect(path, isolation_level=None))

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Open the session's file.
        """
        store = Store.open(
            self.path_of(session_id),
            session_id,
            options=options or QUICK,
            clock=self.clock,
        )
        self._opened.append(store)
        return store

    def reopen(self, store: Store) -> Store:
        """
        Close the file and open it again.
        """
        store.close()
        return self.open_store(store.session_id)

    def open_factory(self, **arguments: Any) -> SessionStoreFactory:
        """
        Make a factory over a folder.
        """
        members: dict[str, Any] = {"clock": self.clock, "options": QUICK} | arguments
        factory = SessionStoreFactory(self.folder / "sessions", **members)
        self._opened.append(factory)
        return factory

    def damage(self, store: Store, old: str, new: str) -> Store:
        """
        Put *new* for *old* in every stored cell that has it, and open the
        store again.
        """
        store.close()
        self.damage_behind(store.session_id, old, new)
        return self.open_store(store.session_id)

    def damage_behind(self, session_id: str, old: str, new: str) -> None:
        """
        Put *new* for *old* in every stored cell that has it.
        """
        self.damage_file(self.path_of(session_id), old, new)

    def damage_file(self, path: Path, old: str, new: str) -> None:
        """
        Put *new* for *old* in every cell of a file that has it.
        """
        assert len(old.encode()) == len(new.encode())
        changed = 0
        with self.connect(path) as conn:
            conn.create_function("swap", 3, lambda cell, a, b: cell.replace(a, b))
            for table, column, _ in _columns(conn):
                for kind, a, b in (
                    ("text", old, new),
                    ("blob", old.encode(), new.encode()),
                ):
                    changed += conn.execute(
                        f"UPDATE {table} SET {column} = swap({column}, ?, ?) "
                        f"WHERE typeof({column}) = ? AND instr({column}, ?) > 0",
                        (a, b, kind, a),
                    ).rowcount
        assert changed > 0, f"no stored cell has {old!r}"

    def drop_rows(self, store: Store, key: str) -> Store:
        """
        Delete the rows that *key* is a key of, and open the store again.
        """
        store.close()
        removed = 0
        with self.connect(self.path_of(store.session_id)) as conn:
            for table, column, is_key in _columns(conn):
                if is_key:
                    removed += conn.execute(
                        f"DELETE FROM {table} WHERE {column} = ?", (key,)
                    ).rowcount
        assert removed > 0, f"no row has the key {key!r}"
        return self.open_store(store.session_id)

    def holds_cell(self, store: Store, content: bytes) -> bool:
        """
        Tell whether some cell is stored with exactly this content.
        """
        with self.connect(self.path_of(store.session_id)) as conn:
            return any(
                conn.execute(
                    f"SELECT count(*) FROM {table} WHERE {column} = ?", (content,)
                ).fetchone()[0]
                for table, column, _ in _columns(conn)
            )


class PostgresBackend(Backend):
    """
    One PostgreSQL database for all sessions.
    """

    is_durable = True
    has_many_handles = True
    has_factory = True
    is_damageable = True

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__(folder, clock)
        self._server = server()
        self._server.keep_pool()

    def close(self) -> None:
        """
        Close what the test left open, and leave an empty database.
        """
        super().close()
        self._server.clear()

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Open the session on the server.
        """
        store = Store.open(
            self._server.url(), session_id, options=options or QUICK, clock=self.clock
        )
        self._opened.append(store)
        return store

    def reopen(self, store: Store) -> Store:
        """
        Close the store and open its session again.
        """
        store.close()
        return self.open_store(store.session_id)

    def open_factory(self, **arguments: Any) -> SessionStoreFactory:
        """
        Make a factory over the database.
        """
        members: dict[str, Any] = {"clock": self.clock, "options": QUICK} | arguments
        factory = SessionStoreFactory(self._server.url(), **members)
        self._opened.append(factory)
        return factory

    def damage(self, store: Store, old: str, new: str) -> Store:
        """
        Put *new* for *old* in every stored cell that has it, and open the
        store again.
        """
        store.close()
        self.damage_behind(store.session_id, old, new)
        return self.open_store(store.session_id)

    def damage_behind(self, _session_id: str, old: str, new: str) -> None:
        """
        Put *new* for *old* in every stored cell that has it.
        """
        assert len(old.encode()) == len(new.encode())
        changed = 0
        with self._server.connect() as conn:
            for table, column, kind in self._columns(conn):
                if kind == "text":
                    changed += conn.execute(
                        f"UPDATE {table} SET {column} = replace({column}, %s, %s) "
                        f"WHERE strpos({column}, %s) > 0",
                        (old, new, old),
                    ).rowcount
                elif kind == "bytea":
                    changed += conn.execute(
                        f"UPDATE {table} SET {column} = overlay({column} "
                        f"PLACING %b FROM position(%b in {column})) "
                        f"WHERE position(%b in {column}) > 0",
                        (new.encode(), old.encode(), old.encode()),
                    ).rowcount
        assert changed > 0, f"no stored cell has {old!r}"

    def drop_rows(self, store: Store, key: str) -> Store:
        """
        Delete the rows that *key* is a key of, and open the store again.
        """
        store.close()
        removed = 0
        with self._server.connect() as conn:
            keys = conn.execute(
                "SELECT DISTINCT c.relname, a.attname FROM pg_index i "
                "JOIN pg_class c ON c.oid = i.indrelid "
                "JOIN pg_attribute a ON a.attrelid = c.oid "
                "AND a.attnum = ANY(i.indkey) "
                "WHERE i.indisunique AND c.relnamespace = %s::regnamespace "
                "AND a.atttypid = 'text'::regtype",
                (self._server.schema,),
            ).fetchall()
            for table, column in keys:
                removed += conn.execute(
                    f'DELETE FROM "{table}" WHERE "{column}" = %s', (key,)
                ).rowcount
        assert removed > 0, f"no row has the key {key!r}"
        return self.open_store(store.session_id)

    def holds_cell(self, _store: Store, content: bytes) -> bool:
        """
        Tell whether some cell is stored with exactly this content.
        """
        with self._server.connect() as conn:
            return any(
                conn.execute(
                    f"SELECT count(*) FROM {table} WHERE {column} = %b", (content,)
                ).fetchone()[0]
                for table, column, kind in self._columns(conn)
                if kind == "bytea"
            )

    def _columns(self, conn: Any) -> list[tuple[str, str, str]]:
        return [
            (f'"{table}"', f'"{column}"', kind)
            for table, column, kind in conn.execute(
                "SELECT table_name, column_name, data_type "
                "FROM information_schema.columns WHERE table_schema = %s "
                "AND table_name <> 'schema_versions'",
                (self._server.schema,),
            ).fetchall()
        ]


class AioBackend(MemoryBackend):
    """
    The async stores, driven from outside their event loop: in memory, since
    what files add is beneath them.
    """

    has_factory = True
    has_plain_stores = False

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__(folder, clock)
        self._loop = shared_loop()

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Return the session's one store.
        """
        if session_id not in self._stores:
            opened = AsyncStore.memory(
                session_id, options=options or QUICK, clock=self.clock
            )
            bridge: Any = Bridge(self._loop, self._loop.wait_for(opened))
            self._stores[session_id] = bridge
            self._opened.append(bridge)
        return self._stores[session_id]

    def open_factory(self, **arguments: Any) -> SessionStoreFactory:
        """
        Make a factory over a folder.
        """
        members: dict[str, Any] = {"clock": self.clock, "options": QUICK} | arguments
        made = AsyncSessionStoreFactory(self.folder / "sessions", **members)
        factory: Any = Bridge(self._loop, made)
        self._opened.append(factory)
        return factory


def _columns(conn: sqlite3.Connection) -> list[tuple[str, str, bool]]:
    found = []
    tables = conn.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (table,) in tables:
        keys = set()
        for index in conn.execute(f"PRAGMA index_list({table})").fetchall():
            if index[2]:
                keys |= {
                    info[2] for info in conn.execute(f"PRAGMA index_info({index[1]})")
                }
        found += [
            (f'"{table}"', f'"{name}"', pk > 0 or name in keys)
            for _, name, _, _, _, pk in conn.execute(
                f"PRAGMA table_info({table})"
            ).fetchall()
        ]
    return found


BACKENDS: dict[str, type[Backend]] = {
    "file": FileBackend,
    "memory": MemoryBackend,
    "postgres": PostgresBackend,
    "aio": AioBackend,
}


def pytest_configure(config: pytest.Config) -> None:
    """
    Declare the marker that asks for capabilities.
    """
    config.addinivalue_line(
        "markers",
        "requires(*capabilities): run on the backends that have them all",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    Run a test on every backend that has what it requires.
    """
    if "backend" not in metafunc.fixturenames:
        return
    wanted = [
        capability
        for marker in metafunc.definition.iter_markers("requires")
        for capability in marker.args
    ]
    names = [
        name
        for name, backend in BACKENDS.items()
        if all(getattr(backend, capability) for capability in wanted)
    ]
    metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture(name="backend")
def _backend(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[Backend]:
    backend = BACKENDS[request.param](tmp_path, clock)
    yield backend
    backend.close()


@pytest.fixture(name="store")
def _store(backend: Backend) -> Store:
    return backend.open_store()


@pytest.fixture(name="factory")
def _factory(backend: Backend) -> SessionStoreFactory:
    return backend.open_factory()
