"""
The one place where statements are run.

Repositories build Core statements once and run them many times. Core's own
work around a statement that is compiled already costs about 20 µs, seven
times what SQLite needs for a look-up, so a statement is compiled once per
dialect and then given to the driver as text. Whoever listens to SQLAlchemy's
cursor events, a tracer or a test that counts statements, gets them: while
anybody listens, and on engines that are not ours, Core runs the statement.

On a server a statement is only sent (`lashstore.engines.postgres.sent`): its
result is waited for when somebody asks for it, and one wait fetches all results
up to there. So a transaction costs a round trip a question that depends on an
answer, not one a statement.
"""

import functools
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa

T = TypeVar("T")

# Where a server's connection keeps the pipeline its statements are sent in.
PIPELINE = "lashstore.pipeline"
# Execution option of a connection whose statements SQLAlchemy is to run.
THROUGH_CORE = "lashstore_through_core"
# Core would forget how many rows an INSERT came to.
_COUNTING = MappingProxyType({"preserve_rowcount": True})

_Values = Mapping[str, Any]

# What was asked and is not looked at yet: calling it gives the answer, for
# which a server may have to be waited for.
Answer: TypeAlias = Callable[[], T]


def asks_core(connection: sa.Connection) -> bool:
    """
    Tell whether SQLAlchemy itself must run the statements of *connection*.
    """
    listened = connection.dispatch
    return bool(
        listened.before_cursor_execute
        or listened.after_cursor_execute
        or not hasattr(connection.dialect, "statements")
        or connection.get_execution_options().get(THROUGH_CORE)
    )


class _Result:
    """
    The part of SQLAlchemy's result that repositories use, over rows that
    were fetched already.
    """

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def all(self) -> list[Any]:
        """
        Return every row.
        """
        return self._rows

    def one_or_none(self) -> Any:
        """
        Return the one row; None without one.
        """
        rows = self.all()
        if not rows:
            return None
        (row,) = rows
        return row

    def scalar_one(self) -> Any:
        """
        Return the first column of the one row.
        """
        (row,) = self.all()
        return row[0]

    def scalar_one_or_none(self) -> Any:
        """
        Return the first column of the one row; None without one.
        """
        row = self.one_or_none()
        return None if row is None else row[0]


def row_maker(names: Sequence[str]) -> Callable[[Any], Any]:
    """
    Return what makes a row with named columns of its values.
    """
    kind: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024, of any statement
    # What `kind._make` does, but in C.
    return functools.partial(tuple.__new__, kind)


def _picker(names: list[str]) -> Callable[[_Values], Any]:
    if not names:
        return lambda _values: ()
    if len(names) == 1:
        (name,) = names
        return lambda values: (values[name],)
    return itemgetter(*names)


class _Compiled:
    """
    A statement as text, with what turns named values into its parameters.
    """

    def __init__(
        self, statement: Any, dialect: sa.Dialect, column_keys: list[str] | None
    ) -> None:
        schema = getattr(dialect, "schema", None)
        compiled = statement.compile(
            dialect=dialect,
            column_keys=column_keys,
            schema_translate_map={None: schema} if schema else None,
            render_schema_translate=bool(schema),
        )
        self._text = str(compiled)
        by_name = {name: bind for bind, name in compiled.bind_names.items()}
        binds = [by_name[name] for name in compiled.positiontup or ()]
        self._types = [bind.type for bind in binds]
        # Constants of the statement; what has none must be given by name.
        self._constants = {bind.key: bind.value for bind in binds if not bind.required}
        self._conversions: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, bind in enumerate(binds)
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        self._pick = _picker([bind.key for bind in binds])
        self._row: Any = None

    def _parameters(self, values: _Values) -> Any:
        given = {**self._constants, **values} if self._constants else values
        picked: tuple[Any, ...] = self._pick(given)
        if not self._conversions:
            return picked
        parameters = list(picked)
        for place, convert in self._conversions:
            parameters[place] = convert(parameters[place])
        return parameters

    def rows(self, found: list[Any], cursor: Any) -> list[Any]:
        """
        Return the driver's rows with their columns' names.
        """
        if self._row is None:
            self._row = row_maker([column[0] for column in cursor.description])
        return list(map(self._row, found))

    def run(self, driver: Any, values: _Values) -> _Result:
        """
        Run the statement once.
        """
        try:
            driver.execute(self._text, self._parameters(values))
        except UnicodeDecodeError as error:
            # SQLite's message quotes damaged bytes, and sqlite3 raises that
            # instead of the error itself.
            raise sqlite3.DatabaseError(str(error)) from error
        if driver.description is None:
            return _Result([], driver.rowcount)
        return _Result(self.rows(driver.fetchall(), driver), driver.rowcount)

    def run_many(self, driver: Any, many: Sequence[_Values]) -> _Result:
        """
        Run the statement for each set of values; its rows are not wanted.
        """
        driver.executemany(self._text, map(self._parameters, many))
        return _Result([], driver.rowcount)


class Runner:
    """
    Runs statements on a connection, with the calls of that connection.
    """

    __slots__ = ("_connection", "_driver", "_known")

    @classmethod
    def over(cls, connection: "sa.Connection | Runner") -> "Runner":
        """
        Return a runner: a new one, or the one that a transaction shares
        among its repositories.
        """
        return connection if isinstance(connection, cls) else cls(connection)  # type: ignore[arg-type]

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._driver: Any = None
        if asks_core(connection):
            return
        dialect: Any = connection.dialect
        self._known: dict[Any, _Compiled] = dialect.statements
        driver: Any = connection.connection.driver_connection
        # Rows are fetched at once, so one cursor serves the transaction.
        self._driver = (
            connection.info[PIPELINE] if self.locks_rows else sqlite3.Cursor(driver)
        )

    @property
    def locks_rows(self) -> bool:
        """
        Whether writers wait for rows, and not for the whole database.
        """
        return self._connection.dialect.name != "sqlite"

    @property
    def schema(self) -> str | None:
        """
        Where the tables are; None: where the engine looks by itself.
        """
        return getattr(self._connection.dialect, "schema", None)

    def execute(
        self, statement: Any, values: _Values | Sequence[_Values] = MappingProxyType({})
    ) -> _Result:
        """
        Run a statement: once for one set of values, else once for each.
        """
        if self._driver is None:
            # The same calls on SQLAlchemy's own result.
            result: Any = self._connection.execute(
                statement, values, execution_options=_COUNTING
            )
            return result  # type: ignore[no-any-return]
        # A dictionary nearly always, and asking an abstract class takes long.
        if type(values) is dict or isinstance(values, Mapping):
            return self._compiled(statement, values).run(self._driver, values)
        return self._compiled(statement, values[0]).run_many(self._driver, values)

    def execute_once(self, statement: Any, values: _Values) -> _Result:
        """
        Run a statement that was put together for this call.
        """
        if self._driver is None or not self.locks_rows:
            # Core knows it again by its structure, which we do not.
            result: Any = self._connection.execute(statement, values)
            return result  # type: ignore[no-any-return]
        dialect: Any = self._connection.dialect
        compiled: _Compiled = dialect.once_kind(statement, dialect, list(values))
        return compiled.run(self._driver, values)

    def _compiled(self, statement: Any, values: _Values) -> _Compiled:
        # By identity: statements are module constants, so this does not grow.
        found = self._known.get(statement)
        if found is None:
            dialect: Any = self._connection.dialect
            kind = getattr(dialect, "statement_kind", _Compiled)
            compiled = kind(statement, dialect, list(values))
            found = self._known.setdefault(statement, compiled)
        return found
