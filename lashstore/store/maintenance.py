"""
Tombstones, vacuum and garbage collection.
"""

from collections.abc import Iterable

import msgspec

from lashstore.model.blobs import GcReport
from lashstore.model.graph import VacuumReport
from lashstore.model.record import require_text

from .commits import first_user_node_id
from .garbage import GarbageCollection
from .transaction import SessionTransaction


class MaintenanceStore(GarbageCollection):
    """
    The part of `Store` that gives space back.
    """

    def tombstone_nodes(self, node_ids: Iterable[str]) -> int:
        """
        Hide nodes from every read; they stay stored until vacuum. Unknown
        ids are ignored, and the active path is not looked at.

        Returns:
            How many were newly marked. Safe to retry.

        Raises:
            StoreBusyError, BackendError, CorruptRecordError,
            SessionDeletedError, StoreClosedError, ReadOnlyStoreError: As for
                every write.
        """
        ids = [require_text("a node id", node_id) for node_id in node_ids]
        return self._write(lambda tx: self._tombstone(tx, ids)) if ids else 0

    def _tombstone(self, tx: SessionTransaction, node_ids: list[str]) -> int:
        head = tx.heads.find(self.session_id)
        marked = tx.graph.tombstone(self.session_id, node_ids)
        if head is not None and marked:
            tx.heads.put(
                msgspec.structs.replace(
                    head,
                    live_node_count=head.live_node_count - len(marked),
                    user_message_count=head.user_message_count - sum(marked),
                    first_user_node_id=first_user_node_id(tx),
                )
            )
        return len(marked)

    def vacuum(self) -> VacuumReport:
        """
        Remove tombstoned nodes for good, except those a live node names as
        its parent, and the cancelled and completed turn inputs, which until
        then answer replayed submissions.

        Returns:
            What this call removed. Safe to retry.
        """
        report = self._write(
            lambda tx: VacuumReport(
                removed_node_count=tx.graph.remove_tombstoned(self.session_id),
                removed_turn_input_count=tx.turn_inputs.remove_terminal(
                    self.session_id
                ),
            )
        )
        self._give_space_back()
        return report

    def gc_unreachable(self) -> GcReport:
        """
        Remove the blobs that neither the head nor an artifact leads to;
        checkpoints of earlier turns are among them. What a blob that stays
        is stored as a difference to stays with it.

        Works in steps, between which others write: what a commit refers to
        meanwhile stays, and garbage that is made meanwhile may stay.

        Returns:
            How many roots there were, how many blobs are left and how many
            were removed. Safe to retry.

        Raises:
            CorruptRecordError, RecordVersionError: The head or its manifest
                cannot be read; nothing more was removed.
        """
        report = self._collect()
        self._give_space_back()
        return report

    def _give_space_back(self) -> None:
        with self._database() as database:
            database.shrink()
