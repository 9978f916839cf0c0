"""
Upgrading a schema of a PostgreSQL database.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import sqlalchemy as sa

from lashstore.engines import shown_url
from lashstore.engines.postgres import ServerDatabase, open_any_version
from lashstore.errors import LashStoreError, StoreNotFoundError
from lashstore.model.options import StoreOptions
from lashstore.model.record import Json
from lashstore.tables import metadata

from .chain import CHAINS
from .reports import DatabaseReport, Outcome
from .shape import differences, make_tables, shape_of
from .upgrade import current_versions, plan, upgrade

# Ours are made for small statements on indexes; a migration may go through
# whole tables, for as long as it takes.
_OF_MIGRATIONS = {
    "statement_timeout": "0",
    "enable_seqscan": "on",
    "enable_hashjoin": "on",
    "enable_mergejoin": "on",
}
_set = sa.select(
    sa.func.set_config(
        sa.bindparam("name", type_=sa.Text),
        sa.bindparam("value", type_=sa.Text),
        sa.true(),
    )
)


def inspect_server(
    url: sa.URL, *, is_thorough: bool = False, chains: Mapping[str, Path] = CHAINS
) -> DatabaseReport:
    """
    Tell what an upgrade of a server's schema would do; nothing is written.

    Args:
        is_thorough: Compare a current schema with what a new one looks like;
            this makes temporary tables, and undoes them.
    """

    def look(connection: sa.Connection) -> DatabaseReport:
        versions = _require_versions(connection, url)
        steps = plan(connection, chains=chains)
        return DatabaseReport(
            database=shown_url(url),
            outcome=Outcome.OUTDATED if steps else Outcome.CURRENT,
            versions=versions,
            steps=steps,
        )

    def inspect(database: ServerDatabase) -> DatabaseReport:
        report = database.read_through_core(lambda c: look(_in_schema(c, url)))
        if not is_thorough or report.steps:
            return report
        problems = _compare(database, url, frozenset(report.versions))
        return DatabaseReport(
            database=report.database,
            outcome=Outcome.DIFFERENT if problems else Outcome.CURRENT,
            versions=report.versions,
            problems=problems,
        )

    return _reported(url, StoreOptions(), inspect)


def upgrade_server(
    url: sa.URL,
    *,
    options: StoreOptions = StoreOptions(),
    chains: Mapping[str, Path] = CHAINS,
) -> DatabaseReport:
    """
    Upgrade every component of a server's schema in one transaction.

    Killed at any moment, the schema is as it was or as it is to be. A failure
    is in the report, with the schema unchanged unless the report says that
    nobody knows. Safe to retry.
    """

    def migrate(connection: sa.Connection) -> DatabaseReport:
        for name, value in _OF_MIGRATIONS.items():
            connection.execute(_set, {"name": name, "value": value})
        _require_versions(connection, url)
        # Read again behind the lock: somebody else may have been first.
        steps = upgrade(connection, chains=chains)
        versions = current_versions(connection)
        for step in reversed(steps):
            assert step.from_version is not None  # noqa: S101, the component is there
            versions[step.component] = step.from_version
        return DatabaseReport(
            database=shown_url(url),
            outcome=Outcome.UPGRADED if steps else Outcome.CURRENT,
            versions=versions,
            steps=steps,
        )

    return _reported(
        url,
        options,
        lambda database: database.write_through_core(
            lambda c: migrate(_in_schema(c, url))
        ),
    )


def _in_schema(connection: sa.Connection, url: sa.URL) -> sa.Connection:
    # Migrations and reflection name no schema, and alembic would not
    # translate one: here the search path leads there.
    schema = url.query.get("schema")
    if schema is None:
        return connection
    quoted = connection.dialect.identifier_preparer.quote_identifier(str(schema))
    return _searching(connection, quoted)


def _searching(connection: sa.Connection, search_path: str) -> sa.Connection:
    connection = connection.execution_options(schema_translate_map=None)
    connection.execute(_set, {"name": "search_path", "value": search_path})
    return connection


def _require_versions(connection: sa.Connection, url: sa.URL) -> dict[str, str]:
    versions = current_versions(connection)
    if not versions:
        raise StoreNotFoundError(path=shown_url(url))
    return versions


def _compare(
    database: ServerDatabase, url: sa.URL, components: frozenset[str]
) -> tuple[str, ...]:
    try:
        database.write_through_core(
            lambda c: _compare_and_undo(_in_schema(c, url), components)
        )
    except _ComparedError as compared:
        return compared.problems
    raise AssertionError


def _compare_and_undo(connection: sa.Connection, components: frozenset[str]) -> None:
    # What else lies in the schema is its owner's business.
    names = frozenset(metadata.tables)
    found = shape_of(connection, names=names)
    # Temporary tables, which ask for no right to make anything that stays.
    _searching(connection, "pg_temp")
    make_tables(connection, components)
    expected: Json = shape_of(connection, names=names)
    raise _ComparedError(differences(expected, found))


class _ComparedError(Exception):
    """
    Undoes the transaction that compared.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__()
        self.problems = problems


def _reported(
    url: sa.URL,
    options: StoreOptions,
    work: Callable[[ServerDatabase], DatabaseReport],
) -> DatabaseReport:
    try:
        database = open_any_version(url, options)
        try:
            return work(database)
        finally:
            database.close()
    except LashStoreError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001, a migration's own
        problem = f"{shown_url(url)} failed: {error!r}"
    return DatabaseReport(
        database=shown_url(url), outcome=Outcome.FAILED, problems=(problem,)
    )
