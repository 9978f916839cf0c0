"""
Tokens by source and model, of one session or many: `lashstore usage`.
"""

from collections.abc import Iterable

from lashstore.errors import (
    CorruptRecordError,
    LashStoreError,
    RecordVersionError,
    StoreNotFoundError,
)
from lashstore.model.record import Record
from lashstore.model.usage import TokenLedgerEntry, TokenUsage, merge_usage

from .overviews import Unreadable
from .reading import SessionReader


class SessionUsage(Record, frozen=True, kw_only=True):
    """
    What one session booked, merged by source and model in order of first
    appearance.
    """

    session_id: str
    entries: tuple[TokenLedgerEntry, ...]
    total: TokenUsage


class UsageReport(Record, frozen=True, kw_only=True):
    """
    What sessions booked together; `sessions` only where they were asked for.
    """

    session_count: int
    entries: tuple[TokenLedgerEntry, ...]
    total: TokenUsage
    sessions: tuple[SessionUsage, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


class UsageTally:
    """
    Adds up the ledgers of sessions, sealed ones too: tokens are not content.
    """

    def __init__(self, *, keeps_sessions: bool) -> None:
        self._keeps_sessions = keeps_sessions
        self._count = 0
        self._entries: tuple[TokenLedgerEntry, ...] = ()
        self._sessions: list[SessionUsage] = []
        self._unreadable: list[Unreadable] = []

    def note(self, place: str, error: LashStoreError) -> None:
        """
        Remember a session that cannot be read.
        """
        self._unreadable.append(Unreadable(place=place, error=str(error)))

    def add(self, reader: SessionReader) -> None:
        """
        Add a session.
        """
        try:
            entries = reader.look_past_seal(
                lambda tx: tx.usage.list_totals(tx.session_id)
            )
        except StoreNotFoundError:
            # Deleted since it was listed.
            return
        except (CorruptRecordError, RecordVersionError) as error:
            self.note(reader.place, error)
            return
        self._count += 1
        self._entries = merge_usage((*self._entries, *entries))
        if self._keeps_sessions:
            self._sessions.append(
                SessionUsage(
                    session_id=reader.session_id,
                    entries=entries,
                    total=total_of(entries),
                )
            )

    def report(self) -> UsageReport:
        """
        Return what was added up.
        """
        return UsageReport(
            session_count=self._count,
            entries=self._entries,
            total=total_of(self._entries),
            sessions=tuple(self._sessions),
            unreadable=tuple(self._unreadable),
        )


def total_of(entries: Iterable[TokenLedgerEntry]) -> TokenUsage:
    """
    Return the sum of all entries.
    """
    total = TokenUsage()
    for entry in entries:
        total = total.plus(entry.usage)
    return total
