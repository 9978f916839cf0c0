"""
`export_session` and `import_session`: a session as one portable file.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from lashstore.attachments import AttachmentStore
from lashstore.ciphers import ContentCipher
from lashstore.engines import (
    open_any_server,
    open_server,
    parse_target,
    shown_url,
)
from lashstore.engines.schema import find_version, has_tables, require_version
from lashstore.engines.sqlite import open_database, open_readonly
from lashstore.errors import (
    AlreadyExistsError,
    ArchiveError,
    BackendError,
    CorruptRecordError,
    InvalidArgumentError,
    StoreNotFoundError,
)
from lashstore.failures import DatabaseGoneError, translate
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record, require_text
from lashstore.model.session import SessionIdentity
from lashstore.repos.session_rows import Row, read_rows, row_columns, write_rows
from lashstore.repos.sessions import SessionRepository
from lashstore.session_places import session_file_name
from lashstore.store.handle import find_identity
from lashstore.store.sealing import can_open
from lashstore.tables import SESSION_COMPONENT, sessions

from .archive_format import ArchiveHeader, ArchiveReader, ArchiveWriter
from .file_checks import check_database
from .findings import Findings
from .session_checks import check_session
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
    cipher: ContentCipher | None = None,
) -> ArchiveReport:
    """
    Write a session as one archive, while hosts run it or not.

    The archive is of one instant and has verified; the same state gives the
    same bytes. It holds everything but the incarnation, so leases, claims,
    fencing tokens and the admission sequence are in it. A sealed session's
    content goes into it as it is stored, sealed under the same keys.

    Args:
        source: The session's file; or a factory's folder or the address of a
            PostgreSQL database, and then *session_id* says which.

        archive: The file to make.

        attachments: Where the bytes of attachments are; those a commit has
            stamped are put into the archive. None: they stay out.

        cipher: Opens a sealed session's content, to verify that too. None:
            it is verified as by `verify` without the key.

    Returns:
        What is in it. Safe to repeat, with another file.

    Raises:
        StoreNotFoundError: There is no such session.
        CorruptRecordError: The session does not verify; nothing was written.
        ContentKeyError: *cipher* has not its key; nothing was written.
        AttachmentNotFoundError: The bytes of an attachment are missing.
        AlreadyExistsError: There is something at *archive*.
        StoreBusyError: The file kept changing, or the server is busy; retry.
        SchemaVersionError, NotALashStoreError, BackendError: The file cannot
            be read, or the archive not written.
    """
    place = _session_place(source, session_id)
    byte_store = attachment_store(attachments)
    destination = local_path(archive)
    database = (
        open_any_server(place)
        if isinstance(place, sa.URL)
        else open_readonly(place, SESSION_COMPONENT)
    )
    try:
        with placed(destination) as temporary, temporary.open("wb") as file:

            def write(connection: sa.Connection) -> ArchiveReport:
                # A read that met a writer is run again, from the start.
                file.seek(0)
                file.truncate()
                found = (
                    _checked_rows(connection, place, session_id or "", cipher)
                    if isinstance(place, sa.URL)
                    else _checked_file(connection, place, cipher)
                )
                return _write(connection, *found, file, byte_store, destination)

            return database.read_through_core(write)
    except DatabaseGoneError as error:
        raise StoreNotFoundError(path=str(place)) from error
    finally:
        database.close()


def _session_place(source: str | Path, session_id: str | None) -> Path | sa.URL:
    place = parse_target(source)
    if isinstance(place, sa.URL) or place.is_dir():
        if session_id is None:
            name = shown_url(place) if isinstance(place, sa.URL) else place
            msg = f"{name} has many sessions: say which of them (session_id)"
            raise InvalidArgumentError(msg)
        require_text("session_id", session_id)
        if isinstance(place, Path):
            return place / session_file_name(session_id)
    return place


def _checked_file(
    connection: sa.Connection, path: Path, cipher: ContentCipher | None
) -> tuple[str, tuple[str, ...]]:
    findings = Findings(str(path))
    committed = check_database(connection, path, findings, cipher=cipher)
    _refuse(findings)
    (session_id,) = SessionRepository(connection).list_ids() or ("",)
    if not session_id:
        raise StoreNotFoundError(path=str(path))
    return session_id, committed[session_id]


def _checked_rows(
    connection: sa.Connection,
    url: sa.URL,
    session_id: str,
    cipher: ContentCipher | None,
) -> tuple[str, tuple[str, ...]]:
    name = shown_url(url)
    if not has_tables(connection, SESSION_COMPONENT):
        raise StoreNotFoundError(path=name)
    require_version(SESSION_COMPONENT, find_version(connection, SESSION_COMPONENT))
    if SessionRepository(connection).find(session_id) is None:
        raise StoreNotFoundError(path=f"session {session_id!r} in {name}")
    findings = Findings(name, is_server=True)
    committed = check_session(connection, session_id, findings, cipher)
    _refuse(findings)
    return session_id, committed


def _refuse(findings: Findings) -> None:
    for finding in findings.found:
        raise CorruptRecordError(
            record_kind=finding.table or "session file",
            key=finding.key or str(finding.path),
            reason=finding.what,
        )


def _write(
    connection: sa.Connection,
    session_id: str,
    committed: tuple[str, ...],
    file: BinaryIO,
    attachments: AttachmentStore | None,
    destination: Path,
) -> ArchiveReport:
    wanted = () if attachments is None else committed
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
    Make a session from an archive.

    The whole archive is verified, and so is what comes out of it, before
    anybody can see it. It is a new making of the session: a handle that knew it elsewhere,
    or here before, raises `SessionDeletedError`.

    Args:
        target: The file to make; or a folder that exists, in which it gets
            the name that a factory looks for; or the address of a PostgreSQL
            database, in which it is made in one transaction.

        attachments: Where the archive's attachments go; needed if it has
            some.

        options: Its cipher opens a sealed session's content, to verify that
            too; without it the content is verified as by `verify` without the
            key. Either way it stays sealed as it is.

    Returns:
        What came out of it. Safe to retry; what was there is never
        overwritten.

    Raises:
        ArchiveError: The archive is damaged or cut off; nothing was made.
        SchemaVersionError, RecordVersionError: It is of another version.
        AlreadyExistsError: There is something at *target*, or the server has
            such a session.
        StoreBusyError: The server is busy; retry.
        InvalidArgumentError: It has attachments, and nowhere to put them.
        ContentKeyError: The options' cipher has not its key; nothing was made.
        UnsafeFileSystemError: As for opening a store.
        BackendError: The disk or the server failed.
    """
    source = local_path(archive)
    byte_store = attachment_store(attachments)
    try:
        with source.open("rb") as file:
            parsed = parse_target(target)
            if isinstance(parsed, sa.URL):
                return _import_rows(file, source, parsed, byte_store, options)
            reader = ArchiveReader(file, source)
            path = parsed
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
    _require_place(header, source, attachments)
    with placed(path) as temporary:
        row_count = _fill(reader, source, temporary, attachments, options)
        findings = verify_file(temporary, None, is_ours=True, cipher=options.cipher)
        _refuse_archive(findings, source)
    return ArchiveReport(
        path=str(path),
        session_id=header.session_id,
        row_count=row_count,
        attachment_count=header.attachment_count,
    )


def _require_place(
    header: ArchiveHeader, source: Path, attachments: AttachmentStore | None
) -> None:
    if header.attachment_count and attachments is None:
        msg = (
            f"{source} has {header.attachment_count} attachments: say where their "
            "bytes go (attachments)"
        )
        raise InvalidArgumentError(msg)


def _import_rows(
    file: BinaryIO,
    source: Path,
    url: sa.URL,
    attachments: AttachmentStore | None,
    options: StoreOptions,
) -> ArchiveReport:
    header = ArchiveReader(file, source).header
    _require_place(header, source, attachments)
    taken = f"session {header.session_id!r} in {shown_url(url)}"
    incarnation = secrets.token_hex(16)
    row_count = 0

    def write(connection: sa.Connection) -> None:
        nonlocal row_count
        if SessionRepository(connection).find(header.session_id) is not None:
            raise AlreadyExistsError(path=taken)
        # A transaction that the server undid is run again, from the start.
        file.seek(0)
        reader = ArchiveReader(file, source)
        row_count = _copy_in(
            connection, reader, incarnation, attachments, options.cipher
        )
        findings = Findings(shown_url(url), is_server=True)
        check_session(connection, header.session_id, findings, options.cipher)
        _refuse_archive(findings, source)

    with closing(open_server(url, SESSION_COMPONENT, options)) as database:
        try:
            database.write_through_core(write)
        except BackendError as error:
            # Somebody else made it meanwhile, or our COMMIT arrived though
            # its answer was lost: what is there tells.
            found = find_identity(database, header.session_id)
            if found is None:
                if _is_content_error(error):
                    raise ArchiveError(path=str(source), reason=str(error)) from error
                raise
            if found.incarnation != incarnation:
                raise AlreadyExistsError(path=taken) from error
    return ArchiveReport(
        path=shown_url(url),
        session_id=header.session_id,
        row_count=row_count,
        attachment_count=header.attachment_count,
    )


def _is_content_error(error: BackendError) -> bool:
    # What a column or constraint refuses: SQLSTATE classes 22 and 23,
    # https://www.postgresql.org/docs/current/errcodes-appendix.html.
    state = getattr(error.__cause__, "sqlstate", None)
    return isinstance(state, str) and state[:2] in ("22", "23")


def _refuse_archive(findings: Findings | None, source: Path) -> None:
    for finding in findings.found if findings else ():
        reason = f"{finding.table} {finding.key}: {finding.what}"
        raise ArchiveError(path=str(source), reason=reason)


def _fill(
    reader: ArchiveReader,
    source: Path,
    temporary: Path,
    attachments: AttachmentStore | None,
    options: StoreOptions,
) -> int:
    def write(connection: sa.Connection) -> int:
        incarnation = secrets.token_hex(16)
        return _copy_in(connection, reader, incarnation, attachments, options.cipher)

    database = open_database(temporary, SESSION_COMPONENT, options)
    try:
        return database.write(write)
    except (BackendError, OverflowError) as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise ArchiveError(path=str(source), reason=str(error)) from error
    finally:
        database.close()


def _copy_in(
    connection: sa.Connection,
    reader: ArchiveReader,
    incarnation: str,
    attachments: AttachmentStore | None,
    cipher: ContentCipher | None,
) -> int:
    session_id = reader.header.session_id
    rows = _with_key(reader.rows(), session_id, cipher)
    count = write_rows(connection, session_id, incarnation, rows)
    for attachment in reader.attachments():
        assert attachments is not None  # noqa: S101, asked for before
        attachments.put(attachment.content, attachment.ref.meta)
    return count


def _with_key(
    rows: Iterable[tuple[sa.Table, Row]], session_id: str, cipher: ContentCipher | None
) -> Iterator[tuple[sa.Table, Row]]:
    # Before any attachment is put, which nothing undoes.
    seal_at = row_columns(sessions).index("content_seal")
    for table, row in rows:
        if table is sessions and cipher is not None:
            identity = SessionIdentity(
                session_id=session_id, incarnation="", content_seal=row[seal_at]
            )
            # Damage is found in what comes out of the archive.
            with suppress(CorruptRecordError):
                can_open(identity, cipher)
        yield table, row
