"""
Checkpoints: manifests and the snapshots they name.
"""

import sqlalchemy as sa

from lashstore.codec import decode_value
from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import (
    BlobRef,
    HydratedCheckpoint,
    SessionCheckpoint,
)

from ._run import Runner
from .blobs import BlobRepository


class CheckpointRepository:
    """
    Checkpoints over the blobs they are made of.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._blobs = BlobRepository(connection)

    def find_manifest(self, session_id: str, ref: BlobRef) -> SessionCheckpoint | None:
        """
        Return a manifest; None if it is not stored.

        Raises:
            CorruptRecordError: It is damaged, or no manifest.
            RecordVersionError: It is of another record version.
        """
        content = self._blobs.find(session_id, ref)
        if content is None:
            return None
        return SessionCheckpoint.from_map(ref, decode_value(content, ref))

    def find(self, session_id: str, ref: BlobRef) -> HydratedCheckpoint | None:
        """
        Return a checkpoint with its snapshots; None if it is not stored.

        Raises:
            CorruptRecordError: It or a snapshot is damaged or missing.
            RecordVersionError: It is of another record version.
        """
        manifest = self.find_manifest(session_id, ref)
        if manifest is None:
            return None
        contents = self._blobs.list_contents(session_id, manifest.part_refs())
        parts = {}
        for name in ("tool_state", "plugin_snapshot", "execution_state"):
            part_ref = getattr(manifest, f"{name}_ref")
            if part_ref is None:
                continue
            if part_ref not in contents:
                raise CorruptRecordError(
                    record_kind="blob",
                    key=part_ref,
                    reason=f"checkpoint {ref} needs it, and it is missing",
                )
            parts[name] = decode_value(contents[part_ref], part_ref)
        return HydratedCheckpoint(
            turn_state=manifest.turn_state,
            tool_state_ref=manifest.tool_state_ref,
            plugin_snapshot_ref=manifest.plugin_snapshot_ref,
            plugin_snapshot_revision=manifest.plugin_snapshot_revision,
            execution_state_ref=manifest.execution_state_ref,
            **parts,
        )
