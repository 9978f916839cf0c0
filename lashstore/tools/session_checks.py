"""
What must hold of a session's rows beyond each row's own checksum.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.errors import CorruptRecordError
from lashstore.model.graph import is_user_message
from lashstore.model.record import Record
from lashstore.model.usage import TokenLedgerEntry, merge_usage
from lashstore.repos import (
    attachments,
    graph,
    heads,
    leases,
    session_meta,
    sessions,
    turn_commits,
    usage,
)
from lashstore.repos.heads import StoredHead
from lashstore.store.sealing import can_open

from .blob_checks import check_artifacts, check_blobs, check_checkpoint, check_named
from .findings import FindingKind, Findings
from .queue_checks import check_queues
from .scanning import reason_of
from .session_view import SessionView

_HEADS, _NODES = "session_heads", "session_nodes"
_USAGE, _TOTALS = "session_usage", "session_usage_totals"


class GraphCount(Record, frozen=True, kw_only=True):
    """
    What the nodes say that the head repeats.
    """

    live: int
    user_messages: int
    first_user_node_id: str | None


def check_session(
    connection: sa.Connection,
    session_id: str,
    findings: Findings,
    cipher: ContentCipher | None = None,
) -> tuple[str, ...]:
    """
    Report everything wrong with a session's rows.

    Args:
        cipher: Opens the content of a sealed session; None: it is left
            unopened, which the findings note, and everything else is checked.

    Returns:
        The ids of the attachments a commit has stamped, sorted.

    Raises:
        ContentKeyError: *cipher* has not the session's key.
    """
    view = view_of(connection, session_id, findings, cipher)
    admission_seq = 0
    for scanned in view.sound_rows(sessions.SCAN, findings):
        admission_seq = scanned.row.admission_seq
    _check_meta(view, findings)
    head = _find_head(view, findings)
    node_ids, count = count_graph(view, findings)
    stored = check_blobs(view, findings)
    check_artifacts(view, stored, findings)
    _check_head(view, head, node_ids, count, findings)
    own = check_checkpoint(view, head, stored, findings)
    _check_turns(view, head, findings)
    check_named(view, head, own, stored, findings)
    check_usage(view, findings)
    for scanned in view.sound_rows(leases.SCAN, findings):
        _check_lease(scanned.row, findings)
    check_queues(view, admission_seq, findings)
    return tuple(
        scanned.key
        for scanned in view.sound_rows(attachments.SCAN, findings)
        if scanned.value.committed_at_ms is not None
    )


def view_of(
    connection: sa.Connection,
    session_id: str,
    findings: Findings,
    cipher: ContentCipher | None,
) -> SessionView:
    """
    Return a session's rows as far as *cipher* lets them be looked into, and
    note or report why not further.

    Raises:
        ContentKeyError: It has not the session's key.
    """
    identity = sessions.SessionRepository(connection).find(session_id)
    if identity is None or identity.content_seal is None:
        return SessionView(connection, session_id)
    try:
        is_opened = can_open(identity, cipher)
    except CorruptRecordError as error:
        # Its key may be here, and nothing can tell.
        is_opened = False
        findings.add(
            FindingKind.ROW_DAMAGED,
            reason_of(error),
            table="sessions",
            key=session_id,
        )
    if is_opened:
        return SessionView(connection, session_id, cipher)
    findings.unopened.append(session_id)
    return SessionView(connection, session_id, is_opened=False)


def _check_meta(view: SessionView, findings: Findings) -> None:
    for scanned in view.sound_rows(session_meta.SCAN, findings):
        if view.is_opened and scanned.value.session_id != view.session_id:
            findings.add(
                FindingKind.ROW_INCONSISTENT,
                f"it describes session {scanned.value.session_id!r}",
                table="session_meta",
                key=scanned.key,
            )


def _find_head(view: SessionView, findings: Findings) -> StoredHead | None:
    head: StoredHead | None = None
    for scanned in view.sound_rows(heads.SCAN, findings):
        head = scanned.value
    return head


def count_graph(
    view: SessionView, findings: Findings
) -> tuple[dict[str, str | None], GraphCount]:
    """
    Report what is wrong with the graph.

    Returns:
        The parent of each node that verifies, and what they add up to.
    """
    parents: dict[str, str | None] = {}
    live: list[tuple[int, str]] = []
    messages: list[tuple[int, str]] = []
    for scanned in view.sound_rows(graph.SCAN, findings):
        row = scanned.row
        parents[row.node_id] = row.parent_node_id
        if view.is_opened:
            _check_node(row, scanned.value, findings)
        if not row.is_tombstoned:
            live.append((row.seq, row.node_id))
            if row.is_user_message:
                messages.append((row.seq, row.node_id))
    _check_parents(parents, [node_id for _, node_id in live], findings)
    return parents, GraphCount(
        live=len(live),
        user_messages=len(messages),
        first_user_node_id=min(messages)[1] if messages else None,
    )


def _check_node(row: Any, node: Any, findings: Findings) -> None:
    told = (node.node_id, node.parent_node_id, int(is_user_message(node)))
    if told != (row.node_id, row.parent_node_id, row.is_user_message):
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "its columns and its JSON name another id, parent or role",
            table=_NODES,
            key=row.node_id,
        )


def _check_parents(
    parents: dict[str, str | None], live: list[str], findings: Findings
) -> None:
    # A damaged node is reported where it is; its children are not to blame.
    are_all_known = not findings.has_unread(_NODES)
    sound: set[str] = set()
    for node_id in live:
        parent = parents[node_id]
        if parent is not None and parent not in parents and are_all_known:
            findings.add(
                FindingKind.REFERENCE_MISSING,
                f"its parent {parent!r} is not stored",
                table=_NODES,
                key=node_id,
            )
        path: dict[str, None] = {}
        step: str | None = node_id
        while step is not None and step in parents and step not in sound:
            if step in path:
                findings.add(
                    FindingKind.GRAPH_CYCLE,
                    "its parents lead back to itself",
                    table=_NODES,
                    key=step,
                )
                break
            path[step] = None
            step = parents[step]
        sound.update(path)


def _check_head(
    view: SessionView,
    head: StoredHead | None,
    node_ids: dict[str, str | None],
    count: GraphCount,
    findings: Findings,
) -> None:
    # What the nodes say counts only where every node could be read.
    if findings.has_unread(_HEADS, _NODES):
        return
    if head is None:
        if node_ids:
            findings.add(
                FindingKind.COUNT_WRONG,
                f"there is no head, but {len(node_ids)} nodes are stored",
                table=_HEADS,
            )
        return
    if head.leaf_node_id is not None and head.leaf_node_id not in node_ids:
        findings.add(
            FindingKind.REFERENCE_MISSING,
            f"its leaf {head.leaf_node_id!r} is not stored",
            table=_HEADS,
            key=head.session_id,
        )
    told = (head.live_node_count, head.user_message_count, head.first_user_node_id)
    actual = (count.live, count.user_messages, count.first_user_node_id)
    if told != actual:
        findings.add(
            FindingKind.COUNT_WRONG,
            f"it counts {told[0]} live nodes, {told[1]} user messages and "
            f"{told[2]!r} as the first of them; stored are {actual[0]}, "
            f"{actual[1]} and {actual[2]!r}",
            table=_HEADS,
            key=head.session_id,
            # A node that vanished whole must not be counted away, and the
            # head's checksum is over its content.
            is_repairable=told[0] == actual[0]
            and view.is_opened
            and not findings.has(_NODES),
        )
    elif head.live_node_count > head.graph_node_count:
        findings.add(
            FindingKind.COUNT_WRONG,
            f"it counts {head.live_node_count} live nodes, more than the "
            f"{head.graph_node_count} its commit left",
            table=_HEADS,
            key=head.session_id,
        )


def _check_turns(
    view: SessionView, head: StoredHead | None, findings: Findings
) -> None:
    table = "session_turn_commits"
    by_revision: dict[int, str] = {}
    for scanned in view.sound_rows(turn_commits.SCAN, findings):
        if not view.is_opened:
            continue
        result = scanned.value.result
        if scanned.row.head_revision != result.head_revision:
            findings.add(
                FindingKind.ROW_INCONSISTENT,
                f"it is filed under revision {scanned.row.head_revision}, but made "
                f"{result.head_revision}",
                table=table,
                key=scanned.key,
            )
        other = by_revision.setdefault(result.head_revision, scanned.key)
        if other != scanned.key:
            findings.add(
                FindingKind.SEQUENCE_BROKEN,
                f"it made revision {result.head_revision}, and so did turn {other!r}",
                table=table,
                key=scanned.key,
            )
        if findings.has_unread(_HEADS):
            continue
        if head is None or result.head_revision > head.head_revision:
            at = "there is no head" if head is None else f"is at {head.head_revision}"
            findings.add(
                FindingKind.SEQUENCE_BROKEN,
                f"it made revision {result.head_revision}, but the head {at}",
                table=table,
                key=scanned.key,
            )
        elif result.head_revision == head.head_revision and result.checkpoint_ref != (
            head.checkpoint_ref or ""
        ):
            findings.add(
                FindingKind.STATE_WRONG,
                f"it made the head's revision with checkpoint "
                f"{result.checkpoint_ref}, but the head has {head.checkpoint_ref}",
                table=table,
                key=scanned.key,
            )


def check_usage(
    view: SessionView, findings: Findings
) -> tuple[tuple[int, TokenLedgerEntry], ...] | None:
    """
    Report what is wrong with the ledger.

    Returns:
        Every total as the deltas have it, each with a number that orders it;
        None if a delta is damaged or missing, so that nobody can tell.
    """
    deltas: list[TokenLedgerEntry] = []
    first_seqs: dict[tuple[str, str], int] = {}
    expected_seq = 1
    for scanned in view.sound_rows(usage.DELTA_SCAN, findings):
        if scanned.row.seq != expected_seq and not findings.has(_USAGE):
            findings.add(
                FindingKind.SEQUENCE_BROKEN,
                f"delta {expected_seq} is missing before it",
                table=_USAGE,
                key=scanned.key,
            )
        expected_seq = scanned.row.seq + 1
        deltas.append(scanned.value)
        if scanned.value.usage.total():
            first_seqs.setdefault(
                (scanned.value.source, scanned.value.model), scanned.row.seq
            )
    totals = {
        (scanned.value.source, scanned.value.model): scanned
        for scanned in view.sound_rows(usage.TOTAL_SCAN, findings)
    }
    if findings.has(_USAGE):
        return None
    expected = merge_usage(deltas)
    _mark_derivable(expected, findings)
    _compare_totals(expected, totals, findings)
    return tuple((first_seqs[entry.source, entry.model], entry) for entry in expected)


def _mark_derivable(expected: Any, findings: Findings) -> None:
    # A damaged total can be had again from its deltas; one that verifies and
    # contradicts them cannot, since nobody knows which of the two is right.
    keys = {f"{entry.source}/{entry.model}" for entry in expected}
    for place, finding in enumerate(findings.found):
        if finding.table == _TOTALS and finding.key in keys:
            findings.mark_repairable(place)


def _compare_totals(expected: Any, totals: dict[Any, Any], findings: Findings) -> None:
    damaged = {finding.key for finding in findings.found if finding.table == _TOTALS}
    # A row whose key is damaged may be the one that seems to be missing.
    has_stray = bool(damaged - {f"{entry.source}/{entry.model}" for entry in expected})
    known = set()
    for entry in expected:
        key = f"{entry.source}/{entry.model}"
        known.add((entry.source, entry.model))
        stored = totals.get((entry.source, entry.model))
        if stored is None and key not in damaged and not has_stray:
            findings.add(
                FindingKind.TOTALS_WRONG,
                "the deltas have usage of it, and there is no total",
                table=_TOTALS,
                key=key,
                is_repairable=True,
            )
        elif stored is not None and stored.value.usage != entry.usage:
            findings.add(
                FindingKind.TOTALS_WRONG,
                f"the total is {stored.value.usage.total()} tokens, the deltas add "
                f"up to {entry.usage.total()}",
                table=_TOTALS,
                key=key,
            )
    for source, model in totals.keys() - known:
        findings.add(
            FindingKind.TOTALS_WRONG,
            "there is a total without any delta",
            table=_TOTALS,
            key=f"{source}/{model}",
        )


def _check_lease(row: Any, findings: Findings) -> None:
    if row.lease_token is not None and row.expires_at_ms < row.claimed_at_ms:
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "the lease ended before it began",
            table="session_execution_leases",
            key=row.session_id,
        )
