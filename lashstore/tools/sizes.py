"""
`stats`: what takes the space, and how fast it grows.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from lashstore.engines import open_any_server, parse_target, shown_url
from lashstore.engines.schema import component_versions, require_version
from lashstore.engines.sqlite import open_any_version
from lashstore.errors import (
    LashStoreError,
    NotALashStoreError,
    StoreBusyError,
    StoreNotFoundError,
)
from lashstore.failures import DatabaseGoneError
from lashstore.model.record import Record
from lashstore.repos.sessions import SessionRepository
from lashstore.repos.sizes import (
    BlobSize,
    Growth,
    KeptSize,
    Pages,
    SizeRepository,
    TableSize,
)
from lashstore.tables import COMPONENT_TABLES, SESSION_COMPONENT, SESSION_TABLES

from .overviews import Unreadable
from .reading import OnError, open_session
from .targets import database_files, is_surely_ours

_COUNTERS = ("blob_count", "raw_bytes", "stored_bytes")
_GROWTHS = (
    "commit_count",
    "node_count",
    "node_bytes",
    "checkpoint_commit_count",
    "checkpoint_raw_bytes",
    "checkpoint_bytes",
)


class Measure(StrEnum):
    """
    Where sizes of tables are from: SQLite's `dbstat` (pages), the server's own
    functions (pages), or the lengths of values added up.
    """

    DBSTAT = "dbstat"
    SERVER = "pg_total_relation_size"
    LENGTHS = "lengths"


class FileSize(Record, frozen=True, kw_only=True):
    """
    What a database file takes on the disk; `session_id` None: it is none's.
    """

    path: str
    session_id: str | None
    is_sealed: bool
    file_bytes: int
    wal_bytes: int
    pages: Pages

    @property
    def free_bytes(self) -> int:
        """
        What of the file is free for reuse.
        """
        return self.pages.page_bytes * self.pages.free_count


class SizeReport(Record, frozen=True, kw_only=True):
    """
    Sizes of a file, of all files of a folder added up, of a server, or of one
    session there.

    `files` is empty on a server, `growth` None where no single session or
    file has any. `unreadable` names what was left out, and why.
    """

    target: str
    session_id: str | None
    measures: tuple[Measure, ...]
    files: tuple[FileSize, ...]
    tables: tuple[TableSize, ...]
    blobs: tuple[BlobSize, ...]
    kept: tuple[KeptSize, ...]
    growth: Growth | None
    unreadable: tuple[Unreadable, ...] = ()


class _Sizes(NamedTuple):
    """
    What was measured in one database.
    """

    measure: Measure
    tables: tuple[TableSize, ...]
    blobs: tuple[BlobSize, ...]
    kept: tuple[KeptSize, ...]
    growth: Growth | None
    file: FileSize | None = None


def measure(
    target: str | Path,
    session_id: str | None = None,
    *,
    on_file: Callable[[int, int], None] = lambda _done, _all: None,
) -> SizeReport:
    """
    Tell what takes the space at a target, without changing anything.

    Each file is read whole, on one snapshot, while hosts write or not. A
    server's sizes are its own, and its rows an estimate; its blobs are read.

    Args:
        target: A file of any component, a folder of them, or the address of
            a PostgreSQL database.

        session_id: This session alone; None: all there is.

        on_file: Called with how many files are done, and of how many.

    Raises:
        StoreNotFoundError: There is nothing of that name.
        InvalidArgumentError: The target is neither a path nor such an
            address.
        NotALashStoreError, SchemaVersionError, UnsafeFileSystemError,
        StoreBusyError, BackendError: What was named cannot be read; of a
            folder, files that cannot be read are told in the report.
    """
    place = parse_target(target)
    if isinstance(place, sa.URL):
        return _measure_server(target, place, session_id)
    if session_id is not None:
        # Whose file it is, and that it is there.
        with open_session(target, session_id) as reader:
            files: Sequence[Path] = [reader.path] if reader.path else []
    else:
        files = database_files(place)
    unreadable: list[Unreadable] = []

    def note(name: str, error: LashStoreError) -> None:
        unreadable.append(Unreadable(place=name, error=str(error)))

    is_one = not place.is_dir() or session_id is not None
    sizes = []
    for count, file in enumerate(files):
        found = _measure_file(file, place, None if is_one else note)
        if found is not None:
            sizes.append(found)
        on_file(count + 1, len(files))
    if not sizes and not unreadable:
        raise StoreNotFoundError(path=str(place))
    return _report(str(place), session_id, sizes, tuple(unreadable))


def _measure_file(path: Path, target: Path, on_error: OnError) -> _Sizes | None:
    try:
        with closing(open_any_version(path)) as database:
            return database.read(lambda connection: _look(connection, path))
    except (DatabaseGoneError, StoreNotFoundError):
        if on_error is None:
            raise StoreNotFoundError(path=str(path)) from None
        # Deleted since the folder was listed.
        return None
    except StoreBusyError:
        raise
    except LashStoreError as error:
        if on_error is None:
            raise
        if not isinstance(error, NotALashStoreError) or is_surely_ours(path, target):
            on_error(str(path), error)
        return None


def _look(connection: sa.Connection, path: Path) -> _Sizes:
    versions = component_versions(connection)
    for component, version in versions.items():
        require_version(component, version)
    tables = _tables_of(versions)
    rows = SizeRepository(connection)
    sizes = rows.from_dbstat(tables)
    has_sessions = SESSION_COMPONENT in versions
    identity = SessionRepository(connection).find_any() if has_sessions else None
    wal = Path(f"{path}-wal")
    file = FileSize(
        path=str(path),
        session_id=None if identity is None else identity.session_id,
        is_sealed=identity is not None and identity.content_seal is not None,
        file_bytes=path.stat().st_size,
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        pages=rows.pages(),
    )
    return _Sizes(
        measure=Measure.LENGTHS if sizes is None else Measure.DBSTAT,
        tables=rows.from_lengths(tables, None) if sizes is None else sizes,
        blobs=rows.blobs(None) if has_sessions else (),
        kept=rows.kept(None) if has_sessions else (),
        growth=None if identity is None else rows.growth(identity.session_id),
        file=file,
    )


def _tables_of(components: Iterable[str]) -> list[str]:
    return [
        str(table.name)
        for component in components
        for table in COMPONENT_TABLES[component]
    ]


def _measure_server(
    target: str | Path, url: sa.URL, session_id: str | None
) -> SizeReport:
    if session_id is not None:
        with open_session(target, session_id) as reader:
            found = reader.read(lambda c: _look_at_session(c, session_id))
        return _report(shown_url(url), session_id, [found], ())

    def look(connection: sa.Connection) -> _Sizes:
        versions = component_versions(connection)
        for component, version in versions.items():
            require_version(component, version)
        rows = SizeRepository(connection)
        has_sessions = SESSION_COMPONENT in versions
        return _Sizes(
            measure=Measure.SERVER,
            tables=rows.from_server(_tables_of(versions)),
            blobs=rows.blobs(None) if has_sessions else (),
            kept=rows.kept(None) if has_sessions else (),
            growth=None,
        )

    with closing(open_any_server(url)) as database:
        seen = database.read_through_core(look)
    if not seen.tables:
        raise StoreNotFoundError(path=f"any table of ours in {shown_url(url)}")
    return _report(shown_url(url), None, [seen], ())


def _look_at_session(connection: sa.Connection, session_id: str) -> _Sizes:
    rows = SizeRepository(connection)
    tables = [str(table.name) for table in SESSION_TABLES]
    return _Sizes(
        measure=Measure.LENGTHS,
        tables=rows.from_lengths(tables, session_id),
        blobs=rows.blobs(session_id),
        kept=rows.kept(session_id),
        growth=rows.growth(session_id),
    )


def _report(
    target: str,
    session_id: str | None,
    sizes: Sequence[_Sizes],
    unreadable: tuple[Unreadable, ...],
) -> SizeReport:
    return SizeReport(
        target=target,
        session_id=session_id,
        measures=tuple(sorted({each.measure for each in sizes})),
        files=tuple(each.file for each in sizes if each.file is not None),
        tables=_added(
            (table for each in sizes for table in each.tables),
            key=("table",),
            counters=("row_count", "total_bytes", "index_bytes"),
        ),
        blobs=_added(
            (blob for each in sizes for blob in each.blobs),
            key=("kind", "compression", "is_difference"),
            counters=_COUNTERS,
        ),
        kept=_added(
            (kept for each in sizes for kept in each.kept),
            key=("purpose",),
            counters=_COUNTERS,
        ),
        growth=_added_growth([each.growth for each in sizes if each.growth]),
        unreadable=unreadable,
    )


def _added(rows: Iterable[Any], *, key: Sequence[str], counters: Sequence[str]) -> Any:
    added: dict[tuple[Any, ...], Any] = {}
    for row in rows:
        name = tuple(getattr(row, each) for each in key)
        before = added.get(name)
        added[name] = row if before is None else _plus(before, row, counters)
    return tuple(added.values())


def _plus(left: Any, right: Any, counters: Sequence[str]) -> Any:
    pairs = {name: (getattr(left, name), getattr(right, name)) for name in counters}
    return msgspec.structs.replace(
        left,
        **{
            # What one does not know, the sum does not.
            name: None if None in pair else sum(pair)
            for name, pair in pairs.items()
        },
    )


def _added_growth(growths: Sequence[Growth]) -> Growth | None:
    grown = [each for each in growths if each.commit_count]
    if not grown:
        return None
    total = grown[0]
    for each in grown[1:]:
        total = _plus(total, each, _GROWTHS)
    return msgspec.structs.replace(
        total,
        first_at_ms=min(each.first_at_ms or 0 for each in grown),
        last_at_ms=max(each.last_at_ms or 0 for each in grown),
    )
