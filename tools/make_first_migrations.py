"""
Write the first migration of each component from the tables as they are now.

    python tools/make_first_migrations.py

For as long as version 1 is not released: run it after changing
`lashstore/tables.py`. Once it is released these files never change again; a
change of the tables is then a new migration, written by hand.
"""

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op_text
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from lashstore import tables

ROOT = Path(__file__).resolve().parent.parent
CHAINS = ROOT / "lashstore" / "migrations" / "chains"
_INTEGER = "sa.BigInteger().with_variant(sa.Integer(), 'sqlite')"
_TEXT = "sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')"

_HEAD = '''"""
The first schema of the {component} component.

Written by tools/make_first_migrations.py; never changed once released.
"""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "1"
down_revision = None

_INTEGER = {integer}
'''


def main() -> None:
    tables.complete_for_postgresql()
    for component in tables.COMPONENT_TABLES:
        path = CHAINS / component / "versions" / "0001_first_schema.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source(component), encoding="utf-8")


def source(component: str) -> str:
    members = set(tables.COMPONENT_TABLES[component])
    ordered = [each for each in tables.metadata.sorted_tables if each in members]
    lines = [_HEAD.format(component=component, integer=_INTEGER)]
    body = [line for table in ordered for line in _statements(table)]
    text = "\n".join(body).replace(_INTEGER, "_INTEGER")
    if _TEXT in text:
        lines.append(f"_TEXT = {_TEXT}\n")
        text = text.replace(_TEXT, "_TEXT")
    lines.append("\n\ndef upgrade(op: Operations) -> None:\n")
    lines.append('    """\n    Make every table and index.\n    """\n')
    lines += [f"    {line}\n" for line in text.splitlines()]
    return _formatted("".join(lines))


def _statements(table: sa.Table) -> list[str]:
    with sa.create_engine("sqlite://").connect() as connection:
        migration = MigrationContext.configure(
            connection,
            opts={
                "target_metadata": tables.metadata,
                "sqlalchemy_module_prefix": "sa.",
                "alembic_module_prefix": "op.",
                "user_module_prefix": None,
                "render_as_batch": False,
            },
        )
        context = AutogenContext(migration, metadata=tables.metadata)
        made = [ops.CreateTableOp.from_table(table)]
        made += [
            ops.CreateIndexOp.from_index(index)
            for index in sorted(table.indexes, key=lambda each: each.name or "")
        ]
        return [render_op_text(context, each) for each in made]


def _formatted(text: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--quiet", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


if __name__ == "__main__":
    main()
