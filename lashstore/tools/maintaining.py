"""
`gc` and `vacuum`: removing what nobody needs, or telling what that would be.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from lashstore.engines import parse_target, shown_url
from lashstore.engines.sqlite import open_database
from lashstore.errors import (
    LashStoreError,
    SessionDeletedError,
    StoreNotFoundError,
)
from lashstore.factory import SessionStoreFactory
from lashstore.failures import DatabaseGoneError
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record
from lashstore.model.space import RemovableSize
from lashstore.store import Store
from lashstore.store.garbage import OnRemoved, find_roots
from lashstore.store.handle import find_identity
from lashstore.store.transaction import SessionTransaction
from lashstore.tables import SESSION_COMPONENT

from .overviews import Unreadable, file_bytes
from .reading import SessionReader, open_session, sessions_at

_PAGE = 1_000

# Called at the beginning of a session, with its id and how many rows are to
# go, and after each step with how many went; returns nothing.
OnSession: TypeAlias = Callable[[str, int], OnRemoved]


class MaintainedSession(Record, frozen=True, kw_only=True):
    """
    What was found in one session, and what went.

    `removable`: by what it is, what nobody needs. Bytes are of content as it
    is stored, without indexes and row headers. `removed`: how many rows went;
    empty in a dry run. `bytes_before` and `bytes_after` are of the file with
    its WAL; None on a server, which frees space by its own vacuum.
    """

    session_id: str
    place: str
    removable: dict[str, RemovableSize]
    removed: dict[str, int]
    bytes_before: int | None
    bytes_after: int | None


class MaintenanceReport(Record, frozen=True, kw_only=True):
    """
    What became of each session, in their order; `left_out` names those that
    could not be looked at, or not to their end, and why.
    """

    target: str
    is_dry_run: bool
    sessions: tuple[MaintainedSession, ...]
    left_out: tuple[Unreadable, ...]


class Maintenance(Record, frozen=True, kw_only=True):
    """
    One kind of maintenance: how to tell what would go, and how to remove it.
    """

    plan: Callable[[SessionTransaction], dict[str, RemovableSize]]
    run: Callable[[Store, OnRemoved], dict[str, int]]


def _plan_gc(tx: SessionTransaction) -> dict[str, RemovableSize]:
    needed = find_roots(tx).refs
    return {"blobs": tx.blobs.sum_garbage(tx.session_id, needed)}


def _run_gc(store: Store, on_removed: OnRemoved) -> dict[str, int]:
    report = store._collect(on_removed)  # noqa: SLF001, gc_unreachable with progress
    return {"blobs": report.deleted_blob_count}


def _plan_vacuum(tx: SessionTransaction) -> dict[str, RemovableSize]:
    return {
        "nodes": _sum_tombstoned(tx),
        "turn_inputs": tx.turn_inputs.sum_terminal(tx.session_id),
    }


def _sum_tombstoned(tx: SessionTransaction) -> RemovableSize:
    count = size = 0
    after = ""
    while ids := tx.graph.list_tombstoned(tx.session_id, after_id=after, page=_PAGE):
        found = tx.graph.sum_tombstoned(tx.session_id, ids)
        count, size, after = (
            count + found.row_count,
            size + found.content_bytes,
            ids[-1],
        )
    return RemovableSize(row_count=count, content_bytes=size)


def _run_vacuum(store: Store, on_removed: OnRemoved) -> dict[str, int]:
    report = store._vacuum(on_removed)  # noqa: SLF001, vacuum with progress
    return {
        "nodes": report.removed_node_count,
        "turn_inputs": report.removed_turn_input_count,
    }


GC = Maintenance(plan=_plan_gc, run=_run_gc)
VACUUM = Maintenance(plan=_plan_vacuum, run=_run_vacuum)


def maintain(
    target: str | Path,
    kind: Maintenance,
    *,
    session_id: str | None = None,
    is_dry_run: bool = False,
    on_session: OnSession = lambda _session_id, _count: lambda _removed: None,
) -> MaintenanceReport:
    """
    Remove what nobody needs from a session, or from each one of a target.

    Works in small steps, between which hosts write; each asks anew what is
    needed. Safe to repeat and to kill. A sealed session is left to hosts that
    have its cipher.

    Args:
        target: A session's file, a folder of sessions, or the address of a
            PostgreSQL database.

        session_id: This session alone; None: all there are.

        is_dry_run: Only tell: what is there is opened read-only.

    Returns:
        What was found and removed; a session that fails leaves no other out.

    Raises:
        StoreNotFoundError: There is no such file, folder or session.
        NotALashStoreError, SchemaVersionError, UnsafeFileSystemError,
        ContentKeyError, CorruptRecordError, RecordVersionError,
        StoreBusyError, BackendError: The one session that was named cannot
            be worked on.
    """
    left_out: list[Unreadable] = []

    def note(place: str, error: LashStoreError) -> None:
        left_out.append(Unreadable(place=place, error=str(error)))

    place = parse_target(target)
    is_one = session_id is not None or (isinstance(place, Path) and not place.is_dir())
    sessions = []
    if is_one:
        with open_session(target, session_id) as reader:
            sessions.append(_maintain_one(target, reader, kind, is_dry_run, on_session))
    else:
        for reader in sessions_at(target, on_error=note):
            try:
                sessions.append(
                    _maintain_one(target, reader, kind, is_dry_run, on_session)
                )
            except (StoreNotFoundError, SessionDeletedError):
                # Deleted since it was listed.
                continue
            except LashStoreError as error:
                note(reader.place, error)
    return MaintenanceReport(
        target=str(place) if isinstance(place, Path) else shown_url(place),
        is_dry_run=is_dry_run,
        sessions=tuple(sessions),
        left_out=tuple(left_out),
    )


def _maintain_one(
    target: str | Path,
    reader: SessionReader,
    kind: Maintenance,
    is_dry_run: bool,  # noqa: FBT001, private
    on_session: OnSession,
) -> MaintainedSession:
    before = file_bytes(reader.path)
    removable = reader.look(kind.plan)
    removed = {} if is_dry_run else dict.fromkeys(removable, 0)
    count = sum(each.row_count for each in removable.values())
    # What has nothing to remove is not opened for writing.
    if count and not is_dry_run:
        on_removed = on_session(reader.session_id, count)
        with _open_for_writing(target, reader) as store:
            removed = kind.run(store, on_removed)
            store._give_space_back()  # noqa: SLF001, as the public methods do
    return MaintainedSession(
        session_id=reader.session_id,
        place=reader.place,
        removable=removable,
        removed=removed,
        bytes_before=before,
        bytes_after=file_bytes(reader.path),
    )


@contextmanager
def _open_for_writing(target: str | Path, reader: SessionReader) -> Iterator[Store]:
    if reader.path is None:
        with SessionStoreFactory(target) as factory:
            store = factory.open_existing_store(reader.session_id)
            if store is None:
                raise StoreNotFoundError(path=reader.place)
            with store:
                yield store
        return
    options = StoreOptions()
    try:
        database = open_database(reader.path, SESSION_COMPONENT, options, create=False)
    except DatabaseGoneError as error:
        raise StoreNotFoundError(path=reader.place) from error
    identity = find_identity(database)
    if identity is None or identity.session_id != reader.session_id:
        database.close()
        raise StoreNotFoundError(path=reader.place)
    with Store(database, database, identity, options=options, clock=None) as store:
        yield store
