"""
The backends of this repository that need more than a folder: a server, and an
event loop.
"""

from pathlib import Path
from typing import Any

from aio_bridge import Bridge, shared_loop
from postgres_server import server

from lashstore import ManualClock, SessionStoreFactory, Store, StoreOptions
from lashstore.aio import AsyncSessionStoreFactory, AsyncStore
from lashstore.testing.contract import QUICK, Backend, MemoryBackend


class PostgresBackend(Backend):
    """
    One PostgreSQL database for all sessions.
    """

    is_durable = True
    has_many_handles = True
    has_factory = True
    is_damageable = True
    is_transparent = True

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
