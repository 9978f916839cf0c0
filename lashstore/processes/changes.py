"""
Who waits for which process, inside this registry object.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Signal(Protocol):
    """
    What a waiter is woken by, from any thread.
    """

    def set(self) -> None:
        """
        Wake the waiter.
        """
        ...


S = TypeVar("S", bound=Signal)


class ChangeHub:
    """
    Wakes the threads and tasks that wait for a process to change.

    It says only that something may have changed: a waiter looks again. What
    other registry objects and other OS processes write, it does not hear of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[str, set[Signal]] = {}

    @contextmanager
    def subscribed(self, process_id: str, changed: S) -> Iterator[S]:
        """
        Let every change of a process set *changed*, until the context ends.
        """
        with self._lock:
            self._waiters.setdefault(process_id, set()).add(changed)
        try:
            yield changed
        finally:
            with self._lock:
                waiters = self._waiters[process_id]
                waiters.discard(changed)
                if not waiters:
                    del self._waiters[process_id]

    def notify(self, process_id: str) -> None:
        """
        Wake those who wait for a process.
        """
        with self._lock:
            for changed in self._waiters.get(process_id, ()):
                changed.set()

    def notify_all(self) -> None:
        """
        Wake everybody.
        """
        with self._lock:
            for waiters in self._waiters.values():
                for changed in waiters:
                    changed.set()
