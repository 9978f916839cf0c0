"""
Databases kept open, a bounded number of them.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from .engines import Database
from .errors import StoreClosedError


class DatabaseCache:
    """
    Databases kept open by path, least recently used out, one in use never.
    """

    def __init__(self, open_database: Callable[[Path], Database], limit: int) -> None:
        self._open_database = open_database
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, Database] = OrderedDict()
        self._pins: dict[Path, int] = {}
        self._is_closed = False

    def pinned(self, path: Path) -> AbstractContextManager[Database]:
        """
        Return the database at *path*, kept open until the context ends.

        Raises:
            StoreClosedError: The cache is closed.
            DatabaseGoneError: There is no such file any more.
        """
        return _Pin(self._pin, self._unpin, path)

    def _pin(self, path: Path) -> Database:
        with self._lock:
            if self._is_closed:
                msg = "the factory is closed: make a new one"
                raise StoreClosedError(msg)
            database = self._open.get(path)
            if database is None:
                database = self._open[path] = self._open_database(path)
            self._open.move_to_end(path)
            self._pins[path] = self._pins.get(path, 0) + 1
            return database

    def _unpin(self, path: Path) -> None:
        with self._lock:
            self._pins[path] -= 1
            if not self._pins[path]:
                del self._pins[path]
            surplus = len(self._open) - self._limit
            evicted = self._evict(surplus) if surplus > 0 else ()
        for database in evicted:
            database.close()

    def _evict(self, count: int) -> Sequence[Database]:
        idle = [known for known in self._open if known not in self._pins]
        return [self._open.pop(known) for known in idle[:count]]

    def forget(self, path: Path, only: Database | None = None) -> None:
        """
        Close the database at *path*, so that the next user opens it anew.

        Args:
            only: Unless it is this one no more; None: whichever it is.
        """
        with self._lock:
            if only is not None and self._open.get(path) is not only:
                return
            database = self._open.pop(path, None)
        if database is not None:
            database.close()

    def close(self) -> None:
        """
        Close every database; any use after it raises `StoreClosedError`.
        """
        with self._lock:
            self._is_closed = True
            databases = list(self._open.values())
            self._open.clear()
        for database in databases:
            database.close()


class _Pin:
    """
    A database in use, as a context.
    """

    __slots__ = ("_path", "_pin", "_unpin")

    def __init__(
        self,
        pin: Callable[[Path], Database],
        unpin: Callable[[Path], None],
        path: Path,
    ) -> None:
        self._pin = pin
        self._unpin = unpin
        self._path = path

    def __enter__(self) -> Database:
        return self._pin(self._path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unpin(self._path)


class CachedSource:
    """
    A store's view of one file in a cache.
    """

    def __init__(self, cache: DatabaseCache, path: Path) -> None:
        self._cache = cache
        self._path = path

    def pinned(self) -> AbstractContextManager[Database]:
        """
        Return the database, kept open until the context ends.
        """
        return self._cache.pinned(self._path)

    def close(self) -> None:
        """
        Do nothing: the cache owns the database.
        """
