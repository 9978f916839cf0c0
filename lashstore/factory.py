"""
`SessionStoreFactory`: from a session's id to its store.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .clock import Clock, SystemClock
from .codec import sha256_hex
from .connections import is_absent
from .database_cache import CachedSource, DatabaseCache
from .engines import Database, open_database
from .errors import (
    InvalidArgumentError,
    LashStoreError,
    SessionDeletedError,
    StoreClosedError,
)
from .failures import DatabaseGoneError
from .files import remove_files
from .model.options import DurabilityTier, StoreOptions
from .model.record import require_counter, require_optional_text, require_text
from .model.session import (
    RootRelation,
    SessionMeta,
    SessionPickerInfo,
    SessionRelation,
    check_meta,
)
from .repos.sessions import SessionIdentity
from .store import Store
from .store.handle import bind, find_identity, sqlite_path
from .tables import SESSION_COMPONENT

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}-[0-9a-f]{16}\.db")
_ATTEMPTS = 10
_HERE = "."


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


class SessionStoreFactory:
    """
    Maps session ids to stores under one root folder.

    Thread-safe. Stores share one open database a session; at most
    `max_open_engines` stay open, the least recently used is closed first and
    one in use never, so a store may be kept for as long as one likes.

        with SessionStoreFactory("sessions") as factory:
            store = factory.create_store("chat")
    """

    durability_tier = DurabilityTier.DURABLE

    def __init__(
        self,
        root: str | Path,
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
        max_open_engines: int = 64,
    ) -> None:
        """
        Args:
            root: The folder of the sessions; made when the first is created.

            options: For every store this factory makes.

            clock: None: the host's.

            max_open_engines: How many databases stay open; at least 1.

        Raises:
            InvalidArgumentError: An argument is out of range.
        """
        if require_counter("max_open_engines", max_open_engines) < 1:
            msg = "max_open_engines must be at least 1"
            raise InvalidArgumentError(msg)
        self._root = sqlite_path(root)
        self._options = options
        self._clock = clock or SystemClock()
        self._cache = DatabaseCache(self._open_database, max_open_engines)
        self._is_closed = False

    def create_store(
        self,
        session_id: str,
        *,
        model: str = "",
        session_name: str | None = None,
        cwd: str | None = _HERE,
        relation: SessionRelation = RootRelation(),
    ) -> Store:
        """
        Open a session's store, made if it does not exist.

        The other arguments describe a new session; the metadata of one that
        has some are never changed. Safe to retry.

        Args:
            session_name: None: the id.

            cwd: By default the process's working folder; None: none.

        Raises:
            InvalidArgumentError: An argument cannot be stored.
            StoreClosedError: The factory is closed.
            As `Store.open`.
        """
        self._require_open()
        require_text("session_id", session_id)
        meta = SessionMeta(
            session_id=session_id,
            session_name=session_id if session_name is None else session_name,
            created_at=f"unix:{self._clock.now_ms() // 1000}",
            model=model,
            cwd=str(Path.cwd()) if cwd == _HERE else require_optional_text("cwd", cwd),
            relation=relation,
        )
        check_meta(meta)
        path = self.path_for_session(session_id)
        for _ in range(_ATTEMPTS):
            if is_absent(path):
                open_database(path, SESSION_COMPONENT, self._options).close()
            # Somebody may delete it this very moment; then it is made anew.
            with contextlib.suppress(DatabaseGoneError, SessionDeletedError):
                store = self._store(path, session_id)
                store._seed_session_meta(meta)  # noqa: SLF001, our own part of it
                return store
        raise SessionDeletedError(session_id=session_id)

    def open_existing_store(self, session_id: str) -> Store | None:
        """
        Open a session's store; None if there is no such session.

        Raises:
            StoreClosedError: The factory is closed.
            As `Store.open`.
        """
        self._require_open()
        require_text("session_id", session_id)
        path = self.path_for_session(session_id)
        for _ in range(_ATTEMPTS):
            if is_absent(path):
                return None
            # Another process may have made it anew since it was opened here.
            with contextlib.suppress(DatabaseGoneError):
                return self._store(path, session_id)
        return None

    def delete_session(self, session_id: str) -> None:
        """
        Delete a session for good: its file and sidecars, damaged or not.

        Writers at work finish first; every other handle then raises
        `SessionDeletedError`, also once the id has been created afresh.
        Attachment bytes are left to reclamation. Safe to retry; an unknown
        session is no error.

        Raises:
            StoreBusyError: A writer did not finish in time.
            BackendError: A file could not be removed.
            StoreClosedError: The factory is closed.
        """
        self._require_open()
        require_text("session_id", session_id)
        path = self.path_for_session(session_id)
        remove_files(path, self._options)
        self._cache.forget(path)

    def path_for_session(self, session_id: str) -> Path:
        """
        Return where a session's file is, whether it exists or not.
        """
        return self._root / session_file_name(require_text("session_id", session_id))

    def list_sessions(
        self, *, on_error: Callable[[Path, LashStoreError], None] | None = None
    ) -> Iterator[SessionPickerInfo]:
        """
        Yield a line for every session that has metadata, in the order of
        file names. No graph is read.

        Args:
            on_error: Called with the path and the error of a session that
                cannot be read, and the listing goes on; None: it raises.

        Raises:
            StoreClosedError: The factory is closed.
            The first damaged session's error, without *on_error*.
        """
        for path, store in self._stores(on_error):
            try:
                info = store.load_picker_info()
            except SessionDeletedError:
                continue
            except LashStoreError as error:
                if on_error is None:
                    raise
                on_error(path, error)
                continue
            if info is not None:
                yield info

    def close(self) -> None:
        """
        Close every database; may be called twice. Any use of the factory or
        of its stores afterwards raises `StoreClosedError`.
        """
        self._is_closed = True
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._is_closed:
            msg = "the factory is closed: make a new one"
            raise StoreClosedError(msg)

    def _open_database(self, path: Path) -> Database:
        return open_database(path, SESSION_COMPONENT, self._options, create=False)

    def _store(self, path: Path, session_id: str) -> Store:
        with self._current(path) as database:
            return self._store_over(path, database, bind(database, session_id))

    @contextlib.contextmanager
    def _current(self, path: Path) -> Iterator[Database]:
        with self._cache.pinned(path) as database:
            try:
                yield database
            except DatabaseGoneError:
                # Of a file that is another one by now: not to be met again.
                self._cache.forget(path, database)
                raise

    def _find_store_anew(self, path: Path) -> Store | None:
        for _ in range(_ATTEMPTS):
            if is_absent(path):
                return None
            with contextlib.suppress(DatabaseGoneError):
                return self._find_store(path)
        return None

    def _find_store(self, path: Path) -> Store | None:
        with self._current(path) as database:
            identity = find_identity(database)
            if identity is None:
                return None
            return self._store_over(path, database, identity)

    def _store_over(
        self, path: Path, database: Database, identity: SessionIdentity
    ) -> Store:
        return Store(
            CachedSource(self._cache, path),
            database,
            identity,
            options=self._options,
            clock=self._clock,
            siblings=lambda: self._siblings(identity.session_id),
        )

    def _stores(
        self, on_error: Callable[[Path, LashStoreError], None] | None
    ) -> Iterator[tuple[Path, Store]]:
        self._require_open()
        for path in self._session_files():
            try:
                store = self._find_store_anew(path)
            except LashStoreError as error:
                if on_error is None:
                    raise
                on_error(path, error)
                continue
            if store is not None:
                yield path, store

    def _siblings(self, session_id: str) -> Iterator[Store]:
        for _, store in self._stores(None):
            if store.session_id != session_id:
                yield store

    def _session_files(self) -> list[Path]:
        if not self._root.is_dir():
            return []
        return sorted(
            path for path in self._root.iterdir() if _FILE_NAME.fullmatch(path.name)
        )
