"""
langgraph-checkpoint-sqlite: `SqliteSaver.put` and `put_writes`.
"""

import sqlite3

from langgraph.checkpoint.sqlite import SqliteSaver

from benchmarks.peers.drivers.langgraph_work import WORKLOADS
from benchmarks.peers.protocol import require_full, serve


def open_saver(folder, _address):
    """
    Open it as its `from_conn_string` does, and make FULL explicit.
    """
    connection = sqlite3.connect(folder / "peer.db", check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute("PRAGMA synchronous = FULL")
    require_full(connection.execute)
    return saver, connection.close


if __name__ == "__main__":
    durability = "WAL (its own choice), PRAGMA synchronous = FULL on its connection"
    package = "langgraph-checkpoint-sqlite"
    serve(
        {
            name: type(
                name,
                (kind,),
                {
                    "open_saver": staticmethod(open_saver),
                    "durability": durability,
                    "package": package,
                },
            )
            for name, kind in WORKLOADS.items()
        }
    )
