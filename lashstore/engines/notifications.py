"""
Hearing what other hosts tell on the same PostgreSQL server.

While anybody of this OS process waits for something, one thread holds one
connection that listens; both end a while after the last one waits no more. A
message says only that something may have changed, and messages can be lost:
whoever waits looks by himself as well, less often while somebody listens.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg import sql

from lashstore.repos.notifications import channel_of

_log = logging.getLogger(__name__)

# Connecting costs more than most waits last.
_LINGER_S = 10.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_LONGEST_STOP_S = 1.0
# A server that is gone without a word is noticed by the kernel.
KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}


class Notifications:
    """
    What one OS process hears on one server.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection], schema: str | None
    ) -> None:
        """
        Args:
            connect: Opens a connection in autocommit mode, for listening
                alone.
        """
        self._connect = connect
        self._channel = channel_of(schema)
        self._lock = threading.Lock()
        self._waiters: dict[str, list[Callable[[], None]]] = {}
        self._listener: _Listener | None = None
        self._idle_since = time.monotonic()
        self._pid = os.getpid()
        self._is_closed = False
        # A proxy stands between, so that nothing can be heard.
        self._is_deaf = False

    @property
    def is_heard(self) -> bool:
        """
        Whether messages arrive now.
        """
        listener = self._listener
        return listener is not None and listener.is_listening

    @contextmanager
    def subscribed(self, topic: str, wake: Callable[[], None]) -> Iterator[None]:
        """
        Call *wake*, on another thread, at every message on *topic* and
        whenever messages may have been missed.
        """
        with self._lock:
            self._waiters.setdefault(topic, []).append(wake)
            self._listen()
        try:
            yield
        finally:
            with self._lock:
                waiters = self._waiters[topic]
                waiters.remove(wake)
                if not waiters:
                    del self._waiters[topic]
                self._idle_since = time.monotonic()

    def _listen(self) -> None:
        # A forked process has no thread, and must not use our socket.
        if self._is_closed or self._is_deaf or self._pid != os.getpid():
            return
        if self._listener is None:
            self._listener = _Listener(self)

    def open_connection(self) -> psycopg.Connection | None:
        """
        Return a connection that hears from now on; None behind a proxy that
        lends each transaction another one.
        """
        connection = self._connect()
        try:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            if row != (connection.info.backend_pid,):
                self._is_deaf = True
                connection.close()
                return None
            connection.execute(
                sql.SQL("LISTEN {}").format(sql.Identifier(self._channel))
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def wake(self, topic: str) -> None:
        """
        Wake who waits for a topic.
        """
        with self._lock:
            for wake in self._waiters.get(topic, ()):
                wake()

    def wake_all(self) -> None:
        """
        Wake everybody: something may have been missed.
        """
        with self._lock:
            for waiters in self._waiters.values():
                for wake in waiters:
                    wake()

    def end_if_idle(self) -> bool:
        """
        Tell the listener whether it is to end, since nobody has needed it
        for a while, or ever will.
        """
        with self._lock:
            is_idle = (
                not self._waiters and time.monotonic() - self._idle_since >= _LINGER_S
            )
            if is_idle or self._is_closed or self._is_deaf:
                # Now, so that who comes next starts another one.
                self._listener = None
                return True
            return False

    def forget(self, listener: "_Listener") -> None:
        """
        Let go of a listener that has ended.
        """
        with self._lock:
            if self._listener is listener:
                self._listener = None

    def close(self) -> None:
        """
        End the thread and the connection; may be called twice.
        """
        with self._lock:
            self._is_closed = True
            listener = self._listener
        if listener is not None:
            listener.stop()


class _Listener:
    """
    A thread with a connection that listens.
    """

    def __init__(self, owner: Notifications) -> None:
        self.is_listening: bool = False
        self._owner = owner
        # Read by the thread as soon as it is told to stop.
        self._ear, self._mouth = socket.socketpair()
        self._thread = threading.Thread(
            target=self._run, name="lashstore-notifications", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread, and wait for it, unless it is only connecting.
        """
        # It may have ended by itself.
        with suppress(OSError):
            self._mouth.send(b".")
        self._thread.join(_LONGEST_STOP_S)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._owner.end_if_idle():
                try:
                    connection = self._owner.open_connection()
                    if connection is None:
                        continue
                    pause_s = _FIRST_PAUSE_S
                    with closing(connection):
                        self._hear(connection)
                except (psycopg.Error, OSError) as error:
                    # Whoever waits meets the same trouble, and raises it.
                    _log.debug("cannot listen, trying again: %s", error)
                    self._await_stop(pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                finally:
                    self.is_listening = False
        finally:
            self._owner.forget(self)
            self._ear.close()
            self._mouth.close()

    def _await_stop(self, pause_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            selector.select(pause_s)

    def _hear(self, connection: psycopg.Connection) -> None:
        self.is_listening = True
        # What was told before was not heard.
        self._owner.wake_all()
        server = connection.pgconn
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            selector.register(server.socket, selectors.EVENT_READ)
            while not self._owner.end_if_idle():
                if not selector.select(_LINGER_S):
                    continue
                server.consume_input()
                while (message := server.notifies()) is not None:
                    self._owner.wake(message.extra.decode())
