"""
Snapshots stored as differences: damage anywhere in a chain.
"""

import hashlib
import shutil
import sqlite3

import pytest

from lashstore import (
    CheckpointRetention,
    CorruptRecordError,
    HydratedCheckpoint,
    LashStoreError,
    LeaseOwnerIdentity,
    RuntimeCommit,
    Store,
    StoreOptions,
    Synchronous,
)
from lashstore.store import storing
from lashstore.store.recent import RecentSnapshots

SESSION = "chain"
LINKS = 5
OPTIONS = StoreOptions(
    synchronous=Synchronous.NORMAL,
    checkpoint_retention=CheckpointRetention(max_count=None),
)


def _state(number):
    return {
        f"m{place}": hashlib.shake_256(f"{place}-{place < number}".encode()).hexdigest(
            2_000
        )
        for place in range(20)
    }


@pytest.fixture(name="chain_file", scope="module")
def _chain_file(tmp_path_factory):
    """
    Return a closed file with a chain, and the refs of its links in order.
    """
    path = tmp_path_factory.mktemp("chain") / "chain.db"
    with Store.open(path, SESSION, options=OPTIONS) as store:
        owner = LeaseOwnerIdentity.opaque("o", "o:1")
        fence = store.try_claim_session_execution_lease(owner, 10**9).lease.fence()
        results = [
            store.commit_runtime_state(
                RuntimeCommit(
                    session_id=SESSION,
                    session_execution_lease=fence,
                    checkpoint=HydratedCheckpoint(tool_state=_state(number)),
                )
            )
            for number in range(LINKS)
        ]
    return path, results


def _answers(path, results):
    """
    Return what each link reads as, in order: its state, or an error.
    """
    found = []
    with Store.open(path, SESSION, options=OPTIONS) as store:
        for result in results:
            try:
                found.append(store.get_checkpoint(result.checkpoint_ref).tool_state)
            except LashStoreError as error:
                found.append(type(error))
    return found


def _damaged(chain_file, folder, statement, *values):
    path, results = chain_file
    copy = folder / "chain.db"
    shutil.copy(path, copy)
    database = sqlite3.connect(copy)
    database.execute("PRAGMA ignore_check_constraints = ON")
    assert database.execute(statement, values).rowcount == 1
    database.commit()
    database.close()
    return _answers(copy, results)


def _ref(chain_file, number):
    return chain_file[1][number].manifest.tool_state_ref


def _content(chain_file, number):
    database = sqlite3.connect(chain_file[0])
    found = database.execute(
        "SELECT content FROM session_blobs WHERE blob_ref = ?",
        (_ref(chain_file, number),),
    ).fetchone()
    database.close()
    return found[0]


def test_sound_chain(chain_file):
    """
    Undamaged, every link reads, and all but the first are differences.
    """
    path, results = chain_file
    database = sqlite3.connect(path)
    depths = database.execute(
        "SELECT chain_depth FROM session_blobs WHERE kind = 'tool_state'"
    ).fetchall()
    database.close()

    assert sorted(depths) == [(n,) for n in range(LINKS)]
    assert _answers(path, results) == [_state(number) for number in range(LINKS)]


@pytest.mark.parametrize("link", range(LINKS))
@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_flipped_bit_in_a_link(chain_file, tmp_path, link, place):
    """
    A damaged link is damage to itself and to what follows, and to nothing
    before; a bit that does not matter changes no answer.
    """
    content = bytearray(_content(chain_file, link))
    content[int(place * (len(content) - 1))] ^= 4

    found = _damaged(
        chain_file,
        tmp_path,
        "UPDATE session_blobs SET content = ? WHERE blob_ref = ?",
        bytes(content),
        _ref(chain_file, link),
    )

    assert found[:link] == [_state(number) for number in range(link)]
    for number in range(link, LINKS):
        assert found[number] in (CorruptRecordError, _state(number))
    if 0.1 <= place <= 0.9:
        assert found[link] is CorruptRecordError


@pytest.mark.parametrize("link", range(LINKS))
def test_missing_link(chain_file, tmp_path, link):
    """
    Without a link, what follows is damaged.
    """
    found = _damaged(
        chain_file,
        tmp_path,
        "DELETE FROM session_blobs WHERE blob_ref = ?",
        _ref(chain_file, link),
    )

    assert found == [_state(number) for number in range(link)] + [
        CorruptRecordError
    ] * (LINKS - link)


@pytest.mark.parametrize("link", range(1, LINKS))
@pytest.mark.parametrize("base", [None, *range(LINKS)])
def test_wrong_base(chain_file, tmp_path, link, base):
    """
    A difference to another content than it was made of is damage, also
    where the bases form a circle.
    """
    if base == link - 1:
        return
    found = _damaged(
        chain_file,
        tmp_path,
        "UPDATE session_blobs SET base_ref = ? WHERE blob_ref = ?",
        None if base is None else _ref(chain_file, base),
        _ref(chain_file, link),
    )

    assert found[:link] == [_state(number) for number in range(link)]
    for number in range(link, LINKS):
        # A base that holds all that the difference takes from it serves, too.
        assert found[number] in (CorruptRecordError, _state(number))
    if base is None or base >= link:
        assert found[link:] == [CorruptRecordError] * (LINKS - link)


@pytest.mark.parametrize("column", ["raw_bytes", "compression"])
@pytest.mark.parametrize("link", range(LINKS))
def test_wrong_columns(chain_file, tmp_path, link, column):
    """
    A wrong size or compression of a link is damage to what follows.
    """
    found = _damaged(
        chain_file,
        tmp_path,
        f"UPDATE session_blobs SET {column} = ? WHERE blob_ref = ?",
        2**40 if column == "raw_bytes" else "none",
        _ref(chain_file, link),
    )

    assert found == [_state(number) for number in range(link)] + [
        CorruptRecordError
    ] * (LINKS - link)


@pytest.mark.parametrize("depth", [0, 1, 15, 2**62])
def test_wrong_depth_is_no_matter(chain_file, tmp_path, depth):
    """
    The depth only says when a chain should end.
    """
    found = _damaged(
        chain_file,
        tmp_path,
        "UPDATE session_blobs SET chain_depth = ? WHERE blob_ref = ?",
        depth,
        _ref(chain_file, LINKS - 1),
    )

    assert found == [_state(number) for number in range(LINKS)]


def test_whole_content_with_a_base(chain_file, tmp_path):
    """
    A whole content that is said to be a difference is damage, or the same.
    """
    found = _damaged(
        chain_file,
        tmp_path,
        "UPDATE session_blobs SET base_ref = ? WHERE blob_ref = ?",
        chain_file[1][0].checkpoint_ref,
        _ref(chain_file, 0),
    )

    for number in range(LINKS):
        assert found[number] in (CorruptRecordError, _state(number))


@pytest.mark.parametrize("link", range(LINKS))
def test_commit_after_damage_heals(chain_file, tmp_path, link, monkeypatch):
    """
    A host that opens a session whose chain is damaged stores the next state
    whole.
    """
    monkeypatch.setattr(storing, "recent_snapshots", RecentSnapshots(limit_bytes=0))
    content = bytearray(_content(chain_file, link))
    content[len(content) // 2] ^= 4
    _damaged(
        chain_file,
        tmp_path,
        "UPDATE session_blobs SET content = ? WHERE blob_ref = ?",
        bytes(content),
        _ref(chain_file, link),
    )
    with Store.open(tmp_path / "chain.db", SESSION, options=OPTIONS) as store:
        owner = LeaseOwnerIdentity.opaque("o", "o:1")
        fence = store.try_claim_session_execution_lease(owner, 10**9).lease.fence()
        store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=fence,
                checkpoint=HydratedCheckpoint(tool_state=_state(LINKS)),
            )
        )

        assert store.load_session().checkpoint.tool_state == _state(LINKS)


@pytest.mark.parametrize("max_count", [1, 3, None])
@pytest.mark.parametrize("wrong", [0, 1, 2, 2**62])
@pytest.mark.parametrize("column", ["last_revision", "named_at_ms"])
def test_wrong_revisions_never_cost_the_head(
    chain_file, tmp_path, column, wrong, max_count
):
    """
    Whatever the rows say that tell when a checkpoint goes, the head and the
    states that later commits bring are whole.
    """
    copy = tmp_path / "chain.db"
    shutil.copy(chain_file[0], copy)
    database = sqlite3.connect(copy)
    changed = database.execute(
        f"UPDATE session_checkpoint_blobs SET {column} = ?", (wrong,)
    ).rowcount
    database.commit()
    database.close()
    options = StoreOptions(
        synchronous=Synchronous.NORMAL,
        checkpoint_retention=CheckpointRetention(max_count=max_count, max_age_ms=1_000),
    )

    assert changed == 2 * LINKS
    with Store.open(copy, SESSION, options=options) as store:
        owner = LeaseOwnerIdentity.opaque("o", "o:1")
        fence = store.try_claim_session_execution_lease(owner, 10**9).lease.fence()
        assert store.load_session().checkpoint.tool_state == _state(LINKS - 1)
        for number in range(LINKS, LINKS + 12):
            store.commit_runtime_state(
                RuntimeCommit(
                    session_id=SESSION,
                    session_execution_lease=fence,
                    checkpoint=HydratedCheckpoint(tool_state=_state(number)),
                )
            )
            assert store.load_session().checkpoint.tool_state == _state(number)
