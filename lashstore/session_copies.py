"""
`copy_sessions`: sessions from a folder of files to a server, and back.
"""

import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from .ciphers import ContentCipher
from .engines import Database, open_database, open_server, parse_target
from .errors import (
    BackendError,
    CorruptRecordError,
    InvalidArgumentError,
    LashStoreError,
    NotALashStoreError,
    SchemaVersionError,
    SessionBindingMismatchError,
    StoreNotFoundError,
)
from .failures import DatabaseGoneError
from .model.options import StoreOptions
from .model.record import Record, require_text
from .model.session import SessionIdentity
from .repos._sealing import SealingRunner, check_envelopes
from .repos.session_rows import Row, check_blobs, read_rows, row_columns, write_rows
from .session_places import (
    FileSessions,
    ServerSessions,
    SessionPlace,
    SessionPlaces,
    session_file_name,
)
from .store.handle import find_identity
from .store.sealing import can_open
from .tables import SESSION_COMPONENT

# What is wrong with one session only: the others go on.
_ITS_OWN_ERRORS = (
    CorruptRecordError,
    InvalidArgumentError,
    NotALashStoreError,
    SchemaVersionError,
    SessionBindingMismatchError,
)
_OPEN_FILES = 4


class CopyOutcome(StrEnum):
    """
    What became of one session.
    """

    COPIED = "copied"
    PRESENT = "present"
    DIFFERENT = "different"
    MISSING = "missing"
    DAMAGED = "damaged"


class SessionCopy(Record, frozen=True, kw_only=True):
    """
    One session: `copied` now; `present` at the destination with equal
    content, left alone; `different` there, left alone; `missing` at the
    source; or `damaged`, not copied, and `reason` says why.

    `row_count` is the number of rows found equal. A file
    that cannot be read has no `session_id` but its path.
    """

    session_id: str
    outcome: CopyOutcome
    row_count: int = 0
    reason: str | None = None

    @property
    def is_there(self) -> bool:
        """
        Whether the destination has the session as the source has it.
        """
        return self.outcome in (CopyOutcome.COPIED, CopyOutcome.PRESENT)


class CopyReport(Record, frozen=True, kw_only=True):
    """
    What became of every session, in the order they were looked at.
    """

    sessions: tuple[SessionCopy, ...]

    @property
    def is_complete(self) -> bool:
        """
        Whether the destination has all of them as the source has them.
        """
        return all(session.is_there for session in self.sessions)


def copy_sessions(
    source: str | Path,
    destination: str | Path,
    *,
    session_ids: Iterable[str] | None = None,
    on_session: Callable[[SessionCopy], None] = lambda _: None,
    cipher: ContentCipher | None = None,
) -> CopyReport:
    """
    Copy sessions from one root to another: a factory's folder, or the address
    of a PostgreSQL database.

    A session is read in one snapshot and written in one transaction, which is
    committed once every row was read back and found equal, and every blob had
    its hash; so a destination has it whole or not at all. Leases, claims,
    fencing tokens and the admission sequence are kept; the incarnation is
    new. Copies are of sessions only: not of the bytes of attachments, which
    are where the host keeps them, nor of processes, triggers and effects.
    A sealed session's content is copied as it is stored, sealed under the
    same keys.

    Safe to repeat, after a kill too: what is there already is compared and
    left alone. What hosts write meanwhile stays at the source: stop them
    first to move a session.

    Args:
        source: Nothing is changed in it.

        destination: Made, if it is not there.

        session_ids: Which; None: all.

        on_session: Called for each session once it is done.

        cipher: Opens the content of sealed sessions, to verify that blobs have
            their hashes there too. None: their envelopes are verified.

    Raises:
        ContentKeyError: A session is sealed and *cipher* has not its key; it
            was not copied, and those before it were.
        StoreNotFoundError: The source is a folder that is not there.
        InvalidArgumentError: Both are the same, or an id cannot be stored.
        StoreBusyError: A server or file was busy; repeat it.
        BackendError: A database failed.
    """
    wanted = None if session_ids is None else list(dict.fromkeys(session_ids))
    for session_id in wanted or ():
        require_text("session_id", session_id)
    origin, target = parse_target(source), parse_target(destination)
    if origin == target:
        msg = "the source and the destination are the same: name two"
        raise InvalidArgumentError(msg)
    with contextlib.ExitStack() as opened:
        places = _open_source(origin)
        opened.callback(places.close)
        shelf: _Shelf = (
            _ServerShelf(target) if isinstance(target, sa.URL) else _FileShelf(target)
        )
        opened.callback(shelf.close)
        done = []
        for copied in _copy_each(places, shelf, wanted, cipher):
            on_session(copied)
            done.append(copied)
    return CopyReport(sessions=tuple(done))


def _open_source(origin: Path | sa.URL) -> SessionPlaces:
    options = StoreOptions()
    if isinstance(origin, sa.URL):
        return ServerSessions(origin, options)
    if not origin.is_dir():
        raise StoreNotFoundError(path=str(origin))
    return FileSessions(origin, options, max_open_engines=_OPEN_FILES)


class _Shelf(Protocol):
    """
    Where copies are put.
    """

    def open(self, session_id: str) -> AbstractContextManager[Database]:
        """
        Open the database that a session's rows belong in.
        """
        ...

    def close(self) -> None:
        """
        Let go of it.
        """
        ...


class _FileShelf:
    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, session_id: str) -> AbstractContextManager[Database]:
        path = self._root / session_file_name(session_id)
        return contextlib.closing(
            open_database(path, SESSION_COMPONENT, StoreOptions())
        )

    def close(self) -> None:
        pass


class _ServerShelf:
    def __init__(self, url: sa.URL) -> None:
        self._database = open_server(url, SESSION_COMPONENT, StoreOptions())

    def open(self, session_id: str) -> AbstractContextManager[Database]:  # noqa: ARG002, all are in one database
        return contextlib.nullcontext(self._database)

    def close(self) -> None:
        self._database.close()


def _copy_each(
    places: SessionPlaces,
    shelf: _Shelf,
    wanted: list[str] | None,
    cipher: ContentCipher | None,
) -> Iterator[SessionCopy]:
    if wanted is not None:
        for session_id in wanted:
            yield _guarded(session_id, partial(places.find, session_id), shelf, cipher)
        return
    damaged: list[SessionCopy] = []
    found = places.list_places(
        lambda path, error: damaged.append(_damaged(str(path), error))
    )
    for place in found:
        yield from damaged
        damaged.clear()
        session_id = place.identity.session_id
        yield _guarded(session_id, partial(_same, place), shelf, cipher)
    yield from damaged


def _same(place: SessionPlace) -> SessionPlace:
    return place


def _damaged(session_id: str, error: LashStoreError) -> SessionCopy:
    return SessionCopy(
        session_id=session_id, outcome=CopyOutcome.DAMAGED, reason=str(error)
    )


def _guarded(
    session_id: str,
    find: Callable[[], SessionPlace | None],
    shelf: _Shelf,
    cipher: ContentCipher | None,
) -> SessionCopy:
    missing = SessionCopy(session_id=session_id, outcome=CopyOutcome.MISSING)
    try:
        place = find()
        return missing if place is None else _copy(place, shelf, cipher)
    except DatabaseGoneError:
        # Deleted this very moment.
        return missing
    except _ITS_OWN_ERRORS as error:
        return _damaged(session_id, error)


def _copy(
    place: SessionPlace, shelf: _Shelf, cipher: ContentCipher | None
) -> SessionCopy:
    session_id = place.identity.session_id
    check = _check_of(place.identity, cipher)
    with shelf.open(session_id) as target, place.source.pinned() as database:
        copier = _Copier(session_id, target, check)
        return database.read_through_core(copier.run)


def _check_of(
    identity: SessionIdentity, cipher: ContentCipher | None
) -> Callable[[sa.Connection], None]:
    """
    Return how a session's content is verified where it arrived.
    """
    session_id = identity.session_id
    if not can_open(identity, cipher):
        return lambda target: _check_envelopes(target, session_id)
    if identity.content_seal is None or cipher is None:
        return lambda target: check_blobs(target, session_id)
    return lambda target: check_blobs(
        SealingRunner(target, session_id, cipher), session_id
    )


def _check_envelopes(connection: sa.Connection, session_id: str) -> None:
    for table, row in read_rows(connection, session_id):
        names = row_columns(table)
        check_envelopes(session_id, dict(zip(names, row, strict=True)))


class _Copier:
    """
    Copies one session out of a snapshot, once, however often that is taken.
    """

    def __init__(
        self,
        session_id: str,
        target: Database,
        check: Callable[[sa.Connection], None],
    ) -> None:
        self._session_id = session_id
        self._target = target
        self._check = check
        self._done: SessionCopy | None = None

    def run(self, source: sa.Connection) -> SessionCopy:
        if self._done is None:
            self._done = self._run(source)
        return self._done

    def _run(self, source: sa.Connection) -> SessionCopy:
        if self._is_present():
            return self._compare(source)

        def operation(target: sa.Connection) -> int:
            return self._write(source, target)

        try:
            row_count = self._target.write_through_core(operation)
        except BackendError:
            # Somebody else made it meanwhile, or our COMMIT arrived though
            # its answer was lost: what is there tells.
            if not self._is_present():
                raise
            return self._compare(source)
        return SessionCopy(
            session_id=self._session_id,
            outcome=CopyOutcome.COPIED,
            row_count=row_count,
        )

    def _is_present(self) -> bool:
        # A file is one session's: raise if it is another's.
        found = find_identity(self._target, self._session_id)
        if found is not None and found.session_id != self._session_id:
            raise SessionBindingMismatchError(
                bound_session_id=found.session_id,
                attempted_session_id=self._session_id,
            )
        return found is not None

    def _write(self, source: sa.Connection, target: sa.Connection) -> int:
        rows = read_rows(source, self._session_id)
        write_rows(target, self._session_id, secrets.token_hex(16), rows)
        count, reason = self._compare_rows(source, target)
        if reason is not None:
            msg = f"session {self._session_id!r} did not arrive as it was: {reason}"
            raise BackendError(msg)
        return count

    def _compare(self, source: sa.Connection) -> SessionCopy:
        def operation(target: sa.Connection) -> tuple[int, str | None]:
            return self._compare_rows(source, target)

        count, reason = self._target.read_through_core(operation)
        return SessionCopy(
            session_id=self._session_id,
            outcome=CopyOutcome.PRESENT if reason is None else CopyOutcome.DIFFERENT,
            row_count=count,
            reason=reason,
        )

    def _compare_rows(
        self, source: sa.Connection, target: sa.Connection
    ) -> tuple[int, str | None]:
        count = 0
        for one, other in itertools.zip_longest(
            read_rows(source, self._session_id), read_rows(target, self._session_id)
        ):
            if one != other:
                return count, f"{_named(*(other or one))} is different"
            count += 1
        self._check(target)
        return count, None


def _named(table: sa.Table, row: Row) -> str:
    key = dict(zip(row_columns(table), row, strict=True))
    names = [column.name for column in table.primary_key if column.name in key]
    told = ", ".join(f"{name} {key[name]!r}" for name in names)
    return f"{table.name} ({told})" if told else table.name
