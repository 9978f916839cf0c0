"""
Handle grants, and what becomes of processes when a session is deleted.
"""

from collections.abc import Iterable, Sequence

from lashstore import codec
from lashstore.errors import ProcessConflictError
from lashstore.model.process_grants import (
    ProcessHandleDescriptor,
    ProcessHandleGrant,
    ProcessSessionDeleteReport,
    check_descriptor,
)
from lashstore.model.process_registration import check_scope, require_process_id
from lashstore.model.processes import ProcessRecord, SessionScope
from lashstore.model.record import require_text

from .handle import RegistryHandle, RegistryTransaction

Entries = tuple[tuple[ProcessHandleGrant, ProcessRecord], ...]


class GrantStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that says who may address a process.

    A scope is a session or one agent frame of it; the grants of a session
    and of its frames are apart.
    """

    def grant_handle(
        self, scope: SessionScope, process_id: str, descriptor: ProcessHandleDescriptor
    ) -> ProcessHandleGrant:
        """
        Let a scope address a process, under this descriptor from now on.

        Returns:
            The grant. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
        """
        check_scope("the scope", scope)
        require_process_id(process_id)
        descriptor_json = check_descriptor(descriptor)

        def operation(tx: RegistryTransaction) -> None:
            tx.hold(process_id)
            tx.require_known(process_id)
            tx.grants.put_all(scope, [(process_id, descriptor_json)])

        self._write(operation)
        return ProcessHandleGrant(
            session_id=scope.session_id,
            process_id=process_id,
            descriptor=codec.from_json(ProcessHandleDescriptor, descriptor_json),
        )

    def revoke_handle(self, scope: SessionScope, process_id: str) -> None:
        """
        Take a grant back; nothing happens if there is none. Safe to retry.
        """
        check_scope("the scope", scope)
        require_process_id(process_id)

        def operation(tx: RegistryTransaction) -> None:
            # Whoever asks who else has a grant holds the process as well.
            tx.hold(process_id)
            tx.grants.remove(scope, [process_id])

        self._write(operation)

    def transfer_handle_grants(
        self,
        from_scope: SessionScope,
        to_scope: SessionScope,
        process_ids: Sequence[str],
    ) -> None:
        """
        Move grants from one scope to another, all or none; their descriptors
        go along, and replace those that are there.

        Args:
            process_ids: None of them twice; empty: nothing happens.

        Raises:
            ProcessConflictError: One of them is not granted to *from_scope*;
                nothing was moved.
        """
        check_scope("from_scope", from_scope)
        check_scope("to_scope", to_scope)
        ids = [require_process_id(process_id) for process_id in process_ids]
        if ids:
            self._write(lambda tx: _transfer(tx, from_scope, to_scope, ids))

    def list_handle_grants(self, scope: SessionScope) -> Entries:
        """
        Return a scope's grants with their processes, by process id.
        """
        return self._list_grants(scope, is_running_only=False)

    def list_live_handle_grants(self, scope: SessionScope) -> Entries:
        """
        Return a scope's grants of running processes, by process id.
        """
        return self._list_grants(scope, is_running_only=True)

    def _list_grants(self, scope: SessionScope, *, is_running_only: bool) -> Entries:
        check_scope("the scope", scope)

        def operation(tx: RegistryTransaction) -> Entries:
            grants = {
                grant.process_id: grant for grant in tx.grants.list_by_scope(scope)
            }
            records = tx.processes.list_by_ids(
                list(grants), is_running_only=is_running_only
            )
            return tuple((grants[record.id], record) for record in records)

        return self._read(operation)

    def has_handle_grant(self, scope: SessionScope, process_id: str) -> bool:
        """
        Tell whether a scope may address a process.
        """
        check_scope("the scope", scope)
        require_process_id(process_id)
        return self._read(lambda tx: tx.grants.find(scope, process_id) is not None)

    def handle_grants_for_process(
        self, process_id: str
    ) -> tuple[ProcessHandleGrant, ...]:
        """
        Return a process's grants, by session, then by agent frame.

        Raises:
            UnknownProcessError: There is no such process.
        """
        require_process_id(process_id)

        def operation(tx: RegistryTransaction) -> tuple[ProcessHandleGrant, ...]:
            found = tx.grants.list_for_process(process_id)
            if not found:
                tx.require_known(process_id)
            return found

        return self._read(operation)

    def delete_session_process_state(
        self, session_id: str
    ) -> ProcessSessionDeleteReport:
        """
        Forget a deleted session: its grants, and its place as wake target.

        No process, event or wake is deleted, and nothing is cancelled.

        Returns:
            How many grants it had, and which running processes nobody else,
            or somebody else still, has a grant of. Safe to retry.
        """
        require_text("session_id", session_id)

        def operation(tx: RegistryTransaction) -> ProcessSessionDeleteReport:
            granted = _hold_granted(tx, session_id)
            running = tx.processes.list_running_ids(list(granted))
            revoked = tx.grants.remove_by_session(session_id, list(granted))
            tx.processes.clear_session_targets(session_id, now_ms=tx.now_ms)
            return ProcessSessionDeleteReport(
                session_id=session_id,
                revoked_handle_count=revoked,
                deleted_wake_count=0,
                orphaned_process_ids=_only(running, granted, is_kept=False),
                preserved_process_ids=_only(running, granted, is_kept=True),
            )

        return self._write(operation)


def _hold_granted(tx: RegistryTransaction, session_id: str) -> dict[str, bool]:
    granted = tx.grants.list_by_session(session_id)
    if not tx.processes.hold_of_session(session_id, granted):
        return granted
    # A grant that came meanwhile came after the deletion.
    found = tx.grants.list_by_session(session_id)
    return {each: is_kept for each, is_kept in found.items() if each in granted}


def _only(
    running: Iterable[str], granted: dict[str, bool], *, is_kept: bool
) -> tuple[str, ...]:
    return tuple(each for each in running if granted[each] is is_kept)


def _transfer(
    tx: RegistryTransaction,
    from_scope: SessionScope,
    to_scope: SessionScope,
    process_ids: list[str],
) -> None:
    tx.processes.hold_all(process_ids)
    found = tx.grants.find_descriptors(from_scope, process_ids)
    moved = {}
    for process_id in process_ids:
        # The second time, it is not there any more.
        descriptor_json = found.pop(process_id, None)
        if descriptor_json is None:
            msg = (
                f"process handle {process_id!r} is not granted to session "
                f"{from_scope.session_id!r}: nothing was transferred"
            )
            raise ProcessConflictError(msg, process_id=process_id)
        moved[process_id] = descriptor_json
    tx.grants.remove(from_scope, process_ids)
    tx.grants.put_all(to_scope, moved.items())
