"""
What every async store is built on: the sync one, and the threads for it.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from lashstore.model.options import DurabilityTier

from .hops import Hops


class Closable(Protocol):
    """
    A sync store.
    """

    durability_tier: DurabilityTier

    def close(self) -> None:
        """
        Close it; may be called twice.
        """
        ...


S = TypeVar("S", bound=Closable)


class AsyncHandle(Generic[S]):
    """
    Opening, closing, and the sync store beneath.
    """

    def __init__(self, sync: S, hops: Hops) -> None:
        """
        Use `open`, `memory` or the factory instead.
        """
        self._sync: S = sync
        self._hops = hops

    @classmethod
    async def _opened(cls, open_it: Callable[[], S]) -> Self:
        hops = Hops()
        try:
            return cls(await hops.open(open_it), hops)
        except BaseException:
            hops.end()
            raise

    @property
    def sync(self) -> S:
        """
        The sync store, for helpers that want one; call them off the event
        loop, for instance by `asyncio.to_thread`.
        """
        return self._sync

    @property
    def hops(self) -> Hops:
        """
        The threads the store's operations run on, for what is built on it.
        """
        return self._hops

    @property
    def durability_tier(self) -> DurabilityTier:
        """
        What survives the end of the process.
        """
        return self._sync.durability_tier

    async def close(self) -> None:
        """
        Close the store and let its threads end; may be called twice.

        Any other use afterwards raises `StoreClosedError`.
        """
        await self._hops.close(self._sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
