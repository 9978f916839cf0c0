"""
`AsyncStore`: one session's durable state, for event loops.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from lashstore.clock import Clock
from lashstore.model.commit import RuntimeCommitResult
from lashstore.model.options import StoreOptions
from lashstore.store import SessionTransaction, Store

from .handle import AsyncHandle
from .transaction import TransactionContext
from .twins.store import AsyncStoreTwins

T = TypeVar("T")


class AsyncStore(AsyncStoreTwins, AsyncHandle[Store]):
    """
    `Store` for event loops: the same methods, awaited.

    Each is one transaction on a worker thread, and never blocks the loop.
    Cancelling an await leaves it carried out or not begun: once a thread has
    it, `CancelledError` comes only after its end. What a cancelled claim
    claimed stays claimed until it expires. May be used from any number of
    event loops.

        async with await AsyncStore.open("chat.db", "chat") as store:
            await store.load_session()
    """

    @classmethod
    async def open(
        cls,
        target: str | Path,
        session_id: str,
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Open a session's file, or make it; as `Store.open`.
        """
        return await cls._opened(
            partial(Store.open, target, session_id, options=options, clock=clock)
        )

    @classmethod
    async def memory(
        cls,
        session_id: str = "root",
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Make a session that lives as long as the store; as `Store.memory`.
        """
        return await cls._opened(
            partial(Store.memory, session_id, options=options, clock=clock)
        )

    @classmethod
    async def open_readonly(
        cls, path: str | Path, *, options: StoreOptions = StoreOptions()
    ) -> Self:
        """
        Open a session's file to look at it; as `Store.open_readonly`.
        """
        return await cls._opened(partial(Store.open_readonly, path, options=options))

    @property
    def session_id(self) -> str:
        """
        The session the store is bound to.
        """
        return self._sync.session_id

    @property
    def is_sealed(self) -> bool:
        """
        Whether what the session stores is sealed by its options' cipher.
        """
        return self._sync.is_sealed

    def transaction(self) -> TransactionContext:
        """
        Put several repository calls, with awaits between them, into one
        write transaction.

            async with store.transaction() as tx:
                head = await tx.run(lambda tx: tx.heads.find(tx.session_id))

        It has a thread of its own, and everything this task, or a task made
        inside the block, asks of this store meanwhile runs there: reading
        methods as they do inside `Store.transaction()`, and writing methods
        are refused at once. Other writers wait for as long as the block
        runs; where nothing is awaited in between, `run_in_transaction` is
        shorter and takes one hop.

        Raises:
            As `Store.transaction`.
        """
        return TransactionContext(self._sync, self._hops)

    async def run_in_transaction(self, work: Callable[[SessionTransaction], T]) -> T:
        """
        Call *work* inside one write transaction, all of it on one worker
        thread; cancelled, it ran to its end or did not begin.

        Returns:
            What *work* returned, which must not be the transaction.

        Raises:
            As `Store.transaction`, and *work*'s own, which undo it.
        """

        def transact() -> T:
            with self._sync.transaction() as tx:
                return work(tx)

        return await self._hops.run(transact)

    async def copy_head_from(self, source: "AsyncStore") -> RuntimeCommitResult | None:
        """
        Take over another session's head; as `Store.copy_head_from`.
        """
        # What is no store at all is for the sync method to refuse.
        other = source.sync if isinstance(source, AsyncStore) else source
        return await self._hops.run(self._sync.copy_head_from, other)
