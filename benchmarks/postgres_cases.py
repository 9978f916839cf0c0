"""
The comparisons on PostgreSQL: a server of the run's own, a database for each
side. They are switched on by --postgres, where `Store.open` takes addresses.
"""

import tempfile
from pathlib import Path

import psycopg

from lashstore import GraphAppend, RuntimeCommit, SessionNode, Store

from .floor_sql import SESSION
from .postgres import accepts_addresses, address_of, library_address, server
from .postgres_floor import PostgresFloor
from .runner import measure
from .session_cases import FENCE, OWNER, OWNER_JSON, ChangeLargeState, CommitTurn

_SIZE = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
    " WHERE relkind = 'r' AND relname LIKE 'session%'"
)


def _pair_kind(address, *, with_differences=False):
    class PostgresPair:
        """
        The same session in two databases of one server.
        """

        def __init__(self, _folder, _synchronous) -> None:
            self._addresses = {}
            with psycopg.connect(address, autocommit=True) as connection:
                for side in ("library", "floor"):
                    connection.execute(f"DROP DATABASE IF EXISTS {side} (FORCE)")
                    connection.execute(f"CREATE DATABASE {side}")
                    self._addresses[side] = address_of(address, side)
            self.store = Store.open(library_address(address, "library"), SESSION)
            claimed = self.store.try_claim_session_execution_lease(OWNER, 10**12)
            self.fence = claimed.lease.fence()
            self.store.commit_runtime_state(
                RuntimeCommit(
                    session_id=SESSION,
                    session_execution_lease=self.fence,
                    graph=GraphAppend(nodes=(SessionNode(node_id="root"),)),
                )
            )
            # The library makes the floor's schema too.
            Store.open(library_address(address, "floor"), SESSION).close()
            self.floor = PostgresFloor(
                self._addresses["floor"], with_differences=with_differences
            )
            self.floor.seed(FENCE, OWNER_JSON)

        def sizes(self):
            """
            Return what the tables take, indexes and TOAST included.
            """
            found = {}
            for side, place in self._addresses.items():
                with psycopg.connect(place) as connection:
                    (size,) = connection.execute(_SIZE).fetchone()
                found[side] = int(size)
            return found

        def close(self) -> None:
            """
            Close both.
            """
            self.store.close()
            self.floor.close()

    return PostgresPair


def measure_postgres(entry_kind, rounds, only, say):
    """
    Return the figures of the cases whose names contain *only*.
    """
    if not accepts_addresses():
        say("PostgreSQL: switched off, Store.open takes no PostgreSQL address yet")
        return []
    wanted = [
        (name, kind, share, limit, with_differences)
        for name, kind, share, limit, with_differences in (
            ("PostgreSQL: commit of a 20 KB turn", CommitTurn, 1.0, 1.3, False),
            ("PostgreSQL: 1 MB state, 1 % changed", ChangeLargeState, 0.4, 1.3, False),
            (
                "PostgreSQL: 1 MB state, 1 % changed, floor with differences",
                *(ChangeLargeState, 0.4, 1.3, True),
            ),
        )
        if only in name
    ]
    if not wanted:
        return []
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="lash-bench-") as folder,
        server(Path(folder) / "server") as address,
    ):
        for name, kind, share, limit, with_differences in wanted:
            pair_kind = _pair_kind(address, with_differences=with_differences)
            case = type(kind.__name__, (kind,), {"pair_kind": pair_kind})
            entry = entry_kind(name, case, None, share, limit)
            rows.append(measure(entry, max(10, int(rounds * share)), folder))
            say(name)
    return rows
