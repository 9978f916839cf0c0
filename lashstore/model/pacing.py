"""
How much to do in one step, so that others need not wait long for it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

# A step is to take about this long; five times that is still no harm.
_TARGET_S = 0.010


class Pace:
    """
    The size of the next step: smaller after one that took long, larger after
    a quick one, whatever the machine and the rows are like.
    """

    def __init__(self, *, first: int, most: int) -> None:
        self.size = first
        self.step_count = 0
        self._rest_s = 0.0
        self._most = most

    @contextmanager
    def step(self) -> Iterator[None]:
        """
        Run a step of the present size, and learn how long it took; rest
        before for as long as the one before it took.
        """
        # SQLite's lock is not fair: who waits for it asks now and then, and
        # finds it free only if it is free for a while.
        time.sleep(self._rest_s)
        begun = time.perf_counter()
        yield
        taken = time.perf_counter() - begun
        self._rest_s = min(taken, 2 * _TARGET_S)
        self.step_count += 1
        self.adapt(taken)

    def adapt(self, seconds: float) -> None:
        """
        Learn how long a step of the present size took.
        """
        if seconds > _TARGET_S:
            self.size = max(1, self.size // 2)
        elif seconds < _TARGET_S / 2:
            self.size = min(self._most, 2 * self.size)
