"""
What a commit's row says of what it added, and listing commits in order.
"""

import pytest

from lashstore import GraphAppend
from lashstore.model.commit import NO_ROWS, SeqSpan
from lashstore.testing import (
    acquire_lease,
    make_commit,
    make_usage,
    message_node,
)

pytestmark = pytest.mark.requires("has_plain_stores")


def span(first, count):
    return SeqSpan(first=first, count=count)


def history(store):
    """
    Land four commits, the third of them unstamped.
    """
    lease = acquire_lease(store)
    for revision, (node_ids, usages) in enumerate(
        [(("a", "b"), 2), ((), 1), (("c",), 1), (("d",), 0)], 1
    ):
        commit = make_commit(
            lease,
            graph=GraphAppend(nodes=tuple(message_node(each) for each in node_ids)),
            usage_deltas=[make_usage("turn", "m", input_tokens=revision)] * usages,
        )
        stamped = commit if revision == 3 else commit.stamped(f"t{revision}")
        store.commit_runtime_state(stamped)


def test_a_commit_remembers_what_it_added(backend):
    """
    Nodes and usage by their numbers; a commit without a stamp has no row, and
    its rows are between those of its neighbours.
    """
    store = backend.open_store()
    history(store)
    store = backend.reopen(store)

    with store.transaction() as tx:
        turns = tx.turn_commits.list_page("root", before_revision=100, limit=10)

    assert [
        ("t4", 4, span(4, 1), NO_ROWS),
        ("t2", 2, NO_ROWS, span(3, 1)),
        ("t1", 1, span(1, 2), span(1, 2)),
    ] == [(t.turn_id, t.result.head_revision, t.nodes, t.usage) for t in turns]


def test_commits_in_pages(store):
    """
    The latest first, and from one revision to another the earliest first.
    """
    history(store)

    with store.transaction() as tx:
        page = tx.turn_commits.list_page("root", before_revision=4, limit=1)
        between = tx.turn_commits.list_between(
            "root", after_revision=1, up_to_revision=4
        )

    assert ["t2"] == [turn.turn_id for turn in page]
    assert ["t2", "t4"] == [turn.turn_id for turn in between]


def test_rows_of_a_span(store):
    """
    The rows whose numbers are in it; none for an empty one.
    """
    history(store)

    with store.transaction() as tx:
        nodes = tx.graph.list_span("root", span(2, 2))
        deltas = tx.usage.list_span("root", span(2, 2))
        nothing = tx.graph.list_span("root", NO_ROWS)

    assert ["b", "c"] == [node.node_id for node in nodes]
    assert [(2, 1), (3, 2)] == [(seq, d.usage.input_tokens) for seq, d in deltas]
    assert () == nothing
