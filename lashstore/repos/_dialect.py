"""
What the engines spell differently inside a statement.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

BIND = sa.bindparam


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
    return _AnyOf(column, sa.bindparam(parameter, type_=_TextList()))


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
    it; the one of SQLite compiles to what PostgreSQL takes as well.
    """
    insert = sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: insert.excluded[name] for name in columns},
        where=where,
    )


def insert_if_absent(table: sa.Table) -> sa.Insert:
    """
    Insert a row unless one has its primary key.
    """
    return sqlite.insert(table).on_conflict_do_nothing(
        index_elements=list(table.primary_key)
    )


class _ByCodePoint(FunctionElement[Any]):
    """
    A text column as an ORDER BY compares it the same way on every engine.

    SQLite compares bytes of UTF-8, which is by code point; PostgreSQL follows
    the language of the database unless told not to.
    """

    type = sa.Text()
    name = "by_code_point"
    inherit_cache = True


@compiles(_ByCodePoint)
def _plain_order(element: Any, compiler: Any, **kw: Any) -> str:
    (column,) = element.clauses
    return str(compiler.process(column, **kw))


@compiles(_ByCodePoint, "postgresql")
def _postgresql_order(element: Any, compiler: Any, **kw: Any) -> str:
    (column,) = element.clauses
    return f'{compiler.process(column, **kw)} COLLATE "C"'


def by_code_point(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """
    Order by a text column by code point.
    """
    return _ByCodePoint(column)
