"""
`TriggerStore`: processes that start whenever something happens.
"""

from pathlib import Path
from typing import Self

from lashstore.clock import Clock
from lashstore.deployment import ComponentDatabase
from lashstore.model.options import StoreOptions
from lashstore.tables import TRIGGER_COMPONENT

from .deliveries import DeliveryStore
from .subscriptions import SubscriptionStore

__all__ = ["TriggerStore"]


class TriggerStore(SubscriptionStore, DeliveryStore):
    """
    Subscriptions, occurrences, and the deliveries between them.

    Thread-safe; every method is one transaction. An occurrence meets each
    matching subscription once, and what it met stays listed until somebody
    acknowledges having started its process, so a host that dies in between
    loses nothing. Starting twice is harmless: the process id is a function
    of the two.

        with TriggerStore.open("triggers.db") as triggers:
            happened = triggers.record_occurrence(request)
            triggers.reserve_matching_deliveries(happened.occurrence_id)
            for delivery in triggers.pending_deliveries():
                ...  # start delivery.process_id, then acknowledge it
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
        Open a trigger store's database, or make it; other components' tables in
        it stay as they are.

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
            SchemaVersionError: Its trigger tables are of another version.
            InvalidArgumentError: It is neither path nor address.
            StoreBusyError: It was locked too long, or the server cannot be
                reached; retry.
            BackendError: It cannot be opened.
        """
        database = ComponentDatabase.open(target, TRIGGER_COMPONENT, options)
        return cls(database, clock)

    @classmethod
    def memory(cls, *, clock: Clock | None = None) -> Self:
        """
        Make a trigger store that lives as long as the object.
        """
        return cls(ComponentDatabase.memory(TRIGGER_COMPONENT), clock)
