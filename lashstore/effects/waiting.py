"""
Waiting in real time: for somebody else's claim, and for a timer.
"""

import math
import threading
import time
from typing import Protocol

from lashstore.errors import EffectCancelledError, InvalidArgumentError
from lashstore.model.effects import Effect
from lashstore.model.record import require_record

# How long a waiter sleeps before it looks again: at other processes' records,
# at its cancel event, and at a clock that may be moved by hand.
POLL_S = 0.025


class Cancel(Protocol):
    """
    What ends a wait when it is set.
    """

    def is_set(self) -> bool:
        """
        Tell whether it is set.
        """
        ...


class Patience:
    """
    How long a caller is willing to wait.
    """

    cancel_kinds: tuple[type, ...] = (threading.Event,)

    def __init__(
        self, timeout_s: float | None = None, cancel: Cancel | None = None
    ) -> None:
        """
        Raises:
            InvalidArgumentError: The time is no number from 0 up, or *cancel*
                is no event.
        """
        self._deadline = math.inf
        if timeout_s is not None:
            if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
                msg = f"timeout_s must be a number of seconds, not {timeout_s!r}"
                raise InvalidArgumentError(msg)
            if math.isnan(timeout_s) or timeout_s < 0:
                msg = f"timeout_s must be 0 or more, not {timeout_s}"
                raise InvalidArgumentError(msg)
            self._deadline = time.monotonic() + timeout_s
        if cancel is not None:
            require_record("cancel", cancel, self.cancel_kinds)
        self._cancel = cancel

    def require(self, effect: Effect) -> None:
        """
        Check that the caller still wants to wait.

        Raises:
            EffectCancelledError: Its event is set.
            TimeoutError: Its time is over.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise EffectCancelledError(
                scope_id=effect.scope_id, replay_key=effect.replay_key
            )
        if time.monotonic() >= self._deadline:
            msg = (
                f"effect {effect.replay_key!r} of {effect.scope_id!r} did not "
                "finish in time: wait longer, or execute it again later"
            )
            raise TimeoutError(msg)

    def pause_s(self, longest_s: float = POLL_S) -> float:
        """
        Return how long to sleep before looking again.
        """
        return max(0.0, min(longest_s, POLL_S, self._deadline - time.monotonic()))

    def sleep(self, longest_s: float) -> None:
        """
        Sleep until it is time to look again, or the caller cancels.
        """
        pause_s = self.pause_s(longest_s)
        if isinstance(self._cancel, threading.Event):
            self._cancel.wait(pause_s)
        else:
            time.sleep(pause_s)


class FinishSignal:
    """
    Tells the waiters of this host that some effect's claim has ended.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def count(self) -> int:
        """
        Return how many claims have ended so far.
        """
        return self._count

    def tell(self) -> None:
        """
        Wake the waiters.
        """
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """
        Sleep until more than *seen* claims have ended, or the time is over.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._count != seen, timeout_s)
