"""
The floor on PostgreSQL: `floor.py`'s turn by hand with psycopg.

The same statements, prepared, in pipeline mode: one exchange begins, takes the
row lock on the session, reads the server's clock and everything the decision
needs; the next writes and commits. The schema is the library's own, made by
it in a database of the floor's.
"""

import functools

import psycopg

from .floor import Floor
from .floor_sql import SESSION
from .floor_turn import base_of, decide, encode_turn, reads_of

_LOCK = "SELECT incarnation FROM sessions WHERE session_id = %s FOR UPDATE"
_MAKING = "SELECT incarnation FROM sessions WHERE session_id = %s"
# As the library's, but for the connection's life: it is nobody else's.
_SETTINGS = "SET lock_timeout = 5000; SET statement_timeout = 35000; SET jit = off"
_NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


@functools.cache
def _spelled(statement):
    if statement.startswith("INSERT OR IGNORE"):
        statement = statement.replace("INSERT OR IGNORE", "INSERT", 1)
        statement += " ON CONFLICT DO NOTHING"
    statement = statement.replace("INSERT OR REPLACE", "INSERT", 1)
    return statement.replace("?", "%s")


class PostgresFloor:
    """
    One session's rows, handled by hand.
    """

    def __init__(self, address, *, with_differences=False) -> None:
        """
        with_differences: whether a large state is stored as its difference to
        the one before.
        """
        self._connection = psycopg.connect(address, autocommit=True)
        self._connection.execute(_SETTINGS)
        self._connection.prepare_threshold = 0
        self._recent_refs = frozenset()
        self._with_differences = with_differences
        self._base = None
        (self._incarnation,) = self._connection.execute(_MAKING, (SESSION,)).fetchone()

    def close(self) -> None:
        """
        Close the connection.
        """
        self._connection.close()

    def seed(self, fence, owner_json) -> None:
        """
        Give the session a lease and a head to start from.
        """
        Floor.seed(self, fence, owner_json)

    def _execute(self, statement, values=()):
        return self._connection.execute(_spelled(statement), values)

    def _begin(self) -> None:
        self._execute("BEGIN")

    def _commit(self) -> None:
        self._execute("COMMIT")

    def commit_turn(self, turn, fence):
        """
        Land one stamped turn.
        """
        encoded = encode_turn(turn, self._recent_refs, self._base)
        execute = self._connection.execute
        with self._connection.pipeline() as pipeline:
            execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            lock = execute(_LOCK, (SESSION,))
            clock = execute(_NOW)
            asked = [
                execute(_spelled(statement), values)
                for statement, values in reads_of(turn, encoded)
            ]
            pipeline.sync()
            if lock.fetchone() != (self._incarnation,):
                msg = "the session was deleted"
                raise RuntimeError(msg)
            now = clock.fetchone()[0]
            found = [cursor.fetchall() for cursor in asked]
            revision, writes = decide(turn, encoded, fence, found, now)
            for statement, values in writes:
                execute(_spelled(statement), values)
            execute("COMMIT")
        self._recent_refs = encoded.refs
        if self._with_differences:
            self._base = base_of(encoded)
        return revision
