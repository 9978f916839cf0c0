"""
Waiting for a process to end or to tell something.

Time passes for real here. What this registry object writes wakes its waiters
at once, and so does what others write where the database tells; else they
see it by looking again, ever less often.
"""

import math
import time
from collections.abc import Callable
from typing import TypeVar

from lashstore.errors import InvalidArgumentError, UnknownProcessError
from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_outputs import AwaitOutput, RunningStatus
from lashstore.model.process_registration import require_process_id
from lashstore.model.process_states import ProcessState
from lashstore.model.record import require_counter, require_text

from .handle import RegistryHandle, RegistryTransaction

T = TypeVar("T")

_FIRST_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 0.25
# A message can be lost, with its connection for one.
_LONGEST_PAUSE_HEARING_S = 2.0


class AwaitingStore(RegistryHandle):
    """
    The part of `ProcessRegistry` that waits.
    """

    def await_terminal(
        self, process_id: str, *, timeout_s: float | None = None
    ) -> AwaitOutput:
        """
        Wait until a process has ended.

        Args:
            timeout_s: How long, in real seconds; None: for ever, 0: only
                look.

        Returns:
            Its outcome. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process, or not any more.
            TimeoutError: It still runs.
        """
        require_process_id(process_id)

        def look(tx: RegistryTransaction) -> ProcessState | None:
            state = tx.processes.find_state(process_id)
            if state is None:
                raise UnknownProcessError(process_id=process_id)
            return state if state.is_terminal else None

        state = self._await(process_id, look, "the process still runs", timeout_s)
        assert not isinstance(state.status, RunningStatus)  # noqa: S101, see look
        return state.status.await_output

    def await_event(
        self,
        process_id: str,
        event_type: str,
        after_sequence: int,
        *,
        timeout_s: float | None = None,
    ) -> ProcessEvent:
        """
        Wait for the first event of a type behind a sequence number; one that
        is there already is returned at once.

        Args:
            timeout_s: As for `await_terminal`.

        Returns:
            The event. Safe to retry.

        Raises:
            UnknownProcessError: There is no such process, or not any more.
            TimeoutError: No such event came.
        """
        require_process_id(process_id)
        require_text("event_type", event_type)
        require_counter("after_sequence", after_sequence)

        def look(tx: RegistryTransaction) -> ProcessEvent | None:
            event = tx.events.find_after(process_id, event_type, after_sequence)
            if event is None:
                tx.require_known(process_id)
            return event

        return self._await(process_id, look, f"no {event_type!r} came", timeout_s)

    def _await(
        self,
        process_id: str,
        look: Callable[[RegistryTransaction], T | None],
        otherwise: str,
        timeout_s: float | None,
    ) -> T:
        deadline = time.monotonic() + _require_timeout(timeout_s)
        pause = _FIRST_PAUSE_S
        with self._changes.subscribed(process_id) as changed:
            while True:
                # Cleared before looking: a change meanwhile ends the pause.
                changed.clear()
                found = self._read(look)
                if found is not None:
                    return found
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    msg = f"process {process_id!r}: {otherwise} within {timeout_s} s"
                    raise TimeoutError(msg)
                if changed.wait(min(pause, remaining)):
                    pause = _FIRST_PAUSE_S
                else:
                    pause = min(2 * pause, self._longest_pause_s())

    def _longest_pause_s(self) -> float:
        if self._changes.hears_others:
            return _LONGEST_PAUSE_HEARING_S
        return _LONGEST_PAUSE_S


def _require_timeout(timeout_s: object) -> float:
    if timeout_s is None:
        return math.inf
    if (
        not isinstance(timeout_s, int | float)
        or isinstance(timeout_s, bool)
        or not timeout_s >= 0
    ):
        msg = f"timeout_s must be a number of seconds from 0 on, not {timeout_s!r}"
        raise InvalidArgumentError(msg)
    return timeout_s
