"""
Garbage collection in steps, between which others write.
"""

import pytest

from lashstore import GcReport, HydratedCheckpoint, LashStoreError
from lashstore.engines.pacing import Adaptive
from lashstore.repos.blobs import StoredBlob
from lashstore.store import garbage
from lashstore.testing import acquire_lease, make_commit

from .snapshot_kit import KEEP_ALL, blob_count, commit, noise, states

# They look beneath the stores.
pytestmark = pytest.mark.requires("is_transparent")


@pytest.fixture(name="small_steps", autouse=True)
def _small_steps(monkeypatch):
    """
    Three blobs a step, so that few are many, however long each takes.
    """
    monkeypatch.setattr(garbage, "_STEP_BLOBS", 3)
    monkeypatch.setattr(Adaptive, "adapt", lambda *_: None)


def before_step(monkeypatch, store, number, act):
    """
    Let *act* run before the write transaction of a step of *store*.
    """
    write, seen = store._write, []

    def write_later(operation):
        seen.append(operation)
        if len(seen) == number:
            act()
        return write(operation)

    monkeypatch.setattr(store, "_write", write_later)
    return seen


def test_totals_are_of_all_steps(backend):
    """
    The report adds up what the steps removed.
    """
    store = backend.open_store()
    commit(store, tool_state={"t": 1})
    for number in range(20):
        store.put_blob(b"%d" % number)
    store.put_artifact_bytes("ref", b"named")

    assert (
        GcReport(root_count=2, retained_blob_count=3, deleted_blob_count=20)
        == store.gc_unreachable()
    )


@pytest.mark.requires("has_many_handles")
@pytest.mark.parametrize("step", [1, 2, 4])
def test_commit_between_steps_keeps_what_it_names(backend, monkeypatch, step):
    """
    What was garbage when it was found, and is named when its turn comes,
    stays, whether by its value, its ref, a frame or an artifact.
    """
    store, other = backend.open_store(options=KEEP_ALL), backend.open_store()
    values = [{"t": number} for number in range(6)]
    refs = [
        commit(store, turn_state={"n": number}, tool_state=value).manifest
        for number, value in enumerate(values)
    ]
    commit(store, turn_state={"n": "head"})

    def name_again():
        """Name what is still there by its ref, and the rest by its value."""
        parts = {"tool_state": values[0], "plugin_snapshot": values[1]}
        commit(other, **parts)
        other.put_artifact_bytes("ref", noise("named", 100))

    before_step(monkeypatch, store, step, name_again)
    store.gc_unreachable()

    checkpoint = other.load_session().checkpoint
    assert (values[0], values[1]) == (checkpoint.tool_state, checkpoint.plugin_snapshot)
    assert noise("named", 100) == other.get_artifact_bytes("ref")
    assert refs[0].tool_state_ref == checkpoint.tool_state_ref


@pytest.mark.requires("has_many_handles")
def test_chain_continued_between_steps_is_kept(backend, monkeypatch):
    """
    A commit between steps whose part is a difference to garbage, or is
    garbage itself that is stored as one, keeps all it needs.
    """
    store, other = backend.open_store(options=KEEP_ALL), backend.open_store()
    made = list(states(12))
    for number, each in enumerate(made):
        commit(store, turn_state={"n": number}, tool_state=each)
    commit(store)
    seen = before_step(monkeypatch, store, 3, lambda: commit(other, tool_state=made[5]))

    store.gc_unreachable()

    assert len(seen) > 3
    assert made[5] == backend.reopen(other).load_session().checkpoint.tool_state


@pytest.mark.requires("is_damageable")
def test_head_that_becomes_unreadable_ends_it(backend, monkeypatch):
    """
    A step that cannot read the head removes nothing, and no later one runs.
    """
    store = backend.open_store()
    store.commit_runtime_state(
        make_commit(
            acquire_lease(store),
            config={"marker": "HEADMARK"},
            checkpoint=HydratedCheckpoint(tool_state={"t": 1}),
        )
    )
    for number in range(20):
        store.put_blob(b"%d" % number)
    before_step(
        monkeypatch,
        store,
        3,
        lambda: backend.damage_behind("root", "HEADMARK", "HEADMARX"),
    )

    with pytest.raises(LashStoreError):
        store.gc_unreachable()

    assert 2 + 14 == blob_count(store)


@pytest.mark.parametrize("members", [1, 3, 40])
def test_step_is_bounded_by_bytes(store, monkeypatch, members):
    """
    A step takes no more blobs than its bytes allow, but one at least.
    """
    monkeypatch.setattr(garbage, "_STEP_BLOBS", 100)
    monkeypatch.setattr(garbage, "_STEP_BYTES", 10_000)
    for number in range(members):
        store.put_blob(noise(f"{number}", 6_000))
    seen = before_step(monkeypatch, store, 0, None)

    assert members == store.gc_unreachable().deleted_blob_count
    assert -(-members // 2) == len(seen)


def test_bases_go_after_what_is_different_to_them(store, monkeypatch):
    """
    At no moment between steps is a base missing that another blob needs.
    """
    made = list(states(14))
    for number, each in enumerate(made):
        commit(store, turn_state={"n": number}, tool_state=each)
    commit(store)
    monkeypatch.setattr(garbage, "_STEP_BLOBS", 1)
    write = store._write

    def write_and_check(operation):
        answer = write(operation)
        with store.transaction() as tx:
            page = tx.blobs.list_page(tx.session_id, "")
            refs = [entry.blob_ref for entry in page]
            assert sorted(refs) == sorted(tx.blobs.list_contents(tx.session_id, refs))
        return answer

    monkeypatch.setattr(store, "_write", write_and_check)
    store.gc_unreachable()

    assert 1 == blob_count(store)


def test_more_blobs_than_a_page(store, monkeypatch):
    """
    Collection goes on where a page ended.
    """
    monkeypatch.setattr(garbage, "_STEP_BLOBS", 500)
    with store.transaction() as tx:
        row = {"kind": "generic_blob", "compression": "none", "raw_bytes": 1}
        tx.blobs.add(
            tx.session_id,
            [garbage_row(f"{number:064x}", **row) for number in range(2_500)],
        )
    result = commit(store, tool_state={"t": 1})

    assert 2_500 == store.gc_unreachable().deleted_blob_count
    assert HydratedCheckpoint(
        tool_state={"t": 1}, tool_state_ref=result.manifest.tool_state_ref
    ) == store.get_checkpoint(result.checkpoint_ref)


def garbage_row(ref, **columns):
    """
    A blob row under a ref of one's choice.
    """
    return StoredBlob(blob_ref=ref, content=b"x", **columns)
