"""
The size of a session's file.
"""

import pytest

from lashstore import StoreOptions, Synchronous
from lashstore.testing import commit_nodes, message_node

from .snapshot_kit import KEEP_ALL, commit, noise, states

MIB = 2**20

# Its kit looks beneath the stores.
pytestmark = pytest.mark.requires("has_files", "is_transparent")


def file_bytes(backend):
    """
    How large the session's file is.
    """
    return backend.path_of("root").stat().st_size


def test_collection_gives_space_back(backend):
    """
    A file is as small after a collection as its content.
    """
    store = backend.open_store(options=KEEP_ALL)
    for number in range(20):
        store.put_blob(noise(f"{number}", MIB))
    backend.reopen(store).close()
    before = file_bytes(backend)
    store = backend.open_store()

    store.gc_unreachable()

    assert before > 20 * MIB
    assert file_bytes(backend) < MIB


def test_vacuum_gives_space_back(backend):
    """
    A file is as small after a vacuum as its content.
    """
    store = backend.open_store()
    ids = [f"m{number}" for number in range(20)]
    commit_nodes(
        store,
        *(message_node(name, content=noise(name, MIB // 4).hex()) for name in ids),
    )
    store.tombstone_nodes(ids)
    store = backend.reopen(store)
    before = file_bytes(backend)

    store.vacuum()

    assert before > 10 * MIB
    assert file_bytes(backend) < MIB


def test_commits_alone_give_space_back(backend):
    """
    A session whose state became small gives back the space of the large
    one, a part with each checkpoint of the WAL.
    """
    options = StoreOptions(synchronous=Synchronous.NORMAL, wal_limit_bytes=64 * 1024)
    store = backend.open_store(options=options)
    for number in range(3):
        commit(store, tool_state=noise(f"{number}", 4 * MIB).hex())
    large = file_bytes(backend)
    for number in range(400):
        commit(store, tool_state=noise(f"{number}", 2_000).hex())

    assert large > 8 * MIB
    assert file_bytes(backend) < large / 2


def test_file_of_a_session_that_commits_for_ever_is_bounded(backend):
    """
    A changing state of 64 KB takes no more after 400 turns than after 100.
    """
    options = StoreOptions(synchronous=Synchronous.NORMAL, wal_limit_bytes=64 * 1024)
    store = backend.open_store(options=options)
    sizes = []
    for number, each in enumerate(states(400)):
        commit(store, turn_state={"n": number}, tool_state=each)
        sizes.append(file_bytes(backend))

    assert max(sizes[100:]) <= 1.1 * max(sizes[:100])
    assert max(sizes) < MIB


def test_file_without_the_mode_stays_usable(backend):
    """
    A file that was made without room for giving space back keeps it.
    """
    store = backend.open_store()
    store.put_blob(noise("x", MIB))
    store.close()
    with backend.connect(backend.path_of("root")) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
        conn.execute("PRAGMA auto_vacuum = NONE")
        conn.execute("VACUUM")
        assert (0,) == conn.execute("PRAGMA auto_vacuum").fetchone()
    store = backend.open_store()

    assert 1 == store.gc_unreachable().deleted_blob_count
    assert file_bytes(backend) > MIB
