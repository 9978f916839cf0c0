"""
Clocks of stores on a server.
"""

from collections.abc import Callable
from typing import Protocol

import sqlalchemy as sa

from lashstore.clock import Clock
from lashstore.repos._run import Answer, Runner

_now = sa.select(
    sa.cast(
        sa.func.floor(
            sa.func.extract("epoch", sa.func.clock_timestamp())
            * sa.literal_column("1000")
        ),
        sa.BigInteger,
    )
)


class Timed(Protocol):
    """
    A database that knows the transaction of the calling thread.
    """

    def now_ms(self) -> int:
        """
        Return the server's time.
        """
        ...

    def ask_time(self) -> None:
        """
        Ask for the server's time, without waiting for the answer.
        """
        ...

    def await_lock(self) -> None:
        """
        Wait for the lock of the thread's transaction.
        """
        ...


class TransactionTime:
    """
    What is known of the transaction that a thread is in.
    """

    def __init__(
        self, rows: Runner, await_lock: Callable[[], None] = lambda: None
    ) -> None:
        self.await_lock = await_lock
        self._rows = rows
        self._time: Answer[int] | None = None

    def ask_time(self) -> Answer[int]:
        """
        Ask the server for its time now, in milliseconds.
        """
        self._time = self._rows.execute(_now).scalar_one
        return self._time

    def now_ms(self) -> int:
        """
        Return the time that was asked for, or ask.
        """
        return (self._time or self.ask_time())()


class ServerClock:
    """
    The database server's clock, read in the caller's transaction if it is in
    one.
    """

    def __init__(self, database: Timed) -> None:
        self._database = database

    def now_ms(self) -> int:
        """
        Return the server's wall-clock milliseconds since the Unix epoch.
        """
        return self._database.now_ms()

    def ask(self) -> None:
        """
        Ask in the caller's transaction, without waiting for the answer.
        """
        self._database.ask_time()


class ClockBehindLock:
    """
    A caller's clock, read once the caller's transaction has its lock.
    """

    def __init__(self, database: Timed, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def now_ms(self) -> int:
        """
        Return the clock's milliseconds since the Unix epoch.
        """
        self._database.await_lock()
        return self._clock.now_ms()
