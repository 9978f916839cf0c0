"""
openai-agents: `SQLiteSession` and `SQLAlchemySession`.
"""

import asyncio
import sys

from agents import SQLiteSession
from agents.extensions.memory import SQLAlchemySession
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.peers.data import messages_of, short_message, turn_of
from benchmarks.peers.protocol import Workload, require_full, serve


def _items(messages):
    return [{"role": each["role"], "content": each["content"]} for each in messages]


class _Session(Workload):
    package = "openai-agents"

    def __init__(self, folder, _address) -> None:
        self.loop = asyncio.new_event_loop()
        self.open(folder / "peer.db")
        self.number = 0

    def prepare(self) -> None:
        self.number += 1

    def add(self, messages) -> None:
        """
        Add a turn's items.
        """
        self.loop.run_until_complete(self.session.add_items(_items(messages)))


class Sqlite(_Session):
    durability = (
        "WAL (its own choice), synchronous FULL (SQLite's default, which it keeps)"
    )

    def open(self, path) -> None:
        """
        Open the session's file.
        """
        self.session = SQLiteSession("bench", path)
        with self.session._locked_connection() as connection:
            require_full(connection.execute)

    def close(self) -> None:
        self.session.close()


class Alchemy(_Session):
    durability = "WAL (its own choice), PRAGMA synchronous = FULL on its engine"

    def open(self, path) -> None:
        """
        Open the session's file with a pool, the faster choice.
        """
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(
            self.engine.sync_engine,
            "connect",
            lambda connection, _: connection.execute("PRAGMA synchronous = FULL"),
        )
        self.session = SQLAlchemySession(
            "bench", engine=self.engine, create_tables=True
        )

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.dispose())


class Turn:
    def prepare(self) -> None:
        super().prepare()
        messages, state = turn_of(self.number)
        # It has no place for state: as one more item, the bytes are the same.
        self.turn = [*messages, {"role": "user", "content": repr(state)}]

    def run(self) -> None:
        self.add(self.turn)


class Growth:
    def prepare(self) -> None:
        super().prepare()
        self.messages = messages_of(self.number)

    def run(self) -> None:
        self.add(self.messages)


class Load:
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        for number in range(100):
            self.add([short_message(10 * number + n) for n in range(10)])

    def run(self) -> None:
        found = self.loop.run_until_complete(self.session.get_items())
        assert len(found) == 1_000


if __name__ == "__main__":
    base = {"sqlite": Sqlite, "sqlalchemy": Alchemy}[sys.argv.pop(1)]
    kinds = {"turn": Turn, "growth": Growth, "load": Load}
    serve({name: type(name, (kind, base), {}) for name, kind in kinds.items()})
