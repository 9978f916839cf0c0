"""
`EffectHost`: recorded side effects, replayed instead of repeated.
"""

from pathlib import Path
from typing import Self

from lashstore.clock import Clock
from lashstore.deployment import ComponentDatabase, DeploymentStore
from lashstore.model.effects import EffectReplayOptions, ExecutionScope
from lashstore.model.record import require_text, require_upper_bound
from lashstore.tables import EFFECT_COMPONENT

from .controller import EffectController
from .journal import EffectJournal
from .renewal import LeaseRenewer
from .runner import EffectRunner

__all__ = ["EffectController", "EffectHost"]


class EffectHost(DeploymentStore):
    """
    A journal of effects, and who runs each of them now.

    Thread-safe; one host serves many scopes at once, and many hosts may share
    one file.

        with EffectHost.open("effects.db") as host:
            turn = host.scoped(TurnScope(session_id="chat", turn_id="7"))
            weather = turn.step("ask", lambda: ask_the_weather("Bern"))
    """

    def __init__(
        self,
        database: ComponentDatabase,
        options: EffectReplayOptions,
        clock: Clock | None,
    ) -> None:
        super().__init__(database, clock)
        self._timings = timings = options.lease_timings
        self._journal = EffectJournal(
            database, self._clock, lease_ttl_ms=timings.ttl_ms
        )
        self._renewer = LeaseRenewer(
            self._journal.renew, interval_ms=timings.renew_interval_ms
        )
        self._runner = EffectRunner(
            self._journal, self._renewer, lease_ttl_ms=timings.ttl_ms
        )

    @classmethod
    def open(
        cls,
        target: str | Path,
        *,
        options: EffectReplayOptions = EffectReplayOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Open a journal's database, or make it; other components' tables in it
        stay as they are.

        Args:
            target: Path of a SQLite file; absent or empty, it is made with
                mode 0600, and missing folders with 0700. It may hold other
                components as well, such as a session. Or the address of a
                PostgreSQL database, `postgresql+psycopg://…`, with
                `?schema=NAME` for where in it; an empty one gets the tables.

            clock: None: the host's on a file, the server's on a server. It
                decides what is due and expired; waiting takes real time.

        Raises:
            NotALashStoreError: The file is something else; it was left as
                it is.
            SchemaVersionError: Its effect tables are of another version.
            InvalidArgumentError: It is neither path nor address.
            StoreBusyError: It was locked too long, or the server cannot be
                reached; retry.
            BackendError: It cannot be opened.
        """
        database = ComponentDatabase.open(target, EFFECT_COMPONENT, options.store)
        return cls(database, options, clock)

    @classmethod
    def memory(
        cls,
        *,
        options: EffectReplayOptions = EffectReplayOptions(),
        clock: Clock | None = None,
    ) -> Self:
        """
        Make a journal that lives as long as the host; it records and replays
        like any other.
        """
        database = ComponentDatabase.memory(EFFECT_COMPONENT, options.store)
        return cls(database, options, clock)

    def start_replay(self) -> None:
        """
        From now on run nothing: an effect without a finished record is an
        `EffectReplayMissingError`, in every scope of this host. It cannot be
        undone.

        Raises:
            StoreClosedError: The host is closed.
        """
        self._database.require_open()
        self._journal.is_strict = True

    def scoped(self, scope: ExecutionScope) -> EffectController:
        """
        Return what runs the effects of *scope*; nothing is written yet.

        Raises:
            InvalidArgumentError: It is no scope, or one of its ids is blank.
            StoreClosedError: The host is closed.
        """
        self._database.require_open()
        return EffectController(scope, self._runner)

    def prune(self, cutoff_ms: int) -> int:
        """
        Forget the effects that finished before *cutoff_ms*; asked for again,
        they would run again. Those under way stay.

        Returns:
            How many there were. Safe to retry.

        Raises:
            InvalidArgumentError: The time is negative; one above the range
                means all.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        cutoff_ms = require_upper_bound("cutoff_ms", cutoff_ms)
        return self._journal.remove_finished(cutoff_ms=cutoff_ms)

    def delete_session(self, session_id: str) -> int:
        """
        Forget the effects of every scope of a session, finished or not; one
        that is running will find its claim lost.

        Returns:
            How many there were. Safe to retry.

        Raises:
            InvalidArgumentError: The id is no storable text.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        require_text("session_id", session_id)
        return self._journal.remove_session(session_id)

    def close(self) -> None:
        """
        Close the host; may be called twice.

        Effects that still run lose their claims when these expire. Any other
        use afterwards raises `StoreClosedError`.
        """
        self._database.close()
        self._renewer.close()
