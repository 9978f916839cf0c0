"""
The one place that reads a clock.

Every store reads its clock once per operation, while it holds the lock that
the decision needs, so that two hosts never decide on times read in another
order than they write in.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """
    Source of durable timestamps.
    """

    def now_ms(self) -> int:
        """
        Return wall-clock milliseconds since the Unix epoch, never negative.
        """
        ...


def ask_ahead(clock: Clock) -> None:
    """
    Have a clock that is far away asked now, in the caller's transaction and
    behind the locks it holds, whatever was asked before; the answer is waited
    for when it is needed. A clock at hand is simply read when it is.
    """
    ask = getattr(clock, "ask", None)
    if ask is not None:
        ask()


class SystemClock:
    """
    The host's wall clock; a clock before 1970 reads as 0.
    """

    def now_ms(self) -> int:
        """
        Return wall-clock milliseconds since the Unix epoch.
        """
        return max(0, time.time_ns() // 1_000_000)


class ManualClock:
    """
    A clock for tests that moves only when told to.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """
        Return the time it was last moved to.
        """
        return self._now_ms

    def advance(self, ms: int) -> None:
        """
        Move the clock forward by *ms* milliseconds; negative moves it back.
        """
        self._now_ms += ms
