"""
What the engines spell differently inside a statement.
"""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

BIND = sa.bindparam

# Execution option of a statement on a table with several indexes that takes the
# right one whatever the table holds, so that PostgreSQL may plan it once for
# many transactions. tests/postgres/test_plans.py has each to prove it.
KEEPS_PLAN = MappingProxyType({"lashstore_keeps_plan": True})


# How a list of texts reads in a statement for SQLite, its place included.
SQLITE_LIST = "(SELECT value FROM json_each(?))"


class TextList(sa.types.TypeDecorator[Any]):
    """
    A list of texts as one parameter: JSON on SQLite, an array on PostgreSQL.
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import ARRAY  # noqa: PLC0415, who uses files needs none of it

            return dialect.type_descriptor(ARRAY(sa.Text))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        if dialect.name == "postgresql":
            return list(value)
        return msgspec.json.encode(list(value)).decode()


class _AnyOf(FunctionElement[Any]):
    """
    A column equals one of the texts of a parameter.

    One parameter whatever the number of texts: the statement is compiled
    once, and SQLite's limit on parameters does not apply. The runner may put
    a parameter each in its place where there are few, see `lashstore.repos._run`.
    """

    # Not Boolean: SQLAlchemy would write "= 1" behind it for SQLite, and then
    # no index serves it.
    type = sa.types.NullType()
    name = "any_of"
    inherit_cache = True


@compiles(_AnyOf, "sqlite")
def _sqlite_any_of(element: Any, compiler: Any, **kw: Any) -> str:
    column, texts = element.clauses
    listed = SQLITE_LIST.replace("?", compiler.process(texts, **kw))
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


class _Octets(FunctionElement[Any]):
    """
    How many bytes a text or some bytes take, encoded and not compressed.
    """

    type = sa.BigInteger()
    name = "octets"
    inherit_cache = True


@compiles(_Octets, "sqlite")
def _sqlite_octets(element: Any, compiler: Any, **kw: Any) -> str:
    # octet_length came with 3.43; length counts the characters of a text.
    (column,) = element.clauses
    return f"length(CAST({compiler.process(column, **kw)} AS BLOB))"


@compiles(_Octets, "postgresql")
def _postgresql_octets(element: Any, compiler: Any, **kw: Any) -> str:
    (column,) = element.clauses
    return f"octet_length({compiler.process(column, **kw)})"


def octets(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """
    Return the bytes of a text or of bytes.
    """
    return _Octets(column)


def texts(parameter: str) -> sa.BindParameter[Any]:
    """
    Return the list of texts bound as *parameter*.
    """
    return sa.bindparam(parameter, type_=TextList())


class _Insert(Insert):
    """
    An insert with ON CONFLICT, for both engines.

    They share the statement but not SQLAlchemy's spelling of it. SQLite's
    compiles to what PostgreSQL takes as well, once it says that it names no
    constraint; to import PostgreSQL's would take every user of a file a
    twentieth of a second.
    """

    inherit_cache = True

    def for_both(self) -> Any:
        """
        Return the finished statement.
        """
        clause: Any = self._post_values_clause
        clause.constraint_target = None
        return self


def upsert(
    table: sa.Table,
    columns: Iterable[str],
    *,
    where: sa.ColumnElement[bool] | None = None,
) -> sa.Insert:
    """
    Insert a row, or overwrite *columns* of the one with its primary key,
    provided that it meets *where*.
    """
    insert: Any = _Insert(table)
    statement: sa.Insert = insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: insert.excluded[name] for name in columns},
        where=where,
    ).for_both()
    return statement


def insert_if_absent(table: sa.Table) -> sa.Insert:
    """
    Insert a row unless one has its primary key.
    """
    insert: Any = _Insert(table)
    statement: sa.Insert = insert.on_conflict_do_nothing(
        index_elements=list(table.primary_key)
    ).for_both()
    return statement


def count_up(table: sa.Table, column: str) -> Any:
    """
    Add the bound number to *column* of the row with the primary key that is
    bound, or insert one that has this number.
    """
    insert: Any = _Insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={column: table.c[column] + insert.excluded[column]},
    ).for_both()
