"""
`backup` and `restore`: whole files as of one instant, stored once.
"""

import io
import secrets
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from lashstore.attachments import AttachmentStore
from lashstore.engines.schema import component_versions
from lashstore.engines.sqlite import open_any_version, open_database
from lashstore.errors import (
    AlreadyExistsError,
    ArchiveError,
    InvalidArgumentError,
    LashStoreError,
    NotALashStoreError,
    StoreNotFoundError,
)
from lashstore.failures import DatabaseGoneError, translate
from lashstore.files import folder_lock
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record
from lashstore.model.session import SessionIdentity
from lashstore.repos._scan import scan_rows
from lashstore.repos.attachments import SCAN as ATTACHMENTS
from lashstore.repos.sessions import SessionRepository
from lashstore.tables import SESSION_COMPONENT

from .backup_format import (
    BackedUpAttachment,
    BackedUpContent,
    BackedUpFile,
    BackupFolder,
    Snapshot,
)
from .findings import Finding, FindingKind, Findings
from .snapshots import copy_database, placed, require_free
from .targets import database_files, is_surely_ours, lacks_wal_index, local_path
from .verifying import Attachments, attachment_store, verify_file, without_index

_LOCK_TIMEOUT_MS = 15_000


class BackupReport(Record, frozen=True, kw_only=True):
    """
    What a backup stored.

    `new_byte_count` is what the backup grew by, besides the snapshot itself;
    `findings` are those of the files and attachments that were left out;
    `unopened` the sealed sessions in it, as of `VerifyReport`.
    """

    backup: str
    snapshot: str
    files: tuple[str, ...]
    attachment_count: int
    byte_count: int
    new_byte_count: int
    findings: tuple[Finding, ...]
    unopened: tuple[str, ...] = ()


class RestoreReport(Record, frozen=True, kw_only=True):
    """
    What a restore made.
    """

    target: str
    snapshot: str
    files: tuple[str, ...]
    attachment_count: int


def backup(
    target: str | Path, backup_folder: str | Path, *, attachments: Attachments = None
) -> BackupReport:
    """
    Add a snapshot of a file, or of every file in a folder, to a backup.

    Each file is copied as of one instant, while hosts write or not, and the
    copy is verified; one that does not verify is left out and reported, and
    the others go on. What the backup has is not stored again: a second
    backup of an unchanged session adds its snapshot's list and nothing else.
    Sealed sessions are copied as they are and need no key.

    Args:
        backup_folder: The backup; made if it is not there.

        attachments: Where the bytes of attachments are; those a commit has
            stamped are backed up too. None: they are not.

    Returns:
        What was stored. Safe to retry.

    Raises:
        StoreNotFoundError: There is no such file, or none in the folder.
        ArchiveError: *backup_folder* is something else.
        StoreBusyError: Another backup is at work, or a file kept changing;
            retry.
        UnsafeFileSystemError, BackendError: As for `verify`.
    """
    path, folder = local_path(target), BackupFolder(local_path(backup_folder))
    byte_store = attachment_store(attachments)
    files = database_files(path)
    folder.make()
    with folder_lock(folder.path, _LOCK_TIMEOUT_MS):
        run = _Run(folder, byte_store)
        for file in files:
            run.add(file, is_ours=is_surely_ours(file, path))
        if not run.files and not run.findings:
            raise StoreNotFoundError(path=str(path))
        snapshot = folder.add_snapshot(run.files, run.attachments, run.left_out)
    return BackupReport(
        backup=str(folder.path),
        snapshot=snapshot.name,
        files=tuple(file.name for file in run.files),
        attachment_count=len(run.attachments),
        byte_count=sum(file.content.byte_len for file in run.files)
        + sum(entry.content.byte_len for entry in run.attachments),
        new_byte_count=folder.new_byte_count,
        findings=tuple(run.findings),
        unopened=tuple(run.unopened),
    )


class _Run:
    """
    One backup under way.
    """

    def __init__(
        self, folder: BackupFolder, attachments: AttachmentStore | None
    ) -> None:
        self._folder = folder
        self._byte_store = attachments
        self._scratch = folder.scratch()
        self.files: list[BackedUpFile] = []
        self.left_out: list[str] = []
        self.findings: list[Finding] = []
        self.unopened: list[str] = []
        self._attachments: dict[str, BackedUpAttachment] = {}

    @property
    def attachments(self) -> tuple[BackedUpAttachment, ...]:
        return tuple(self._attachments[key] for key in sorted(self._attachments))

    def add(self, file: Path, *, is_ours: bool) -> None:
        copy = self._scratch / file.name
        try:
            findings = self._copied(file, copy, is_ours=is_ours)
            if findings is None:
                return
            if findings.found:
                self.left_out.append(file.name)
                self.findings += findings.found
                return
            session_ids, attachment_ids = _contents_of(copy)
            with copy.open("rb") as opened:
                content = self._folder.store(opened)
        except OSError as error:
            raise translate(error, file) from error
        finally:
            copy.unlink(missing_ok=True)
        self.files.append(
            BackedUpFile(name=file.name, session_ids=session_ids, content=content)
        )
        self.unopened += findings.unopened
        self._add_attachments(str(file), attachment_ids)

    def _copied(self, file: Path, copy: Path, *, is_ours: bool) -> Findings | None:
        findings = Findings(str(file))
        if lacks_wal_index(file):
            return without_index(findings)
        try:
            copy_database(file, copy)
        except (DatabaseGoneError, StoreNotFoundError):
            return None
        except NotALashStoreError as error:
            if not is_ours:
                return None
            findings.add(FindingKind.FILE_UNREADABLE, str(error))
            return findings
        except LashStoreError as error:
            if error.retryable or isinstance(error.__cause__, OSError):
                raise
            findings.add(FindingKind.FILE_UNREADABLE, str(error))
            return findings
        return verify_file(copy, None, is_ours=is_ours, name=file)

    def _add_attachments(self, path: str, ids: Iterable[str]) -> None:
        if self._byte_store is None:
            return
        for attachment_id in ids:
            if attachment_id in self._attachments:
                continue
            try:
                ref, content = self._byte_store.get(attachment_id)
            except LashStoreError as error:
                if isinstance(error.__cause__, OSError):
                    raise
                findings = Findings(path)
                findings.add(
                    FindingKind.ATTACHMENT_MISSING,
                    str(error),
                    table="session_attachments",
                    key=attachment_id,
                )
                self.findings += findings.found
                continue
            self._attachments[attachment_id] = BackedUpAttachment(
                ref=ref, content=self._folder.store(io.BytesIO(content))
            )


def _contents_of(copy: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    database = open_any_version(copy)
    try:
        if SESSION_COMPONENT not in database.read(component_versions):
            return (), ()
        ids = database.read(lambda c: SessionRepository(c).list_ids())
        committed = database.read(
            lambda c: tuple(
                scanned.key
                for session_id in ids
                for scanned in scan_rows(c, ATTACHMENTS, {"session_id": session_id})
                if scanned.value.committed_at_ms is not None
            )
        )
    finally:
        database.close()
    return ids, committed


def list_snapshots(backup_folder: str | Path) -> tuple[Snapshot, ...]:
    """
    Return every snapshot of a backup, oldest first.

    Raises:
        StoreNotFoundError: There is no such folder.
        ArchiveError: It is no backup, or a snapshot is damaged.
    """
    folder = BackupFolder(local_path(backup_folder))
    folder.require()
    return tuple(folder.snapshot(name) for name in folder.snapshot_names())


def restore(
    backup_folder: str | Path,
    target: str | Path,
    *,
    snapshot: str | None = None,
    only: Iterable[str] | None = None,
    attachments: Attachments = None,
    options: StoreOptions = StoreOptions(),
) -> RestoreReport:
    """
    Make the files of a snapshot in a folder.

    Everything wanted is read and verified first, and nothing is overwritten:
    unless all of it can be restored, nothing is. A restored session is a new
    making of it: a handle of the lost one raises `SessionDeletedError`.

    Args:
        target: The folder; made if it is not there.

        snapshot: Its name; None: the latest.

        only: Names of files, or ids of sessions; None: all of them.

        attachments: Where the bytes of attachments go; those that are there
            stay. None: they are not restored.

    Returns:
        What was made. Safe to retry with another folder.

    Raises:
        StoreNotFoundError: There is no such backup or snapshot.
        ArchiveError: The backup is damaged; nothing was made.
        AlreadyExistsError: A file is there already; nothing was made.
        InvalidArgumentError: The snapshot has nothing of a name in *only*.
        UnsafeFileSystemError: As for opening a store.
        BackendError: The disk failed; files restored so far are whole.
    """
    folder = BackupFolder(local_path(backup_folder))
    folder.require()
    chosen = folder.snapshot(snapshot)
    files = _wanted_files(chosen, only)
    byte_store = attachment_store(attachments)
    wanted = chosen.attachments if byte_store is not None else ()
    path = local_path(target)
    _check_first(folder, path, files, wanted)
    for entry in wanted:
        assert byte_store is not None  # noqa: S101, else nothing is wanted
        byte_store.put(b"".join(folder.read(entry.content)), entry.ref.meta)
    for file in files:
        _restore_file(folder, file, path / file.name, options)
    return RestoreReport(
        target=str(path),
        snapshot=chosen.name,
        files=tuple(file.name for file in files),
        attachment_count=len(wanted),
    )


def _wanted_files(
    snapshot: Snapshot, only: Iterable[str] | None
) -> tuple[BackedUpFile, ...]:
    if only is None:
        return snapshot.files
    names = list(dict.fromkeys(only))
    for name in names:
        if not any(name in (f.name, *f.session_ids) for f in snapshot.files):
            msg = f"snapshot {snapshot.name} has no file or session {name!r}"
            raise InvalidArgumentError(msg)
    return tuple(
        file
        for file in snapshot.files
        if any(name in (file.name, *file.session_ids) for name in names)
    )


def _check_first(
    folder: BackupFolder,
    path: Path,
    files: tuple[BackedUpFile, ...],
    attachments: tuple[BackedUpAttachment, ...],
) -> None:
    if path.exists() and not path.is_dir():
        raise AlreadyExistsError(path=str(path))
    for file in files:
        require_free(path / file.name)
    contents = [file.content for file in files]
    contents += [entry.content for entry in attachments]
    for content in contents:
        _read_through(folder, content)


def _read_through(folder: BackupFolder, content: BackedUpContent) -> None:
    for _ in folder.read(content):
        pass


def _restore_file(
    folder: BackupFolder, file: BackedUpFile, path: Path, options: StoreOptions
) -> None:
    with placed(path) as temporary:
        with temporary.open("wb") as opened:
            for piece in folder.read(file.content):
                opened.write(piece)
        findings = verify_file(temporary, None, is_ours=True, name=path)
        for finding in findings.found if findings else ():
            reason = f"{file.name}: {finding.table} {finding.key}: {finding.what}"
            raise ArchiveError(path=str(folder.path), reason=reason)
        if file.session_ids:
            _renew_incarnation(temporary, file.session_ids, options)


def _renew_incarnation(
    path: Path, session_ids: tuple[str, ...], options: StoreOptions
) -> None:
    def renew(connection: sa.Connection) -> None:
        for session_id in session_ids:
            SessionRepository(connection).set_incarnation(
                SessionIdentity(
                    session_id=session_id, incarnation=secrets.token_hex(16)
                )
            )

    database = open_database(path, SESSION_COMPONENT, options, create=False)
    try:
        database.write(renew)
    finally:
        database.close()
