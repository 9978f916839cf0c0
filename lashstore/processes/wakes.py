"""
Wakes: written with their events, listed until they are acknowledged.
"""

from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_registration import require_process_id
from lashstore.model.record import require_counter, require_upper_bound
from lashstore.model.wakes import ProcessWakeDelivery

from .handle import RegistryHandle, RegistryTransaction


class WakeStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that sees wakes through.
    """

    def pending_wake_deliveries(
        self, limit: int = 100
    ) -> tuple[ProcessWakeDelivery, ...]:
        """
        Return what still has to be enqueued for sessions: the deliveries
        that nobody has acknowledged, oldest first.

        Enqueue each under a source key made of its process and sequence, and
        acknowledge it with `ack_wake` afterwards: a host that dies between
        the two enqueues it again, to no effect.

        Args:
            limit: At most so many.
        """
        limit = require_upper_bound("limit", limit)
        return self._read(lambda tx: tx.events.list_deliveries(limit))

    def wake_events_after(
        self, process_id: str, after_sequence: int
    ) -> tuple[ProcessEvent, ...]:
        """
        Return a process's events behind a sequence number whose wake nobody
        has acknowledged, in order, whether there was somebody to wake or not.

        Raises:
            UnknownProcessError: There is no such process.
        """
        require_process_id(process_id)
        require_counter("after_sequence", after_sequence)

        def operation(tx: RegistryTransaction) -> tuple[ProcessEvent, ...]:
            found = tx.events.list_wakes_after(process_id, after_sequence)
            if not found:
                tx.require_known(process_id)
            return found

        return self._read(operation)

    def ack_wake(self, process_id: str, sequence: int) -> None:
        """
        Acknowledge an event's wake, for every reader; nothing happens if it
        was before, or if the event is none or wakes nobody. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process.
        """
        require_process_id(process_id)
        require_counter("sequence", sequence)

        def operation(tx: RegistryTransaction) -> None:
            tx.require_known(process_id)
            tx.events.remove_wake(process_id, sequence)

        self._write(operation)
        self._changes.notify(process_id)
