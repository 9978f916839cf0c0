"""
langgraph-checkpoint-postgres: `PostgresSaver.put` and `put_writes`.
"""

import psycopg
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.rows import dict_row

from benchmarks.peers.drivers.langgraph_work import WORKLOADS
from benchmarks.peers.protocol import serve

_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


def open_saver(_folder, address):
    """
    Open it as its `from_conn_string` does.
    """
    connection = psycopg.connect(
        address, autocommit=True, prepare_threshold=0, row_factory=dict_row
    )
    saver = PostgresSaver(connection)
    saver.setup()
    return saver, connection.close


def stored_bytes(self):
    """
    Return what its tables take, indexes and TOAST included.
    """
    sizes = [
        self.saver.conn.execute(
            "SELECT pg_total_relation_size(%s::regclass) AS size", (table,)
        ).fetchone()["size"]
        for table in _TABLES
    ]
    return sum(sizes)


if __name__ == "__main__":
    serve(
        {
            name: type(
                name,
                (kind,),
                {
                    "open_saver": staticmethod(open_saver),
                    "stored_bytes": stored_bytes,
                    "durability": "synchronous_commit on, the server's setting",
                    "package": "langgraph-checkpoint-postgres",
                },
            )
            for name, kind in WORKLOADS.items()
        }
    )
