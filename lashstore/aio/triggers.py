"""
`AsyncTriggerStore`: subscriptions, occurrences and deliveries, for event loops.
"""

from functools import partial
from pathlib import Path
from typing import Self

from lashstore.clock import Clock
from lashstore.model.options import StoreOptions
from lashstore.triggers import TriggerStore

from .handle import AsyncHandle
from .twins.triggers import AsyncTriggerStoreTwins


class AsyncTriggerStore(AsyncTriggerStoreTwins, AsyncHandle[TriggerStore]):
    """
    `TriggerStore` for event loops: the same methods, awaited.
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
        Open a trigger store's file, or make it; as `TriggerStore.open`.
        """
        return await cls._opened(
            partial(TriggerStore.open, target, clock=clock, options=options)
        )

    @classmethod
    async def memory(cls, *, clock: Clock | None = None) -> Self:
        """
        Make a store that lives as long as the object; as
        `TriggerStore.memory`.
        """
        return await cls._opened(partial(TriggerStore.memory, clock=clock))
