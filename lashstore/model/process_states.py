"""
Where a process stands: the few things about it that change.
"""

import msgspec

from .process_facts import ProcessFacts
from .process_outputs import ProcessStatus, RunningStatus
from .processes import ProcessListFilter, ProcessRecord, ProcessStatusFilter
from .record import Record


class ProcessState(Record, frozen=True, kw_only=True):
    """
    The changing part of a process; each change is a new state.
    """

    process_id: str
    status: ProcessStatus = RunningStatus()
    definition_hash: str | None
    updated_at_ms: int
    terminal_at_ms: int | None = None
    last_sequence: int = 0
    facts: ProcessFacts = ProcessFacts()

    @property
    def is_terminal(self) -> bool:
        """
        Whether the process has ended.
        """
        return self.status.is_terminal

    @property
    def activity(self) -> str:
        """
        `idle` or `waiting` while it runs, then `ended`.
        """
        if self.is_terminal:
            return "ended"
        return "idle" if self.facts.wait is None else "waiting"

    def with_facts(self, facts: ProcessFacts, *, now_ms: int) -> "ProcessState":
        """
        Return the state with other facts, touched now.
        """
        return msgspec.structs.replace(
            self, facts=facts, updated_at_ms=max(self.updated_at_ms, now_ms)
        )

    def after_event(
        self, sequence: int, status: ProcessStatus | None, *, now_ms: int
    ) -> "ProcessState":
        """
        Return the state after an event; `status` is what it ended with.
        """
        touched = msgspec.structs.replace(
            self,
            last_sequence=sequence,
            updated_at_ms=max(self.updated_at_ms, now_ms),
        )
        if status is None:
            return touched
        return msgspec.structs.replace(
            touched,
            status=status,
            terminal_at_ms=now_ms,
            facts=msgspec.structs.replace(self.facts, wait=None),
        )

    def on(self, record: ProcessRecord) -> ProcessRecord:
        """
        Return the record as it looks in this state.
        """
        return msgspec.structs.replace(
            record,
            updated_at_ms=self.updated_at_ms,
            status=self.status,
            external_ref=self.facts.external_ref,
            first_started=self.facts.first_started,
            abandon_request=self.facts.abandon_request,
            wait=self.facts.wait,
        )


class ListScope(Record, frozen=True, kw_only=True):
    """
    A list filter as ranges of an index: at most one of the two is set, and
    `activities` are the ones that are listed.
    """

    status: str | None = None
    activities: tuple[str, ...] | None = None


def list_scope(given: ProcessListFilter) -> ListScope | None:
    """
    Return which processes a filter lists; None: it can match none.

    Only a running process waits.
    """
    if given.waiting is None:
        is_any = given.status == ProcessStatusFilter.ANY
        return ListScope(status=None if is_any else str(given.status))
    if given.status == ProcessStatusFilter.ANY:
        return ListScope(
            activities=("waiting",) if given.waiting else ("ended", "idle")
        )
    if given.status == ProcessStatusFilter.RUNNING:
        return ListScope(activities=("waiting",) if given.waiting else ("idle",))
    return None if given.waiting else ListScope(status=str(given.status))
