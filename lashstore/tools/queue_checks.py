"""
What must hold of queued work and turn inputs, and of the claims on them.
"""

from typing import Any

from lashstore.model.claims import death_host
from lashstore.repos import _turn_input_rows, queue

from .findings import FindingKind, Findings
from .session_view import SessionView


def check_queues(view: SessionView, admission_seq: int, findings: Findings) -> None:
    """
    Report everything wrong with a session's queues.

    Batches and inputs draw from one sequence, of which *admission_seq* is the
    last number given.
    """
    numbers: dict[int, str] = {}
    for scan in (queue.SCAN, _turn_input_rows.SCAN):
        table = scan.table.name
        claims: dict[str, tuple[Any, ...]] = {}
        for scanned in view.sound_rows(scan, findings):
            seq = scanned.row.enqueue_seq
            place = f"{table} {scanned.key}"
            other = numbers.setdefault(seq, place)
            if other != place:
                findings.add(
                    FindingKind.SEQUENCE_BROKEN,
                    f"its admission number {seq} is also that of {other}",
                    table=table,
                    key=scanned.key,
                )
            mistake = _claim_mistake(scanned.row, scanned.value.hold, claims)
            if mistake is not None:
                findings.add(
                    FindingKind.CLAIM_BROKEN, mistake, table=table, key=scanned.key
                )
    last = max(numbers, default=0)
    if last > admission_seq and not findings.has_unread("sessions"):
        findings.add(
            FindingKind.COUNTER_BEHIND,
            f"the admission sequence stands at {admission_seq}, but "
            f"{numbers[last]} has number {last}",
            table="sessions",
            key=view.session_id,
            is_repairable=True,
        )


def last_admission_seq(view: SessionView) -> int:
    """
    Return the largest admission number of a row that verifies.
    """
    scratch = Findings()
    return max(
        (
            scanned.row.enqueue_seq
            for scan in (queue.SCAN, _turn_input_rows.SCAN)
            for scanned in view.sound_rows(scan, scratch)
        ),
        default=0,
    )


def _claim_mistake(
    row: Any, hold: Any, claims: dict[str, tuple[Any, ...]]
) -> str | None:
    if hold is None:
        return None
    if hold.expires_at_ms < hold.claimed_at_ms:
        return "its claim ended before it began"
    if row.claim_fencing_token < 1:
        return "it is claimed, and was never given a fencing token"
    if row.claim_host_id != death_host(hold.owner):
        return "its claim's host is not that of the claim's owner"
    shared = (hold.token, hold.owner, hold.claimed_at_ms, hold.expires_at_ms)
    if claims.setdefault(hold.claim_id, shared) != shared:
        return "it has another token, owner or end than its claim's other rows"
    return None
