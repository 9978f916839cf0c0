"""
A line for each session of a target: the listing of `lashstore ls`.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from lashstore.errors import (
    CorruptRecordError,
    LashStoreError,
    RecordVersionError,
    StoreNotFoundError,
)
from lashstore.model.graph import message_text
from lashstore.model.record import Record
from lashstore.model.session import SessionMeta
from lashstore.repos.heads import StoredHead
from lashstore.repos.overviews import SessionPosition
from lashstore.store.transaction import SessionTransaction

from .reading import SessionReader, sessions_at

_SIDECARS = ("", "-wal")
_EXCERPT_CHARS = 200


class SessionOverview(Record, frozen=True, kw_only=True):
    """
    What a list shows of a session.

    `place` is its file, or how to name it on a server. `is_sealed`: its
    content cannot be read here, so what comes from content is None.
    `head_revision` is 0 before the first commit, `changed_at_ms` None then;
    `created_at_ms` is None without metadata. `first_user_message` is cut after 200
    characters. `stored_bytes` is the size of its
    file with its WAL; None on a server.
    """

    session_id: str
    place: str = ""
    is_sealed: bool = False
    head_revision: int = 0
    node_count: int = 0
    user_message_count: int = 0
    changed_at_ms: int | None = None
    created_at_ms: int | None = None
    stored_bytes: int | None = None
    name: str | None = None
    model: str | None = None
    cwd: str | None = None
    parent_session_id: str | None = None
    first_user_message: str | None = None


class Unreadable(Record, frozen=True, kw_only=True):
    """
    A session that cannot be read, and why.
    """

    place: str
    error: str


class SessionFilter(Record, frozen=True, kw_only=True):
    """
    Which sessions to list; a member that is None asks for nothing.

    `prefix` is what the id begins with; `parent` the id of the parent;
    `is_root` wants sessions without one; `changed_since_ms` a commit then or
    later.
    """

    prefix: str | None = None
    parent: str | None = None
    model: str | None = None
    is_root: bool | None = None
    changed_since_ms: int | None = None

    def allows(self, overview: SessionOverview) -> bool:
        """
        Tell whether a session whose id has the prefix is to be listed.
        """
        since, changed = self.changed_since_ms, overview.changed_at_ms
        return (
            self.parent in (None, overview.parent_session_id)
            and self.model in (None, overview.model)
            and (
                self.is_root is None
                or self.is_root == (overview.parent_session_id is None)
            )
            and (since is None or (changed is not None and changed >= since))
        )


class SessionPage(Record, frozen=True, kw_only=True):
    """
    A part of a list; `next_after` is the id to go on behind, None at the end.
    """

    sessions: tuple[SessionOverview, ...]
    unreadable: tuple[Unreadable, ...]
    next_after: str | None


def list_overviews(
    target: str | Path,
    *,
    wanted: SessionFilter = SessionFilter(),
    after: str | None = None,
    limit: int,
) -> SessionPage:
    """
    List sessions, a page at a time.

    Args:
        target: A folder of session files, one file, or the address of a
            PostgreSQL database.

        after: Begin behind this id; None: with the first.

        limit: How many to list at most. Without a filter no more than so
            many, and one, are opened.

    Returns:
        The page, in the order of file names in a folder and of ids on a
        server. Safe to repeat.

    Raises:
        As `lashstore.tools.reading.sessions_at`; of a file in a folder that
        cannot be read, the page tells.
    """
    found: list[SessionOverview] = []
    unreadable: list[Unreadable] = []

    def note(place: str, error: LashStoreError) -> None:
        unreadable.append(Unreadable(place=place, error=str(error)))

    next_after = None
    for reader in sessions_at(
        target, after=after, prefix=wanted.prefix or "", on_error=note
    ):
        if len(found) == limit:
            next_after = found[-1].session_id
            break
        try:
            overview = overview_of(reader)
        except StoreNotFoundError:
            # Deleted since it was opened.
            continue
        except (CorruptRecordError, RecordVersionError) as error:
            note(reader.place, error)
            continue
        if wanted.allows(overview):
            found.append(overview)
    return SessionPage(
        sessions=tuple(found), unreadable=tuple(unreadable), next_after=next_after
    )


def overview_of(reader: SessionReader) -> SessionOverview:
    """
    Read what a list shows of a session: a handful of rows.

    Raises:
        CorruptRecordError, RecordVersionError: One of them is damaged.
        StoreNotFoundError: The session was deleted.
        StoreBusyError, BackendError: As for every read.
    """
    return reader.look_past_seal(lambda tx: overview_in(tx, reader))


def overview_in(tx: SessionTransaction, reader: SessionReader) -> SessionOverview:
    """
    As `overview_of`, in a transaction of the reader's.
    """
    return _sealed_overview(tx, reader) if reader.is_sealed else _overview(tx, reader)


def _sealed_overview(tx: SessionTransaction, reader: SessionReader) -> SessionOverview:
    position = tx.overviews.find_position(tx.session_id)
    return _placed(tx, reader, position, SessionOverview(session_id=tx.session_id))


def _overview(tx: SessionTransaction, reader: SessionReader) -> SessionOverview:
    head = tx.heads.find(tx.session_id)
    meta = tx.session_meta.find(tx.session_id)
    position = (
        None
        if head is None
        else SessionPosition(
            head_revision=head.head_revision,
            node_count=head.live_node_count,
            user_message_count=head.user_message_count,
        )
    )
    overview = SessionOverview(
        session_id=tx.session_id, first_user_message=_first_words(tx, head)
    )
    return _placed(
        tx, reader, position, overview if meta is None else _described(overview, meta)
    )


def _described(overview: SessionOverview, meta: SessionMeta) -> SessionOverview:
    return msgspec.structs.replace(
        overview,
        created_at_ms=created_at_ms(meta),
        name=meta.session_name,
        model=meta.model,
        cwd=meta.cwd,
        parent_session_id=meta.parent_session_id,
    )


def created_at_ms(meta: SessionMeta) -> int | None:
    """
    Return when a session was made; None where its metadata says it otherwise
    than the factory does.
    """
    seconds = meta.created_at.removeprefix("unix:")
    return int(seconds) * 1000 if seconds.isascii() and seconds.isdigit() else None


def _first_words(tx: SessionTransaction, head: StoredHead | None) -> str | None:
    if head is None or head.first_user_node_id is None:
        return None
    node = tx.graph.find_live(tx.session_id, head.first_user_node_id)
    # Missing, it is damage, which `verify` tells; a list can do without it.
    return None if node is None else message_text(node)[:_EXCERPT_CHARS]


def _placed(
    tx: SessionTransaction,
    reader: SessionReader,
    position: SessionPosition | None,
    overview: SessionOverview,
) -> SessionOverview:
    placed = msgspec.structs.replace(
        overview,
        place=reader.place,
        is_sealed=reader.is_sealed,
        stored_bytes=file_bytes(reader.path),
    )
    if position is None:
        return placed
    return msgspec.structs.replace(
        placed,
        head_revision=position.head_revision,
        node_count=position.node_count,
        user_message_count=position.user_message_count,
        changed_at_ms=tx.checkpoint_blobs.find_time(
            tx.session_id, position.head_revision
        ),
    )


def file_bytes(path: Path | None) -> int | None:
    """
    Return what a session's file and its WAL take; None on a server.
    """
    if path is None:
        return None
    sizes = []
    for suffix in _SIDECARS:
        # The last to close a database removes its WAL.
        with suppress(FileNotFoundError):
            sizes.append(Path(f"{path}{suffix}").stat().st_size)
    return sum(sizes)
