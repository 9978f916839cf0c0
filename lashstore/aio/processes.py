"""
`AsyncProcessRegistry`: background processes, for event loops.
"""

from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from lashstore.clock import Clock
from lashstore.model.options import StoreOptions
from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_outputs import AwaitOutput
from lashstore.processes import ProcessRegistry
from lashstore.processes.awaiting import Question, ask_for_end, ask_for_event

from .handle import AsyncHandle
from .signals import LoopEvent
from .twins.processes import AsyncProcessRegistryTwins

T = TypeVar("T")


class AsyncProcessRegistry(AsyncProcessRegistryTwins, AsyncHandle[ProcessRegistry]):
    """
    `ProcessRegistry` for event loops: the same methods, awaited.

    Whoever awaits a process holds no thread between two looks at it.
    """

    @classmethod
    async def open(
        cls,
        target: str | Path,
        *,
        clock: Clock | None = None,
        options: StoreOptions = StoreOptions(),
    ) -> Self:
        """
        Open a registry's file, or make it; as `ProcessRegistry.open`.
        """
        return await cls._opened(
            partial(ProcessRegistry.open, target, clock=clock, options=options)
        )

    @classmethod
    async def memory(cls, *, clock: Clock | None = None) -> Self:
        """
        Make a registry that lives as long as the object; as
        `ProcessRegistry.memory`.
        """
        return await cls._opened(partial(ProcessRegistry.memory, clock=clock))

    async def await_terminal(
        self, process_id: str, *, timeout_s: float | None = None
    ) -> AwaitOutput:
        """
        Wait until a process has ended; as `ProcessRegistry.await_terminal`.
        """
        return await self._await(ask_for_end(process_id, timeout_s))

    async def await_event(
        self,
        process_id: str,
        event_type: str,
        after_sequence: int,
        *,
        timeout_s: float | None = None,
    ) -> ProcessEvent:
        """
        Wait for the first event of a type behind a sequence number; as
        `ProcessRegistry.await_event`.
        """
        return await self._await(
            ask_for_event(process_id, event_type, after_sequence, timeout_s)
        )

    async def _await(self, question: Question[T]) -> T:
        registry = self._sync
        changes = registry._changes  # noqa: SLF001, the other half of it
        with changes.subscribed(question.process_id, LoopEvent()) as changed:
            while True:
                # Cleared before looking: a change meanwhile ends the pause.
                changed.clear()
                found = await self._hops.run(registry._read, question.look)  # noqa: SLF001
                if found is not None:
                    return found
                question.was_told(
                    await changed.wait(question.pause_s()),
                    hears_others=changes.hears_others,
                )
