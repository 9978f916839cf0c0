"""
What the engines spell differently inside a statement.
"""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

BIND = sa.bindparam

# Execution option of a statement on a table with several indexes that takes the
# right one whatever the table holds, so that PostgreSQL may plan it once for
# many transactions. tests/postgres/test_plans.py has each to prove it.
KEEPS_PLAN = MappingProxyType({"lashstore_keeps_plan": True})


class _TextList(sa.types.TypeDecorator[Any]):
    """
    A list of texts as one parameter: JSON on SQLite, an array on PostgreSQL.
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(sa.Text))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            return list(value)
        return msgspec.json.encode(list(value)).decode()


class _AnyOf(FunctionElement[Any]):
    """
    A column equals one of the texts of a parameter.

    One parameter whatever the number of texts: the statement is compiled
    once, and SQLite's limit on parameters does not apply.
    """

    # Not Boolean: SQLAlchemy would write "= 1" behind it for SQLite, and then
    # no index serves it.
    type = sa.types.NullType()
    name = "any_of"
    inherit_cache = True


@compiles(_AnyOf, "sqlite")
def _sqlite_any_of(element: Any, compiler: Any, **kw: Any) -> str:
    column, texts = element.clauses
    listed = f"(SELECT value FROM json_each({compiler.process(texts, **kw)}))"  # noqa: S608, compiled parts
    return f"{compiler.process(column, **kw)} IN {listed}"


@compiles(_AnyOf, "postgresql")
def _postgresql_any_of(element: Any, compiler: Any, **kw: Any) -> str:
    column, texts = element.clauses
    return f"{compiler.process(column, **kw)} = ANY({compiler.process(texts, **kw)})"


def any_of(column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
    """
    Compare *column* with the list of texts bound as *parameter*.
    """
    return _AnyOf(column, texts(parameter))


def texts(parameter: str) -> sa.BindParameter[Any]:
    """
    Return the list of texts bound as *parameter*.
    """
    return sa.bindparam(parameter, type_=_TextList())


def upsert(
    table: sa.Table,
    columns: Iterable[str],
    *,
    where: sa.ColumnElement[bool] | None = None,
) -> sa.Insert:
    """
    Insert a row, or overwrite *columns* of the one with its primary key,
    provided that it meets *where*.

    SQLite and PostgreSQL share the statement but not SQLAlchemy's spelling of
    it; the one of PostgreSQL compiles to what SQLite takes as well.
    """
    insert = postgresql.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: insert.excluded[name] for name in columns},
        where=where,
    )


def insert_if_absent(table: sa.Table) -> sa.Insert:
    """
    Insert a row unless one has its primary key.
    """
    return postgresql.insert(table).on_conflict_do_nothing(
        index_elements=list(table.primary_key)
    )


def count_up(table: sa.Table, column: str) -> Any:
    """
    Add the bound number to *column* of the row with the primary key that is
    bound, or insert one that has this number.
    """
    insert = postgresql.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={column: table.c[column] + insert.excluded[column]},
    )
