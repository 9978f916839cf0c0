"""
What must hold of processes, their events, wakes and grants.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_outputs import RunningStatus, status_of
from lashstore.model.process_registration import definition_hash
from lashstore.repos import (
    _process_rows,
    handle_grants,
    process_events,
    process_leases,
)
from lashstore.repos._process_rows import StoredProcess

from .findings import FindingKind, Findings
from .scanning import sound_rows

_PROCESSES, _EVENTS, _WAKES = "processes", "process_events", "process_wakes"


def check_processes(connection: sa.Connection, findings: Findings) -> None:
    """
    Report everything wrong with the process registry.
    """
    logs = _Logs(findings)
    for scanned in sound_rows(connection, process_events.SCAN, findings):
        logs.add(scanned.value)
    known: set[str] = set()
    for scanned in sound_rows(connection, _process_rows.SCAN, findings):
        known.add(scanned.key)
        _check_columns(scanned.row, scanned.value, findings)
        logs.compare(scanned.value)
    logs.report_strays(known)
    for scanned in sound_rows(connection, process_events.WAKE_SCAN, findings):
        _check_wake(scanned.row, scanned.value, logs.wakes, findings)
    for scan in (handle_grants.SCAN, process_leases.SCAN):
        for scanned in sound_rows(connection, scan, findings):
            if scanned.row.process_id not in known and not findings.has_unread(
                _PROCESSES
            ):
                findings.add(
                    FindingKind.REFERENCE_MISSING,
                    f"process {scanned.row.process_id!r} is not stored",
                    table=scan.table.name,
                    key=scanned.key,
                )


class _Logs:
    """
    What the events say of each process: read first, compared afterwards.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._last: dict[str, int] = {}
        self._terminal: dict[str, ProcessEvent] = {}
        self.wakes: dict[str, Any] = {}

    def add(self, event: ProcessEvent) -> None:
        last = self._last.get(event.process_id, 0)
        key = f"{event.process_id}/{event.sequence}"
        if event.sequence != last + 1 and not self._is_damaged(event.process_id):
            self._findings.add(
                FindingKind.SEQUENCE_BROKEN,
                f"event {last + 1} is missing before it",
                table=_EVENTS,
                key=key,
            )
        self._last[event.process_id] = event.sequence
        if event.semantics.wake is not None:
            self.wakes[key] = event.semantics.wake
        if event.semantics.terminal is not None:
            if event.process_id in self._terminal:
                self._findings.add(
                    FindingKind.STATE_WRONG,
                    "it ends a process that an earlier event has ended",
                    table=_EVENTS,
                    key=key,
                )
            self._terminal.setdefault(event.process_id, event)

    def _is_damaged(self, process_id: str) -> bool:
        # Where an event could not be read, a gap and a missing end are its.
        return any(
            finding.table == _EVENTS
            and (finding.key is None or finding.key.startswith(f"{process_id}/"))
            for finding in self._findings.found
        )

    def compare(self, stored: StoredProcess) -> None:
        process_id, state = stored.state.process_id, stored.state
        if self._is_damaged(process_id):
            return
        last = self._last.get(process_id, 0)
        if last != state.last_sequence:
            self._findings.add(
                FindingKind.COUNT_WRONG,
                f"its last event is {state.last_sequence}, stored are {last}",
                table=_PROCESSES,
                key=process_id,
            )
            return
        event = self._terminal.get(process_id)
        if event is None or event.semantics.terminal is None:
            expected: Any = (RunningStatus(), None)
        else:
            ended = event.semantics.terminal
            expected = (
                status_of(ended.state, ended.await_output),
                event.occurred_at_ms,
            )
        if (state.status, state.terminal_at_ms) != expected:
            self._findings.add(
                FindingKind.STATE_WRONG,
                f"it is {state.status.label}, its events say {expected[0].label}, "
                "or another outcome or time",
                table=_PROCESSES,
                key=process_id,
            )

    def report_strays(self, known: set[str]) -> None:
        if self._findings.has_unread(_PROCESSES):
            return
        for process_id in sorted(self._last.keys() - known):
            self._findings.add(
                FindingKind.REFERENCE_MISSING,
                "there are events, and their process is not stored",
                table=_EVENTS,
                key=process_id,
            )


def _check_columns(row: Any, stored: StoredProcess, findings: Findings) -> None:
    told = (row.stored_activity, row.definition_hash)
    actual = (
        stored.state.activity,
        definition_hash(stored.record.identity.definition),
    )
    if told != actual:
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "its activity or definition hash is not what its facts and identity say",
            table=_PROCESSES,
            key=row.process_id,
        )


def _check_wake(
    row: Any, delivery: Any, wakes: dict[str, Any], findings: Findings
) -> None:
    key = f"{row.process_id}/{row.sequence}"
    if findings.has_unread(_EVENTS):
        return
    wake = wakes.get(key)
    if wake is None:
        findings.add(
            FindingKind.REFERENCE_MISSING,
            "its event is not stored, or wakes nobody",
            table=_WAKES,
            key=key,
        )
    elif delivery is not None and (
        (delivery.process_id, delivery.sequence, delivery.dedupe_key, delivery.input)
        != (row.process_id, row.sequence, wake.dedupe_key, wake.input)
    ):
        findings.add(
            FindingKind.ROW_INCONSISTENT,
            "its delivery is not what its event says",
            table=_WAKES,
            key=key,
        )
