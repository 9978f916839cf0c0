"""
Repositories' statements as a PostgreSQL server takes them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from lashstore.repos._dialect import KEEPS_PLAN
from lashstore.repos._run import _Compiled, _Result, row_maker

from .pipeline import Pipeline, Receiver, Statement

_TEXT, _BINARY = 0, 1


def _array(texts: Sequence[str]) -> bytes:
    # https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return ("{" + ",".join(f'"{text}"' for text in quoted) + "}").encode()


class _Encodings(dict[type, Callable[[Any], bytes | None]]):
    """
    How values travel, by their type; a type's own kinds travel like it.
    """

    def __missing__(self, kind: type) -> Callable[[Any], bytes | None]:
        for known in kind.__mro__:
            if known in self:
                self[kind] = self[known]
                return self[kind]
        msg = f"no column of ours holds a {kind.__name__}"
        raise TypeError(msg)


_ENCODINGS = _Encodings(
    {
        str: str.encode,
        int: lambda number: b"%d" % number,
        bytes: lambda content: content,
        bytearray: bytes,
        memoryview: bytes,
        list: _array,
        type(None): lambda _: None,
    }
)


class SentResult(_Result):
    """
    A result that is waited for when somebody looks at it.
    """

    __slots__ = ("_pipeline", "_receiver", "_statement")

    def __init__(
        self, statement: "SentStatement", pipeline: Pipeline, receiver: Receiver
    ) -> None:
        self._statement = statement
        self._pipeline = pipeline
        self._receiver = receiver
        self._rows: Any = None

    def all(self) -> list[Any]:
        """
        Wait for the rows and return them.
        """
        if self._rows is None:
            self._pipeline.wait_for(self._receiver)
            result = self._receiver.result
            self._rows = (
                self._pipeline.rows(result, self._statement.row_of(result))
                if result.ntuples
                else []
            )
        rows: list[Any] = self._rows
        return rows

    @property
    def rowcount(self) -> int:  # type: ignore[override]
        """
        Wait for the statement and return how many rows it changed.
        """
        self._pipeline.wait_for(self._receiver)
        return self._receiver.rowcount


def keeps_plan(statement: Any) -> bool:
    """
    Tell whether a statement may be planned once for many transactions.

    A plan is made for tables as they are, and the wrong index costs next to
    nothing while they are small: it would read a whole session a row once they
    are not. So it is kept where there is nothing to choose, and where a
    statement says so.
    """
    if KEEPS_PLAN.items() <= statement.get_execution_options().items():
        return True
    if isinstance(statement, sa.Insert):
        return statement.select is None
    tables = [one for one in visitors.iterate(statement) if isinstance(one, sa.Table)]
    return not any(table.indexes for table in tables)


class SentStatement(_Compiled):
    """
    A statement that is sent without waiting for what comes back.
    """

    is_repeated: bool = True

    def __init__(
        self, statement: Any, dialect: Any, column_keys: list[str] | None
    ) -> None:
        super().__init__(statement, dialect.numbered, column_keys)
        formats = [
            # Bytes travel as they are, and not as twice as much text.
            _BINARY if isinstance(kind, sa.LargeBinary) else _TEXT
            for kind in self._types
        ]
        self._statement = Statement(
            self._text,
            formats,
            is_repeated=self.is_repeated,
            keeps_plan=keeps_plan(statement),
        )

    def run(self, driver: Pipeline, values: Mapping[str, Any]) -> SentResult:
        """
        Send the statement.
        """
        receiver = Receiver()
        driver.send(self._statement, self._encoded(values), receiver)
        return SentResult(self, driver, receiver)

    def run_many(
        self, driver: Pipeline, many: Sequence[Mapping[str, Any]]
    ) -> SentResult:
        """
        Send the statement for each set of values.
        """
        receiver = Receiver()
        for values in many:
            driver.send(self._statement, self._encoded(values), receiver)
        return SentResult(self, driver, receiver)

    def _encoded(self, values: Mapping[str, Any]) -> list[bytes | None]:
        return [_ENCODINGS[type(value)](value) for value in self._parameters(values)]

    def row_of(self, result: Any) -> Callable[[Any], Any]:
        """
        Return what makes a row of the columns of a result.
        """
        if self._row is None:
            names = [result.fname(n).decode() for n in range(result.nfields)]
            self._row = row_maker(names)
        make_row: Callable[[Any], Any] = self._row
        return make_row


class StatementSentOnce(SentStatement):
    """
    A statement put together for one call: the server need not know it again.
    """

    is_repeated: bool = False
