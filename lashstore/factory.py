"""
`SessionStoreFactory`: from a session's id to its store.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from .clock import Clock
from .engines import parse_target
from .errors import (
    InvalidArgumentError,
    LashStoreError,
    SessionDeletedError,
    StoreClosedError,
)
from .failures import DatabaseGoneError
from .model.options import DurabilityTier, StoreOptions
from .model.record import require_counter, require_optional_text, require_text
from .model.session import (
    RootRelation,
    SessionMeta,
    SessionPickerInfo,
    SessionRelation,
    check_meta,
)
from .session_places import (
    FileSessions,
    ServerSessions,
    SessionPlace,
    SessionPlaces,
)
from .store import Store

_ATTEMPTS = 10
_HERE = "."


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
        self._options = options
        self._clock = clock
        self._is_closed = False
        place = parse_target(root)
        self._places: SessionPlaces = (
            ServerSessions(place, options)
            if isinstance(place, sa.URL)
            else FileSessions(place, options, max_open_engines=max_open_engines)
        )

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
            created_at=f"unix:{self._now_ms() // 1000}",
            model=model,
            cwd=str(Path.cwd()) if cwd == _HERE else require_optional_text("cwd", cwd),
            relation=relation,
        )
        check_meta(meta)
        for _ in range(_ATTEMPTS):
            # Somebody may delete it this very moment; then it is made anew.
            with contextlib.suppress(DatabaseGoneError, SessionDeletedError):
                store = self._store(self._places.make(session_id))
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
        place = self._places.find(session_id)
        return None if place is None else self._store(place)

    def delete_session(self, session_id: str) -> None:
        """
        Delete a session for good: its file and sidecars, damaged or not.

        Writers at work finish first; every other handle then raises
        `SessionDeletedError`, also once the id has been created afresh.
        Attachment bytes stay, also those that no other session has: a sweep
        goes by the manifests of sessions that exist. Safe to retry; an
        unknown session is no error.

        Raises:
            StoreBusyError: A writer did not finish in time.
            BackendError: A file could not be removed.
            StoreClosedError: The factory is closed.
        """
        self._require_open()
        require_text("session_id", session_id)
        self._places.delete(session_id)

    def path_for_session(self, session_id: str) -> Path:
        """
        Return where a session's file is, whether it exists or not.
        """
        return self._places.path_for_session(require_text("session_id", session_id))

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
        self._require_open()
        for place in self._places.list_places(on_error):
            try:
                info = self._store(place).load_picker_info()
            except SessionDeletedError:
                continue
            except LashStoreError as error:
                if on_error is None:
                    raise
                on_error(place.path, error)
                continue
            if info is not None:
                yield info

    def close(self) -> None:
        """
        Close every database; may be called twice. Any use of the factory or
        of its stores afterwards raises `StoreClosedError`.
        """
        self._is_closed = True
        self._places.close()

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

    def _now_ms(self) -> int:
        return (self._clock or self._places.clock).now_ms()

    def _store(self, place: SessionPlace) -> Store:
        return Store(
            place.source,
            place.database,
            place.identity,
            options=self._options,
            clock=self._clock,
            siblings=lambda: self._siblings(place.identity.session_id),
        )

    def _siblings(self, session_id: str) -> Iterator[Store]:
        self._require_open()
        for place in self._places.list_places(None):
            if place.identity.session_id != session_id:
                yield self._store(place)
