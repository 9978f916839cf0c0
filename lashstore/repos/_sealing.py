"""
The one place where a session's content is sealed and opened.

A transaction of a store with a cipher runs its statements through this
runner, so repositories know only plain content: the columns of `_KEYS` are
sealed in what is inserted and opened in what is read. Each is bound to its
session, column and row, so that a content moved elsewhere does not open.
"""

import functools
from collections import namedtuple
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from lashstore.ciphers import (
    ContentCipher,
    open_bytes,
    open_text,
    read_envelope,
    seal_bytes,
    seal_text,
)

from ._run import Runner, _Result

# Content by the column that tells its row from others of the session. The
# names are each of one table only; a test compares them with the tables.
SEALED_COLUMNS: Mapping[str, str | None] = MappingProxyType(
    {
        "content": "blob_ref",
        "node_json": "node_id",
        "payloads_json": "batch_id",
        "input_json": "input_id",
        "result_json": "turn_id",
        "meta_json": None,
        "config_json": None,
        "agent_frames_json": None,
    }
)

_Values = Mapping[str, Any]


class SealingRunner(Runner):
    """
    A runner whose content columns are sealed in the database.
    """

    __slots__ = ("_cipher", "_session_id")

    def __init__(
        self, connection: sa.Connection, session_id: str, cipher: ContentCipher
    ) -> None:
        super().__init__(connection)
        self._session_id = session_id
        self._cipher = cipher

    def execute(
        self, statement: Any, values: _Values | Sequence[_Values] = MappingProxyType({})
    ) -> _Result:
        """
        Run a statement; see `Runner.execute`.
        """
        given = (
            self._sealed(values)
            if isinstance(values, Mapping)
            else [self._sealed(one) for one in values]
        )
        found = super().execute(statement, given)
        return _OpenedResult(self, found, values if isinstance(values, Mapping) else {})

    def execute_once(self, statement: Any, values: _Values) -> _Result:
        """
        Run a statement once; see `Runner.execute_once`.
        """
        found = super().execute_once(statement, self._sealed(values))
        return _OpenedResult(self, found, values)

    def _sealed(self, values: _Values) -> _Values:
        sealed = {
            name: self._seal(name, plain, values)
            for name, plain in values.items()
            if name in SEALED_COLUMNS and plain is not None
        }
        return {**values, **sealed} if sealed else values

    def _seal(self, name: str, plain: Any, row: _Values) -> Any:
        seal: Any = seal_bytes if isinstance(plain, bytes) else seal_text
        return seal(self._cipher, plain, self._context(name, row))

    def open_row(self, row: Any, asked: _Values = MappingProxyType({})) -> Any:
        """
        Return a row with its content opened.

        Args:
            asked: What the statement was given; a key may be there only.
        """
        names = row._fields
        found = {**asked, **dict(zip(names, row, strict=True))}
        return _row_kind(names)._make(
            self._open(name, value, found)
            if name in SEALED_COLUMNS and value is not None
            else value
            for name, value in zip(names, row, strict=True)
        )

    def _open(self, name: str, value: Any, row: _Values) -> Any:
        context = self._context(name, row)
        if isinstance(value, str):
            return open_text(self._cipher, value, context)
        return open_bytes(self._cipher, value, context)

    def _context(self, name: str, row: _Values) -> bytes:
        return sealing_context(self._session_id, name, row)


# Making a type takes longer than opening a row; statements are few.
@functools.lru_cache(maxsize=256)
def _row_kind(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)  # noqa: PYI024, of any statement


def sealing_context(session_id: str, name: str, row: _Values) -> bytes:
    """
    Return what a content is bound to: session, column and row.
    """
    key = SEALED_COLUMNS.get(name)
    parts = [session_id, name, "" if key is None else str(row[key])]
    return b"\0".join(part.encode(errors="replace") for part in parts)


def check_envelopes(session_id: str, row: _Values) -> None:
    """
    Check what can be checked of a row's sealed columns without a key.

    Raises:
        CorruptRecordError: One is no envelope, was damaged, or is another
            place's.
    """
    for name in SEALED_COLUMNS.keys() & row.keys():
        if row[name] is not None:
            read_envelope(row[name], sealing_context(session_id, name, row))


class _OpenedResult(_Result):
    """
    A result whose content is opened when its rows are asked for.
    """

    __slots__ = ("_asked", "_found", "_runner")

    def __init__(self, runner: SealingRunner, found: Any, asked: _Values) -> None:
        self._runner = runner
        self._found = found
        self._asked = asked
        self._rows: Any = None

    def all(self) -> list[Any]:
        """
        Return every row, opened.
        """
        if self._rows is None:
            rows = self._found.all()
            self._rows = self._opened(rows) if rows else rows
        opened: list[Any] = self._rows
        return opened

    def _opened(self, rows: list[Any]) -> list[Any]:
        if SEALED_COLUMNS.keys().isdisjoint(rows[0]._fields):
            return rows
        return [self._runner.open_row(row, self._asked) for row in rows]

    @property
    def rowcount(self) -> int:  # type: ignore[override]
        """
        How many rows the statement changed.
        """
        count: int = self._found.rowcount
        return count
