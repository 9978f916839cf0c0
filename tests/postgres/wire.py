"""
Two proxies in front of the server: one that counts and cuts, and one that
pools by transaction. Both know just enough of the protocol
(https://www.postgresql.org/docs/current/protocol-message-formats.html).
"""

import os
import queue
import select
import socket
import struct
import threading
from pathlib import Path

import psycopg
import sqlalchemy as sa

_PORT = 5432
# Each makes the client wait for the server: Flush, Sync, Query.
_WAITS = b"HSQ"


class _Framed:
    """
    Cuts a stream into messages.
    """

    def __init__(self, *, has_startup=False):
        self._buffer = b""
        self._is_startup = has_startup

    def feed(self, data):
        """Return the messages that are whole by now, as (type, bytes)."""
        self._buffer += data
        messages = []
        while True:
            head = 0 if self._is_startup else 1
            if len(self._buffer) < head + 4:
                return messages
            (length,) = struct.unpack_from("!I", self._buffer, head)
            if len(self._buffer) < head + length:
                return messages
            whole = self._buffer[: head + length]
            self._buffer = self._buffer[head + length :]
            messages.append((b"" if self._is_startup else whole[:1], whole))
            self._is_startup = False


class _Proxy:
    """
    Listens in a folder of its own; serves each client in a thread.
    """

    def __init__(self, base_uri, folder):
        self._base_uri = base_uri
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clients = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / f".s.PGSQL.{_PORT}"))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._guarded, args=(client,), daemon=True)
            self._clients.append((client, thread))
            thread.start()

    def _guarded(self, client):
        try:
            self.serve(client)
        except OSError:
            pass
        finally:
            client.close()

    def serve(self, client):
        """Serve one client until it leaves."""
        raise NotImplementedError

    def url(self, address):
        """Return an address of lashstore's, led through here."""
        url = sa.make_url(address).set(host=None, port=None)
        query = {**url.query, "host": str(self._folder), "port": str(_PORT)}
        return url.set(query=query).render_as_string(hide_password=False)

    def close(self):
        # A close alone would leave the accepting thread asleep.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for client, thread in self._clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Wire(_Proxy):
    """
    Leads each client to the server, counts how often it waits, and cuts the
    connection where it is told to.
    """

    def __init__(self, base_uri, folder):
        self.waits = 0
        self._last = b"-"
        # Called with (is_from_client, type, message); True: cut before it.
        self.cut = lambda *_: False
        super().__init__(base_uri, folder)

    def serve(self, client):
        # libpq knows how to find the server, and we take its socket over
        # before anything has been said.
        info = psycopg.conninfo.conninfo_to_dict(self._base_uri)
        upstream = _connect(info)
        streams = {
            client: (upstream, _Framed(has_startup=True), True),
            upstream: (client, _Framed(), False),
        }
        try:
            while True:
                for source in select.select(list(streams), [], [])[0]:
                    target, framed, is_client = streams[source]
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    for kind, message in framed.feed(data):
                        if self.cut(is_client, kind, message):
                            return
                        if is_client:
                            self._count(kind)
                        target.sendall(message)
        finally:
            upstream.close()

    def _count(self, kind):
        # Behind a Sync, psycopg sends a Flush without waiting in between.
        if kind and kind in _WAITS and self._last not in _WAITS:
            self.waits += 1
        self._last = kind or b"-"

    def waits_of(self, operation):
        """Return how often *operation* waits for the server."""
        before = self.waits
        operation()
        return self.waits - before


def _connect(info):
    host = info.get("host") or "localhost"
    port = int(info.get("port") or _PORT)
    if host.startswith("/"):
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(f"{host}/.s.PGSQL.{port}")
        return upstream
    return socket.create_connection((host, port))


class Pooler(_Proxy):
    """
    Gives a client one of a few server connections for each transaction, a
    different one as often as can be, as transaction-pooling proxies do.
    """

    def __init__(self, base_uri, folder, *, size=2, is_honest=True):
        """
        is_honest: whether the process id it tells is made up; otherwise it is
        that of the first server connection.
        """
        self._free = queue.Queue()
        self._drivers = [psycopg.connect(base_uri) for _ in range(size)]
        self._is_honest = is_honest
        self.served_by = []
        for driver in self._drivers:
            driver.autocommit = True
            self._free.put((driver, socket.socket(fileno=os.dup(driver.fileno()))))
        super().__init__(base_uri, folder)

    def serve(self, client):
        framed = _Framed(has_startup=True)
        self._greet(client, framed)
        while True:
            data = client.recv(1 << 16)
            if not data:
                return
            messages = framed.feed(data)
            if any(kind == b"X" for kind, _ in messages):
                return
            if messages:
                driver, server = self._free.get()
                self.served_by.append(driver.info.backend_pid)
                is_clean = False
                try:
                    is_clean = self._transact(client, framed, server, messages)
                finally:
                    if is_clean:
                        self._free.put((driver, server))
                    else:
                        self._replace(driver, server)
                if not is_clean:
                    return

    def _replace(self, driver, server):
        server.close()
        driver.close()
        fresh = psycopg.connect(self._base_uri, autocommit=True)
        self._drivers.append(fresh)
        self._free.put((fresh, socket.socket(fileno=os.dup(fresh.fileno()))))

    def _greet(self, client, framed):
        while not framed.feed(client.recv(1 << 16)):
            pass
        first = self._drivers[0]
        pid = 1 if self._is_honest else first.info.backend_pid
        parameters = b"".join(
            _message(b"S", name + b"\0" + first.pgconn.parameter_status(name) + b"\0")
            for name in (
                b"server_version",
                b"server_encoding",
                b"client_encoding",
                b"standard_conforming_strings",
                b"DateStyle",
                b"TimeZone",
                b"integer_datetimes",
            )
        )
        client.sendall(
            _message(b"R", struct.pack("!I", 0))
            + parameters
            + _message(b"K", struct.pack("!II", pid, 1))
            + _message(b"Z", b"I")
        )

    def _transact(self, client, framed, server, messages):
        # True when the server connection is idle, outside a transaction.
        answered = _Framed()
        awaited = 0
        while True:
            for kind, message in messages:
                if kind == b"X":
                    return False
                awaited += kind in (b"S", b"Q")
                server.sendall(message)
            messages = []
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 16)
                if not data:
                    return False
                if source is client:
                    messages += framed.feed(data)
                    continue
                is_idle = False
                for kind, message in answered.feed(data):
                    if kind == b"Z":
                        awaited -= 1
                        is_idle = message[-1:] == b"I"
                client.sendall(data)
                if is_idle and awaited == 0 and not messages:
                    return True

    def close(self):
        super().close()
        while not self._free.empty():
            _, server = self._free.get()
            server.close()
        for driver in self._drivers:
            driver.close()


def _message(kind, content):
    return kind + struct.pack("!I", len(content) + 4) + content
