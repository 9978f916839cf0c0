"""
google-adk: `SqliteSessionService` and `DatabaseSessionService` on SQLite.
"""

import asyncio
import sqlite3
import sys

from google.adk.events import Event, EventActions
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types
from sqlalchemy import event

from benchmarks.peers.data import messages_of, short_message, turn_of
from benchmarks.peers.protocol import Workload, serve

_WHO = {"app_name": "bench", "user_id": "user"}


class _Service(Workload):
    package = "google-adk"

    def __init__(self, folder, _address) -> None:
        self.loop = asyncio.new_event_loop()
        path = folder / "peer.db"
        # The journal mode stays with the file; WAL is the faster choice.
        database = sqlite3.connect(path)
        database.execute("PRAGMA journal_mode = WAL")
        database.close()
        self.open(path)
        self.session = self.wait(
            self.service.create_session(**_WHO, session_id="bench")
        )
        self.number = 0

    def wait(self, awaitable):
        """
        Run to the end.
        """
        return self.loop.run_until_complete(awaitable)

    def prepare(self) -> None:
        self.number += 1

    def append(self, messages, state) -> None:
        """
        Append a turn as one event.
        """
        parts = [types.Part(text=message["content"]) for message in messages]
        self.wait(
            self.service.append_event(
                self.session,
                Event(
                    author="agent",
                    invocation_id=f"turn-{self.number}",
                    content=types.Content(role="model", parts=parts),
                    actions=EventActions(state_delta=state),
                ),
            )
        )


class Sqlite(_Service):
    durability = (
        "its file put into WAL beforehand; synchronous FULL (SQLite's default, which"
        " it keeps: it connects anew for every call)"
    )

    def open(self, path) -> None:
        """
        Open the service.
        """
        self.service = SqliteSessionService(str(path))


class Database(_Service):
    durability = (
        "its file put into WAL beforehand, PRAGMA synchronous = FULL on its engine"
    )

    def open(self, path) -> None:
        """
        Open the service.
        """
        self.service = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
        event.listen(
            self.service.db_engine.sync_engine,
            "connect",
            lambda connection, _: connection.execute("PRAGMA synchronous = FULL"),
        )

    def close(self) -> None:
        self.wait(self.service.close())


class Turn:
    def prepare(self) -> None:
        super().prepare()
        self.turn = turn_of(self.number)

    def run(self) -> None:
        messages, state = self.turn
        self.append(messages, {"tools": state})


class Growth:
    def prepare(self) -> None:
        super().prepare()
        self.messages = messages_of(self.number)

    def run(self) -> None:
        self.append(self.messages, {"generation": self.number})


class Load:
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        for number in range(1_000):
            self.append([short_message(number)], {})

    def run(self) -> None:
        found = self.wait(self.service.get_session(**_WHO, session_id="bench"))
        assert len(found.events) == 1_000


if __name__ == "__main__":
    base = {"sqlite": Sqlite, "database": Database}[sys.argv.pop(1)]
    kinds = {"turn": Turn, "growth": Growth, "load": Load}
    serve({name: type(name, (kind, base), {}) for name, kind in kinds.items()})
