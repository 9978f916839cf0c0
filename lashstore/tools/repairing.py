"""
`repair`: mending what can be derived from rows that verify, and no more.
"""

import time
from pathlib import Path

import msgspec
import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.engines.schema import component_versions
from lashstore.engines.sqlite import open_any_version, open_database
from lashstore.errors import BackendError
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record
from lashstore.repos.heads import SessionHeadRepository
from lashstore.repos.sessions import SessionRepository
from lashstore.repos.triggers import TriggerRepository
from lashstore.repos.usage import UsageRepository
from lashstore.tables import SCHEMA_VERSIONS

from .file_checks import check_database, reindex_statement
from .findings import Finding, FindingKind, Findings, VerifyReport
from .queue_checks import last_admission_seq
from .session_checks import check_usage, count_graph, view_of
from .session_view import SessionView
from .snapshots import copy_database
from .targets import database_files, local_path
from .trigger_checks import last_subscription_number
from .verifying import verify


class RepairReport(Record, frozen=True, kw_only=True):
    """
    What a repair mended.

    `backups` has by file the copy that was made of it first; `repaired` the
    findings that are gone, `after` what is left.
    """

    target: str
    backups: dict[str, str]
    repaired: tuple[Finding, ...]
    after: VerifyReport


def repair(
    target: str | Path,
    *,
    backup_folder: str | Path | None = None,
    options: StoreOptions = StoreOptions(),
) -> RepairReport:
    """
    Mend what verified rows prove, after copying each file that needs it.

    Mended are: indexes that lost or kept rows their table does not; the
    picker's counts in the head, if every node verifies and none is missing;
    damaged or missing usage totals, if every delta verifies and none is
    missing; an admission sequence or a subscription counter that stands
    before numbers in use. Everything else is left as it is, for a backup.

    Each file is checked again under its write lock, mended, and checked once
    more in one transaction, which is undone if anything new came up.

    Args:
        target: As for `verify`.

        backup_folder: Where the copies go; None: beside each file, as
            `<file>.before-repair-<milliseconds>`.

        options: Its cipher opens the content of sealed sessions; without it
            what is mended there is what needs no content.

    Returns:
        What was mended and what was not. Safe to repeat: a sound file is not
        touched.

    Raises:
        StoreBusyError: A writer did not finish in time; retry.
        BackendError: The mended file did not verify, and was left as it was;
            or the disk failed.
        As `verify`.
    """
    path = local_path(target)
    before = verify(path, cipher=options.cipher)
    backups: dict[str, str] = {}
    repaired: list[Finding] = []
    for file in database_files(path):
        mendable = [
            finding
            for finding in before.findings
            if finding.is_repairable and finding.path == str(file)
        ]
        if mendable:
            copy = _copy_path(file, backup_folder)
            copy_database(file, copy)
            backups[str(file)] = str(copy)
            repaired += _repair_file(file, mendable, options)
    return RepairReport(
        target=str(path),
        backups=backups,
        repaired=tuple(repaired),
        after=verify(path, cipher=options.cipher),
    )


def _copy_path(file: Path, backup_folder: str | Path | None) -> Path:
    folder = file.parent if backup_folder is None else local_path(backup_folder)
    return folder / f"{file.name}.before-repair-{time.time_ns() // 1_000_000}"


def _repair_file(
    path: Path, seen: list[Finding], options: StoreOptions
) -> list[Finding]:
    indexes = [f for f in seen if f.kind is FindingKind.INDEX_DAMAGED]
    database = open_database(path, _component_of(path), options, create=False)
    try:
        return database.write(
            lambda connection: _repair_all(connection, path, indexes, options.cipher)
        )
    finally:
        database.close()


def _component_of(path: Path) -> str:
    database = open_any_version(path)
    try:
        versions = database.read(component_versions)
    finally:
        database.close()
    # Only a file whose rows could be read has anything to mend.
    return next(name for name in versions if versions[name] == SCHEMA_VERSIONS[name])


def _repair_all(
    connection: sa.Connection,
    path: Path,
    indexes: list[Finding],
    cipher: ContentCipher | None,
) -> list[Finding]:
    # First, since everything else is read through them.
    for table in sorted({finding.table or "" for finding in indexes}):
        connection.exec_driver_sql(reindex_statement(table))
    before = _check(connection, path, cipher)
    mendable = [finding for finding in before if finding.is_repairable]
    for finding in mendable:
        _repair_one(connection, finding, cipher)
    after = _check(connection, path, cipher)
    if any(finding not in before or finding in mendable for finding in after):
        msg = f"{path} would not verify after the repair; it was left as it was"
        raise BackendError(msg)
    return [*indexes, *mendable]


def _check(
    connection: sa.Connection, path: Path, cipher: ContentCipher | None
) -> list[Finding]:
    findings = Findings(str(path))
    driver = connection.connection.driver_connection
    try:
        check_database(connection, path, findings, is_writing=True, cipher=cipher)
    finally:
        # The connection goes back to others, who want text to be text.
        driver.text_factory = str  # type: ignore[union-attr]
    return findings.found


def _repair_one(
    connection: sa.Connection, finding: Finding, cipher: ContentCipher | None
) -> None:
    if finding.table == "trigger_counters":
        TriggerRepository(connection).raise_number(last_subscription_number(connection))
    elif finding.table == "sessions":
        session_id = finding.key or ""
        last = last_admission_seq(view_of(connection, session_id, Findings(), cipher))
        SessionRepository(connection).raise_admission_seq(session_id, last)
    elif finding.table == "session_heads":
        _recount(view_of(connection, finding.key or "", Findings(), cipher))
    elif finding.table == "session_usage_totals":
        for session_id in SessionRepository(connection).list_ids():
            _add_up(view_of(connection, session_id, Findings(), cipher))


def _recount(view: SessionView) -> None:
    heads = SessionHeadRepository(view.runner)
    head = heads.find(view.session_id)
    _, count = count_graph(view, Findings())
    if head is not None:
        heads.put(
            msgspec.structs.replace(
                head,
                user_message_count=count.user_messages,
                first_user_node_id=count.first_user_node_id,
            )
        )


def _add_up(view: SessionView) -> None:
    findings = Findings()
    totals = check_usage(view, findings) or ()
    # Nobody knows whether these or their deltas are right.
    open_ones = {f.key for f in findings.found if not f.is_repairable}
    # All others, so that their order is that of the deltas throughout.
    for seq, total in totals:
        if f"{total.source}/{total.model}" not in open_ones:
            UsageRepository(view.runner).put_total(view.session_id, seq, total)
