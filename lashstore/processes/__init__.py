"""
`ProcessRegistry`: background processes, their logs, and who runs them.
"""

from pathlib import Path
from typing import Self

from lashstore.clock import Clock
from lashstore.deployment import ComponentDatabase
from lashstore.model.options import StoreOptions
from lashstore.tables import PROCESS_COMPONENT

from .awaiting import AwaitingStore
from .events import EventStore
from .grants import GrantStore
from .handle import RegistryHandle
from .leases import ProcessLeaseStore
from .listing import ListingStore
from .registration import RegistrationStore
from .wakes import WakeStore

__all__ = ["ProcessRegistry"]


class ProcessRegistry(
    RegistrationStore,
    EventStore,
    WakeStore,
    GrantStore,
    ProcessLeaseStore,
    ListingStore,
    AwaitingStore,
    RegistryHandle,
):
    """
    The background processes of a deployment.

    Thread-safe; every method is one transaction, and reads see one instant.
    A host killed at any moment leaves each method done or not begun.

    Every method may also raise `StoreBusyError` (retry unchanged),
    `CorruptRecordError` (stored data is damaged), `BackendError` and
    `StoreClosedError`; what is wrong with an argument is an
    `InvalidArgumentError` before anything is read or written.

        with ProcessRegistry.open("processes.db") as registry:
            registry.list_non_terminal()
    """

    @classmethod
    def open(
        cls,
        target: str | Path,
        *,
        clock: Clock | None = None,
        options: StoreOptions = StoreOptions(),
    ) -> Self:
        """
        Open a registry's database, or make its tables.

        Args:
            target: Path of a SQLite file; absent or empty, it is made with
                mode 0600, and missing folders with 0700. It may hold other
                components as well, such as a session. Or the address of a
                PostgreSQL database, `postgresql+psycopg://…`, with
                `?schema=NAME` for where in it; an empty one gets the tables.

            clock: None: the host's on a file, the server's on a server.

        Raises:
            NotALashStoreError: The file is something else; it was left as
                it is.
            SchemaVersionError: Its process tables are of another version.
            InvalidArgumentError: It is neither path nor address.
            StoreBusyError: Others kept it locked, or the server cannot be
                reached; retry unchanged.
            BackendError: It cannot be opened.
        """
        return cls(ComponentDatabase.open(target, PROCESS_COMPONENT, options), clock)

    @classmethod
    def memory(cls, *, clock: Clock | None = None) -> Self:
        """
        Make a registry that lives as long as the object.
        """
        return cls(ComponentDatabase.memory(PROCESS_COMPONENT), clock)
