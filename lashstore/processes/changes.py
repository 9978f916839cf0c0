"""
Who waits for which process, inside this registry object.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol, TypeVar

from lashstore.engines import Notifications
from lashstore.repos.notifications import topic_of


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


def topic_of_process(process_id: str) -> str:
    """
    Return what hosts tell each other of a process.
    """
    return topic_of("process", process_id)


class ChangeHub:
    """
    Wakes the threads and tasks that wait for a process to change.

    It says only that something may have changed: a waiter looks again. What
    other registry objects and other OS processes write it hears of where the
    database tells.
    """

    def __init__(self, notifications: Notifications | None = None) -> None:
        self._notifications = notifications
        self._lock = threading.Lock()
        self._waiters: dict[str, set[Signal]] = {}

    @property
    def hears_others(self) -> bool:
        """
        Whether what others write wakes a waiter now.
        """
        return self._notifications is not None and self._notifications.is_heard

    @contextmanager
    def subscribed(self, process_id: str, changed: S) -> Iterator[S]:
        """
        Let every change of a process set *changed*, until the context ends.
        """
        with self._lock:
            self._waiters.setdefault(process_id, set()).add(changed)
        heard = (
            nullcontext()
            if self._notifications is None
            else self._notifications.subscribed(
                topic_of_process(process_id), changed.set
            )
        )
        try:
            with heard:
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
