"""
`AsyncSessionStoreFactory`: from a session's id to its async store.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

from lashstore.clock import Clock
from lashstore.errors import LashStoreError
from lashstore.factory import SessionStoreFactory
from lashstore.model.options import StoreOptions
from lashstore.model.session import RootRelation, SessionPickerInfo, SessionRelation
from lashstore.store import Store

from .handle import AsyncHandle
from .hops import Hops
from .store import AsyncStore
from .twins.factory import AsyncSessionStoreFactoryTwins

_PAGE = 64


class AsyncSessionStoreFactory(
    AsyncSessionStoreFactoryTwins, AsyncHandle[SessionStoreFactory]
):
    """
    `SessionStoreFactory` for event loops; its stores share worker threads.

        async with AsyncSessionStoreFactory("sessions") as factory:
            store = await factory.create_store("chat")
    """

    def __init__(
        self,
        root: str | Path,
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
        max_open_engines: int = 64,
    ) -> None:
        """
        As `SessionStoreFactory`.

        With the address of a server it waits for a connection: make it before
        the event loop has other work, or by `asyncio.to_thread`.
        """
        sync = SessionStoreFactory(
            root, options=options, clock=clock, max_open_engines=max_open_engines
        )
        super().__init__(sync, Hops())

    async def create_store(
        self,
        session_id: str,
        *,
        model: str = "",
        session_name: str | None = None,
        cwd: str | None = ".",
        relation: SessionRelation = RootRelation(),
    ) -> AsyncStore:
        """
        Open a session's store, made if it does not exist; as
        `SessionStoreFactory.create_store`.
        """
        store = await self._hops.open(
            partial(
                self._sync.create_store,
                session_id,
                model=model,
                session_name=session_name,
                cwd=cwd,
                relation=relation,
            )
        )
        return AsyncStore(store, self._hops.sharing())

    async def open_existing_store(self, session_id: str) -> AsyncStore | None:
        """
        Open a session's store; None if there is no such session; as
        `SessionStoreFactory.open_existing_store`.
        """
        # Nothing is left behind if nobody waits for it any more: the
        # factory owns the database.
        store: Store | None = await self._hops.run(
            self._sync.open_existing_store, session_id
        )
        return None if store is None else AsyncStore(store, self._hops.sharing())

    async def list_sessions(
        self, *, on_error: Callable[[Path, LashStoreError], None] | None = None
    ) -> AsyncIterator[SessionPickerInfo]:
        """
        Yield a line for every session that has metadata, in the order of
        file names, a page of them a hop.

        Args:
            on_error: As for `SessionStoreFactory.list_sessions`; called on
                the event loop, between the lines it stands between.

        Raises:
            As `SessionStoreFactory.list_sessions`.
        """
        listing = _Listing(self._sync, is_tolerant=on_error is not None)
        while page := await self._hops.run(listing.next_page):
            for line in page:
                if isinstance(line, SessionPickerInfo):
                    yield line
                elif on_error is not None:
                    on_error(*line)


class _Listing:
    def __init__(self, factory: SessionStoreFactory, *, is_tolerant: bool) -> None:
        self._page: list[SessionPickerInfo | tuple[Path, LashStoreError]] = []
        self._lines: Iterator[SessionPickerInfo] = factory.list_sessions(
            on_error=self._add_error if is_tolerant else None
        )
        self._error: LashStoreError | None = None

    def next_page(self) -> list[SessionPickerInfo | tuple[Path, LashStoreError]]:
        if self._error is not None:
            raise self._error
        self._page = []
        while len(self._page) < _PAGE:
            try:
                self._page.append(next(self._lines))
            except StopIteration:
                break
            except LashStoreError as error:
                # What came before it is told first, as in the sync listing.
                if not self._page:
                    raise
                self._error = error
                break
        return self._page

    def _add_error(self, path: Path, error: LashStoreError) -> None:
        self._page.append((path, error))
