"""
A session's commits, as far as its rows tell: the listing of `lashstore log`.
"""

from collections.abc import Sequence

from lashstore.model.blobs import BlobRef
from lashstore.model.commit import SeqSpan, StoredTurn
from lashstore.model.record import Record
from lashstore.model.usage import TokenLedgerEntry, TokenUsage, merge_usage
from lashstore.store.transaction import SessionTransaction

from .reading import SessionReader
from .usage_reports import total_of


class CommitEntry(Record, frozen=True, kw_only=True):
    """
    One commit. Of one without a stamp only its revision is stored, and for a
    while its time: the rest is None then.

    `node_count` is how many nodes it added, `usage` what it booked.
    `is_checkpoint_kept`: its checkpoint is stored still.
    """

    head_revision: int
    committed_at_ms: int | None = None
    turn_id: str | None = None
    turn_commit_hash: str | None = None
    node_count: int | None = None
    usage: TokenUsage | None = None
    checkpoint_ref: BlobRef | None = None
    is_checkpoint_kept: bool | None = None


class CommitPage(Record, frozen=True, kw_only=True):
    """
    Commits, the latest first; `next_after` is the revision to go on behind,
    None at the first one.
    """

    session_id: str
    head_revision: int
    commits: tuple[CommitEntry, ...]
    next_after: int | None


def list_commits(
    reader: SessionReader, *, after: int | None = None, limit: int
) -> CommitPage:
    """
    List a session's commits, the latest first, a page at a time; what is read
    is the page, however many there are.

    Args:
        after: Begin with the revision before this one; None: with the head.

    Raises:
        CorruptRecordError: A row of the page is damaged.
        As `SessionReader.look`.
    """
    return reader.look(lambda tx: _list_commits(tx, after, limit))


def _list_commits(tx: SessionTransaction, after: int | None, limit: int) -> CommitPage:
    head = tx.heads.find(tx.session_id)
    head_revision = 0 if head is None else head.head_revision
    latest = head_revision if after is None else min(after - 1, head_revision)
    earliest = max(1, latest - limit + 1)
    turns = tx.turn_commits.list_between(
        tx.session_id, after_revision=earliest - 1, up_to_revision=latest
    )
    known = {entry.head_revision: entry for entry in _entries(tx, turns)}
    commits = tuple(
        known.get(revision) or _unstamped(tx, revision)
        for revision in range(latest, earliest - 1, -1)
    )
    return CommitPage(
        session_id=tx.session_id,
        head_revision=head_revision,
        commits=commits,
        next_after=earliest if commits and earliest > 1 else None,
    )


def _unstamped(tx: SessionTransaction, revision: int) -> CommitEntry:
    return CommitEntry(
        head_revision=revision,
        committed_at_ms=tx.checkpoint_blobs.find_time(tx.session_id, revision),
    )


def _entries(
    tx: SessionTransaction, turns: Sequence[StoredTurn]
) -> tuple[CommitEntry, ...]:
    refs = list({turn.result.checkpoint_ref for turn in turns})
    kept = tx.blobs.list_depths(tx.session_id, refs) if refs else {}
    booked = dict(
        tx.usage.list_span(tx.session_id, hull([turn.usage for turn in turns]))
    )
    return tuple(
        CommitEntry(
            head_revision=turn.result.head_revision,
            committed_at_ms=turn.committed_at_ms,
            turn_id=turn.turn_id,
            turn_commit_hash=turn.turn_commit_hash,
            node_count=turn.nodes.count,
            usage=total_of(entries_of(turn, booked)),
            checkpoint_ref=turn.result.checkpoint_ref,
            is_checkpoint_kept=turn.result.checkpoint_ref in kept,
        )
        for turn in turns
    )


def hull(spans: Sequence[SeqSpan]) -> SeqSpan:
    """
    Return the least span that has all of *spans* in it.
    """
    filled = [span for span in spans if span.count]
    if not filled:
        return SeqSpan()
    first = min(span.first for span in filled)
    last = max(span.last for span in filled)
    return SeqSpan(first=first, count=last - first + 1)


def entries_of(
    turn: StoredTurn, booked: dict[int, TokenLedgerEntry]
) -> tuple[TokenLedgerEntry, ...]:
    """
    Return what a turn booked, of usage by its number.
    """
    numbers = range(turn.usage.first, turn.usage.last + 1)
    return merge_usage(booked[seq] for seq in numbers if seq in booked)
