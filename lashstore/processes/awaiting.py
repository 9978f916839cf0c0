"""
Waiting for a process to end or to tell something.

Time passes for real here. What this registry object writes wakes its waiters
at once, and so does what others write where the database tells; else they
see it by looking again, ever less often.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lashstore.errors import InvalidArgumentError, UnknownProcessError
from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_outputs import AwaitOutput, RunningStatus
from lashstore.model.process_registration import require_process_id
from lashstore.model.record import require_counter, require_text

from .handle import RegistryHandle, RegistryTransaction

T = TypeVar("T")

_FIRST_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 0.25
# A message can be lost, with its connection for one.
_LONGEST_PAUSE_HEARING_S = 2.0


class Question(Generic[T]):
    """
    What somebody waits for, and how long until the next look.
    """

    def __init__(
        self,
        process_id: str,
        look: Callable[[RegistryTransaction], T | None],
        otherwise: str,
        timeout_s: float | None,
    ) -> None:
        """
        Args:
            look: Returns the answer, or None while there is none.

            otherwise: What to say when the time is over.

        Raises:
            InvalidArgumentError: The time is no number from 0 up.
        """
        self.process_id = process_id
        self.look = look
        self._otherwise = otherwise
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + _require_timeout(timeout_s)
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self) -> float:
        """
        Return how long to wait for a change before looking again.

        Raises:
            TimeoutError: The time is over.
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            msg = (
                f"process {self.process_id!r}: {self._otherwise} within "
                f"{self._timeout_s} s"
            )
            raise TimeoutError(msg)
        return min(self._pause_s, remaining)

    def was_told(self, has_changed: bool, *, hears_others: bool) -> None:  # noqa: FBT001, its main matter
        """
        Look more often after a change, and ever less often without one.

        Args:
            hears_others: Whether what others write ends the pause as well.
        """
        longest = _LONGEST_PAUSE_HEARING_S if hears_others else _LONGEST_PAUSE_S
        longer = min(2 * self._pause_s, longest)
        self._pause_s = _FIRST_PAUSE_S if has_changed else longer


def ask_for_end(process_id: str, timeout_s: float | None) -> Question[AwaitOutput]:
    """
    Ask for the outcome of a process.

    Raises:
        InvalidArgumentError: An argument is out of range.
    """
    require_process_id(process_id)

    def look(tx: RegistryTransaction) -> AwaitOutput | None:
        state = tx.processes.find_state(process_id)
        if state is None:
            raise UnknownProcessError(process_id=process_id)
        if isinstance(state.status, RunningStatus):
            return None
        return state.status.await_output

    return Question(process_id, look, "the process still runs", timeout_s)


def ask_for_event(
    process_id: str, event_type: str, after_sequence: int, timeout_s: float | None
) -> Question[ProcessEvent]:
    """
    Ask for the first event of a type behind a sequence number.

    Raises:
        InvalidArgumentError: An argument is out of range.
    """
    require_process_id(process_id)
    require_text("event_type", event_type)
    require_counter("after_sequence", after_sequence)

    def look(tx: RegistryTransaction) -> ProcessEvent | None:
        event = tx.events.find_after(process_id, event_type, after_sequence)
        if event is None:
            tx.require_known(process_id)
        return event

    return Question(process_id, look, f"no {event_type!r} came", timeout_s)


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
        return self._await(ask_for_end(process_id, timeout_s))

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
        return self._await(
            ask_for_event(process_id, event_type, after_sequence, timeout_s)
        )

    def _await(self, question: Question[T]) -> T:
        with self._changes.subscribed(
            question.process_id, threading.Event()
        ) as changed:
            while True:
                # Cleared before looking: a change meanwhile ends the pause.
                changed.clear()
                found = self._read(question.look)
                if found is not None:
                    return found
                question.was_told(
                    changed.wait(question.pause_s()),
                    hears_others=self._changes.hears_others,
                )


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
