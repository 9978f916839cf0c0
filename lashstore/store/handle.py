"""
A handle on one session: binding, closing, and one transaction a method.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TypeVar

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.clock import Clock
from lashstore.engines import Database, Source
from lashstore.errors import (
    InvalidArgumentError,
    SessionBindingMismatchError,
    SessionDeletedError,
    SessionExecutionLeaseExpiredError,
    StoreBusyError,
    StoreClosedError,
)
from lashstore.failures import DatabaseGoneError
from lashstore.model.leases import (
    SessionExecutionLeaseFence,
    is_valid_fence,
)
from lashstore.model.options import DurabilityTier, StoreOptions
from lashstore.model.record import require_record
from lashstore.model.session import SessionIdentity
from lashstore.repos.sessions import SessionRepository

from .sealing import content_seal, require_key
from .transaction import SessionTransaction

T = TypeVar("T")

_BIND_ATTEMPTS = 10


def bind(
    database: Database, session_id: str, cipher: ContentCipher | None = None
) -> SessionIdentity:
    """
    Make *database* the session's, unless it is some session's already; a
    shared one becomes this session's too.

    Raises:
        SessionBindingMismatchError: It is another session's.
        ContentKeyError: It is sealed and *cipher* has not its key, or it is
            plain and there is a cipher.
    """
    found = find_identity(database, session_id)
    # Others may make and delete it this very moment.
    for _ in range(_BIND_ATTEMPTS):
        if found is not None:
            break
        found = database.write(lambda c: _bind_first(c, session_id, database, cipher))
    if found is None:
        msg = f"session {session_id!r} is deleted as often as it is made: try again"
        raise StoreBusyError(msg)
    if found.session_id != session_id:
        raise SessionBindingMismatchError(
            bound_session_id=found.session_id, attempted_session_id=session_id
        )
    require_key(found, cipher)
    return found


def find_identity(
    database: Database, session_id: str | None = None
) -> SessionIdentity | None:
    """
    Return whose database this is, or of a shared one that session; None if
    it is nobody's yet.
    """
    return database.read(lambda c: _find_identity(c, session_id, database))


def _find_identity(
    connection: sa.Connection, session_id: str | None, database: Database
) -> SessionIdentity | None:
    repository = SessionRepository(connection)
    if session_id is not None and database.is_shared:
        return repository.find(session_id)
    return repository.find_any()


def _bind_first(
    connection: sa.Connection,
    session_id: str,
    database: Database,
    cipher: ContentCipher | None,
) -> SessionIdentity | None:
    found = _find_identity(connection, session_id, database)
    if found is None:
        repository = SessionRepository(connection)
        repository.add(_new_identity(session_id, cipher))
        # On a server another host may have been first.
        found = repository.find(session_id)
    return found


def seed_session(
    session_id: str, cipher: ContentCipher | None
) -> Callable[[sa.Connection], None]:
    """
    Return what makes a new file the session's, with its tables at once: a
    commit less than `bind` on its own.
    """

    def seed(connection: sa.Connection) -> None:
        repository = SessionRepository(connection)
        if repository.find_any() is None:
            repository.add(_new_identity(session_id, cipher))

    return seed


def _new_identity(session_id: str, cipher: ContentCipher | None) -> SessionIdentity:
    return SessionIdentity(
        session_id=session_id,
        incarnation=secrets.token_hex(16),
        content_seal=content_seal(session_id, cipher),
    )


class StoreHandle:
    """
    What every part of `Store` is built on.
    """

    session_id: str
    durability_tier: DurabilityTier

    def __init__(
        self,
        source: Source,
        database: Database,
        identity: SessionIdentity,
        *,
        options: StoreOptions,
        clock: Clock | None,
        siblings: Callable[[], Iterator[Self]] = lambda: iter(()),
    ) -> None:
        self.session_id = identity.session_id
        self.durability_tier = (
            DurabilityTier.INLINE if database.is_memory else DurabilityTier.DURABLE
        )
        self._source = source
        self._identity = identity
        self._options = options
        require_key(identity, options.cipher)
        self._clock = database.clock_of(clock)
        # The factory's other sessions, which may share bytes outside.
        self._siblings = siblings
        # The database the identity was last checked on: a cache may have
        # closed it since, and the file behind a new one may be another's.
        self._checked_database: Database | None = database
        self._is_closed = False
        self._thread = threading.local()

    @property
    def is_sealed(self) -> bool:
        """
        Whether what the session stores is sealed by its options' cipher.
        """
        return self._options.cipher is not None

    def close(self) -> None:
        """
        Close the store; may be called twice.

        Any other use afterwards raises `StoreClosedError`.
        """
        self._is_closed = True
        self._checked_database = None
        self._source.close()

    @contextmanager
    def transaction(self) -> Iterator[SessionTransaction]:
        """
        Put several repository calls into one write transaction.

        It commits when the context ends, and any exception undoes it. Other
        writers wait; a writing method of this store called inside by the
        same thread is refused, since it would wait for itself. Reading
        methods see the state before the transaction on a file, and the
        transaction's own writes in memory.

        Raises:
            InvalidArgumentError: This thread is inside one already.
            StoreBusyError: The lock was not had in time; retry unchanged.
            SessionDeletedError: The session was deleted.
            StoreClosedError: The store is closed.
            ReadOnlyStoreError: It was opened read-only.
            BackendError: The database failed.
        """
        self._refuse_nested()
        with self._database() as database, database.write_transaction() as connection:
            self._thread.is_writing = True
            try:
                yield self._transaction_over(connection)
            finally:
                self._thread.is_writing = False

    def _read(self, operation: Callable[[SessionTransaction], T]) -> T:
        return self._run(operation, False)  # noqa: FBT003, as there

    def _write(self, operation: Callable[[SessionTransaction], T]) -> T:
        self._refuse_nested()
        return self._run(operation, True)  # noqa: FBT003, as there

    def _run(
        self,
        operation: Callable[[SessionTransaction], T],
        is_write: bool,  # noqa: FBT001, its callers name it
    ) -> T:
        # As `_database`, without the generator: a small read is 15 µs.
        if self._is_closed:
            raise StoreClosedError
        try:
            with self._source.pinned() as database:
                if database is not self._checked_database:
                    self._check_identity(database)
                run = database.write if is_write else database.read
                return run(lambda c: operation(self._transaction_over(c)))
        except DatabaseGoneError:
            raise SessionDeletedError(session_id=self.session_id) from None

    def _transaction_over(self, connection: sa.Connection) -> SessionTransaction:
        return SessionTransaction(
            connection, self.session_id, self._clock, self._options.cipher
        )

    def _refuse_nested(self) -> None:
        if getattr(self._thread, "is_writing", False):
            msg = (
                "this thread is inside store.transaction(): use the "
                "transaction's repositories, or call the method after it"
            )
            raise InvalidArgumentError(msg)

    @contextmanager
    def _database(self) -> Iterator[Database]:
        if self._is_closed:
            raise StoreClosedError
        try:
            with self._source.pinned() as database:
                if database is not self._checked_database:
                    self._check_identity(database)
                yield database
        except DatabaseGoneError:
            raise SessionDeletedError(session_id=self.session_id) from None

    def _check_identity(self, database: Database) -> None:
        found = database.read(lambda c: SessionRepository(c).find(self.session_id))
        if found != self._identity:
            raise SessionDeletedError(session_id=self.session_id)
        self._checked_database = database

    def _require_fence(
        self, tx: SessionTransaction, fence: SessionExecutionLeaseFence
    ) -> None:
        row = tx.execution_leases.find(self.session_id)
        if not is_valid_fence(row, fence, session_id=self.session_id, now_ms=tx.now_ms):
            raise SessionExecutionLeaseExpiredError(session_id=self.session_id)

    def _refuse_other_session(self, session_id: str) -> None:
        if session_id != self.session_id:
            raise SessionBindingMismatchError(
                bound_session_id=self.session_id, attempted_session_id=session_id
            )


def check_fence(fence: SessionExecutionLeaseFence) -> None:
    """
    Raises:
        InvalidArgumentError: It is no fence.
    """
    require_record("the fence", fence, SessionExecutionLeaseFence)
