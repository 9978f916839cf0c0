"""
Waking a task from any thread.
"""

import asyncio
import contextlib


class LoopEvent:
    """
    An event that any thread may set and one task waits for; made in the
    task's loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """
        Wake the task, soon.
        """
        # A loop that is closed has nobody left to wake.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        """
        Forget that it was set.
        """
        self._event.clear()

    async def wait(self, timeout_s: float) -> bool:
        """
        Wait until it is set; tell whether it was, within the time.
        """
        return await wait_for_event(self._event, timeout_s)


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> bool:
    """
    Wait until *event* is set; tell whether it was, within the time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
