"""
Damage in chains of differences, and in the notes of what checkpoints named.
"""

import hashlib
import shutil
from collections import Counter
from types import SimpleNamespace

import pytest

from lashstore import (
    CheckpointRetention,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    RuntimeCommit,
    Store,
    StoreOptions,
    Synchronous,
    verify,
)
from lashstore.repos import _zstd, blobs
from lashstore.repos.blobs import BlobRepository

from .kit import edit, opened, seen

SESSION = "chain"
LINKS = 5
OPTIONS = StoreOptions(
    synchronous=Synchronous.NORMAL,
    checkpoint_retention=CheckpointRetention(max_count=None),
)
NAMED = "session_checkpoint_blobs"


def _state(number):
    return {
        f"m{place}": hashlib.shake_256(f"{place}-{place < number}".encode()).hexdigest(
            2_000
        )
        for place in range(20)
    }


def commit(store, fence, number):
    return store.commit_runtime_state(
        RuntimeCommit(
            session_id=SESSION,
            session_execution_lease=fence,
            expected_head_revision=number or None,
            checkpoint=HydratedCheckpoint(tool_state=_state(number)),
        )
    )


def build(path, options=OPTIONS, count=LINKS):
    """
    Return the refs of a chain's links, the one that is stored whole first.
    """
    with Store.open(path, SESSION, options=options) as store:
        owner = LeaseOwnerIdentity.opaque("o", "o:1")
        fence = store.try_claim_session_execution_lease(owner, 10**9).lease.fence()
        results = [commit(store, fence, number) for number in range(count)]
    return [result.manifest.tool_state_ref for result in results]


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "chain.db"
    return path, build(path)


@pytest.fixture(name="links")
def _links(original):
    return original[1]


@pytest.fixture(name="chain")
def _chain(original, tmp_path):
    return shutil.copy(original[0], tmp_path / "chain.db")


def test_a_chain_is_sound(chain, links):
    """
    Its links are differences, and nothing is found.
    """
    with opened(chain) as connection:
        depths = [
            connection.execute(
                "SELECT chain_depth FROM session_blobs WHERE blob_ref = ?", (ref,)
            ).fetchone()[0]
            for ref in links
        ]

    assert depths == [0, 1, 2, 3, 4]
    assert verify(chain).findings == ()


@pytest.mark.parametrize("retention", [1, 3])
def test_what_retention_and_collection_leave_is_sound(tmp_path, retention):
    """
    Checkpoints that were let go of, some of them kept as bases only.
    """
    path = tmp_path / "kept.db"
    options = StoreOptions(
        synchronous=Synchronous.NORMAL,
        checkpoint_retention=CheckpointRetention(max_count=retention),
    )
    build(path, options, count=12)

    with opened(path) as connection:
        (bases,) = connection.execute(
            f"SELECT count(*) FROM {NAMED} WHERE last_revision = 0"
        ).fetchone()
    assert bases > 0
    assert verify(path).findings == ()
    with Store.open(path, SESSION, options=options) as store:
        store.put_blob(b"loose")
        store.gc_unreachable()
    assert verify(path).findings == ()


def test_damage_in_a_link_is_one_finding_for_each_that_needs_it(chain, links):
    """
    The content of the third is noise: it and its successors are lost.
    """
    edit(
        chain,
        "UPDATE session_blobs SET content = zeroblob(40) WHERE blob_ref = ?",
        links[2],
    )

    assert sorted(seen(chain)) == sorted(
        ("row_damaged", "session_blobs", ref) for ref in links[2:]
    )


def test_a_base_that_vanished(chain, links):
    """
    Its direct successor misses it, the others cannot be read, and a note of
    a commit refers to nothing.
    """
    edit(chain, "DELETE FROM session_blobs WHERE blob_ref = ?", links[1])

    assert sorted(seen(chain)) == sorted(
        [
            ("reference_missing", "session_blobs", links[2]),
            ("row_damaged", "session_blobs", links[3]),
            ("row_damaged", "session_blobs", links[4]),
            ("reference_missing", NAMED, links[1]),
        ]
    )


def test_a_chain_that_leads_back_to_itself(chain, links):
    """
    Nobody can read any of its links, and verifying ends.
    """
    edit(
        chain,
        "UPDATE session_blobs SET base_ref = ?, chain_depth = 5 WHERE blob_ref = ?",
        links[4],
        links[0],
    )

    assert {row for row in seen(chain) if row[1] == "session_blobs"} == {
        ("row_damaged", "session_blobs", ref) for ref in links
    }


@pytest.mark.parametrize("depth", [3, 17])
def test_a_depth_that_is_not_the_chains(chain, links, depth):
    """
    The successor then contradicts it, too, unless it is the last.
    """
    edit(
        chain,
        "UPDATE session_blobs SET chain_depth = ? WHERE blob_ref = ?",
        depth,
        links[4],
    )

    assert seen(chain) == [("row_inconsistent", "session_blobs", links[4])]


def test_a_depth_beyond_the_bound(chain, links):
    """
    Depths that agree with each other, but are larger than a chain may be.
    """
    edit(
        chain,
        "UPDATE session_blobs SET chain_depth = chain_depth + 13"
        " WHERE base_ref IS NOT NULL",
    )

    assert sorted(seen(chain)) == sorted(
        # The first contradicts the whole one, the last is beyond the bound.
        [
            ("row_inconsistent", "session_blobs", links[1]),
            ("row_inconsistent", "session_blobs", links[4]),
        ]
    )


def test_notes_that_let_go_of_the_head_or_come_after_it(chain, links):
    """
    A note of the head's own checkpoint is of the head's revision.
    """
    change = f"UPDATE {NAMED} SET last_revision = ? WHERE blob_ref = ?"
    edit(chain, change, 2, links[4])
    edit(chain, change, LINKS + 1, links[1])

    assert sorted(seen(chain)) == sorted(
        [("sequence_broken", NAMED, links[1]), ("state_wrong", NAMED, links[4])]
    )


def test_a_note_that_is_missing_is_no_damage(chain, links):
    """
    What was put by itself has none; it goes with a collection.
    """
    edit(chain, f"DELETE FROM {NAMED} WHERE blob_ref = ?", links[4])

    assert verify(chain).findings == ()


def test_each_content_is_decoded_once(chain, links, monkeypatch):
    """
    Whatever follows it; the head's own checkpoint once more, to look into it.
    """
    decoded = Counter()
    unpacked = blobs._unpacked

    def count(row, base):
        decoded[row.blob_ref] += 1
        return unpacked(row, base)

    monkeypatch.setattr(blobs, "_unpacked", count)
    assert verify(chain).findings == ()
    with opened(chain) as connection:
        refs = {
            row[0] for row in connection.execute("SELECT blob_ref FROM session_blobs")
        }
        (head,) = connection.execute(
            "SELECT checkpoint_ref FROM session_heads"
        ).fetchone()

    assert refs == decoded.keys()
    assert dict.fromkeys(refs, 1) | dict.fromkeys([head, *links], 2) == dict(decoded)


def test_a_base_of_several_is_decoded_once(tmp_path, monkeypatch):
    """
    A tree whose branches share their root.
    """
    path = tmp_path / "tree.db"
    refs = build(path, count=4)
    with Store.open(path, SESSION) as store:
        content = store.get_blob(refs[3])
    with opened(path) as connection:
        whole, depth = refs[0], 1
        base = BlobRepository.unpack(row_of(connection, whole), None)
        delta = _zstd.compress_delta(content, base)
        connection.execute(
            "UPDATE session_blobs SET base_ref = ?, chain_depth = ?, content = ?"
            " WHERE blob_ref = ?",
            (whole, depth, delta, refs[3]),
        )
    decoded = []
    unpacked = blobs._unpacked
    monkeypatch.setattr(
        blobs,
        "_unpacked",
        lambda row, base: decoded.append(row.blob_ref) or unpacked(row, base),
    )

    assert verify(path).findings == ()

    # Twice at most: for itself, and for the head's checkpoint.
    assert (1, 1) == (decoded.count(refs[1]), decoded.count(refs[2]))
    assert (2, 2) == (decoded.count(refs[0]), decoded.count(refs[3]))


def row_of(connection, ref):
    row = connection.execute(
        "SELECT * FROM session_blobs WHERE blob_ref = ?", (ref,)
    ).fetchone()
    return SimpleNamespace(**dict(row))
