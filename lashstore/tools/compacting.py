"""
`compact`: giving a file's free pages and its WAL back to the disk.
"""

from pathlib import Path

from lashstore.connections import connect_in_wal
from lashstore.engines.schema import component_versions
from lashstore.engines.sqlite import open_any_version, open_database
from lashstore.errors import SchemaVersionError
from lashstore.files import refuse_foreign
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record
from lashstore.tables import SCHEMA_VERSIONS, SESSION_COMPONENT

from .targets import database_files, local_path


class CompactReport(Record, frozen=True, kw_only=True):
    """
    How large the files were, WALs included, and how large they are.
    """

    target: str
    files: tuple[str, ...]
    bytes_before: int
    bytes_after: int


def compact(
    target: str | Path, *, options: StoreOptions = StoreOptions()
) -> CompactReport:
    """
    Write a file, or each one in a folder, anew without its free pages, and
    empty its WAL.

    Other writers wait meanwhile; it needs twice the file's size on the disk.
    Safe to repeat and to kill.

    Raises:
        StoreNotFoundError: There is no such file, or none in the folder.
        StoreBusyError: Somebody else is at work on a file; retry.
        NotALashStoreError, SchemaVersionError, UnsafeFileSystemError,
            BackendError: As for opening a store.
    """
    path = local_path(target)
    files = database_files(path)
    before = sum(map(_bytes_of, files))
    for file in files:
        _compact_file(file, options)
    return CompactReport(
        target=str(path),
        files=tuple(map(str, files)),
        bytes_before=before,
        bytes_after=sum(map(_bytes_of, files)),
    )


def _compact_file(path: Path, options: StoreOptions) -> None:
    refuse_foreign(path, options.busy_timeout_ms)
    # Reading cannot recover a WAL whose index is gone; this does.
    connect_in_wal(path, options).close()
    reader = open_any_version(path)
    try:
        versions = reader.read(component_versions)
    finally:
        reader.close()
    component = next(iter(versions), None)
    if component is None:
        raise SchemaVersionError(
            component=SESSION_COMPONENT,
            expected=SCHEMA_VERSIONS[SESSION_COMPONENT],
            found=None,
        )
    database = open_database(path, component, options, create=False)
    try:
        database.vacuum()
        database.checkpoint()
    finally:
        database.close()


def _bytes_of(path: Path) -> int:
    wal = Path(f"{path}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
