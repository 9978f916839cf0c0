"""
`doctor`: what about this host, this disk and these files is going to hurt.
"""

import shlex
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lashstore.clock import Clock, SystemClock
from lashstore.engines import open_any_server, parse_target, shown_url
from lashstore.engines.sqlite import open_any_version
from lashstore.errors import (
    LashStoreError,
    StoreBusyError,
    StoreNotFoundError,
)
from lashstore.failures import DRIVER_ERRORS, DatabaseGoneError, driver_error
from lashstore.filesystems import forget_mounts, mount_of, wal_hazard
from lashstore.model.options import StoreOptions
from lashstore.tables import COMPONENT_TABLES, SCHEMA_VERSIONS

from .database_diagnosis import (
    look_at_clock,
    look_at_holds,
    look_at_seals,
    look_at_versions,
)
from .diagnosis import Chart, DoctorReport, Health
from .targets import database_files

# STRICT tables, https://www.sqlite.org/releaselog/3_37_0.html.
_OLDEST_SQLITE = (3, 37, 0)
# Where the WAL-reset bug is mended, by branch:
# https://www.sqlite.org/wal.html#walresetbug.
_RESET_FIXED = (3, 51, 3)
_RESET_BACKPORTS = {(3, 44): 6, (3, 50): 7}
_SCARCE_BYTES = 256 * 2**20
_SPARSE_BYTES = 16 * 2**20


def doctor(target: str | Path, *, clock: Clock | None = None) -> DoctorReport:
    """
    Look at a database file, or every one in a folder, and at what it is on;
    or at a PostgreSQL database.

    Looked at are SQLite's version, the file system and its free space; and of
    each file its mode and links, journal, WAL, free pages, schema versions,
    holds that have run out and times in the future. Nothing is changed, and
    rows are not verified: that is `verify`. Of a server: schema versions, holds
    and times.

    Args:
        target: A file, a folder, or the address of a PostgreSQL database.

        clock: What "now" is; None: the host's, or the server's.

    Returns:
        What was looked at, in plain words, with what to run next. Safe to
        repeat.

    Raises:
        StoreNotFoundError: There is no such file or folder.
        InvalidArgumentError: The target is neither a path nor such an
            address.
        StoreBusyError: A file kept changing, or a server is busy; retry.
        BackendError: A server failed.
    """
    path = parse_target(target)
    chart = Chart()
    if isinstance(path, sa.URL):
        _look_at_server(chart, path, clock)
        return DoctorReport(target=shown_url(path), diagnoses=tuple(chart.diagnoses))
    if not path.exists():
        raise StoreNotFoundError(path=str(path))
    now_ms = (clock or SystemClock()).now_ms()
    _look_at_sqlite(chart)
    folder = path if path.is_dir() else path.parent
    _look_at_file_system(chart, path if path.is_file() else path / "any.db", folder)
    _look_at_leftovers(chart, folder)
    try:
        files = database_files(path)
    except StoreNotFoundError:
        chart.add("files", Health.WARNING, "there is no database file here", path=path)
        files = ()
    for file in files:
        _look_at_file(chart, file)
        _look_inside(chart, file, now_ms)
    return DoctorReport(target=str(path), diagnoses=tuple(chart.diagnoses))


def has_reset_bug(version: tuple[int, ...]) -> bool:
    """
    Tell whether a version of SQLite has the WAL-reset bug.
    """
    if version >= _RESET_FIXED:
        return False
    major, minor, patch = version[:3]
    fixed = _RESET_BACKPORTS.get((major, minor))
    return fixed is None or patch < fixed


def _look_at_sqlite(chart: Chart) -> None:
    version, text = sqlite3.sqlite_version_info, sqlite3.sqlite_version
    if version < _OLDEST_SQLITE:
        chart.add(
            "sqlite",
            Health.PROBLEM,
            f"SQLite {text} is too old: lashstore needs 3.37.0, for STRICT tables; "
            "use a Python with a newer SQLite",
        )
    elif has_reset_bug(version):
        chart.add(
            "sqlite",
            Health.OK,
            f"SQLite {text} has the WAL-reset bug (mended in 3.51.3). lashstore is "
            "not affected, since it checkpoints under the write lock only; let no "
            "other program write to its files",
        )
    else:
        chart.add("sqlite", Health.OK, f"SQLite {text} has no known corruption bug")


def _look_at_file_system(chart: Chart, path: Path, folder: Path) -> None:
    forget_mounts()
    mount = mount_of(path)
    hazard = wal_hazard(path)
    if mount is None:
        chart.add(
            "file system",
            Health.WARNING,
            "the kernel does not say what file system this is; if it is a network "
            "file system, move the files to a local disk",
            path=folder,
        )
    elif hazard is not None:
        chart.add(
            "file system",
            Health.PROBLEM,
            f"a WAL is not safe here: {hazard}. Opening is refused, unless "
            "StoreOptions.unsafe_file_system allows a rollback journal",
            path=folder,
            command=f"cp -a {shlex.quote(str(folder))} <a folder on a local disk>",
        )
    else:
        bound = (
            f", a part of it ({mount.root}) by a bind mount" if mount.is_bind else ""
        )
        chart.add(
            "file system",
            Health.PROBLEM if mount.is_readonly else Health.OK,
            f"{mount.kind} at {mount.mount_point}{bound}"
            + ("; it is mounted read-only" if mount.is_readonly else ""),
            path=folder,
        )
    free = shutil.disk_usage(folder).free
    limit = StoreOptions().wal_limit_bytes
    health = Health.OK
    if free < _SCARCE_BYTES:
        health = Health.PROBLEM if free < 2 * limit else Health.WARNING
    chart.add(
        "disk space",
        health,
        f"{_size(free)} free; a commit needs room for its WAL, of about {_size(limit)}",
        path=folder,
        command=None if health is Health.OK else f"df -h {shlex.quote(str(folder))}",
    )


def _look_at_leftovers(chart: Chart, folder: Path) -> None:
    for suffix in ("-wal", "-journal"):
        for beside in sorted(folder.glob(f"*.db{suffix}")):
            owner = beside.with_name(beside.name.removesuffix(suffix))
            if beside.stat().st_size and not owner.exists():
                chart.add(
                    "leftover",
                    Health.PROBLEM,
                    f"it may hold commits of {owner.name}, which is missing: put "
                    "that file back beside it, and do not make a new one",
                    path=beside,
                )


def _look_at_file(chart: Chart, file: Path) -> None:
    found = file.stat()
    mode = stat.S_IMODE(found.st_mode)
    quoted = shlex.quote(str(file))
    if mode & 0o077:
        chart.add(
            "file mode",
            Health.WARNING,
            f"its mode is {mode:04o}: others than its owner can read the session",
            path=file,
            command=f"chmod 600 {quoted}",
        )
    if found.st_nlink > 1:
        # https://www.sqlite.org/howtocorrupt.html, multiple links to a file.
        chart.add(
            "hard links",
            Health.PROBLEM,
            f"it has {found.st_nlink} names: opened by another one, its WAL is not "
            "found, and commits are lost",
            path=file,
            command=f"find {shlex.quote(str(file.parent))} -samefile {quoted}",
        )
    if file.is_symlink():
        chart.add(
            "symbolic link",
            Health.WARNING,
            f"it is a link to {file.resolve()}: back up and move that one",
            path=file,
        )


def _look_inside(chart: Chart, file: Path, now_ms: int) -> None:
    try:
        database = open_any_version(file)
        try:
            is_rollback = database.has_rollback_journal
            noted = database.read(
                lambda c: _examined(c, file, now_ms, is_rollback=is_rollback)
            )
        finally:
            database.close()
    except (DatabaseGoneError, StoreNotFoundError):
        return
    except StoreBusyError:
        raise
    except LashStoreError as error:
        chart.add(
            "file",
            Health.PROBLEM,
            f"it cannot be read: {error}",
            path=file,
            command=f"lashstore verify {shlex.quote(str(file))}",
        )
        return
    chart.diagnoses += noted.diagnoses


def _examined(
    connection: sa.Connection, file: Path, now_ms: int, *, is_rollback: bool
) -> Chart:
    chart = Chart()
    mode = "a rollback journal" if is_rollback else "a WAL"
    chart.add("journal mode", Health.OK, f"it uses {mode}", path=file)
    _look_at_journal(chart, file)
    _look_at_pages(chart, connection, file)
    versions = look_at_versions(chart, connection, file)
    try:
        look_at_seals(chart, connection, file, versions)
        tables = set(sa.inspect(connection).get_table_names())
        look_at_clock(chart, connection, file, now_ms, tables)
        look_at_holds(chart, connection, file, now_ms, tables)
    except DRIVER_ERRORS as error:
        chart.add(
            "file",
            Health.PROBLEM,
            f"it cannot be read to its end: {driver_error(error)}",
            path=file,
            command=f"lashstore verify {shlex.quote(str(file))}",
        )
    return chart


def _look_at_server(chart: Chart, url: sa.URL, clock: Clock | None) -> None:
    name = shown_url(url)

    def look(connection: sa.Connection) -> Chart:
        # From scratch: a read whose connection was lost is run again.
        noted = Chart()
        versions = look_at_versions(noted, connection, name)
        tables = {
            table.name
            for component, version in versions.items()
            if version == SCHEMA_VERSIONS[component]
            for table in COMPONENT_TABLES[component]
        }
        look_at_seals(noted, connection, name, versions)
        look_at_clock(noted, connection, name, now_ms, tables)
        look_at_holds(noted, connection, name, now_ms, tables)
        return noted

    with closing(open_any_server(url)) as database:
        now_ms = (clock or database.clock).now_ms()
        noted = database.read_through_core(look)
    if not any(diagnosis.topic == "schema" for diagnosis in noted.diagnoses):
        chart.add("schema", Health.WARNING, "there is no table of ours here", path=name)
    chart.diagnoses += noted.diagnoses


def _pragma(connection: sa.Connection, name: str) -> Any:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def _look_at_journal(chart: Chart, file: Path) -> None:
    wal = Path(f"{file}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    limit = StoreOptions().wal_limit_bytes
    if Path(f"{file}-journal").exists() and Path(f"{file}-journal").stat().st_size:
        chart.add(
            "journal",
            Health.WARNING,
            "it has a rollback journal: a writer is at work, or died at it; the "
            "next opening for writing settles it",
            path=file,
        )
    if size > 4 * limit:
        chart.add(
            "wal",
            Health.WARNING,
            f"its WAL has {_size(size)}, the limit is {_size(limit)}: a reader that "
            "never ends keeps it from being checkpointed, or no one has written since",
            path=file,
            command=f"lashstore compact {shlex.quote(str(file))}",
        )
    else:
        chart.add("wal", Health.OK, f"its WAL has {_size(size)}", path=file)


def _look_at_pages(chart: Chart, connection: sa.Connection, file: Path) -> None:
    pages, free, page_bytes = (
        _pragma(connection, name)
        for name in ("page_count", "freelist_count", "page_size")
    )
    is_sparse = free * page_bytes > _SPARSE_BYTES and 2 * free > pages
    chart.add(
        "free pages",
        Health.WARNING if is_sparse else Health.OK,
        f"{_size(pages * page_bytes)}, of which {_size(free * page_bytes)} are free "
        "for reuse",
        path=file,
        command=f"lashstore compact {shlex.quote(str(file))}" if is_sparse else None,
    )


def _size(size: int) -> str:
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):  # noqa: B007, used behind it
        if amount < 1024:  # noqa: PLR2004, of these units
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
