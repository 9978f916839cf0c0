"""
The worker loop: a session's turns, whenever something waits for one.
"""

import threading
from collections.abc import Callable

from lashstore.model.commit import RuntimeCommit
from lashstore.model.leases import LeaseOwnerIdentity
from lashstore.model.options import LeaseTimings
from lashstore.processes import ProcessRegistry
from lashstore.store import Store

from .keeper import keep_session_lease
from .leasing import LeaseHeldError, this_process
from .turns import Turn, TurnRunner
from .wakes import deliver_wakes


class Worker:
    """
    Works through a session's queue, inputs and wakes, beside other workers.

        Worker(store, answer, registry=registry).run(stop)

    It holds the session's lease only while something waits, so that any
    number of workers in any number of hosts may serve one session.
    """

    def __init__(
        self,
        store: Store,
        function: Callable[[Turn], RuntimeCommit],
        *,
        registry: ProcessRegistry | None = None,
        owner: LeaseOwnerIdentity | None = None,
        timings: LeaseTimings = LeaseTimings(),
        poll_s: float = 0.25,
        max_inputs: int = 16,
        max_batches: int = 16,
    ) -> None:
        """
        Args:
            function: As for `TurnRunner`.

            registry: Whose wakes for this session are put into its queue;
                None: somebody else does that.

            owner: Who holds the lease; None: this process.

            poll_s: How many real seconds to rest when nothing waits.

            max_inputs, max_batches: At most so many a turn.
        """
        self._store = store
        self._function = function
        self._registry = registry
        self._owner = owner or this_process("worker")
        self._timings = timings
        self._poll_s = poll_s
        self._max_inputs = max_inputs
        self._max_batches = max_batches

    def run(self, stop: threading.Event) -> int:
        """
        Work until *stop* is set; the turn that runs then ends first.

        Returns:
            How many turns were run.

        Raises:
            Whatever `TurnRunner.run_next` raises; it ends the loop, and what
            the turn claimed waits again.
        """
        turns = 0
        while not stop.is_set():
            done = self.run_waiting(stop)
            turns += done
            if not done:
                stop.wait(self._poll_s)
        return turns

    def run_waiting(self, stop: threading.Event | None = None) -> int:
        """
        Run the turns that something waits for now, and return how many: 0 if
        another host holds the lease, which will run them.

        Raises:
            As `run`.
        """
        if self._registry is not None:
            deliver_wakes(self._registry, self._find_store)
        if not has_work(self._store):
            return 0
        turns = 0
        try:
            with keep_session_lease(
                self._store, self._owner, timings=self._timings
            ) as keeper:
                runner = TurnRunner(
                    self._store,
                    keeper,
                    self._function,
                    timings=self._timings,
                    max_inputs=self._max_inputs,
                    max_batches=self._max_batches,
                )
                while not (stop and stop.is_set()) and runner.run_next():
                    turns += 1
        except LeaseHeldError:
            return turns
        return turns

    def _find_store(self, session_id: str) -> Store | None:
        return self._store if session_id == self._store.session_id else None


def has_work(store: Store) -> bool:
    """
    Tell whether something may wait for a turn; takes no lock.
    """
    return bool(store.list_pending_queued_work() or store.list_pending_turn_inputs())
