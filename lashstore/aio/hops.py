"""
The hop: one whole operation on a worker thread, whatever happens to the task
that waits for it.
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from lashstore.errors import StoreClosedError

from .threads import Job, Threads

P = ParamSpec("P")
T = TypeVar("T")


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)

# A session's writers wait for each other, so more threads than this would
# mostly wait; they are made as they are needed.
_THREADS = 16


class Pinned:
    """
    A thread of its own for what must begin and end on one thread.
    """

    def __init__(self, hops: "Hops") -> None:
        self.is_open: bool = True
        self.hops = hops
        self.threads: Threads = Threads(1, "lashstore-transaction")

    def close(self) -> None:
        """
        Let the thread end, once what runs on it has.
        """
        self.is_open = False
        self.threads.close()


# The transactions that this task, or the task that made it, is inside of.
_pinned: contextvars.ContextVar[tuple[Pinned, ...]] = contextvars.ContextVar(
    "lashstore_pinned", default=()
)


class Hops:
    """
    Runs the operations of one store, or of several that share threads.

    Bound to no event loop: any number of loops, in any threads, may use it.
    """

    def __init__(self, threads: Threads | None = None) -> None:
        """
        Args:
            threads: To share; None: some of its own.
        """
        self._owns_threads = threads is None
        self._threads = threads or Threads(_THREADS, "lashstore-aio")

    def sharing(self) -> "Hops":
        """
        Return hops for another store on the same threads.
        """
        return Hops(self._threads)

    async def run(
        self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Run *operation* on a worker thread and return what it returns.

        Cancelled before a thread has begun it, it never runs. Cancelled
        later, the waiting goes on until it has ended, and then
        `CancelledError` is raised with a note that says so.

        Inside a transaction of this store it runs on the transaction's own
        thread, as everything of the transaction does.
        """
        job = Job(partial(contextvars.copy_context().run, operation, *args, **kwargs))
        self._current().submit(job)
        try:
            await job.wait()
        except asyncio.CancelledError as cancelled:
            await _settle(job, cancelled)
            raise
        return job.answer()

    async def run_undoing(
        self, operation: Callable[[], T], undo: Callable[[T], object]
    ) -> T:
        """
        Run *operation*; call *undo* with its result if the task was
        cancelled meanwhile.
        """
        return await run_on(self._current(), operation, undo=undo)

    async def run_anyway(self, operation: Callable[[], T]) -> T:
        """
        Run *operation* even if the task is cancelled before a thread has
        begun it.
        """
        return await run_on(self._current(), operation, is_certain=True)

    async def close(self, operation: Callable[[], None]) -> None:
        """
        Run *operation*, the last one, and let the threads end.
        """
        try:
            await self.run_anyway(operation)
        except StoreClosedError:
            # Closed before: the threads are gone, and nothing is left to do.
            return
        finally:
            self.end()

    async def open(self, open_it: Callable[[], C]) -> C:
        """
        Run *open_it* on a worker thread; what it opened when nobody waits
        for it any more is closed.
        """
        return await run_on(self._current(), open_it, undo=_close)

    def end(self) -> None:
        """
        Let the threads end, once what runs on them has.
        """
        if self._owns_threads:
            self._threads.close()

    def is_pinned(self) -> bool:
        """
        Tell whether this task is inside a transaction of the store.
        """
        return self._current() is not self._threads

    def pin(self) -> Pinned:
        """
        Take a thread for a transaction, and run on it whatever this task
        asks of the store from now on.
        """
        pinned = Pinned(self)
        _pinned.set((*self._open_pins(), pinned))
        return pinned

    def unpin(self, pinned: Pinned) -> None:
        """
        Give the thread of a transaction back.
        """
        pinned.close()
        _pinned.set(self._open_pins())

    def _current(self) -> Threads:
        # Empty for whoever is in no transaction, which is nearly everybody.
        for pinned in reversed(_pinned.get()):
            if pinned.hops is self and pinned.is_open:
                return pinned.threads
        return self._threads

    def _open_pins(self) -> tuple[Pinned, ...]:
        return tuple(pinned for pinned in _pinned.get() if pinned.is_open)


async def run_on(
    threads: Threads,
    operation: Callable[[], T],
    *,
    undo: Callable[[T], object] | None = None,
    is_certain: bool = False,
) -> T:
    """
    Run *operation* on one of *threads*, to its end or not at all.

    Args:
        undo: Called, on a thread too, with a result that nobody waits for
            any more; None: the result may be lost.

        is_certain: Run it even if cancelled before it has begun.

    Raises:
        StoreClosedError: The threads take no more work.
        asyncio.CancelledError: The task was cancelled. The operation did not
            begin, or it has ended.
    """
    job = Job(partial(contextvars.copy_context().run, operation))
    threads.submit(job)
    try:
        await job.wait()
    except asyncio.CancelledError as cancelled:
        has_run = await _settle(job, cancelled, is_certain=is_certain)
        if has_run and undo is not None and job.error is None:
            undoing = Job(partial(undo, job.result))
            # Closed meanwhile, with everything that could be undone.
            with contextlib.suppress(StoreClosedError):
                threads.submit(undoing)
                await undoing.see_through()
        raise
    return job.answer()


async def _settle(
    job: Job[T], cancelled: asyncio.CancelledError, *, is_certain: bool = False
) -> bool:
    # Withdraw what has not begun, and see the rest through; tell which.
    if not is_certain and job.take_right():
        return False
    await job.see_through()
    cancelled.add_note(
        "lashstore: the operation had begun, and was carried out"
        if job.error is None
        else f"lashstore: the operation had begun, and failed: {job.error!r}"
    )
    return True


def _close(opened: _Closable) -> None:
    opened.close()
