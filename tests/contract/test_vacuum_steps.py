"""
Vacuum in steps, between which others write.
"""

import pytest

from lashstore import InputIdTarget, VacuumReport
from lashstore.engines.pacing import Adaptive
from lashstore.store import maintenance
from lashstore.testing import commit_nodes, message_chain, message_node, next_turn_draft


@pytest.fixture(name="small_steps", autouse=True)
def _small_steps(monkeypatch):
    """
    Two rows a step, however long each takes.
    """
    monkeypatch.setattr(maintenance, "_FIRST_ROWS", 2)
    monkeypatch.setattr(Adaptive, "adapt", lambda *_: None)


def watch_steps(monkeypatch, store, act=lambda _step: None):
    """
    Call *act* before each write transaction of *store*; return what counts
    them.
    """
    write, seen = store._write, []

    def write_later(operation):
        seen.append(operation)
        act(len(seen))
        return write(operation)

    monkeypatch.setattr(store, "_write", write_later)
    return seen


def node_ids(store):
    return [node.node_id for node in store.load_session().graph.nodes]


def test_totals_are_of_all_steps(backend, monkeypatch):
    """
    No transaction removes more than a step's rows, and the report adds up.
    """
    store = backend.open_store()
    ids = [f"m{number}" for number in range(5)]
    commit_nodes(store, *message_chain(*ids))
    store.tombstone_nodes(ids)
    for name in ("a", "b", "c"):
        store.enqueue_pending_turn_input(next_turn_draft(name, input_id=name))
        store.cancel_pending_turn_input(InputIdTarget(input_id=name))
    steps = watch_steps(monkeypatch, store)

    report = store.vacuum()

    assert VacuumReport(removed_node_count=5, removed_turn_input_count=3) == report
    # 2, 2 and 1 nodes; 2, 1 and no inputs.
    assert 6 == len(steps)
    assert VacuumReport() == backend.reopen(store).vacuum()


def test_what_stays_is_looked_at_once(backend, monkeypatch):
    """
    Tombstones that live nodes need do not keep a vacuum from its end.
    """
    store = backend.open_store()
    parents = [f"p{number}" for number in range(5)]
    for parent in parents:
        commit_nodes(store, *message_chain(parent, f"{parent}-child"))
    store.tombstone_nodes(parents)
    steps = watch_steps(monkeypatch, store)

    assert VacuumReport() == store.vacuum()

    assert 4 == len(steps)
    assert [f"{parent}-child" for parent in parents] == node_ids(store)


@pytest.mark.requires("has_many_handles")
def test_a_node_revived_between_steps_stays(backend, monkeypatch):
    """
    What a commit appends again while a vacuum goes on, and what it names as
    its parent, is live afterwards.
    """
    store, other = backend.open_store(), backend.open_store()
    nodes = [message_node(name) for name in ("m1", "m2", "m3", "m4")]
    commit_nodes(store, *nodes)
    store.tombstone_nodes(["m1", "m2", "m3", "m4"])

    def revive(step):
        # "m3" and "m4" were listed, and are not removed yet.
        if step == 2:
            commit_nodes(other, *nodes[2:], message_node("new", parent="m3"))

    watch_steps(monkeypatch, store, revive)

    assert 2 == store.vacuum().removed_node_count
    assert ["m3", "m4", "new"] == node_ids(backend.reopen(other))
