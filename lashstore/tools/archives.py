"""
`export_session` and `import_session`: a session as one portable file.
"""

import secrets
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from lashstore.attachments import AttachmentStore
from lashstore.engines.sqlite import open_database, open_readonly
from lashstore.errors import (
    ArchiveError,
    BackendError,
    CorruptRecordError,
    InvalidArgumentError,
    StoreNotFoundError,
)
from lashstore.failures import DatabaseGoneError, translate
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record, require_text
from lashstore.repos.session_rows import read_rows, write_rows
from lashstore.repos.sessions import SessionRepository
from lashstore.session_places import session_file_name
from lashstore.tables import SESSION_COMPONENT

from .archive_format import ArchiveReader, ArchiveWriter
from .file_checks import check_database
from .findings import Findings
from .snapshots import placed
from .targets import local_path
from .verifying import Attachments, attachment_store, verify_file


class ArchiveReport(Record, frozen=True, kw_only=True):
    """
    What went into an archive or came out of it.

    `path` is the file that was made.
    """

    path: str
    session_id: str
    row_count: int
    attachment_count: int


def export_session(
    source: str | Path,
    archive: str | Path,
    *,
    session_id: str | None = None,
    attachments: Attachments = None,
) -> ArchiveReport:
    """
    Write a session as one archive, while hosts run it or not.

    The archive is of one instant and has verified; the same state gives the
    same bytes. It holds everything but the incarnation, so leases, claims,
    fencing tokens and the admission sequence are in it.

    Args:
        source: The session's file; or a factory's folder, and then
            *session_id* says which.

        archive: The file to make.

        attachments: Where the bytes of attachments are; those a commit has
            stamped are put into the archive. None: they stay out.

    Returns:
        What is in it. Safe to repeat, with another file.

    Raises:
        StoreNotFoundError: There is no such session.
        CorruptRecordError: The session does not verify; nothing was written.
        AttachmentNotFoundError: The bytes of an attachment are missing.
        AlreadyExistsError: There is something at *archive*.
        StoreBusyError: The file kept changing; retry.
        SchemaVersionError, NotALashStoreError, BackendError: The file cannot
            be read, or the archive not written.
    """
    path = _session_path(source, session_id)
    byte_store = attachment_store(attachments)
    destination = local_path(archive)
    database = open_readonly(path, SESSION_COMPONENT)
    try:
        with placed(destination) as temporary, temporary.open("wb") as file:

            def write(connection: sa.Connection) -> ArchiveReport:
                # A read that met a writer is run again, from the start.
                file.seek(0)
                file.truncate()
                return _write(connection, path, file, byte_store, destination)

            return database.read(write)
    except DatabaseGoneError as error:
        raise StoreNotFoundError(path=str(path)) from error
    finally:
        database.close()


def _session_path(source: str | Path, session_id: str | None) -> Path:
    path = local_path(source)
    if path.is_dir():
        if session_id is None:
            msg = f"{path} is a folder: say which session of it (session_id)"
            raise InvalidArgumentError(msg)
        return path / session_file_name(require_text("session_id", session_id))
    return path


def _write(
    connection: sa.Connection,
    path: Path,
    file: BinaryIO,
    attachments: AttachmentStore | None,
    destination: Path,
) -> ArchiveReport:
    findings = Findings(str(path))
    committed = check_database(connection, path, findings)
    for finding in findings.found:
        raise CorruptRecordError(
            record_kind=finding.table or "session file",
            key=finding.key or str(path),
            reason=finding.what,
        )
    (session_id,) = SessionRepository(connection).list_ids() or ("",)
    if not session_id:
        raise StoreNotFoundError(path=str(path))
    wanted = () if attachments is None else committed[session_id]
    writer = ArchiveWriter(file, session_id, len(wanted))
    writer.write_rows(read_rows(connection, session_id))
    for attachment_id in wanted:
        assert attachments is not None  # noqa: S101, else nothing is wanted
        writer.write_attachment(*attachments.get(attachment_id))
    row_count = writer.finish()
    file.flush()
    return ArchiveReport(
        path=str(destination),
        session_id=session_id,
        row_count=row_count,
        attachment_count=len(wanted),
    )


def import_session(
    archive: str | Path,
    target: str | Path,
    *,
    attachments: Attachments = None,
    options: StoreOptions = StoreOptions(),
) -> ArchiveReport:
    """
    Make a session's file from an archive.

    The whole archive is verified, and so is the file, before it stands at its
    place. It is a new making of the session: a handle that knew it elsewhere,
    or here before, raises `SessionDeletedError`.

    Args:
        target: The file to make; or a folder that exists, in which it gets
            the name that a factory looks for.

        attachments: Where the archive's attachments go; needed if it has
            some.

    Returns:
        What came out of it. Safe to retry; what was there is never
        overwritten.

    Raises:
        ArchiveError: The archive is damaged or cut off; nothing was made.
        SchemaVersionError, RecordVersionError: It is of another version.
        AlreadyExistsError: There is something at *target*.
        InvalidArgumentError: It has attachments, and nowhere to put them.
        UnsafeFileSystemError: As for opening a store.
        BackendError: The disk failed.
    """
    source = local_path(archive)
    byte_store = attachment_store(attachments)
    try:
        with source.open("rb") as file:
            reader = ArchiveReader(file, source)
            path = local_path(target)
            if path.is_dir():
                path /= session_file_name(reader.header.session_id)
            return _import(reader, source, path, byte_store, options)
    except OSError as error:
        raise translate(error, source) from error


def _import(
    reader: ArchiveReader,
    source: Path,
    path: Path,
    attachments: AttachmentStore | None,
    options: StoreOptions,
) -> ArchiveReport:
    header = reader.header
    if header.attachment_count and attachments is None:
        msg = (
            f"{source} has {header.attachment_count} attachments: say where their "
            "bytes go (attachments)"
        )
        raise InvalidArgumentError(msg)
    with placed(path) as temporary:
        row_count = _fill(reader, source, temporary, attachments, options)
        findings = verify_file(temporary, None, is_ours=True)
        for finding in findings.found if findings else ():
            reason = f"{finding.table} {finding.key}: {finding.what}"
            raise ArchiveError(path=str(source), reason=reason)
    return ArchiveReport(
        path=str(path),
        session_id=header.session_id,
        row_count=row_count,
        attachment_count=header.attachment_count,
    )


def _fill(
    reader: ArchiveReader,
    source: Path,
    temporary: Path,
    attachments: AttachmentStore | None,
    options: StoreOptions,
) -> int:
    def write(connection: sa.Connection) -> int:
        count = write_rows(
            connection, reader.header.session_id, secrets.token_hex(16), reader.rows()
        )
        for attachment in reader.attachments():
            assert attachments is not None  # noqa: S101, asked for before
            attachments.put(attachment.content, attachment.ref.meta)
        return count

    database = open_database(temporary, SESSION_COMPONENT, options)
    try:
        return database.write(write)
    except (BackendError, OverflowError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise ArchiveError(path=str(source), reason=str(error)) from error
    finally:
        database.close()
