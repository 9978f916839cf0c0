"""
Looking at what a target holds, while hosts write, and making nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from lashstore.connections import is_absent
from lashstore.engines import open_any_server, parse_target, shown_url
from lashstore.engines.schema import (
    component_versions,
    find_version,
    has_tables,
    require_version,
)
from lashstore.engines.sqlite import SqliteDatabase, open_any_version, open_readonly
from lashstore.errors import (
    InvalidArgumentError,
    LashStoreError,
    SchemaVersionError,
    StoreNotFoundError,
)
from lashstore.model.record import require_text
from lashstore.model.session import SessionIdentity
from lashstore.repos.sessions import SessionRepository
from lashstore.session_places import is_session_file_name, session_file_name
from lashstore.tables import (
    EFFECT_COMPONENT,
    PROCESS_COMPONENT,
    SCHEMA_VERSIONS,
    SESSION_COMPONENT,
    TRIGGER_COMPONENT,
)

from .readers import ComponentReader, SessionReader

__all__ = [
    "COMPONENT_FILES",
    "ComponentReader",
    "OnError",
    "SessionReader",
    "ids_beginning_with",
    "open_component",
    "open_session",
    "sessions_at",
]

# What a root's sessions share, where `lashstore replay` and the guides put it.
COMPONENT_FILES = {
    PROCESS_COMPONENT: "processes.db",
    TRIGGER_COMPONENT: "triggers.db",
    EFFECT_COMPONENT: "effects.db",
}
_PAGE = 500

# Called with where a session is that cannot be read, and why; None: raise.
OnError = Callable[[str, LashStoreError], None] | None


def open_session(
    target: str | Path, session_id: str | None = None
) -> AbstractContextManager[SessionReader]:
    """
    Open a session to look at it; nothing is created, written or locked
    against writers.

    Args:
        target: Its file; or a factory's folder, or the address of a
            PostgreSQL database, and then *session_id* says which.

    Raises:
        StoreNotFoundError: There is no such session.
        InvalidArgumentError: The target has many, and none was named.
        NotALashStoreError, SchemaVersionError, UnsafeFileSystemError,
        StoreBusyError, BackendError: It cannot be read.
    """
    place = parse_target(target)
    if isinstance(place, sa.URL):
        return _open_on_server(place, _require_named(session_id, shown_url(place)))
    if not place.is_dir():
        return _open_file(place, session_id)
    named = _require_named(session_id, str(place))
    path = place / session_file_name(named)
    if is_absent(path):
        raise StoreNotFoundError(path=f"{place} (session {named!r})")
    return _open_file(path, named)


def _require_named(session_id: str | None, name: str) -> str:
    if session_id is None:
        msg = f"{name} has many sessions: say which of them with --session"
        raise InvalidArgumentError(msg)
    return require_text("session_id", session_id)


def _open_database(path: Path, component: str) -> SqliteDatabase:
    try:
        return open_readonly(path, component)
    except SchemaVersionError as error:
        # Another component's file is no older one of this, to be upgraded.
        if error.found is None and not _has_component(path, component):
            missing = f"{path} (it has no {component} tables)"
            raise StoreNotFoundError(path=missing) from error
        raise


def _has_component(path: Path, component: str) -> bool:
    with closing(open_any_version(path)) as database:
        return component in database.read(component_versions)


def _open_file(path: Path, session_id: str | None = None) -> SessionReader:
    database = _open_database(path, SESSION_COMPONENT)
    try:
        identity = ComponentReader(database, str(path), path).read(
            lambda c: SessionRepository(c).find_any()
        )
        if identity is None:
            raise SchemaVersionError(  # noqa: TRY301, closes as every error does
                component=SESSION_COMPONENT,
                expected=SCHEMA_VERSIONS[SESSION_COMPONENT],
                found=None,
            )
        if session_id not in (None, identity.session_id):
            raise StoreNotFoundError(  # noqa: TRY301, closes as every error does
                path=f"{path} (session {session_id!r})"
            )
    except BaseException:
        database.close()
        raise
    return SessionReader(database, str(path), path, identity)


@contextmanager
def _open_on_server(url: sa.URL, session_id: str) -> Iterator[SessionReader]:
    with _open_server(url, SESSION_COMPONENT) as server:
        identity = server.read(lambda c: SessionRepository(c).find(session_id))
        if identity is None:
            raise StoreNotFoundError(path=f"{server.place} (session {session_id!r})")
        yield _view_of(server, identity)


def _view_of(server: ComponentReader, identity: SessionIdentity) -> SessionReader:
    view = server._database.view_of(identity)  # noqa: SLF001, ours
    return SessionReader(
        view, f"session {identity.session_id!r} in {server.place}", None, identity
    )


def _open_server(url: sa.URL, component: str) -> ComponentReader:
    database = open_any_server(url)
    try:
        found, is_made = database.read_through_core(
            lambda c: (find_version(c, component), has_tables(c, component))
        )
        if found is None and not is_made:
            raise StoreNotFoundError(  # noqa: TRY301, closes as every error does
                path=f"{shown_url(url)} (it has no {component} tables)"
            )
        require_version(component, found)
    except BaseException:
        database.close()
        raise
    return ComponentReader(database, shown_url(url), None)


def open_component(target: str | Path, component: str) -> ComponentReader:
    """
    Open what a deployment's sessions share of a component, to look at it.

    Args:
        target: The component's file; or a root, whose file of it has the name
            in `COMPONENT_FILES`; or the address of a PostgreSQL database.

    Raises:
        StoreNotFoundError: There is no such file, or the server has no such
            tables.
        NotALashStoreError, SchemaVersionError, UnsafeFileSystemError,
        StoreBusyError, BackendError: It cannot be read.
    """
    place = parse_target(target)
    if isinstance(place, sa.URL):
        return _open_server(place, component)
    path = place / COMPONENT_FILES[component] if place.is_dir() else place
    return ComponentReader(_open_database(path, component), str(path), path)


def sessions_at(
    target: str | Path,
    *,
    after: str | None = None,
    prefix: str = "",
    on_error: OnError = None,
) -> Iterator[SessionReader]:
    """
    Open every session of a target, one at a time: each is closed when the
    next is asked for.

    Args:
        target: A factory's folder, one session's file, or the address of a
            PostgreSQL database.

        after: Begin behind this session; None: with the first.

        prefix: Only those whose ids begin with it.

        on_error: Called with the place and the error of one that cannot be
            opened, and the listing goes on; None: it raises.

    Returns:
        The sessions, in the order of file names in a folder and of ids on a
        server.

    Raises:
        StoreNotFoundError: There is no such folder or file.
        As `open_session`.
    """
    place = parse_target(target)
    if isinstance(place, sa.URL):
        yield from _sessions_on_server(place, after, prefix)
    elif place.is_dir():
        yield from _sessions_in(place, after, prefix, on_error)
    else:
        with _open_file(place) as reader:
            if after is None and reader.session_id.startswith(prefix):
                yield reader


def _sessions_in(
    folder: Path, after: str | None, prefix: str, on_error: OnError
) -> Iterator[SessionReader]:
    first = "" if after is None else session_file_name(after)
    # All of a name but its hash; of a longer id it is the first part.
    readable = session_file_name(prefix).rpartition("-")[0] if prefix else ""
    for name in sorted(path.name for path in folder.iterdir()):
        if (
            name <= first
            or not name.startswith(readable)
            or not is_session_file_name(name)
        ):
            continue
        try:
            reader = _open_file(folder / name)
        except StoreNotFoundError:
            # Deleted since the folder was listed.
            continue
        except LashStoreError as error:
            if on_error is None:
                raise
            on_error(str(folder / name), error)
            continue
        with reader:
            if reader.session_id.startswith(prefix):
                yield reader


def _sessions_on_server(
    url: sa.URL, after: str | None, prefix: str
) -> Iterator[SessionReader]:
    with _open_server(url, SESSION_COMPONENT) as server:
        if prefix and (after is None or after < prefix):
            exact = server.read(lambda c: SessionRepository(c).find(prefix))
            if exact is not None:
                yield _view_of(server, exact)
            after = prefix
        while page := server.read(
            lambda c: SessionRepository(c).list_page(after=after, limit=_PAGE)  # noqa: B023, run at once
        ):
            for identity in page:
                if not identity.session_id.startswith(prefix):
                    # They come by code point, as Python compares them.
                    return
                yield _view_of(server, identity)
            after = page[-1].session_id


def ids_beginning_with(
    target: str | Path, beginning: str, *, limit: int
) -> tuple[str, ...]:
    """
    Return at most *limit* ids, for who has typed the first characters of one.

    Raises:
        As `sessions_at`.
    """
    found = sessions_at(target, prefix=beginning, on_error=lambda _place, _error: None)
    return tuple(reader.session_id for reader in islice(found, limit))
