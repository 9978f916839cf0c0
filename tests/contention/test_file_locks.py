"""
SQLite's file locks are the process's: one careless close drops them all.

See https://www.sqlite.org/howtocorrupt.html, section 2.2.
"""

import pytest

from lashstore import NotALashStoreError, SessionStoreFactory, Store

from . import workers
from .crowd import start


def _second_handle(path):
    workers.open_session(path).close()


def _second_handle_kept(path):
    _KEPT.append(workers.open_session(path))


def _readonly(path):
    with Store.open_readonly(path) as store:
        store.load_session_head_meta()


def _listing(path):
    with SessionStoreFactory(path.parent) as factory:
        list(factory.list_sessions(on_error=lambda *_: None))


def _wrong_path_refused(path):
    other = path.parent / "other.db"
    other.write_text("not a database" * 100)
    with pytest.raises(NotALashStoreError):
        workers.open_session(other)


_KEPT: list[Store] = []


@pytest.mark.parametrize(
    "careless",
    [_second_handle, _second_handle_kept, _readonly, _listing, _wrong_path_refused],
    ids=lambda each: each.__name__.strip("_"),
)
def test_other_uses_of_the_file_keep_our_locks(careless, tmp_path):
    """
    Whatever else this process does with the file, a visitor that closes it
    does not take it for unused and its WAL for spare.
    """
    path = tmp_path / "locked.db"
    store = workers.open_session(path)
    first = store.put_blob(b"before")
    careless(path)

    visitor, _pipe = start(workers.open_and_close, str(path))
    visitor.join(60)
    assert visitor.exitcode == 0
    second = store.put_blob(b"after")

    reader, pipe = start(_read_blobs, str(path), [first, second])
    answer = pipe.recv() if pipe.poll(60) else "nothing"
    reader.join(60)
    store.close()
    while _KEPT:
        _KEPT.pop().close()
    assert answer == [b"before", b"after"]


def _read_blobs(pipe, path, refs):
    """Read blobs from a fresh process and tell them."""
    try:
        with workers.open_session(path) as store:
            pipe.send([store.get_blob(ref) for ref in refs])
    except Exception as error:
        pipe.send(repr(error))
