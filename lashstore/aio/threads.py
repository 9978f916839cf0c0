"""
Worker threads, and the jobs they run.

`concurrent.futures` would do, but wakes whichever thread has rested longest:
the one whose caches are cold. Here the last to finish is the first to be
asked again (`python -m benchmarks.aio_cases` has the figures).
"""

import asyncio
import atexit
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from lashstore.errors import StoreClosedError

T = TypeVar("T")

# A thread that has had nothing to do for so long ends.
_IDLE_S = 10.0


class Job(Generic[T]):
    """
    An operation on its way through a thread; made and awaited in one loop.
    """

    __slots__ = (
        "_ended",
        "_loop",
        "_operation",
        "_right",
        "error",
        "has_ended",
        "result",
    )

    result: T

    def __init__(self, operation: Callable[[], T]) -> None:
        self._operation = operation
        # Whoever takes the one entry decides whether it runs: popping from a
        # list is atomic.
        self._right = [True]
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self.has_ended: bool = False
        self.error: BaseException | None = None

    def take_right(self) -> bool:
        """
        Take the right to run the operation, or to keep it from running; only
        the first who asks has it.
        """
        try:
            return self._right.pop()
        except IndexError:
            return False

    def run(self) -> None:
        """
        Run it, unless it was withdrawn; on the worker thread.
        """
        if not self.take_right():
            return
        try:
            self.result = self._operation()
        except BaseException as error:  # noqa: BLE001, raised where it is awaited
            self.error = error
        self.has_ended = True

    def tell(self) -> None:
        """
        Wake whoever waits for it, unless it was withdrawn.
        """
        if not self.has_ended:
            return
        # A loop that is closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def wait(self) -> None:
        """
        Wait until it has ended; a cancellation ends the wait only.
        """
        await self._ended

    async def see_through(self) -> None:
        """
        Wait until it has ended, whoever is cancelled meanwhile.
        """
        while True:
            # The wait before was cancelled, and its future with it.
            self._ended = self._loop.create_future()
            # Asked only now: it may just have settled the one before.
            if self.has_ended:
                return
            with contextlib.suppress(asyncio.CancelledError):
                await self._ended

    def answer(self) -> T:
        """
        Return what the operation returned, or raise what it raised.
        """
        if self.error is not None:
            raise self.error
        return self.result


class Threads:
    """
    Up to so many worker threads, made when they are needed.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._queue: deque[Job[Any]] = deque()
        self._workers: set[_Worker] = set()
        self._is_closed = False
        _all.add(self)

    def submit(self, job: Job[Any]) -> None:
        """
        Have *job* run by the thread that rested last, as soon as there is one.

        Raises:
            StoreClosedError: The threads were closed.
        """
        with self._lock:
            if self._is_closed:
                raise StoreClosedError
            if self._idle:
                worker = self._idle.pop()
            elif len(self._workers) < self._limit:
                worker = _Worker(self, self._name)
                self._workers.add(worker)
            else:
                self._queue.append(job)
                return
        worker.give(job)

    def close(self) -> None:
        """
        Take no more jobs; the threads end when they have run what they have.
        """
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._workers.difference_update(idle)
        for worker in idle:
            worker.give(None)

    def close_and_join(self) -> None:
        """
        Close, and wait until every thread has ended.
        """
        with self._lock:
            workers = list(self._workers)
        self.close()
        for worker in workers:
            worker.join()

    def next_job(self, worker: "_Worker") -> Job[Any] | None:
        """
        Return what *worker* does next; None: it rests until it is given
        something.
        """
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            if self._is_closed:
                self._workers.discard(worker)
                worker.give(None)
            else:
                self._idle.append(worker)
            return None

    def may_retire(self, worker: "_Worker") -> bool:
        """
        Let *worker* end, unless it is being given a job this moment.
        """
        with self._lock:
            if worker not in self._idle:
                return False
            self._idle.remove(worker)
            self._workers.discard(worker)
            return True


class _Worker:
    def __init__(self, threads: Threads, name: str) -> None:
        self._threads = threads
        self._job: Job[Any] | None = None
        # Held while there is nothing to do.
        self._given = threading.Lock()
        self._given.acquire()
        # Daemon, since idle threads would keep the interpreter from exiting;
        # `_finish` waits for the busy ones.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def give(self, job: Job[Any] | None) -> None:
        # None: end.
        self._job = job
        self._given.release()

    def join(self) -> None:
        self._thread.join()

    def _work(self) -> None:
        while True:
            if not self._given.acquire(timeout=_IDLE_S):
                if self._threads.may_retire(self):
                    return
                continue
            job, self._job = self._job, None
            if job is None:
                return
            while job is not None:
                job.run()
                # Free again before the task wakes, so that the task's next
                # job comes here, where caches are warm.
                following = self._threads.next_job(self)
                job.tell()
                job = following


_all: "weakref.WeakSet[Threads]" = weakref.WeakSet()


@atexit.register
def _finish() -> None:
    # What has begun ends, as it does for a cancelled task.
    for threads in list(_all):
        threads.close_and_join()
