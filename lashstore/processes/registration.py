"""
Registering processes, and the facts others write on them.
"""

from collections.abc import Callable

import msgspec

from lashstore.errors import ProcessConflictError, StoreBusyError
from lashstore.model.process_facts import (
    ProcessFacts,
    check_abandon_request,
    check_external_ref,
    check_started,
    check_wait,
    require_running,
    with_abandon_request,
    with_external_ref,
    with_first_started,
)
from lashstore.model.process_leases import ProcessLease, check_lease
from lashstore.model.process_registration import (
    prepare_registration,
    require_process_id,
)
from lashstore.model.process_states import ProcessState
from lashstore.model.processes import (
    AbandonRequest,
    ProcessExternalRef,
    ProcessRecord,
    ProcessRegistration,
    ProcessStarted,
    WaitState,
)

from .handle import RegistryHandle, RegistryTransaction


class RegistrationStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that says what a process is.
    """

    def register_process(self, registration: ProcessRegistration) -> ProcessRecord:
        """
        Register a process, once.

        Registering it again alike returns it as it is by then, even ended.
        Core event types are added where they are not declared.

        Args:
            registration: Its id is the caller's choice, and not blank.

        Returns:
            The process. Safe to retry.

        Raises:
            InvalidArgumentError: The id is blank, the execution env is
                missing or out of place, an event type is declared twice or
                without an outcome, a core type otherwise than it is, a
                payload schema is no JSON Schema 2020-12 or refers to
                something outside itself, or external input is rerunnable.
            ProcessConflictError: The id is registered otherwise.
        """
        prepared = prepare_registration(registration)
        process_id = prepared.registration.id

        def operation(tx: RegistryTransaction) -> ProcessRecord:
            stored = tx.processes.find(process_id)
            if stored is None:
                added = tx.processes.add(prepared, now_ms=tx.now_ms)
                if added is not None:
                    return added
                # Another host was first, and has committed by now.
                stored = tx.processes.find(process_id)
            if stored is None:
                msg = f"process {process_id!r} was registered and pruned: try again"
                raise StoreBusyError(msg)
            if stored.record.registration_hash != prepared.registration_hash:
                msg = (
                    f"process {process_id!r} is registered otherwise (hash "
                    f"{stored.record.registration_hash}, not "
                    f"{prepared.registration_hash}): choose another id"
                )
                raise ProcessConflictError(msg, process_id=process_id)
            return stored.record

        return self._changed(process_id, self._write(operation))

    def set_external_ref(
        self, process_id: str, external_ref: ProcessExternalRef
    ) -> ProcessRecord:
        """
        Say what a process is called where it really runs; also after its end.

        Returns:
            The process. The same ref again changes nothing. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessConflictError: It has another ref.
        """
        check_external_ref(external_ref)
        return self._write_facts(
            process_id,
            lambda state: with_external_ref(process_id, state.facts, external_ref),
        )

    def record_first_started(
        self,
        process_id: str,
        started: ProcessStarted,
        *,
        fence: ProcessLease | None = None,
    ) -> ProcessRecord:
        """
        Record who ran a process first; whoever comes later is ignored.

        Args:
            fence: If given, the lease that must be held now.

        Returns:
            The process, with the first start. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessLeaseExpiredError: The fence does not prove its lease.
        """
        check_started(started)
        return self._write_facts(
            process_id,
            lambda state: with_first_started(state.facts, started),
            fence=fence,
        )

    def request_process_abandon(
        self, process_id: str, request: AbandonRequest
    ) -> ProcessRecord:
        """
        Ask for a running process to be given up. It is a mark for those who
        recover processes; the first one stays.

        Returns:
            The process, with the first request. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessTerminalError: It has ended.
        """
        check_abandon_request(request)

        def change(state: ProcessState) -> ProcessFacts:
            require_running(
                process_id,
                is_terminal=state.is_terminal,
                what="accepts abandon requests",
            )
            return with_abandon_request(state.facts, request)

        return self._write_facts(process_id, change)

    def set_process_wait(
        self, process_id: str, wait: WaitState, *, fence: ProcessLease | None = None
    ) -> ProcessRecord:
        """
        Say what a running process waits for now, in place of what it waited
        for before.

        Args:
            fence: If given, the lease that must be held now.

        Returns:
            The process, touched now. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessTerminalError: It has ended.
            ProcessLeaseExpiredError: The fence does not prove its lease.
        """
        check_wait(wait)

        def change(state: ProcessState) -> ProcessFacts:
            require_running(
                process_id, is_terminal=state.is_terminal, what="waits for signals"
            )
            return msgspec.structs.replace(state.facts, wait=wait)

        return self._write_facts(process_id, change, fence=fence)

    def clear_process_wait(
        self, process_id: str, *, fence: ProcessLease | None = None
    ) -> ProcessRecord:
        """
        Say that a process waits for nothing, whether it did or not.

        Args:
            fence: If given, the lease that must be held now.

        Returns:
            The process, touched now. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
            ProcessLeaseExpiredError: The fence does not prove its lease.
        """
        return self._write_facts(
            process_id,
            lambda state: msgspec.structs.replace(state.facts, wait=None),
            fence=fence,
        )

    def _write_facts(
        self,
        process_id: str,
        change: Callable[[ProcessState], ProcessFacts],
        *,
        fence: ProcessLease | None = None,
    ) -> ProcessRecord:
        # A change that hands back the very facts it was given is none.
        require_process_id(process_id)
        if fence is not None:
            check_lease("the fence", fence)

        def operation(tx: RegistryTransaction) -> ProcessRecord:
            tx.hold(process_id)
            stored = tx.get(process_id)
            tx.require_fence(process_id, fence)
            facts = change(stored.state)
            if facts is stored.state.facts:
                return stored.record
            state = stored.state.with_facts(facts, now_ms=tx.now_ms)
            tx.processes.put(state)
            return state.on(stored.record)

        return self._changed(process_id, self._write(operation))

    def _changed(self, process_id: str, record: ProcessRecord) -> ProcessRecord:
        self._changes.notify(process_id)
        return record
