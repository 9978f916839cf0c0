"""
A head that damage hid whole: its session is not one before its first commit.
"""

import shutil
import sqlite3

import pytest

from lashstore import (
    CorruptRecordError,
    HydratedCheckpoint,
    RuntimeCommit,
    Store,
    verify,
)

from .rich import OWNER, SESSION, open_rich

PAGE = 4096


def _delete(path):
    with sqlite3.connect(path) as connection:
        assert connection.execute("DELETE FROM session_heads").rowcount == 1
    connection.close()


def _swap_pages(path):
    # The head's with that of a table that has no rows: both are whole trees.
    connection = sqlite3.connect(path)
    head, empty = (
        connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()[0]
        for name in (
            "sqlite_autoindex_session_heads_1",
            "sqlite_autoindex_empty_1",
        )
    )
    connection.close()
    content = bytearray(path.read_bytes())
    one, two = (slice(PAGE * (page - 1), PAGE * page) for page in (head, empty))
    content[one], content[two] = content[two], content[one]
    path.write_bytes(content)


@pytest.fixture(name="damaged", params=[_delete, _swap_pages])
def _damaged(request, rich_file, tmp_path):
    path = tmp_path / "rich.db"
    shutil.copy(rich_file, path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE empty (id TEXT PRIMARY KEY) STRICT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    request.param(path)
    return path


@pytest.mark.parametrize(
    "read",
    [
        Store.load_session,
        Store.load_session_head_meta,
        Store.load_picker_info,
        Store.gc_unreachable,
    ],
    ids=lambda method: method.__name__,
)
def test_it_is_told(damaged, read):
    """
    By whoever reads the head, and by `verify`.
    """
    with open_rich(damaged) as store, pytest.raises(CorruptRecordError) as caught:
        read(store)

    assert SESSION == caught.value.key
    assert "missing, and there were commits" in caught.value.reason
    assert not verify(damaged).is_sound


def test_no_commit_starts_anew_over_it(damaged):
    """
    Else old nodes and blobs would become those of a first revision.
    """
    with open_rich(damaged) as store:
        fence = store.try_claim_session_execution_lease(OWNER, 10**9).lease.fence()
        with pytest.raises(CorruptRecordError):
            store.commit_runtime_state(
                RuntimeCommit(session_id=SESSION, session_execution_lease=fence)
            )
    with sqlite3.connect(damaged) as connection:
        nodes = connection.execute("SELECT count(*) FROM session_nodes").fetchone()
    connection.close()
    assert (6,) == nodes


def test_before_the_first_commit_there_is_none(tmp_path):
    """
    Whatever else was stored, a checkpoint of the host's among it.
    """
    with Store.open(tmp_path / "new.db", "s") as store:
        store.put_blob(b"x")
        store.put_artifact_bytes("a", b"y")
        store.put_checkpoint(HydratedCheckpoint(turn_state={"turn_index": 1}))

        assert store.load_session() is None
        assert store.load_session_head_meta() is None
        assert store.load_picker_info() is None
