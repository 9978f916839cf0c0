"""
Content-addressed blobs and the checkpoint manifests made of them.
"""

import functools
import re
from enum import StrEnum
from typing import Any

from lashstore import codec
from lashstore.errors import (
    CorruptRecordError,
    RecordVersionError,
)

from .options import BlobProfile
from .record import (
    Json,
    Record,
    require_optional_counter,
    require_record,
    require_text,
)

BlobRef = str

CHECKPOINT_SCHEMA_VERSION = 1
_OPTIONAL_BYTES = bytes | None
_REF = re.compile(r"[0-9a-f]{64}")


class ArtifactKind(StrEnum):
    """
    What a blob holds; the first put of a content decides.
    """

    GENERIC_BLOB = "generic_blob"
    CHECKPOINT_MANIFEST = "checkpoint_manifest"
    TOOL_STATE = "tool_state"
    PLUGIN_SESSION_SNAPSHOT = "plugin_session_snapshot"
    EXECUTION_STATE_SNAPSHOT = "execution_state_snapshot"
    MODULE = "module"
    PROCESS_EXECUTION_ENV = "process_execution_env"


class StorageHint(StrEnum):
    """
    What is known of a blob's content before it is stored.
    """

    COMPRESSIBLE = "compressible"
    INLINE_PREFERRED = "inline_preferred"
    LARGE_PAYLOAD = "large_payload"


_LARGE = (StorageHint.COMPRESSIBLE, StorageHint.LARGE_PAYLOAD)
_STANDARD_HINTS: dict[ArtifactKind, tuple[StorageHint, ...]] = {
    ArtifactKind.GENERIC_BLOB: (),
    ArtifactKind.CHECKPOINT_MANIFEST: (StorageHint.COMPRESSIBLE,),
    ArtifactKind.TOOL_STATE: _LARGE,
    ArtifactKind.PLUGIN_SESSION_SNAPSHOT: _LARGE,
    ArtifactKind.EXECUTION_STATE_SNAPSHOT: _LARGE,
    ArtifactKind.MODULE: _LARGE,
    ArtifactKind.PROCESS_EXECUTION_ENV: (StorageHint.COMPRESSIBLE,),
}


class BlobDescriptor(Record, frozen=True, kw_only=True):
    """
    How a blob is to be stored.
    """

    kind: ArtifactKind
    hints: tuple[StorageHint, ...] = ()

    @classmethod
    def for_kind(cls, kind: ArtifactKind) -> "BlobDescriptor":
        """
        Return the kind's standard hints.
        """
        return cls(kind=kind, hints=_STANDARD_HINTS[kind])


# zstd levels: 3 is where the ratio stops paying for its time on JSON-like
# snapshots, 9 is the last level that still encodes tens of MB a second.
_LEVELS = {BlobProfile.BALANCED: (4096, 3), BlobProfile.COMPACT: (1024, 9)}


def compression_level(
    profile: BlobProfile, descriptor: BlobDescriptor, raw_bytes: int
) -> int | None:
    """
    Decide the zstd level for a content; None: store it as it is.
    """
    if StorageHint.COMPRESSIBLE not in descriptor.hints:
        return None
    threshold, level = _LEVELS.get(profile, (None, None))
    if threshold is None or raw_bytes < threshold:
        return None
    return level


def is_ref(text: str) -> bool:
    """
    Tell whether *text* has the form of a SHA-256.
    """
    return _REF.fullmatch(text) is not None


class SessionCheckpoint(Record, frozen=True, kw_only=True):
    """
    A checkpoint's manifest, itself a blob: small state inline, snapshots by
    their refs.
    """

    schema_version: int = CHECKPOINT_SCHEMA_VERSION
    turn_state: Json
    tool_state_ref: BlobRef | None = None
    plugin_snapshot_ref: BlobRef | None = None
    plugin_snapshot_revision: int | None = None
    execution_state_ref: BlobRef | None = None

    def part_refs(self) -> tuple[BlobRef, ...]:
        """
        Return the refs of the snapshots it has.
        """
        refs = (
            self.tool_state_ref,
            self.plugin_snapshot_ref,
            self.execution_state_ref,
        )
        return tuple(ref for ref in refs if ref is not None)

    def to_map(self) -> dict[str, Json]:
        """
        Return the manifest as it is stored: absent members are left out.
        """
        optional = {
            "tool_state_ref": self.tool_state_ref,
            "plugin_snapshot_ref": self.plugin_snapshot_ref,
            "plugin_snapshot_revision": self.plugin_snapshot_revision,
            "execution_state_ref": self.execution_state_ref,
        }
        return {
            "schema_version": self.schema_version,
            "turn_state": self.turn_state,
        } | {name: member for name, member in optional.items() if member is not None}

    @classmethod
    def from_map(cls, ref: BlobRef, stored: Any) -> "SessionCheckpoint":
        """
        Read a stored manifest.

        Raises:
            RecordVersionError: It has no version, or another one.
            CorruptRecordError: It is no manifest.
        """
        if not isinstance(stored, dict):
            raise _not_a_manifest(ref, "it is no map")
        version = stored.get("schema_version")
        if version != CHECKPOINT_SCHEMA_VERSION or isinstance(version, bool):
            raise RecordVersionError(
                record_kind="SessionCheckpoint",
                expected=CHECKPOINT_SCHEMA_VERSION,
                actual=None if version is None else str(version),
            )
        refs = ("tool_state_ref", "plugin_snapshot_ref", "execution_state_ref")
        for name in refs:
            if not isinstance(stored.get(name), str | None):
                raise _not_a_manifest(ref, f"{name} is no ref")
        revision = stored.get("plugin_snapshot_revision")
        if not isinstance(revision, int | None):
            raise _not_a_manifest(ref, "plugin_snapshot_revision is no number")
        if "turn_state" not in stored:
            raise _not_a_manifest(ref, "it has no turn state")
        return cls(
            turn_state=stored["turn_state"],
            tool_state_ref=stored.get("tool_state_ref"),
            plugin_snapshot_ref=stored.get("plugin_snapshot_ref"),
            plugin_snapshot_revision=revision,
            execution_state_ref=stored.get("execution_state_ref"),
        )


def _not_a_manifest(ref: BlobRef, reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="checkpoint manifest", key=ref, reason=reason)


class EncodedBlob(Record, frozen=True, kw_only=True):
    """
    A content with its ref, encoded and hashed but not yet compressed.
    """

    ref: BlobRef
    descriptor: BlobDescriptor
    content: bytes


class EncodedCheckpoint(Record, frozen=True, kw_only=True):
    """
    A checkpoint ready to be stored: the manifest, the blobs that were given
    as values (the manifest's last), and the refs that were given without.
    """

    manifest: SessionCheckpoint
    checkpoint_ref: BlobRef
    blobs: tuple[EncodedBlob, ...]
    kept_refs: tuple[BlobRef, ...]


class HydratedCheckpoint(Record, frozen=True, kw_only=True, dict=True):
    """
    A checkpoint with its snapshots' values.

    On the way in a present value is stored, and an absent one (None) keeps
    the ref that is given; on the way out every stored snapshot is present.
    """

    turn_state: Json = {}
    tool_state_ref: BlobRef | None = None
    tool_state: Json | None = None
    plugin_snapshot_ref: BlobRef | None = None
    plugin_snapshot: Json | None = None
    plugin_snapshot_revision: int | None = None
    execution_state_ref: BlobRef | None = None
    execution_state: bytes | None = None

    @functools.cached_property
    def encoded(self) -> EncodedCheckpoint:
        """
        The checkpoint as it is stored.

        Made once, so that a large state is encoded and hashed once for a
        turn's hash and its commit together.

        Raises:
            InvalidArgumentError: A value is not plain data, a ref no text,
                or the revision no counter.
        """
        return _encode_checkpoint(self)


class StoredCheckpoint(Record, frozen=True, kw_only=True):
    """
    A stored manifest and the ref it is stored under.
    """

    checkpoint_ref: BlobRef
    manifest: SessionCheckpoint


class GcReport(Record, frozen=True, kw_only=True):
    """
    What a garbage collection found: roots, blobs kept, blobs deleted.
    """

    root_count: int = 0
    retained_blob_count: int = 0
    deleted_blob_count: int = 0


def encode_blob(descriptor: BlobDescriptor, content: bytes) -> EncodedBlob:
    """
    Hash a content.

    Raises:
        InvalidArgumentError: It is no bytes, or the descriptor is none.
    """
    require_record("the descriptor", descriptor, BlobDescriptor)
    require_record("a blob's content", content, bytes)
    return EncodedBlob(
        ref=codec.sha256_hex(content), descriptor=descriptor, content=content
    )


def encode_typed_blob(
    descriptor: BlobDescriptor, value: Json, what: str
) -> EncodedBlob:
    """
    Encode and hash a value.

    Raises:
        InvalidArgumentError: It is not plain data.
    """
    return encode_blob(descriptor, codec.encode_value(value, what))


_PARTS = (
    ("tool_state", "tool_state_ref", ArtifactKind.TOOL_STATE),
    (
        "plugin_snapshot",
        "plugin_snapshot_ref",
        ArtifactKind.PLUGIN_SESSION_SNAPSHOT,
    ),
    (
        "execution_state",
        "execution_state_ref",
        ArtifactKind.EXECUTION_STATE_SNAPSHOT,
    ),
)


def _encode_checkpoint(checkpoint: HydratedCheckpoint) -> EncodedCheckpoint:
    require_optional_counter(
        "plugin_snapshot_revision", checkpoint.plugin_snapshot_revision
    )
    require_record("execution_state", checkpoint.execution_state, _OPTIONAL_BYTES)
    blobs: list[EncodedBlob] = []
    refs: dict[str, BlobRef | None] = {}
    kept: list[BlobRef] = []
    for name, ref_name, kind in _PARTS:
        value, ref = getattr(checkpoint, name), getattr(checkpoint, ref_name)
        if value is not None:
            blob = encode_typed_blob(BlobDescriptor.for_kind(kind), value, name)
            blobs.append(blob)
            ref = blob.ref
        elif ref is not None:
            kept.append(require_text(ref_name, ref))
        refs[ref_name] = ref
    manifest = SessionCheckpoint(
        turn_state=checkpoint.turn_state,
        tool_state_ref=refs["tool_state_ref"],
        plugin_snapshot_ref=refs["plugin_snapshot_ref"],
        plugin_snapshot_revision=checkpoint.plugin_snapshot_revision,
        execution_state_ref=refs["execution_state_ref"],
    )
    stored = encode_typed_blob(
        BlobDescriptor.for_kind(ArtifactKind.CHECKPOINT_MANIFEST),
        manifest.to_map(),
        "the checkpoint",
    )
    return EncodedCheckpoint(
        manifest=manifest,
        checkpoint_ref=stored.ref,
        blobs=(*blobs, stored),
        kept_refs=tuple(dict.fromkeys(kept)),
    )
