"""
A write transaction that spans several awaits.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TypeVar

from lashstore.errors import InvalidArgumentError
from lashstore.store import SessionTransaction, Store

from .hops import Hops, Pinned, run_on

T = TypeVar("T")


class AsyncSessionTransaction:
    """
    An open write transaction on a thread of its own.
    """

    def __init__(self, sync: SessionTransaction, pinned: Pinned) -> None:
        self.session_id: str = sync.session_id
        self._sync = sync
        self._pinned = pinned

    async def run(self, work: Callable[[SessionTransaction], T]) -> T:
        """
        Call *work* with the transaction's repositories, on its thread: one
        hop, however many statements.

            await tx.run(lambda tx: tx.heads.find(tx.session_id))

        An exception of *work* propagates; it undoes the transaction only if
        it leaves the `async with` block.

        Raises:
            InvalidArgumentError: The transaction is over.
            As whatever is called.
        """
        if not self._pinned.is_open:
            msg = "the transaction is over: begin another one"
            raise InvalidArgumentError(msg)
        return await run_on(self._pinned.threads, partial(work, self._sync))


class TransactionContext:
    """
    Begins on entry; on exit commits, or undoes everything after an exception.
    """

    def __init__(self, store: Store, hops: Hops) -> None:
        self._hops = hops
        self._transaction = store.transaction()
        self._pinned: Pinned | None = None

    async def __aenter__(self) -> AsyncSessionTransaction:
        if self._hops.is_pinned():
            # On that transaction's thread the store refuses a second one.
            await self._hops.run(self._transaction.__enter__)
        self._pinned = pinned = self._hops.pin()
        try:
            sync = await run_on(
                pinned.threads, self._transaction.__enter__, undo=self._roll_back
            )
        except BaseException:
            self._hops.unpin(pinned)
            raise
        return AsyncSessionTransaction(sync, pinned)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._pinned is not None  # noqa: S101, it was entered
        leave = partial(self._transaction.__exit__, kind, error, trace)
        try:
            # It must not stay open, whoever is cancelled.
            await run_on(self._pinned.threads, leave, is_certain=True)
        finally:
            self._hops.unpin(self._pinned)

    def _roll_back(self, _: object) -> None:
        cancelled = asyncio.CancelledError()
        self._transaction.__exit__(type(cancelled), cancelled, None)
