"""
What verifying reports.
"""

from enum import StrEnum

from lashstore.model.record import Record


class FindingKind(StrEnum):
    """
    What is wrong, as a word to match on.
    """

    # The file itself.
    FILE_UNREADABLE = "file_unreadable"
    WAL_INDEX_MISSING = "wal_index_missing"
    SCHEMA_VERSION = "schema_version"
    SQLITE_INTEGRITY = "sqlite_integrity"
    INDEX_DAMAGED = "index_damaged"
    FOREIGN_KEY = "foreign_key"
    FILE_NAME = "file_name"
    SESSION_FOREIGN = "session_foreign"
    # One row.
    ROW_DAMAGED = "row_damaged"
    ROW_INCONSISTENT = "row_inconsistent"
    CLAIM_BROKEN = "claim_broken"
    # Rows that do not fit together.
    REFERENCE_MISSING = "reference_missing"
    GRAPH_CYCLE = "graph_cycle"
    COUNT_WRONG = "count_wrong"
    TOTALS_WRONG = "totals_wrong"
    SEQUENCE_BROKEN = "sequence_broken"
    COUNTER_BEHIND = "counter_behind"
    STATE_WRONG = "state_wrong"
    # Bytes outside the database.
    ATTACHMENT_MISSING = "attachment_missing"
    ATTACHMENT_DAMAGED = "attachment_damaged"


class Severity(StrEnum):
    """
    `ERROR`: something stored is lost, or an operation may answer wrongly.
    `WARNING`: nothing is lost, and lashstore works on, but not at its best.
    """

    ERROR = "error"
    WARNING = "warning"


class Finding(Record, frozen=True, kw_only=True):
    """
    One thing that is wrong, and what to do about it.

    `table` None: it is about the file, or about bytes outside the database;
    `key` is the row's primary key without the session id, its parts joined
    by "/", and None where it is no single row. `is_repairable`: `repair` mends
    it from rows that verified, and loses nothing.
    """

    kind: FindingKind
    severity: Severity
    path: str | None
    table: str | None
    key: str | None
    what: str
    remedy: str
    is_repairable: bool = False


class VerifyReport(Record, frozen=True, kw_only=True):
    """
    What a verification looked at and what it found.

    `rows` counts by table, over all files. Findings come in the order of
    files, and within a file of tables. `unopened` are the sealed sessions
    whose key was not given: of their content the envelopes were checked, which
    show what damage changed; not checked were the checksums of the rows with
    content, the hashes of blobs, and what only content tells.
    """

    target: str
    files: tuple[str, ...]
    rows: dict[str, int]
    findings: tuple[Finding, ...]
    unopened: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """
        Whether nothing at all was found, in what was looked at.
        """
        return not self.findings


RESTORE = "restore the file from a backup (lashstore restore)"
SERVER_RESTORE = (
    "restore the database from a backup of the server, or the session from an "
    "archive or a copy"
)
REPAIR = "run `lashstore verify --repair`, which mends it from verified rows"

_REMEDIES = {
    FindingKind.FILE_UNREADABLE: RESTORE,
    FindingKind.WAL_INDEX_MISSING: "run `lashstore compact` on it, which opens it "
    "for writing and so recovers the WAL; then verify again",
    FindingKind.SCHEMA_VERSION: "run `lashstore db upgrade`, or use the lashstore "
    "that wrote it",
    FindingKind.SQLITE_INTEGRITY: RESTORE,
    FindingKind.INDEX_DAMAGED: REPAIR,
    FindingKind.FOREIGN_KEY: RESTORE,
    FindingKind.FILE_NAME: "rename the file as its session's id asks, or restore it",
    FindingKind.SESSION_FOREIGN: RESTORE,
    FindingKind.ROW_DAMAGED: RESTORE,
    FindingKind.ROW_INCONSISTENT: RESTORE,
    FindingKind.CLAIM_BROKEN: "wait until the claim expires, or cancel the work; "
    "then submit it again",
    FindingKind.REFERENCE_MISSING: RESTORE,
    FindingKind.GRAPH_CYCLE: RESTORE,
    FindingKind.COUNT_WRONG: RESTORE,
    FindingKind.TOTALS_WRONG: RESTORE,
    FindingKind.SEQUENCE_BROKEN: RESTORE,
    FindingKind.COUNTER_BEHIND: REPAIR,
    FindingKind.STATE_WRONG: RESTORE,
    FindingKind.ATTACHMENT_MISSING: "restore the attachments from a backup "
    "(lashstore restore --attachments), or put the bytes again",
    FindingKind.ATTACHMENT_DAMAGED: "restore the attachments from a backup "
    "(lashstore restore --attachments), or put the bytes again",
}
_WARNINGS = frozenset(
    (
        FindingKind.FILE_NAME,
        FindingKind.CLAIM_BROKEN,
        FindingKind.WAL_INDEX_MISSING,
    )
)


class Findings:
    """
    The findings of one file or server, as they are made.
    """

    def __init__(self, path: str | None = None, *, is_server: bool = False) -> None:
        """
        Args:
            is_server: Nothing of it can be repaired or restored by us.
        """
        self.path = path
        self._is_server = is_server
        self.found: list[Finding] = []
        self.rows: dict[str, int] = {}
        # Sealed sessions whose content was not looked into.
        self.unopened: list[str] = []

    def add(
        self,
        kind: FindingKind,
        what: str,
        *,
        table: str | None = None,
        key: str | None = None,
        is_repairable: bool = False,
    ) -> None:
        """
        Report something; its remedy goes by its kind.
        """
        is_repairable = is_repairable and not self._is_server
        remedy = REPAIR if is_repairable else _REMEDIES[kind]
        if self._is_server and remedy in (RESTORE, REPAIR):
            remedy = SERVER_RESTORE
        self.found.append(
            Finding(
                kind=kind,
                severity=Severity.WARNING if kind in _WARNINGS else Severity.ERROR,
                path=self.path,
                table=table,
                key=key,
                what=what,
                remedy=remedy,
                is_repairable=is_repairable,
            )
        )

    def mark_repairable(self, place: int) -> None:
        """
        Let *repair* mend what was found at *place* in the list.
        """
        finding = self.found.pop(place)
        self.add(
            finding.kind,
            finding.what,
            table=finding.table,
            key=finding.key,
            is_repairable=True,
        )
        self.found.insert(place, self.found.pop())

    def has(self, *tables: str) -> bool:
        """
        Tell whether anything was found in one of *tables*.
        """
        return any(finding.table in tables for finding in self.found)

    def has_unread(self, *tables: str) -> bool:
        """
        Tell whether a row of one of *tables* could not be read, so that what
        it would say is not known.
        """
        return any(
            finding.table in tables and finding.kind is FindingKind.ROW_DAMAGED
            for finding in self.found
        )
