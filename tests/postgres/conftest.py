"""
A store on the server, and ways to get in between.
"""

import shutil
import tempfile

import pytest

from lashstore import ManualClock, Store

from .wire import Wire


@pytest.fixture(name="clean")
def _clean(postgres):
    """
    Return the server, whose shared schema is emptied afterwards.
    """
    yield postgres
    postgres.clear()


@pytest.fixture(name="sockets")
def _sockets():
    """
    Return a folder whose path is short enough for a socket's name.
    """
    folder = tempfile.mkdtemp(prefix="lash-", dir="/tmp")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="wire")
def _wire(clean, sockets):
    with Wire(clean.base_uri, sockets) as wire:
        yield wire


@pytest.fixture(name="open_store")
def _open_store(clean):
    """
    Return a function that opens a session; what it opened is closed.
    """
    opened = []

    def open_store(session_id="root", address=None, **facts):
        facts = {"clock": ManualClock(1_000), **facts}
        store = Store.open(address or clean.url(), session_id, **facts)
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()
