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
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa

from ._dialect import SQLITE_LIST, TextList

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
    return bool(
        _has_listeners(connection)
        or not hasattr(connection.dialect, "statements")
        or connection.get_execution_options().get(THROUGH_CORE)
    )


def _has_listeners(connection: sa.Connection) -> bool:
    # What Core itself looks at first, and much sooner told than the rest:
    # whether anybody ever listened to anything. A Core that has no such mark
    # is asked in the long way.
    if not getattr(connection, "_has_events", True) and not getattr(
        connection.engine, "_has_events", True
    ):
        return False
    listened = connection.dispatch
    return bool(listened.before_cursor_execute or listened.after_cursor_execute)


class _Result:
    """
    The part of SQLAlchemy's result that repositories use, over rows that
    were fetched already.
    """

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount: int = rowcount

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


class _FewTexts:
    """
    A statement for SQLite with a parameter for each of few texts, instead of
    one that is a list: making JSON of them, and SQLite's reading it, takes as
    long as a look-up. One text for each small number, so that SQLite's
    statements stay prepared; the last one is repeated up to the next number.
    """

    __slots__ = ("_pieces", "_places", "_texts")

    # 0 stays a list: it is a rare case, and "IN ()" is SQLite's alone.
    _SIZES = (None, 1, 2, 4, 4, 8, 8, 8, 8)

    @classmethod
    def of(cls, text: str, types: Sequence[Any]) -> "_FewTexts | None":
        """
        Return what runs a statement so; None if it has no lists.
        """
        places = [
            place for place, kind in enumerate(types) if isinstance(kind, TextList)
        ]
        pieces = text.split(SQLITE_LIST)
        if not places or len(pieces) != len(places) + 1:
            return None
        return cls(pieces, places)

    def __init__(self, pieces: list[str], places: list[int]) -> None:
        self._pieces = pieces
        self._places = places
        self._texts: dict[tuple[int, ...], str] = {}

    @property
    def count(self) -> int:
        """
        How many lists there are.
        """
        return len(self._places)

    def run(self, driver: Any, picked: tuple[Any, ...]) -> bool:
        """
        Run the statement and return True, if the lists are small.
        """
        parameters: list[Any] = []
        sizes: list[int] = []
        done = 0
        for place in self._places:
            texts = [*picked[place]]
            count = len(texts)
            size = self._SIZES[count] if count < len(self._SIZES) else None
            if size is None:
                return False
            sizes.append(size)
            parameters += picked[done:place]
            parameters += texts
            parameters += texts[-1:] * (size - count)
            done = place + 1
        parameters += picked[done:]
        key = tuple(sizes)
        text = self._texts.get(key)
        if text is None:
            text = self._texts.setdefault(key, self._spelled(key))
        driver.execute(text, parameters)
        return True

    def _spelled(self, sizes: tuple[int, ...]) -> str:
        marks = [f"({', '.join('?' * size)})" for size in sizes]
        first, *rest = self._pieces
        return first + "".join(map("".join, zip(marks, rest, strict=True)))


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
        self._lists = _FewTexts.of(self._text, [bind.type for bind in binds])
        if self._lists is not None and len(self._conversions) > self._lists.count:
            self._lists = None
        # Most statements take their values as they are given.
        self._is_plain = not (self._constants or self._conversions or self._lists)
        self._row: Any = None

    def _picked(self, values: _Values) -> tuple[Any, ...]:
        if self._constants:
            values = {**self._constants, **values}
        picked: tuple[Any, ...] = self._pick(values)
        return picked

    def _parameters(self, values: _Values) -> Any:
        picked = self._picked(values)
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
        return list(map(self._row or self._named(cursor), found))

    def _named(self, cursor: Any) -> Any:
        self._row = row_maker([column[0] for column in cursor.description])
        return self._row

    def run(self, driver: Any, values: _Values) -> _Result:
        """
        Run the statement once.
        """
        try:
            if self._is_plain:
                driver.execute(self._text, self._pick(values))
            elif self._lists is None or not self._lists.run(
                driver, self._picked(values)
            ):
                driver.execute(self._text, self._parameters(values))
        except UnicodeDecodeError as error:
            # SQLite's message quotes damaged bytes, and sqlite3 raises that
            # instead of the error itself.
            raise sqlite3.DatabaseError(str(error)) from error
        found = driver.fetchall()
        if found:
            found = list(map(self._row or self._named(driver), found))
        return _Result(found, driver.rowcount)

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

    @staticmethod
    def over(connection: "sa.Connection | Runner") -> "Runner":
        """
        Return a runner: the one that a transaction shares among its
        repositories, the one its connection keeps, or a new one.
        """
        if isinstance(connection, Runner):
            return connection
        kept = kept_on(connection)
        return Runner(connection) if kept is None else kept.runner

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._driver: Any = None
        if not asks_core(connection):
            self._driver = self._own_driver()

    def _own_driver(self) -> Any:
        dialect: Any = self._connection.dialect
        self._known: dict[Any, _Compiled] = dialect.statements
        driver: Any = self._connection.connection.driver_connection
        # Rows are fetched at once, so one cursor serves the transaction.
        return (
            self._connection.info[PIPELINE]
            if self.locks_rows
            else sqlite3.Cursor(driver)
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
        if type(values) is not dict and not isinstance(values, Mapping):
            if len(values) > 1:
                compiled = self._compiled(statement, values[0])
                return compiled.run_many(self._driver, values)
            (values,) = values
        compiled = self._known.get(statement) or self._compiled(statement, values)
        return compiled.run(self._driver, values)

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


class KeepingConnection(sa.Connection):
    """
    A connection that is kept between transactions, and knows what they share.
    """

    kept: "weakref.ref[Kept] | None" = None


class Kept:
    """
    What the transactions of a file's connection share, one after the other:
    a cursor, the runner over it, and the repositories over that. To make them
    takes longer than to look at a row.

    Whoever holds the connection holds this, too. The connection itself knows
    it weakly: a circle would keep a file open that nobody uses any more.
    """

    __slots__ = ("__weakref__", "cursor", "repositories", "runner")

    def __init__(self, connection: KeepingConnection) -> None:
        self.runner = runner = Runner(connection)
        if runner._driver is None:  # noqa: SLF001, whoever listens now may stop
            runner._driver = runner._own_driver()  # noqa: SLF001, as above
        self.cursor: sqlite3.Cursor = runner._driver  # noqa: SLF001, as above
        self.repositories: dict[Any, Any] = {}
        connection.kept = weakref.ref(self)


def kept_on(connection: sa.Connection) -> Kept | None:
    """
    Return what a connection keeps; None: nothing, or SQLAlchemy itself must
    run its statements.
    """
    found = getattr(connection, "kept", None)
    kept: Kept | None = None if found is None else found()
    return None if kept is None or _has_listeners(connection) else kept
