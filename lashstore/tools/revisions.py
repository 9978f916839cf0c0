"""
What changed between two revisions of a session, as far as its rows tell: the
answer of `lashstore diff`.
"""

from enum import StrEnum
from typing import Any

import msgspec

from lashstore.codec import decode_value, sha256_hex
from lashstore.errors import InvalidArgumentError
from lashstore.model.blobs import BlobRef, SessionCheckpoint
from lashstore.model.graph import SessionNode
from lashstore.model.record import Record
from lashstore.model.usage import TokenLedgerEntry, merge_usage
from lashstore.model.value_changes import ValueChange, value_changes
from lashstore.repos.heads import StoredHead
from lashstore.store.transaction import SessionTransaction

from .history import entries_of, hull
from .reading import SessionReader

_PARTS = ("tool_state", "plugin_snapshot", "execution_state")


class PartState(StrEnum):
    """
    What can be told of a part of two checkpoints.
    """

    SAME = "same"
    CHANGED = "changed"
    # They differ, and a content of them is not stored any more.
    NOT_KEPT = "not_kept"
    # Nothing is stored of what a revision's checkpoint was: no stamp.
    UNKNOWN = "unknown"


class PartChange(Record, frozen=True, kw_only=True):
    """
    A part of the checkpoint: "turn_state", "tool_state", "plugin_snapshot" or
    "execution_state".

    `gone_revisions` are those whose content is not stored. `changes` is empty
    unless the state is "changed"; bytes in it stand as {"byte_count": …,
    "sha256": …}.
    """

    part: str
    state: PartState
    before_ref: BlobRef | None = None
    after_ref: BlobRef | None = None
    gone_revisions: tuple[int, ...] = ()
    changes: tuple[ValueChange, ...] = ()


class RevisionDiff(Record, frozen=True, kw_only=True):
    """
    What the commits behind `from_revision`, up to `to_revision`, changed.

    `nodes` are those that are still live of the `added_node_count` that were
    added; the others were replaced or tombstoned since. `usage` is merged by
    source and model. Of the `unstamped_count` commits without a stamp, nodes
    are told only between stamped ones, and no usage.
    """

    session_id: str
    from_revision: int
    to_revision: int
    turn_ids: tuple[str, ...]
    unstamped_count: int
    added_node_count: int
    nodes: tuple[SessionNode, ...]
    parts: tuple[PartChange, ...]
    usage: tuple[TokenLedgerEntry, ...]


class _Snapshot(Record, frozen=True, kw_only=True):
    revision: int
    manifest: SessionCheckpoint | None
    is_known: bool = True

    def ref(self, part: str) -> BlobRef | None:
        found: BlobRef | None = getattr(self.manifest, f"{part}_ref", None)
        return found


def resolve_revision(text: str, head_revision: int) -> int:
    """
    Return the revision that a user means: a number from 0, where nothing was
    there, to the head's; "head"; or "head~2" for the second before it.

    Raises:
        InvalidArgumentError: It is none of these.
    """
    name, _, back = text.partition("~")
    number = back or "0"
    if name.lower() == "head" and number.isascii() and number.isdigit():
        revision = head_revision - int(number)
    elif not back and name.isascii() and name.isdigit():
        revision = int(name)
    else:
        msg = f"{text!r} is no revision: give a number, head, or head~2"
        raise InvalidArgumentError(msg)
    if not 0 <= revision <= head_revision:
        msg = f"there is no revision {text}: the head is at {head_revision}"
        raise InvalidArgumentError(msg)
    return revision


def diff_revisions(reader: SessionReader, one: str, other: str) -> RevisionDiff:
    """
    Compare two revisions of a session, from the earlier to the later.

    Args:
        one, other: As `resolve_revision` takes them.

    Raises:
        InvalidArgumentError: There is no such revision.
        CorruptRecordError: A row that tells is damaged.
        As `SessionReader.look`.
    """
    return reader.look(lambda tx: _diff(tx, one, other))


def _diff(tx: SessionTransaction, one: str, other: str) -> RevisionDiff:
    head = tx.heads.find(tx.session_id)
    at = 0 if head is None else head.head_revision
    before, after = sorted((resolve_revision(one, at), resolve_revision(other, at)))
    turns = tx.turn_commits.list_between(
        tx.session_id, after_revision=before, up_to_revision=after
    )
    booked = dict(
        tx.usage.list_span(tx.session_id, hull([turn.usage for turn in turns]))
    )
    return RevisionDiff(
        session_id=tx.session_id,
        from_revision=before,
        to_revision=after,
        turn_ids=tuple(turn.turn_id for turn in turns),
        unstamped_count=after - before - len(turns),
        added_node_count=sum(turn.nodes.count for turn in turns),
        nodes=tx.graph.list_span(tx.session_id, hull([turn.nodes for turn in turns])),
        parts=_parts(tx, _snapshot(tx, head, before), _snapshot(tx, head, after)),
        usage=merge_usage(
            entry for turn in turns for entry in entries_of(turn, booked)
        ),
    )


def _snapshot(
    tx: SessionTransaction, head: StoredHead | None, revision: int
) -> _Snapshot:
    if revision == 0:
        return _Snapshot(revision=0, manifest=None)
    found = tx.turn_commits.list_between(
        tx.session_id, after_revision=revision - 1, up_to_revision=revision
    )
    if found:
        return _Snapshot(revision=revision, manifest=found[0].result.manifest)
    if head is not None and head.head_revision == revision and head.checkpoint_ref:
        return _Snapshot(
            revision=revision,
            manifest=tx.checkpoints.find_manifest(tx.session_id, head.checkpoint_ref),
        )
    return _Snapshot(revision=revision, manifest=None, is_known=False)


def _parts(
    tx: SessionTransaction, before: _Snapshot, after: _Snapshot
) -> tuple[PartChange, ...]:
    names = ("turn_state", *_PARTS)
    if not (before.is_known and after.is_known):
        gone = tuple(each.revision for each in (before, after) if not each.is_known)
        return tuple(
            PartChange(part=name, state=PartState.UNKNOWN, gone_revisions=gone)
            for name in names
        )
    old, new = (
        None if each.manifest is None else each.manifest.turn_state
        for each in (before, after)
    )
    return (
        _compared(PartChange(part="turn_state", state=PartState.SAME), old, new),
        *(_part(tx, name, before, after) for name in _PARTS),
    )


def _part(
    tx: SessionTransaction, name: str, before: _Snapshot, after: _Snapshot
) -> PartChange:
    refs = (before.ref(name), after.ref(name))
    part = PartChange(
        part=name, state=PartState.SAME, before_ref=refs[0], after_ref=refs[1]
    )
    if refs[0] == refs[1]:
        return part
    wanted = [ref for ref in refs if ref is not None]
    contents = tx.blobs.list_contents(tx.session_id, wanted)
    gone = tuple(
        each.revision
        for each, ref in zip((before, after), refs, strict=True)
        if ref is not None and ref not in contents
    )
    if gone:
        return msgspec.structs.replace(
            part, state=PartState.NOT_KEPT, gone_revisions=gone
        )
    old, new = (None if ref is None else _value(contents, ref) for ref in refs)
    return _compared(part, old, new)


def _value(contents: dict[BlobRef, bytes], ref: BlobRef) -> Any:
    return decode_value(contents[ref], ref)


def _compared(part: PartChange, old: Any, new: Any) -> PartChange:
    changes = value_changes(_shown(old), _shown(new))
    if not changes:
        return part
    return msgspec.structs.replace(part, state=PartState.CHANGED, changes=changes)


def _shown(value: Any) -> Any:
    # A snapshot may be megabytes of bytes, which JSON cannot carry.
    if isinstance(value, bytes):
        return {"byte_count": len(value), "sha256": sha256_hex(value)}
    if isinstance(value, dict):
        return {key: _shown(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_shown(member) for member in value]
    return value
