"""
The logs of processes: appending, reading, ending.
"""

from collections.abc import Callable

from lashstore.errors import UnknownProcessError
from lashstore.model.process_events import (
    EventContext,
    PlannedEvent,
    PreparedAppend,
    ProcessEvent,
    ProcessEventAppendRequest,
    ProcessEventAppendResult,
    check_replay,
    plan_event,
    prepare_append,
    prepare_completion,
)
from lashstore.model.process_leases import ProcessLease, check_lease
from lashstore.model.process_outputs import AwaitOutput
from lashstore.model.process_registration import require_process_id
from lashstore.model.process_states import ProcessState
from lashstore.model.processes import ProcessRecord
from lashstore.model.record import (
    require_counter,
    require_text,
    require_upper_bound,
)

from .handle import RegistryHandle, RegistryTransaction


class EventStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that keeps the logs.
    """

    def append_event(
        self,
        process_id: str,
        request: ProcessEventAppendRequest,
        *,
        fence: ProcessLease | None = None,
    ) -> ProcessEventAppendResult:
        """
        Append an event to a process's log, with all that follows from it:
        the end of the process, the wake of a session.

        Args:
            request: With a replay key, appending it again returns the stored
                event, whatever happened since. Events that end a process,
                and requests to cancel it, must have one.

            fence: If given, the lease that must be held now, also for a
                replay.

        Returns:
            The stored event, and its wake delivery until that is
            acknowledged. Safe to retry with a replay key.

        Raises:
            UnknownProcessError: There is no such process.
            InvalidProcessEventError: The type is not declared, the payload
                does not fit its schema or selectors, the replay key is
                missing, empty or reserved, or the outcome contradicts the
                state that the type declares.
            ProcessConflictError: The replay key names another event.
            ProcessTerminalError: The event would end an ended process.
            ProcessLeaseExpiredError: The fence does not prove its lease.
        """
        require_process_id(process_id)
        if fence is not None:
            check_lease("the fence", fence)
        prepared = prepare_append(process_id, request)

        def operation(tx: RegistryTransaction) -> ProcessEventAppendResult:
            tx.hold(process_id)
            stored = tx.processes.find_context(process_id, prepared.replay_key)
            if stored is None:
                raise UnknownProcessError(process_id=process_id)
            tx.require_fence(process_id, fence)
            event = (
                _find_replayed(tx, process_id, prepared) if stored.is_replayed else None
            )
            if event is not None:
                delivery = tx.events.find_delivery(process_id, event.sequence)
                return ProcessEventAppendResult(
                    event=event, wake_delivery=delivery, inserted=False
                )
            planned = plan_event(stored.context, prepared, now_ms=tx.now_ms)
            state = _state_after(stored.state, planned)
            _add_event(tx, planned)
            if planned.status is None:
                tx.processes.advance(state, stored)
            else:
                tx.processes.put(state)
            return ProcessEventAppendResult(
                event=planned.event, wake_delivery=planned.wake_delivery
            )

        result = self._write(operation)
        self._changes.notify(process_id)
        return result

    def complete_process(
        self,
        process_id: str,
        await_output: AwaitOutput,
        *,
        fence: ProcessLease | None = None,
    ) -> ProcessRecord:
        """
        End a process with an outcome; a process ends once.

        Args:
            fence: If given, the lease that must be held now.

        Returns:
            The ended process; the same outcome again changes nothing. Safe
            to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessConflictError: It ended in this state with another outcome.
            ProcessTerminalError: It ended in another way.
            ProcessLeaseExpiredError: The fence does not prove its lease.
        """
        require_process_id(process_id)
        if fence is not None:
            check_lease("the fence", fence)
        prepared = prepare_completion(process_id, await_output)

        def operation(tx: RegistryTransaction) -> ProcessRecord:
            tx.hold(process_id)
            stored = tx.get(process_id)
            tx.require_fence(process_id, fence)
            if _find_replayed(tx, process_id, prepared) is not None:
                return stored.record
            context = _context_of(stored.record, stored.state)
            planned = plan_event(context, prepared, now_ms=tx.now_ms)
            state = _state_after(stored.state, planned)
            _add_event(tx, planned)
            tx.processes.put(state)
            return state.on(stored.record)

        record = self._write(operation)
        self._changes.notify(process_id)
        return record

    def events_after(
        self, process_id: str, after_sequence: int, *, limit: int | None = None
    ) -> tuple[ProcessEvent, ...]:
        """
        Return a process's events behind a sequence number, in order.

        Args:
            after_sequence: 0: from the first event on.

            limit: At most so many; None: all.

        Raises:
            UnknownProcessError: There is no such process.
        """
        require_counter("after_sequence", after_sequence)
        if limit is not None:
            limit = require_upper_bound("limit", limit)
        return self._read_events(
            process_id,
            lambda tx: tx.events.list_after(process_id, after_sequence, limit=limit),
        )

    def recent_events(self, process_id: str, limit: int) -> tuple[ProcessEvent, ...]:
        """
        Return a process's last *limit* events, in order.

        Raises:
            UnknownProcessError: There is no such process.
        """
        limit = require_upper_bound("limit", limit)
        return self._read_events(
            process_id, lambda tx: tx.events.list_recent(process_id, limit)
        )

    def count_events_through(
        self, process_id: str, event_type: str, up_to_sequence: int
    ) -> int:
        """
        Return how many events of a type a process has up to a sequence
        number, that one included.

        Raises:
            UnknownProcessError: There is no such process.
        """
        require_process_id(process_id)
        require_text("event_type", event_type)
        last = require_upper_bound("up_to_sequence", up_to_sequence)

        def operation(tx: RegistryTransaction) -> int:
            count = tx.events.count_through(process_id, event_type, last)
            if not count:
                tx.require_known(process_id)
            return count

        return self._read(operation)

    def _read_events(
        self,
        process_id: str,
        look: Callable[[RegistryTransaction], tuple[ProcessEvent, ...]],
    ) -> tuple[ProcessEvent, ...]:
        require_process_id(process_id)

        def operation(tx: RegistryTransaction) -> tuple[ProcessEvent, ...]:
            found = look(tx)
            # What has events is known.
            if not found:
                tx.require_known(process_id)
            return found

        return self._read(operation)


def _find_replayed(
    tx: RegistryTransaction, process_id: str, request: PreparedAppend
) -> ProcessEvent | None:
    if request.replay_key is None:
        return None
    stored = tx.events.find_by_replay_key(process_id, request.replay_key)
    if stored is None:
        return None
    check_replay(
        process_id,
        request,
        event_type=stored.event.event_type,
        payload_json=stored.payload_json,
    )
    return stored.event


def _state_after(before: ProcessState, planned: PlannedEvent) -> ProcessState:
    event = planned.event
    return before.after_event(
        event.sequence, planned.status, now_ms=event.occurred_at_ms
    )


def _add_event(tx: RegistryTransaction, planned: PlannedEvent) -> None:
    tx.events.add(planned)
    tx.tell([planned.event.process_id])


def _context_of(record: ProcessRecord, state: ProcessState) -> EventContext:
    return EventContext(
        process_id=record.id,
        is_terminal=state.is_terminal,
        last_sequence=state.last_sequence,
        event_types={each.name: each for each in record.event_types},
        caused_by=record.provenance.caused_by,
        wake_target=record.wake_target,
    )
