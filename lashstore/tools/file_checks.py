"""
What must hold of a database file, whoever's rows are in it.
"""

import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from lashstore.ciphers import ContentCipher
from lashstore.engines.schema import component_versions
from lashstore.failures import DRIVER_ERRORS, driver_error
from lashstore.repos._scan import list_forbidden
from lashstore.repos.sessions import SessionRepository
from lashstore.session_places import is_session_file_name, session_file_name
from lashstore.tables import (
    COMPONENT_TABLES,
    EFFECT_COMPONENT,
    PROCESS_COMPONENT,
    SCHEMA_VERSIONS,
    SESSION_COMPONENT,
    TRIGGER_COMPONENT,
    metadata,
)

from .effect_checks import check_effects
from .findings import FindingKind, Findings
from .process_checks import check_processes
from .scanning import lenient
from .session_checks import check_session
from .trigger_checks import check_triggers

_LISTED = 100
# https://www.sqlite.org/pragma.html#pragma_integrity_check; these are about
# an index alone, which REINDEX makes anew from its table.
_OF_INDEX = re.compile(
    r"(?:row \d+ missing from index|wrong # of entries in index|"
    r"row \d+ values differ from index|"
    r"rowid not at end-of-record for row \d+ of index) (\S+)"
)
_OF_TABLE = re.compile(r"\S+ value in (\w+)")


def check_database(
    connection: sa.Connection,
    path: Path | None,
    findings: Findings,
    *,
    is_writing: bool = False,
    cipher: ContentCipher | None = None,
) -> dict[str, tuple[str, ...]]:
    """
    Report everything wrong with an open database, on one snapshot of it.

    Args:
        path: The file; None: it is a server.

        is_writing: The connection is in a write transaction, which SQLite
            does not copy.

        cipher: As of `check_session`.

    Returns:
        The committed attachments by session.

    Raises:
        ContentKeyError: *cipher* has not the key of a sealed session.
    """
    lenient(connection)
    indexes = _check_integrity(connection, findings)
    committed: dict[str, tuple[str, ...]] = {}
    try:
        with _with_sound_indexes(
            connection, indexes, findings, may_copy=not is_writing
        ) as sound:
            committed = _check_components(sound, path, findings, cipher)
        _check_foreign_keys(connection, findings)
    except DRIVER_ERRORS as error:
        if connection.dialect.name != "sqlite":
            raise
        _report_unreadable(error, findings)
    return committed


def _report_unreadable(error: Exception, findings: Findings) -> None:
    # The integrity check has said it in more detail, if it could.
    if not any(f.kind is FindingKind.SQLITE_INTEGRITY for f in findings.found):
        findings.add(FindingKind.SQLITE_INTEGRITY, str(driver_error(error)))


def _check_integrity(connection: sa.Connection, findings: Findings) -> dict[str, str]:
    """
    Report what SQLite finds; return damaged indexes, each with a complaint.
    """
    if connection.dialect.name != "sqlite":
        return {}
    indexes: dict[str, str] = {}
    try:
        rows = connection.exec_driver_sql(f"PRAGMA integrity_check({_LISTED})").all()
    except DRIVER_ERRORS as error:
        findings.add(FindingKind.SQLITE_INTEGRITY, str(driver_error(error)))
        return {}
    for (message,) in rows:
        text = message.encode("utf-8", "backslashreplace").decode()
        if text == "ok":
            continue
        about_index = _OF_INDEX.search(text)
        if about_index:
            indexes.setdefault(about_index[1], text)
            continue
        about_table = _OF_TABLE.search(text)
        findings.add(
            FindingKind.SQLITE_INTEGRITY,
            text,
            table=about_table[1] if about_table else None,
        )
    return indexes


@contextmanager
def _with_sound_indexes(
    connection: sa.Connection,
    indexes: dict[str, str],
    findings: Findings,
    *,
    may_copy: bool,
) -> Iterator[sa.Connection]:
    """
    Give a connection whose indexes can be trusted: a damaged one hides rows
    from whoever reads through it. So the rest is checked on a copy whose
    indexes were made anew, which tells as well whether that works.
    """
    if not indexes:
        yield connection
        return
    tables = _tables_of(connection, indexes)
    if not may_copy:
        _report_indexes(indexes, tables, findings, is_mended=False)
        yield connection
        return
    with tempfile.TemporaryDirectory(prefix="lashstore-verify-") as folder:
        copy = sqlite3.connect(Path(folder) / "copy.db", isolation_level=None)
        engine = sa.create_engine("sqlite://", creator=lambda: copy, poolclass=NullPool)
        try:
            driver: Any = connection.connection.driver_connection
            driver.backup(copy)
            is_mended = _reindex(copy, set(tables.values()))
            _report_indexes(indexes, tables, findings, is_mended=is_mended)
            with engine.connect() as scratch:
                lenient(scratch)
                yield scratch if is_mended else connection
        finally:
            engine.dispose()
            copy.close()


def _reindex(copy: sqlite3.Connection, tables: set[str]) -> bool:
    try:
        for table in tables:
            copy.execute(reindex_statement(table))
        (answer,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    except (sqlite3.Error, KeyError):
        return False
    return bool(answer == "ok")


def reindex_statement(table: str) -> str:
    """
    Return what makes the indexes of one of our tables anew.

    Raises:
        KeyError: It is none of ours: a damaged or hostile file has named it.
    """
    return f"REINDEX {metadata.tables[table].name}"


def _report_indexes(
    indexes: dict[str, str],
    tables: dict[str, str],
    findings: Findings,
    *,
    is_mended: bool,
) -> None:
    for index, text in indexes.items():
        findings.add(
            FindingKind.INDEX_DAMAGED,
            text,
            table=tables[index],
            key=index,
            is_repairable=is_mended,
        )


def _tables_of(connection: sa.Connection, indexes: Iterable[str]) -> dict[str, str]:
    return {
        index: str(
            connection.exec_driver_sql(
                "SELECT tbl_name FROM sqlite_master WHERE name = ?", (index,)
            ).scalar()
        )
        for index in indexes
    }


def _check_components(
    connection: sa.Connection,
    path: Path | None,
    findings: Findings,
    cipher: ContentCipher | None,
) -> dict[str, tuple[str, ...]]:
    committed: dict[str, tuple[str, ...]] = {}
    versions = component_versions(connection)
    if not versions:
        findings.add(FindingKind.SCHEMA_VERSION, "no component's tables are there")
    for component, version in versions.items():
        expected = SCHEMA_VERSIONS[component]
        if version != expected:
            findings.add(
                FindingKind.SCHEMA_VERSION,
                f"the {component} schema is version {version or 'unknown'}, this "
                f"lashstore reads version {expected}",
                table="schema_versions",
                key=component,
            )
            continue
        if component == SESSION_COMPONENT:
            committed = _check_sessions(connection, path, findings, cipher)
        elif component == PROCESS_COMPONENT:
            check_processes(connection, findings)
        elif component == TRIGGER_COMPONENT:
            check_triggers(connection, findings)
        elif component == EFFECT_COMPONENT:
            check_effects(connection, findings)
        _check_constraints(connection, component, findings)
    return committed


def _check_constraints(
    connection: sa.Connection, component: str, findings: Findings
) -> None:
    for table in COMPONENT_TABLES[component]:
        damaged = {f.key for f in findings.found if f.table == table.name}
        for key in list_forbidden(connection, table.name):
            if key not in damaged:
                findings.add(
                    FindingKind.ROW_INCONSISTENT,
                    "a constraint of its table forbids it",
                    table=table.name,
                    key=key,
                )


def _check_sessions(
    connection: sa.Connection,
    path: Path | None,
    findings: Findings,
    cipher: ContentCipher | None,
) -> dict[str, tuple[str, ...]]:
    repository = SessionRepository(connection)
    ids = repository.list_ids()
    if path is not None:
        for session_id in ids[1:]:
            findings.add(
                FindingKind.SESSION_FOREIGN,
                f"a file holds one session, and this is {ids[0]!r}'s",
                table="sessions",
                key=session_id,
            )
        _check_file_name(ids, path, findings)
    for table, strays in repository.list_strays().items():
        for session_id in strays:
            findings.add(
                FindingKind.SESSION_FOREIGN,
                f"there are rows of session {session_id!r}, which has none in "
                "`sessions`",
                table=table,
            )
    return {
        session_id: check_session(connection, session_id, findings, cipher)
        for session_id in ids
    }


def _check_file_name(ids: tuple[str, ...], path: Path, findings: Findings) -> None:
    if not ids or not is_session_file_name(path.name):
        return
    expected = session_file_name(ids[0])
    if path.name != expected:
        findings.add(
            FindingKind.FILE_NAME,
            f"it holds session {ids[0]!r}, whose file is {expected}: a factory "
            "does not find it",
        )


def _check_foreign_keys(connection: sa.Connection, findings: Findings) -> None:
    if connection.dialect.name != "sqlite":
        return
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    for table, rowid, parent, _ in sorted(map(tuple, rows))[:_LISTED]:
        # A row that is damaged, or whose parent is, was reported as that.
        if findings.has(table, parent) or table not in metadata.tables:
            continue
        findings.add(
            FindingKind.FOREIGN_KEY,
            f"its row in {parent} is not stored",
            table=table,
            key=_key_at(connection, metadata.tables[table], rowid),
        )


def _key_at(connection: sa.Connection, table: sa.Table, rowid: int) -> str:
    row = connection.execute(
        sa.select(*table.primary_key).where(sa.literal_column("rowid") == rowid)
    ).one()
    return "/".join(map(str, row))
