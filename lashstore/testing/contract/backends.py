"""
Where the stores of a contract's test live: the base of all backends, and the
two that need nothing but a folder.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from lashstore import (
    ManualClock,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
)

# No test cuts the power, so none waits for the disk.
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)


class Backend:
    """
    Where the stores of one test live, and what may be asked of them.

    A backend of your own extends this class, sets the capabilities it has,
    and is named to pytest by `--lashstore-backend`. It is made anew for each
    test, with an empty folder and a clock that the test moves. Tests that
    need a capability it lacks do not run on it.
    """

    # Content outlives the store object: `reopen` really closes it.
    is_durable: ClassVar[bool] = False
    # A session can be opened by two stores at once.
    has_many_handles: ClassVar[bool] = False
    # It has `open_factory`.
    has_factory: ClassVar[bool] = False
    # Rows can be changed behind the store's back: it has `damage`,
    # `damage_behind`, `drop_rows` and `holds_cell`.
    is_damageable: ClassVar[bool] = False
    # A session is a SQLite file of lashstore's: it has `path_of`, `connect`
    # and `damage_file`.
    has_files: ClassVar[bool] = False
    # Its stores are `Store` objects, which others can copy from.
    has_plain_stores: ClassVar[bool] = True
    # Beneath its stores are lashstore's own repositories, and tests may look
    # at those and get in their way.
    is_transparent: ClassVar[bool] = False

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder = folder
        self.clock = clock
        self._opened: list[Any] = []

    def open_store(
        self, session_id: str = "root", *, options: StoreOptions | None = None
    ) -> Store:
        """
        Open the session; twice gives two handles where that can be.

        Args:
            options: None: what is quick.
        """
        raise NotImplementedError

    def reopen(self, store: Store) -> Store:
        """
        Close a store and open its session again.
        """
        raise NotImplementedError

    def open_factory(self, **arguments: Any) -> SessionStoreFactory:
        """
        Make a factory of this backend's sessions, with the arguments of
        `SessionStoreFactory` but the root.
        """
        raise NotImplementedError

    def close(self) -> None:
        """
        Close what the test left open; called when it ends.
        """
        for opened in reversed(self._opened):
            opened.close()


class MemoryBackend(Backend):
    """
    SQLite in memory: a store is its database.
    """

    is_transparent = True

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
    is_transparent = True

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
        _require(changed, f"no stored cell has {old!r}")

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
        _require(removed, f"no row has the key {key!r}")
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


def _require(count: int, trouble: str) -> None:
    # A test that damages nothing would prove nothing.
    if not count:
        raise AssertionError(trouble)


def _columns(conn: sqlite3.Connection) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = []
    tables = conn.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for (table,) in tables:
        keys: set[str] = set()
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
