"""
The one place where statements are run.

Repositories build Core statements once and run them many times. Core's own
work around a statement that is compiled already costs about 20 µs, seven
times what SQLite needs for a look-up, so a statement is compiled once per
process and then given to the driver as text. Whoever listens to SQLAlchemy's
cursor events, a tracer or a test that counts statements, gets them: while
anybody listens, and on every other engine, Core runs the statement.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

_Values = Mapping[str, Any]


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
        return iter(self._rows)

    def all(self) -> list[Any]:
        """
        Return every row.
        """
        return self._rows

    def one_or_none(self) -> Any:
        """
        Return the one row; None without one.
        """
        if not self._rows:
            return None
        (row,) = self._rows
        return row

    def scalar_one(self) -> Any:
        """
        Return the first column of the one row.
        """
        (row,) = self._rows
        return row[0]

    def scalar_one_or_none(self) -> Any:
        """
        Return the first column of the one row; None without one.
        """
        row = self.one_or_none()
        return None if row is None else row[0]


class _Compiled:
    """
    A statement as text, with what turns named values into its parameters.
    """

    def __init__(
        self, statement: Any, dialect: sa.Dialect, column_keys: list[str]
    ) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=column_keys)
        self._text = str(compiled)
        binds = [compiled.binds[name] for name in compiled.positiontup or ()]
        self._names = [bind.key for bind in binds]
        # Constants of the statement; what has none must be given by name.
        self._constants = {bind.key: bind.value for bind in binds if not bind.required}
        self._conversions: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, bind in enumerate(binds)
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        self._row: Any = None

    def parameters(self, values: _Values) -> list[Any]:
        """
        Return the parameters in the order of the text.
        """
        given = {**self._constants, **values} if self._constants else values
        parameters = [given[name] for name in self._names]
        for place, convert in self._conversions:
            parameters[place] = convert(parameters[place])
        return parameters

    def run(self, driver: Any, values: _Values) -> _Result:
        """
        Run the statement once and fetch its rows.
        """
        cursor = driver.execute(self._text, self.parameters(values))
        if cursor.description is None:
            return _Result([], cursor.rowcount)
        if self._row is None:
            names = [column[0] for column in cursor.description]
            kind: Any = namedtuple("Row", names)  # type: ignore[misc]  # noqa: PYI024, of any statement
            self._row = kind._make
        rows = list(map(self._row, cursor.fetchall()))
        return _Result(rows, cursor.rowcount)

    def run_many(self, driver: Any, many: Sequence[_Values]) -> _Result:
        """
        Run the statement for each set of values.
        """
        cursor = driver.executemany(self._text, map(self.parameters, many))
        return _Result([], cursor.rowcount)


# By identity: statements are module constants, so this does not grow.
_compiled: dict[Any, _Compiled] = {}


class Runner:
    """
    Runs statements on a connection, with the calls of that connection.
    """

    __slots__ = ("_connection", "_driver")

    @classmethod
    def over(cls, connection: "sa.Connection | Runner") -> "Runner":
        """
        Return a runner: a new one, or the one that a transaction shares
        among its repositories.
        """
        return connection if isinstance(connection, cls) else cls(connection)  # type: ignore[arg-type]

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        listened = connection.dispatch
        is_plain = connection.dialect.name == "sqlite" and not (
            listened.before_cursor_execute or listened.after_cursor_execute
        )
        self._driver = connection.connection.driver_connection if is_plain else None

    @property
    def core(self) -> sa.Connection:
        """
        The connection itself: for a statement that is put together anew for
        each call, which must not be kept compiled.
        """
        return self._connection

    def execute(
        self, statement: Any, values: _Values | Sequence[_Values] = MappingProxyType({})
    ) -> _Result:
        """
        Run a statement: once for one set of values, else once for each.
        """
        if self._driver is None:
            # The same calls on SQLAlchemy's own result.
            result: Any = self._connection.execute(statement, values)
            return result  # type: ignore[no-any-return]
        if isinstance(values, Mapping):
            compiled = _compiled.get(statement) or self._compile(statement, values)
            return compiled.run(self._driver, values)
        compiled = _compiled.get(statement) or self._compile(statement, values[0])
        return compiled.run_many(self._driver, values)

    def _compile(self, statement: Any, values: _Values) -> _Compiled:
        compiled = _Compiled(statement, self._connection.dialect, list(values))
        return _compiled.setdefault(statement, compiled)
