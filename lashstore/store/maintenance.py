"""
Tombstones, vacuum and garbage collection.
"""

import functools
from collections.abc import Callable, Iterable

import msgspec

from lashstore.engines import Pace
from lashstore.model.blobs import GcReport
from lashstore.model.graph import VacuumReport
from lashstore.model.record import require_text

from .commits import first_user_node_id
from .garbage import GarbageCollection, OnRemoved, ignore
from .transaction import SessionTransaction

# What one step of a vacuum looks at, at first and at most.
_FIRST_ROWS = 32
_MOST_ROWS = 1_000


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

        Works in steps, between which others write; what ends meanwhile may
        stay.

        Returns:
            What this call removed. Safe to retry.
        """
        report = self._vacuum()
        self._give_space_back()
        return report

    def _vacuum(self, on_removed: OnRemoved = ignore) -> VacuumReport:
        # Inside a transaction of this thread every step would wait for it.
        self._refuse_nested()
        return VacuumReport(
            removed_node_count=self._remove_tombstoned(on_removed),
            removed_turn_input_count=self._remove_terminal(on_removed),
        )

    def _remove_tombstoned(self, on_removed: OnRemoved) -> int:
        pace, removed, after = self._pace(), 0, ""
        # Page by page, so that those that stay are looked at once.
        while node_ids := self._read(
            functools.partial(self._list_tombstoned, after, pace.size)
        ):
            step = functools.partial(self._remove_nodes, node_ids)
            removed += self._step(pace, step, on_removed)
            after = node_ids[-1]
        return removed

    def _list_tombstoned(
        self, after: str, page: int, tx: SessionTransaction
    ) -> tuple[str, ...]:
        return tx.graph.list_tombstoned(self.session_id, after_id=after, page=page)

    def _remove_nodes(self, node_ids: tuple[str, ...], tx: SessionTransaction) -> int:
        return tx.graph.remove_tombstoned(self.session_id, node_ids)

    def _remove_terminal(self, on_removed: OnRemoved) -> int:
        pace, removed = self._pace(), 0
        while True:
            step = functools.partial(self._remove_inputs, pace.size)
            count = self._step(pace, step, on_removed)
            if not count:
                return removed
            removed += count

    def _remove_inputs(self, page: int, tx: SessionTransaction) -> int:
        return tx.turn_inputs.remove_terminal(self.session_id, page=page)

    def _step(
        self,
        pace: Pace,
        step: Callable[[SessionTransaction], int],
        on_removed: OnRemoved,
    ) -> int:
        with pace.step():
            count = self._write(step)
        on_removed(count)
        return count

    def _pace(self) -> Pace:
        return Pace(first=_FIRST_ROWS, most=_MOST_ROWS, checkpoint=self._checkpoint)

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
