"""
How much to do in one step, so that others need not wait long for it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A step is to take about this long; five times that is still no harm.
_STEP_S = 0.010

# Steps write much in little time, and others wait for a checkpoint of the WAL
# as for a step: after so many at first, and at most. Its fsyncs alone may
# take as long as a step.
_FIRST_BETWEEN = 4
_MOST_BETWEEN = 4
_CHECKPOINT_S = 0.020
_LONGEST_REST_S = 0.020


class Adaptive:
    """
    A number for the next time: half after one that took long, double after a
    quick one, whatever the machine and the rows are like.
    """

    def __init__(self, *, first: int, most: int, target_s: float = _STEP_S) -> None:
        self.value: int = first
        self._most = most
        self._target_s = target_s

    def adapt(self, seconds: float) -> None:
        """
        Learn how long it took with the present number.
        """
        if seconds > self._target_s:
            self.value = max(1, self.value // 2)
        elif seconds < self._target_s / 2:
            self.value = min(self._most, 2 * self.value)


class Pace:
    """
    Steps of a size that adapts, with a checkpoint after some of them.
    """

    def __init__(
        self, *, first: int, most: int, checkpoint: Callable[[], None]
    ) -> None:
        """
        Args:
            first: The size of the first step.

            most: The largest.

            checkpoint: Copies what the steps wrote from the WAL into the file.
        """
        self._size = Adaptive(first=first, most=most)
        self._between = Adaptive(
            first=_FIRST_BETWEEN, most=_MOST_BETWEEN, target_s=_CHECKPOINT_S
        )
        self._checkpoint = checkpoint
        self._since = 0
        self._rest_s = 0.0

    @property
    def size(self) -> int:
        """
        The size of the next step.
        """
        return self._size.value

    @contextmanager
    def step(self) -> Iterator[None]:
        """
        Run a step of the present size, and learn how long it took; rest
        before for as long as what was done before it took.
        """
        # SQLite's lock is not fair: who waits for it asks now and then, and
        # finds it free only if it is free for a while.
        time.sleep(self._rest_s)
        begun = time.perf_counter()
        yield
        self._learn(self._size, time.perf_counter() - begun)
        self._since += 1
        if self._since >= self._between.value:
            self._since = 0
            time.sleep(self._rest_s)
            begun = time.perf_counter()
            self._checkpoint()
            self._learn(self._between, time.perf_counter() - begun)

    def _learn(self, number: Adaptive, taken: float) -> None:
        self._rest_s = min(taken, _LONGEST_REST_S)
        number.adapt(taken)
