"""
Finding processes, and forgetting those that ended long ago.
"""

from lashstore.codec import MAX_COUNTER
from lashstore.model.process_facts import check_filter
from lashstore.model.process_registration import definition_hash, require_process_id
from lashstore.model.process_states import list_scope
from lashstore.model.processes import (
    ProcessListFilter,
    ProcessPruneReport,
    ProcessRecord,
)
from lashstore.model.record import require_optional_text, require_upper_bound

from .handle import RegistryHandle, RegistryTransaction

# How many processes one statement of a pruning removes.
_PRUNE_PAGE = 1000


class ListingStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that finds processes.
    """

    def get_process(self, process_id: str) -> ProcessRecord | None:
        """
        Return a process; None if there is none of this id.

        Raises:
            CorruptRecordError: There is one, but it cannot be read.
        """
        require_process_id(process_id)

        def operation(tx: RegistryTransaction) -> ProcessRecord | None:
            stored = tx.processes.find(process_id)
            return None if stored is None else stored.record

        return self._read(operation)

    def list_processes(
        self,
        filter: ProcessListFilter = ProcessListFilter(),  # noqa: A002, the contract's name
        *,
        after_id: str | None = None,
        limit: int | None = None,
    ) -> tuple[ProcessRecord, ...]:
        """
        Return the processes a filter admits, by id in code point order.

        Args:
            filter: By default the running ones.

            after_id: The last id of the page before; None: from the first
                on. It need not exist.

            limit: At most so many; None: all.
        """
        check_filter(filter)
        after = require_optional_text("after_id", after_id)
        if limit is not None:
            limit = require_upper_bound("limit", limit)
        hashed = definition_hash(filter.definition)
        scope = list_scope(filter)
        if scope is None or limit == 0:
            self._database.require_open()
            return ()
        return self._read(
            lambda tx: tx.processes.list_page(
                scope, definition_hash=hashed, after_id=after, limit=limit
            )
        )

    def list_non_terminal(
        self, *, after_id: str | None = None, limit: int | None = None
    ) -> tuple[ProcessRecord, ...]:
        """
        Return the running processes, by id; paged as `list_processes`.
        """
        return self.list_processes(after_id=after_id, limit=limit)

    def prune_terminal_processes(self, cutoff_ms: int) -> ProcessPruneReport:
        """
        Forget the processes that ended before a time, with their logs,
        wakes, grants and leases.

        Their ids are free again: sequence numbers and fencing tokens start
        anew.

        Args:
            cutoff_ms: Ended before this time; what was written on them
                afterwards keeps none of them. Beyond 2**63-1: all that ended.

        Returns:
            How much was removed. Safe to retry.
        """
        last_ms = require_upper_bound("cutoff_ms", cutoff_ms)
        if cutoff_ms <= MAX_COUNTER:
            last_ms -= 1
        return self._write(lambda tx: _prune(tx, last_ms))


def _prune(tx: RegistryTransaction, last_ms: int) -> ProcessPruneReport:
    # By pages, so that no list of ids grows without bound.
    processes = events = 0
    while page := tx.processes.list_prunable(last_ms=last_ms, page=_PRUNE_PAGE):
        ended = tx.processes.hold_prunable(page, last_ms=last_ms)
        events += tx.events.remove(ended)
        processes += tx.processes.remove(ended)
        tx.tell(ended)
        if len(page) < _PRUNE_PAGE:
            break
    return ProcessPruneReport(pruned_processes=processes, pruned_events=events)
