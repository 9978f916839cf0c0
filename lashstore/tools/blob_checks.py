"""
What must hold of a session's blobs, and of what names them.
"""

import sqlalchemy as sa

from lashstore.codec import decode_value
from lashstore.errors import LashStoreError
from lashstore.model.blobs import BlobRef, SessionCheckpoint
from lashstore.model.deltas import MAX_CHAIN_DEPTH
from lashstore.repos import artifacts, blobs, checkpoint_blobs
from lashstore.repos.heads import StoredHead

from .findings import FindingKind, Findings
from .scanning import reason_of, sound_rows

_BLOBS, _HEADS = "session_blobs", "session_heads"
_NAMED, _TURNS = "session_checkpoint_blobs", "session_turn_commits"


def check_blobs(
    connection: sa.Connection, session_id: str, findings: Findings
) -> set[BlobRef]:
    """
    Report the blobs that cannot be read, and chains that are not as long as
    they say.

    Returns:
        The refs of those that can be read.
    """
    depths: dict[BlobRef, int] = {}
    bases: dict[BlobRef, BlobRef] = {}
    for scanned in sound_rows(connection, blobs.SCAN, findings, session_id=session_id):
        row = scanned.row
        depths[row.blob_ref] = row.chain_depth
        if row.base_ref is not None:
            bases[row.blob_ref] = row.base_ref
    readable = depths.keys() - bases.keys()
    for ref, base_ref in bases.items():
        if _require_base(connection, session_id, ref, base_ref, depths, findings):
            readable.add(ref)
            _check_depth(ref, depths[ref], depths.get(base_ref), findings)
    return readable


def _require_base(
    connection: sa.Connection,
    session_id: str,
    ref: BlobRef,
    base_ref: BlobRef,
    depths: dict[BlobRef, int],
    findings: Findings,
) -> bool:
    if not require_blob(base_ref, depths, findings, _BLOBS, ref, "its base"):
        return False
    try:
        # As a reader does it: through all its bases, to the hash of the end.
        blobs.BlobRepository(connection).find(session_id, ref)
    except LashStoreError as error:
        findings.add(FindingKind.ROW_DAMAGED, reason_of(error), table=_BLOBS, key=ref)
        return False
    return True


def _check_depth(
    ref: BlobRef, depth: int, base_depth: int | None, findings: Findings
) -> None:
    if base_depth is None or depth == base_depth + 1 <= MAX_CHAIN_DEPTH:
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
    stored: "set[BlobRef] | dict[BlobRef, int]",
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
    connection: sa.Connection,
    session_id: str,
    stored: set[BlobRef],
    findings: Findings,
) -> None:
    """
    Report names whose content is not stored.
    """
    for scanned in sound_rows(
        connection, artifacts.SCAN, findings, session_id=session_id
    ):
        require_blob(
            scanned.value,
            stored,
            findings,
            "session_artifacts",
            scanned.key,
            "its content",
        )


def check_named(
    connection: sa.Connection,
    session_id: str,
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
    for scanned in sound_rows(
        connection, checkpoint_blobs.SCAN, findings, session_id=session_id
    ):
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
    connection: sa.Connection,
    session_id: str,
    head: StoredHead | None,
    stored: set[BlobRef],
    findings: Findings,
) -> set[BlobRef]:
    """
    Report what the head names and that is not stored.

    Returns:
        What its checkpoint names, itself with it.
    """
    if head is None:
        return set()
    refs: dict[BlobRef, str] = {}
    own: set[BlobRef] = set()
    try:
        for state_ref in head.meta().frame_state_refs():
            refs[state_ref] = "the execution state of an agent frame"
    except LashStoreError as error:
        findings.add(
            FindingKind.ROW_DAMAGED, reason_of(error), table=_HEADS, key=session_id
        )
    ref = head.checkpoint_ref
    if ref is not None and require_blob(
        ref, stored, findings, _HEADS, session_id, "its checkpoint"
    ):
        parts = _parts_of(connection, session_id, ref, stored, findings)
        own = {ref, *parts}
        refs |= parts
    for part_ref, role in refs.items():
        require_blob(part_ref, stored, findings, _HEADS, session_id, role)
    return own


def _parts_of(
    connection: sa.Connection,
    session_id: str,
    ref: BlobRef,
    stored: set[BlobRef],
    findings: Findings,
) -> dict[BlobRef, str]:
    repository = blobs.BlobRepository(connection)
    parts: dict[BlobRef, str] = {}
    key: str = ref
    try:
        content = repository.find(session_id, ref) or b""
        manifest = SessionCheckpoint.from_map(ref, decode_value(content, ref))
        parts = dict.fromkeys(manifest.part_refs(), "a part of its checkpoint")
        sound = [part_ref for part_ref in parts if part_ref in stored]
        for key, part in repository.list_contents(session_id, sound).items():
            decode_value(part, key)
    except LashStoreError as error:
        findings.add(FindingKind.ROW_DAMAGED, reason_of(error), table=_BLOBS, key=key)
    return parts
