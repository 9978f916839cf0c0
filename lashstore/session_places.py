"""
Where a factory's sessions are: a folder of files, or a server.
"""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from .clock import Clock, SystemClock
from .codec import sha256_hex
from .connections import find_file, is_absent
from .database_cache import CachedSource, DatabaseCache
from .engines import Database, Source, open_database, open_server, shown_url
from .engines.sqlite import open_database as open_file
from .errors import InvalidArgumentError, LashStoreError
from .failures import DatabaseGoneError
from .files import remove_files
from .model.options import StoreOptions
from .model.session import SessionIdentity
from .repos.sessions import SessionRepository
from .store.handle import bind, find_identity, seed_session
from .tables import SESSION_COMPONENT

T = TypeVar("T")

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}-[0-9a-f]{16}\.db")
_PAGE = 500
_ATTEMPTS = 10

# Called with where a session is that cannot be read, and why; None: raise.
OnError = Callable[[Path, LashStoreError], None] | None


class SessionPlace(NamedTuple):
    """
    A session that was found, and the database it is in.
    """

    path: Path
    source: Source
    database: Database
    identity: SessionIdentity


class SessionPlaces(Protocol):
    """
    The sessions of one root.
    """

    @property
    def clock(self) -> Clock:
        """
        The clock of a factory that was given none.
        """
        ...

    def make(self, session_id: str) -> SessionPlace:
        """
        Return a session's place, made if there is none.

        Raises:
            DatabaseGoneError: It was deleted this very moment.
        """
        ...

    def find(self, session_id: str) -> SessionPlace | None:
        """
        Return a session's place; None if there is no such session.
        """
        ...

    def delete(self, session_id: str) -> None:
        """
        Remove a session, if there is one, with all it has.
        """
        ...

    def list_places(self, on_error: OnError) -> Iterator[SessionPlace]:
        """
        Yield every session's place.
        """
        ...

    def path_for_session(self, session_id: str) -> Path:
        """
        Return where a session's file is, whether it exists or not.
        """
        ...

    def close(self) -> None:
        """
        Close every database; may be called twice.
        """
        ...


def session_file_name(session_id: str) -> str:
    """
    Return the name of a session's file: readable, safe on every file system,
    and made unique by a hash of the id.
    """
    readable = _UNSAFE.sub("_", session_id).strip("_")[:80] or "session"
    return f"{readable}-{sha256_hex(session_id.encode())[:16]}.db"


def is_session_file_name(name: str) -> bool:
    """
    Tell whether a file name has the form of `session_file_name`.
    """
    return _FILE_NAME.fullmatch(name) is not None


# Of the sessions in use: making a path, and its hash for the cache of open
# databases, costs as much as a look at the head.
@functools.lru_cache(maxsize=1024)
def _session_path(root: Path, session_id: str) -> Path:
    return root / session_file_name(session_id)


class FileSessions:
    """
    One file a session, in one folder.
    """

    clock: Clock = SystemClock()

    def __init__(
        self, root: Path, options: StoreOptions, *, max_open_engines: int
    ) -> None:
        self._root = root
        self._options = options
        self._cache = DatabaseCache(self._open, max_open_engines)
        # Whose a file is that is open: it stays so as long as it is the file.
        self._identities: WeakKeyDictionary[Database, SessionIdentity] = (
            WeakKeyDictionary()
        )

    def _open(self, path: Path) -> Database:
        return open_file(path, SESSION_COMPONENT, self._options, create=False)

    def make(self, session_id: str) -> SessionPlace:
        """
        Return a session's file, made if there is none.
        """
        path = self.path_for_session(session_id)
        if is_absent(path):
            open_database(
                path,
                SESSION_COMPONENT,
                self._options,
                seed=seed_session(session_id, self._options.cipher),
            ).close()
        return self._place(path, session_id)

    def find(self, session_id: str) -> SessionPlace | None:
        """
        Return a session's file; None if there is none.
        """
        path = self.path_for_session(session_id)
        for _ in range(_ATTEMPTS):
            found = find_file(path)
            if found is None:
                return None
            # Another process may have made it anew since it was opened here.
            try:
                return self._place(path, session_id, found)
            except DatabaseGoneError:
                continue
        return None

    def _place(
        self, path: Path, session_id: str, found: os.stat_result | None = None
    ) -> SessionPlace:
        def look(database: Database) -> SessionPlace:
            identity = self._identities.get(database)
            if identity is None or identity.session_id != session_id:
                identity = bind(database, session_id, self._options.cipher)
                self._identities[database] = identity
            else:
                database.require_current(found)
            return SessionPlace(path, self._source(path), database, identity)

        return self._look(path, look)

    def _look(self, path: Path, look: Callable[[Database], T]) -> T:
        with self._cache.pinned(path) as database:
            try:
                return look(database)
            except DatabaseGoneError:
                # Of a file that is another one by now: not to be met again.
                self._cache.forget(path, database)
                raise

    def _source(self, path: Path) -> Source:
        return CachedSource(self._cache, path)

    def delete(self, session_id: str) -> None:
        """
        Remove a session's file and its sidecars, damaged or not.
        """
        path = self.path_for_session(session_id)
        remove_files(path, self._options)
        self._cache.forget(path)

    def list_places(self, on_error: OnError) -> Iterator[SessionPlace]:
        """
        Yield every session's file, in the order of their names.
        """
        for path in self._files():
            try:
                place = self._find_any(path)
            except LashStoreError as error:
                if on_error is None:
                    raise
                on_error(path, error)
                continue
            if place is not None:
                yield place

    def _find_any(self, path: Path) -> SessionPlace | None:
        for _ in range(_ATTEMPTS):
            if is_absent(path):
                return None
            with contextlib.suppress(DatabaseGoneError):
                return self._look(path, functools.partial(self._place_of_any, path))
        return None

    def _place_of_any(self, path: Path, database: Database) -> SessionPlace | None:
        identity = find_identity(database)
        if identity is None:
            return None
        return SessionPlace(path, self._source(path), database, identity)

    def _files(self) -> list[Path]:
        if not self._root.is_dir():
            return []
        return sorted(
            path for path in self._root.iterdir() if is_session_file_name(path.name)
        )

    def path_for_session(self, session_id: str) -> Path:
        """
        Return where a session's file is, whether it exists or not.
        """
        return _session_path(self._root, session_id)

    def close(self) -> None:
        """
        Close every database; may be called twice.
        """
        self._cache.close()


class ServerSessions:
    """
    All sessions of one PostgreSQL database.
    """

    def __init__(self, url: sa.URL, options: StoreOptions) -> None:
        """
        Raises:
            As `lashstore.engines.open_database`.
        """
        self._url = url
        self._database = open_server(url, SESSION_COMPONENT, options)
        self._cipher = options.cipher

    @property
    def clock(self) -> Clock:
        """
        The server's clock.
        """
        return self._database.clock

    def make(self, session_id: str) -> SessionPlace:
        """
        Return a session's rows, made if there are none.
        """
        return self._place(bind(self._database, session_id, self._cipher))

    def find(self, session_id: str) -> SessionPlace | None:
        """
        Return a session's rows; None if there are none.
        """
        identity = find_identity(self._database, session_id)
        return None if identity is None else self._place(identity)

    def _place(self, identity: SessionIdentity) -> SessionPlace:
        database = self._database.view_of(identity)
        return SessionPlace(Path(identity.session_id), database, database, identity)

    def delete(self, session_id: str) -> None:
        """
        Remove a session's rows, once its writers at work are done.
        """
        self._database.write(lambda c: SessionRepository(c).remove(session_id))

    def list_places(self, on_error: OnError) -> Iterator[SessionPlace]:  # noqa: ARG002, an identity has nothing to be damaged
        """
        Yield every session's rows, in the order of their ids.
        """
        after: str | None = None
        while page := self._list_page(after):
            for identity in page:
                yield self._place(identity)
            after = page[-1].session_id

    def _list_page(self, after: str | None) -> tuple[SessionIdentity, ...]:
        return self._database.read(
            lambda c: SessionRepository(c).list_page(after=after, limit=_PAGE)
        )

    def path_for_session(self, session_id: str) -> Path:  # noqa: ARG002, none has one
        """
        Raises:
            InvalidArgumentError: A server's sessions have no files.
        """
        msg = f"the sessions of {shown_url(self._url)} have no files"
        raise InvalidArgumentError(msg)

    def close(self) -> None:
        """
        Let go of the server; may be called twice.
        """
        self._database.close()
