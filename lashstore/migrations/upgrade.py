"""
Upgrading the database behind one connection.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from lashstore.errors import BackendError
from lashstore.model.record import Record
from lashstore.tables import APPLICATION_ID, COMPONENT_TABLES, schema_versions

from .chain import CHAINS, chain_of

_versions = sa.select(schema_versions.c.component, schema_versions.c.version)
_put_version = sa.insert(schema_versions).values(
    component=sa.bindparam("of_component"), version=sa.bindparam("new_version")
)
_move_version = (
    sa.update(schema_versions)
    .where(
        schema_versions.c.component == sa.bindparam("of_component"),
        schema_versions.c.version == sa.bindparam("old_version"),
    )
    .values(version=sa.bindparam("new_version"))
)


class Step(Record, frozen=True, kw_only=True):
    """
    One migration of one component.

    `from_version` None: it makes the first schema; `title` is the migration's
    own first line.
    """

    component: str
    from_version: str | None
    to_version: str
    title: str


def current_versions(connection: sa.Connection) -> dict[str, str]:
    """
    Return the version of every component the database has, by name; none if
    it is no lashstore database.
    """
    if not _has_versions(connection):
        return {}
    return {row.component: row.version for row in connection.execute(_versions)}


def plan(
    connection: sa.Connection,
    components: Sequence[str] = (),
    *,
    chains: Mapping[str, Path] = CHAINS,
) -> tuple[Step, ...]:
    """
    Return what `upgrade` would do, and change nothing.

    Args:
        components: To be made if the database does not have them; those it
            has are upgraded in any case.

    Raises:
        SchemaVersionError: A component is of a version that no migration
            leads from, such as a newer lashstore's.
    """
    found: dict[str, str | None] = {**current_versions(connection)}
    for component in components:
        found.setdefault(component, None)
    steps: list[Step] = []
    for component in COMPONENT_TABLES:
        if component not in found:
            continue
        version = found[component]
        for module in chain_of(component, chains[component]).modules_after(version):
            steps.append(
                Step(
                    component=component,
                    from_version=version,
                    to_version=module.revision,
                    title=inspect.getdoc(module).splitlines()[0].rstrip("."),  # type: ignore[union-attr]
                )
            )
            version = module.revision
    return tuple(steps)


def upgrade(
    connection: sa.Connection,
    components: Sequence[str] = (),
    *,
    chains: Mapping[str, Path] = CHAINS,
) -> tuple[Step, ...]:
    """
    Bring every component the database has to its current version.

    Everything happens in the transaction the caller has begun, and is there
    once the caller commits: until then, killed or rolled back, nothing has
    changed. The caller keeps other writers out meanwhile: on SQLite by BEGIN
    IMMEDIATE; on PostgreSQL this function locks `schema_versions`, and the
    search path leads to the tables.

    Args:
        components: As for `plan`.

    Returns:
        What was done, in order; nothing if it was current. Safe to retry.

    Raises:
        SchemaVersionError: As `plan`.
        BackendError: Rows were left that refer to nothing, or somebody else
            upgraded at the same time.
    """
    if components:
        _require_versions_table(connection)
    if connection.dialect.name == "postgresql" and _has_versions(connection):
        connection.exec_driver_sql("LOCK TABLE schema_versions IN EXCLUSIVE MODE")
    steps = plan(connection, components, chains=chains)
    operations = Operations(
        MigrationContext.configure(
            connection, opts={"target_metadata": schema_versions.metadata}
        )
    )
    for step in steps:
        chain = chain_of(step.component, chains[step.component])
        # `op` is handed over: alembic's own is one for the whole process, and
        # files are upgraded side by side.
        chain.modules_after(step.from_version)[0].upgrade(operations)
        _record(connection, step)
    if steps:
        _refuse_broken_references(connection)
    return steps


def _has_versions(connection: sa.Connection) -> bool:
    return sa.inspect(connection).has_table(schema_versions.name)


def _require_versions_table(connection: sa.Connection) -> None:
    if _has_versions(connection):
        return
    schema_versions.create(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _record(connection: sa.Connection, step: Step) -> None:
    values = {"of_component": step.component, "new_version": step.to_version}
    if step.from_version is None:
        connection.execute(_put_version, values)
        return
    moved = connection.execute(
        _move_version, {**values, "old_version": step.from_version}
    )
    if moved.rowcount != 1:
        msg = f"the {step.component} schema was upgraded by somebody else meanwhile"
        raise BackendError(msg)


def _refuse_broken_references(connection: sa.Connection) -> None:
    # On SQLite foreign keys are off while tables are rebuilt.
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        msg = f"table {broken[0]} would refer to rows that are not there; nothing was changed"
        raise BackendError(msg)
