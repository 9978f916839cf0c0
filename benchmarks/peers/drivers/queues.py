"""
litequeue, persist-queue and huey: put a task of 500 bytes; take one and say
that it is done.
"""

import json
import sys

from benchmarks.peers.data import BODY
from benchmarks.peers.protocol import Workload, require_full, serve


class _Queue(Workload):
    pending = 10

    def __init__(self, folder, _address) -> None:
        self.open(folder)
        for _ in range(self.pending):
            self.put()


class LiteQueue(_Queue):
    durability = "WAL (its own choice), its synchronous NORMAL set to FULL"
    package = "litequeue"

    def open(self, folder) -> None:
        """
        Open the queue.
        """
        from litequeue import LiteQueue as Queue

        self.queue = Queue(folder / "peer.db")
        self.queue.conn.execute("PRAGMA synchronous = FULL")
        require_full(self.queue.conn.execute)

    def put(self) -> None:
        """
        Put a task.
        """
        self.queue.put(json.dumps(BODY))

    def take(self) -> None:
        """
        Take a task, say that it is done.
        """
        task = self.queue.pop()
        json.loads(task.data)
        self.queue.done(task.message_id)

    def close(self) -> None:
        self.queue.close()


class PersistQueue(_Queue):
    durability = "WAL (its own choice), PRAGMA synchronous = FULL on its connection"
    package = "persist-queue"

    def open(self, folder) -> None:
        """
        Open the queue.
        """
        import persistqueue

        self.queue = persistqueue.SQLiteAckQueue(str(folder))
        self.queue._conn.execute("PRAGMA synchronous = FULL")
        require_full(self.queue._putter.execute)

    def put(self) -> None:
        """
        Put a task.
        """
        self.queue.put(BODY)

    def take(self) -> None:
        """
        Take a task, say that it is done.
        """
        self.queue.ack(self.queue.get(block=False))

    def close(self) -> None:
        self.queue.close()


class Huey(_Queue):
    durability = (
        "WAL (its own choice), fsync=True, which is synchronous FULL; taking a task"
        " deletes it, so that one whose worker dies is lost: there is nothing to say"
        " when it is done"
    )
    package = "huey"

    def open(self, folder) -> None:
        """
        Open the queue.
        """
        from huey import SqliteHuey

        self.queue = SqliteHuey("bench", filename=str(folder / "peer.db"), fsync=True)
        self.task = self.queue.task()(lambda _body: None)
        require_full(self.queue.storage.conn.execute)

    def put(self) -> None:
        """
        Put a task.
        """
        self.queue.enqueue(self.task.s(BODY))

    def take(self) -> None:
        """
        Take a task, which deletes it.
        """
        assert self.queue.dequeue() is not None

    def close(self) -> None:
        self.queue.storage.close()


class Enqueue:
    def prepare(self) -> None:
        self.take()
        # Which leaves one too few, and `run` adds it.

    def run(self) -> None:
        self.put()


class Take:
    def prepare(self) -> None:
        self.put()

    def run(self) -> None:
        self.take()


if __name__ == "__main__":
    base = {"litequeue": LiteQueue, "persist-queue": PersistQueue, "huey": Huey}[
        sys.argv.pop(1)
    ]
    kinds = {"enqueue": Enqueue, "take": Take}
    serve(
        {
            f"{name}{suffix}": type(name, (kind, base), {"pending": pending})
            for name, kind in kinds.items()
            for suffix, pending in (("", 10), ("-long", 10_000))
        }
    )
