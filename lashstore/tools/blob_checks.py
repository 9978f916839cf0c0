"""
What must hold of a session's blobs, and of what names them.
"""

from typing import Any

from lashstore.codec import decode_value
from lashstore.errors import ContentKeyError, CorruptRecordError, LashStoreError
from lashstore.failures import DRIVER_ERRORS, driver_error
from lashstore.model.blobs import BlobRef, SessionCheckpoint
from lashstore.model.deltas import MAX_CHAIN_DEPTH, MAX_CHAIN_READ
from lashstore.repos import artifacts, blobs, checkpoint_blobs
from lashstore.repos._sealing import check_envelopes
from lashstore.repos.blobs import BlobLink
from lashstore.repos.heads import StoredHead

from .findings import FindingKind, Findings
from .scanning import reason_of
from .session_view import SessionView

_BLOBS, _HEADS = "session_blobs", "session_heads"
_NAMED, _TURNS = "session_checkpoint_blobs", "session_turn_commits"


def check_blobs(view: SessionView, findings: Findings) -> set[BlobRef]:
    """
    Report the blobs that cannot be read, and chains that are not as long as
    they say. Each content is read and decoded once.

    Returns:
        The refs of those that can be read; of content that is not opened,
        those whose envelopes and bases are there.
    """
    links: dict[BlobRef, BlobLink] = {
        scanned.key: scanned.value for scanned in view.sound_rows(blobs.SCAN, findings)
    }
    damaged = _read_contents(view, links)
    for ref, link in links.items():
        reason = damaged.get(ref)
        if link.base_ref is not None and link.base_ref not in links:
            require_blob(link.base_ref, set(), findings, _BLOBS, ref, "its base")
        elif reason is not None:
            findings.add(FindingKind.ROW_DAMAGED, reason, table=_BLOBS, key=ref)
        elif link.base_ref is not None:
            base_depth = links[link.base_ref].chain_depth
            _check_depth(ref, link.chain_depth, base_depth, findings)
    return links.keys() - damaged.keys()


def _read_contents(
    view: SessionView, links: dict[BlobRef, BlobLink]
) -> dict[BlobRef, str]:
    """
    Read every content; return why, by ref, those cannot be that cannot.

    From those that are stored whole to their successors: at most one path's
    contents are in memory, besides bases with several successors.
    """
    damaged = dict.fromkeys(links, "its base cannot be read")
    successors: dict[BlobRef, list[BlobRef]] = {}
    for ref, link in links.items():
        if link.base_ref is not None:
            successors.setdefault(link.base_ref, []).append(ref)
    for root, link in links.items():
        pending: list[tuple[BlobRef, bytes | None, int]] = [(root, None, 1)]
        while pending and link.base_ref is None:
            ref, base, length = pending.pop()
            try:
                content = _read_content(view, ref, base, length)
            except CorruptRecordError as error:
                damaged[ref] = reason_of(error)
                continue
            del damaged[ref]
            pending += (
                (next_, content, length + 1) for next_ in successors.get(ref, ())
            )
    return damaged


def _read_content(
    view: SessionView, ref: BlobRef, base: bytes | None, length: int
) -> bytes:
    if length > MAX_CHAIN_READ:
        raise _damaged(ref, f"it has {MAX_CHAIN_READ} bases and more")
    row = _read_row(view, ref)
    if not view.is_opened:
        check_envelopes(view.session_id, row._asdict())
        return b""
    return blobs.BlobRepository.unpack(row, base)


def _read_row(view: SessionView, ref: BlobRef) -> Any:
    try:
        row = blobs.BlobRepository(view.runner).find_row(view.session_id, ref)
    except DRIVER_ERRORS as error:
        if view.connection.dialect.name != "sqlite":
            # It may be the connection that failed, and the transaction is over.
            raise
        raise _damaged(ref, f"it cannot be read: {driver_error(error)}") from error
    if row is None:
        raise _damaged(ref, "it cannot be found by its ref")
    return row


def _damaged(ref: BlobRef, reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="blob", key=ref, reason=reason)


def _check_depth(ref: BlobRef, depth: int, base_depth: int, findings: Findings) -> None:
    if depth == base_depth + 1 <= MAX_CHAIN_DEPTH:
        return
    findings.add(
        FindingKind.ROW_INCONSISTENT,
        f"it says that reading it takes {depth} others, and its base that reading "
        f"that one takes {base_depth}; at most it may be {MAX_CHAIN_DEPTH}",
        table=_BLOBS,
        key=ref,
    )


def require_blob(
    ref: BlobRef,
    stored: set[BlobRef],
    findings: Findings,
    table: str,
    key: str,
    role: str,
) -> bool:
    """
    Report a blob that something names and that is not stored; one that is
    and cannot be read has been reported.
    """
    if ref in stored:
        return True
    if not any(
        finding.table == _BLOBS and finding.key in (ref, None)
        for finding in findings.found
    ):
        findings.add(
            FindingKind.REFERENCE_MISSING,
            f"{role}, blob {ref}, is not stored",
            table=table,
            key=key,
        )
    return False


def check_artifacts(
    view: SessionView, stored: set[BlobRef], findings: Findings
) -> None:
    """
    Report names whose content is not stored.
    """
    for scanned in view.sound_rows(artifacts.SCAN, findings):
        require_blob(
            scanned.value,
            stored,
            findings,
            "session_artifacts",
            scanned.key,
            "its content",
        )


def check_named(
    view: SessionView,
    head: StoredHead | None,
    own: set[BlobRef],
    stored: set[BlobRef],
    findings: Findings,
) -> None:
    """
    Report notes about blobs that are not stored, and notes by which the
    head's checkpoint would be let go of.

    Args:
        own: What the head's checkpoint names, which is looked for there.
    """
    # Of a head that is in doubt itself, every note would be wrong.
    is_head_sure = head is not None and not findings.has(_HEADS, _TURNS)
    for scanned in view.sound_rows(checkpoint_blobs.SCAN, findings):
        if scanned.key not in own:
            require_blob(scanned.key, stored, findings, _NAMED, scanned.key, "it")
        if head is not None and is_head_sure:
            _check_revision(
                scanned.key, scanned.value, head.head_revision, own, findings
            )


def _check_revision(
    ref: BlobRef,
    revision: int,
    head_revision: int,
    own: set[BlobRef],
    findings: Findings,
) -> None:
    if revision > head_revision:
        findings.add(
            FindingKind.SEQUENCE_BROKEN,
            f"revision {revision} named it, but the head is at {head_revision}",
            table=_NAMED,
            key=ref,
        )
    elif ref in own and revision != head_revision:
        findings.add(
            FindingKind.STATE_WRONG,
            f"the head's checkpoint at {head_revision} names it, and it would be "
            f"let go of as one that {revision} named last",
            table=_NAMED,
            key=ref,
        )


def check_checkpoint(
    view: SessionView,
    head: StoredHead | None,
    stored: set[BlobRef],
    findings: Findings,
) -> set[BlobRef]:
    """
    Report what the head names and that is not stored.

    Returns:
        What its checkpoint names, itself with it; of content that is not
        opened, itself.
    """
    if head is None:
        return set()
    key = view.session_id
    refs: dict[BlobRef, str] = {}
    own: set[BlobRef] = set()
    try:
        for state_ref in head.meta().frame_state_refs() if view.is_opened else ():
            refs[state_ref] = "the execution state of an agent frame"
    except LashStoreError as error:
        findings.add(FindingKind.ROW_DAMAGED, reason_of(error), table=_HEADS, key=key)
    ref = head.checkpoint_ref
    if ref is not None and require_blob(
        ref, stored, findings, _HEADS, key, "its checkpoint"
    ):
        parts = _parts_of(view, ref, stored, findings) if view.is_opened else {}
        own = {ref, *parts}
        refs |= parts
    for part_ref, role in refs.items():
        require_blob(part_ref, stored, findings, _HEADS, key, role)
    return own


def _parts_of(
    view: SessionView,
    ref: BlobRef,
    stored: set[BlobRef],
    findings: Findings,
) -> dict[BlobRef, str]:
    repository, session_id = blobs.BlobRepository(view.runner), view.session_id
    parts: dict[BlobRef, str] = {}
    key: str = ref
    try:
        content = repository.find(session_id, ref) or b""
        manifest = SessionCheckpoint.from_map(ref, decode_value(content, ref))
        parts = dict.fromkeys(manifest.part_refs(), "a part of its checkpoint")
        sound = [part_ref for part_ref in parts if part_ref in stored]
        for key, part in repository.list_contents(session_id, sound).items():
            decode_value(part, key)
    except ContentKeyError:
        raise
    except LashStoreError as error:
        findings.add(FindingKind.ROW_DAMAGED, reason_of(error), table=_BLOBS, key=key)
    return parts
