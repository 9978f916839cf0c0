"""
`Store`: one session's durable state.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from lashstore.clock import Clock
from lashstore.engines import (
    file_target,
    open_database,
    open_memory,
    open_readonly,
    parse_target,
)
from lashstore.errors import SchemaVersionError
from lashstore.model.options import StoreOptions
from lashstore.model.record import require_text
from lashstore.tables import SCHEMA_VERSIONS, SESSION_COMPONENT

from .attachments import AttachmentManifestStore
from .commits import CommitStore
from .handle import StoreHandle, bind, find_identity, seed_session
from .leases import LeaseStore
from .maintenance import MaintenanceStore
from .queue import QueueStore
from .transaction import SessionTransaction
from .turn_inputs import TurnInputStore

__all__ = ["SessionTransaction", "Store"]


class Store(
    CommitStore,
    LeaseStore,
    QueueStore,
    TurnInputStore,
    AttachmentManifestStore,
    MaintenanceStore,
    StoreHandle,
):
    """
    One session's durable state.

    Thread-safe; every method is one transaction, and reads see one instant.
    A host killed at any moment leaves each method done or not begun.

        with Store.open("chat.db", "chat") as store:
            store.load_session()
    """

    @classmethod
    def open(
        cls,
        target: str | Path,
        session_id: str,
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Open a session, or make it.

        Args:
            target: Path of a SQLite file; absent or empty, it is made with
                mode 0600, and missing folders with 0700. Or the address of a
                PostgreSQL database, `postgresql+psycopg://user@host/name`;
                one without our tables gets them.

            session_id: The session the file is for; any text without NUL and
                lone surrogates.

            clock: None: the host's for a file, the server's on PostgreSQL.

        Raises:
            SessionBindingMismatchError: The file is another session's.
            NotALashStoreError: The file is something else; it was left as
                it is.
            SchemaVersionError: The file is of another schema version.
            ContentKeyError: The session is sealed and the options have not
                its key, or it is plain and they have one.
            InvalidArgumentError: The id cannot be stored.
            StoreBusyError: The file was locked too long; retry.
            BackendError: The file cannot be opened.
        """
        require_text("session_id", session_id)
        database = open_database(
            parse_target(target),
            SESSION_COMPONENT,
            options,
            seed=seed_session(session_id, options.cipher),
        )
        try:
            identity = bind(database, session_id, options.cipher)
        except BaseException:
            database.close()
            raise
        database.bind_to(identity)
        return cls(database, database, identity, options=options, clock=clock)

    @classmethod
    def memory(
        cls,
        session_id: str = "root",
        *,
        options: StoreOptions = StoreOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Make a session that lives as long as the store: for tests, and for
        conversations nobody will miss.
        """
        require_text("session_id", session_id)
        database = open_memory(SESSION_COMPONENT, options)
        identity = bind(database, session_id, options.cipher)
        return cls(database, database, identity, options=options, clock=clock)

    @classmethod
    def open_readonly(
        cls, path: str | Path, *, options: StoreOptions = StoreOptions()
    ) -> Self:
        """
        Open a session's file to look at it, while hosts write or not.

        Nothing is created or written, no lock is taken that a writer would
        wait for, and every writing method raises `ReadOnlyStoreError`.

        Raises:
            StoreNotFoundError: There is no such file.
            NotALashStoreError: The file is something else.
            SchemaVersionError: The file is of another schema version, or has
                no session.
            ContentKeyError: The session is sealed, and the options have not
                its key.
            BackendError: The file cannot be opened.
        """
        database = open_readonly(file_target(path), SESSION_COMPONENT)
        try:
            identity = find_identity(database)
            if identity is None:
                raise SchemaVersionError(  # noqa: TRY301, closes as every error does
                    component=SESSION_COMPONENT,
                    expected=SCHEMA_VERSIONS[SESSION_COMPONENT],
                    found=None,
                )
            return cls(database, database, identity, options=options, clock=None)
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
