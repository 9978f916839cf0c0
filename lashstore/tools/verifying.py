"""
`verify`: everything a reader of a file can tell to be wrong with it.
"""

from collections import Counter
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from lashstore.attachments import AttachmentStore, FileAttachmentStore
from lashstore.ciphers import ContentCipher
from lashstore.engines import open_any_server, parse_target, shown_url
from lashstore.engines.sqlite import open_any_version
from lashstore.errors import (
    AttachmentNotFoundError,
    ContentKeyError,
    CorruptRecordError,
    LashStoreError,
    NotALashStoreError,
    StoreBusyError,
    StoreNotFoundError,
    UnsafeFileSystemError,
)
from lashstore.failures import DatabaseGoneError

from .file_checks import check_database
from .findings import FindingKind, Findings, VerifyReport
from .scanning import reason_of
from .targets import database_files, is_surely_ours, lacks_wal_index, local_path

Attachments = AttachmentStore | str | Path | None


def verify(
    target: str | Path,
    *,
    attachments: Attachments = None,
    cipher: ContentCipher | None = None,
) -> VerifyReport:
    """
    Check a database file, every one in a folder, or a server's database,
    without changing it.

    Each file is read on one snapshot, while hosts write or not: SQLite's own
    integrity and foreign keys, the schema versions, the checksum of every
    row, the hash of every blob, and what must hold between rows.

    Args:
        target: A file of any component, or a folder of them; or the address
            of a PostgreSQL database, which is read in one transaction and
            whose own pages and indexes are left to its own tools.

        attachments: Where the bytes of attachments are, to check those that
            a commit has stamped; a path is the root of a
            `FileAttachmentStore`. None: they are not looked at.

        cipher: Opens the content of sealed sessions; plain ones need none.
            None: it stays unopened, everything around it is checked, and the
            report names those sessions.

    Returns:
        What was looked at and what is wrong; damage of any kind is a finding,
        not an error. Safe to repeat.

    Raises:
        ContentKeyError: A session or a row of it is sealed with a key that
            *cipher* has not.
        StoreNotFoundError: There is no such file, or none in the folder.
        StoreBusyError: A file kept changing, or a server is busy; retry.
        UnsafeFileSystemError: A file has a WAL where none is safe.
        BackendError: The operating system refused to read a file, or a server
            failed.
        InvalidArgumentError: The target is neither a path nor such an
            address.
    """
    byte_store = attachment_store(attachments)
    parsed = parse_target(target)
    if isinstance(parsed, sa.URL):
        return report_on(
            shown_url(parsed), [_verify_server(parsed, byte_store, cipher)]
        )
    path = parsed
    checked: list[Findings] = []
    for file in database_files(path):
        findings = verify_file(
            file, byte_store, is_ours=is_surely_ours(file, path), cipher=cipher
        )
        if findings is not None:
            checked.append(findings)
    if not checked:
        raise StoreNotFoundError(path=str(path))
    return report_on(path, checked)


def report_on(target: Path | str, checked: list[Findings]) -> VerifyReport:
    """
    Put together what was found in each file.
    """
    rows: Counter[str] = Counter()
    for findings in checked:
        rows.update(findings.rows)
    return VerifyReport(
        target=str(target),
        files=tuple(str(findings.path) for findings in checked),
        rows=dict(sorted(rows.items())),
        findings=tuple(found for findings in checked for found in findings.found),
        unopened=tuple(found for findings in checked for found in findings.unopened),
    )


def attachment_store(attachments: Attachments) -> AttachmentStore | None:
    """
    Return the byte store that an argument stands for.
    """
    if isinstance(attachments, str | Path):
        return FileAttachmentStore(local_path(attachments))
    return attachments


def verify_file(
    path: Path,
    attachments: AttachmentStore | None,
    *,
    is_ours: bool,
    name: Path | None = None,
    cipher: ContentCipher | None = None,
) -> Findings | None:
    """
    Check one file; None if it is not there any more, or not ours.

    Args:
        is_ours: A file that is no database of ours is damage.

        name: What it is a copy of, which findings name; None: it is none.

        cipher: As of `verify`.
    """
    named = path if name is None else name
    findings = Findings(str(named))
    committed: dict[str, tuple[str, ...]] = {}
    if lacks_wal_index(path):
        return without_index(findings)
    try:
        database = open_any_version(path)

        def check(connection: sa.Connection) -> None:
            nonlocal findings, committed
            # From scratch: a read that met a writer is run again.
            findings = Findings(str(named))
            committed = check_database(connection, named, findings, cipher=cipher)

        try:
            database.read(check)
        finally:
            database.close()
    except (DatabaseGoneError, StoreNotFoundError):
        return None
    except (ContentKeyError, StoreBusyError, UnsafeFileSystemError):
        raise
    except NotALashStoreError as error:
        if not is_ours:
            return None
        _report_unreadable(error, findings)
    except LashStoreError as error:
        if isinstance(error.__cause__, OSError):
            raise
        _report_unreadable(error, findings)
    if attachments is not None:
        _check_attachments(committed, attachments, findings)
    return findings


def _verify_server(
    url: sa.URL, attachments: AttachmentStore | None, cipher: ContentCipher | None
) -> Findings:
    def check(
        connection: sa.Connection,
    ) -> tuple[Findings, dict[str, tuple[str, ...]]]:
        # From scratch: a read whose connection was lost is run again.
        findings = Findings(shown_url(url), is_server=True)
        return findings, check_database(connection, None, findings, cipher=cipher)

    with closing(open_any_server(url)) as database:
        findings, committed = database.read_through_core(check)
    if attachments is not None:
        _check_attachments(committed, attachments, findings)
    return findings


def without_index(findings: Findings) -> Findings:
    """
    Report a WAL that cannot be read without writing.
    """
    findings.add(
        FindingKind.WAL_INDEX_MISSING,
        "its WAL has no index (-shm) beside it, and reading makes none: what it "
        "holds was not looked at",
    )
    return findings


def _report_unreadable(error: LashStoreError, findings: Findings) -> None:
    # After damage SQLite also refuses to end the transaction it was met in.
    if any(f.kind is FindingKind.SQLITE_INTEGRITY for f in findings.found):
        return
    findings.add(FindingKind.FILE_UNREADABLE, f"it cannot be opened: {error}")


def _check_attachments(
    committed: dict[str, tuple[str, ...]],
    attachments: AttachmentStore,
    findings: Findings,
) -> None:
    for attachment_id in (id_ for ids in committed.values() for id_ in ids):
        try:
            attachments.get(attachment_id)
        except AttachmentNotFoundError:
            kind, what = FindingKind.ATTACHMENT_MISSING, "its bytes are not stored"
        except CorruptRecordError as error:
            kind, what = FindingKind.ATTACHMENT_DAMAGED, reason_of(error)
        else:
            continue
        findings.add(kind, what, table="session_attachments", key=attachment_id)
