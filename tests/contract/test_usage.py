"""
Token usage: booked with commits or alone, merged when a session is read.
"""

import pytest

from lashstore import (
    InvalidArgumentError,
    SessionExecutionLeaseExpiredError,
    TokenLedgerEntry,
    TokenUsage,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    make_usage,
    message_node,
)

ENTRIES = (
    make_usage("turn", "a", input_tokens=1, output_tokens=2),
    make_usage("turn", "b"),
    make_usage("turn", "a", cache_read_input_tokens=3, reasoning_output_tokens=9),
    make_usage("subagent", "a", cache_write_input_tokens=4),
)


def test_no_usage(store):
    """
    A new session has booked nothing.
    """
    assert () == store.load_usage_deltas()


def test_commit_books_its_usage(backend):
    """
    A commit's entries are stored one by one, in order, zeros included.
    """
    store = backend.open_store()
    lease = acquire_lease(store)
    store.commit_runtime_state(make_commit(lease, usage_deltas=ENTRIES[:2]))
    store.commit_runtime_state(make_commit(lease, usage_deltas=ENTRIES[2:]))
    store = backend.reopen(store)

    assert ENTRIES == store.load_usage_deltas()


def test_usage_is_booked_alone(backend):
    """
    Usage may be appended without a commit, a lease or a head.
    """
    store = backend.open_store()
    store.append_usage_deltas(ENTRIES[:1])
    store.append_usage_deltas(entry for entry in ENTRIES[1:])
    store.append_usage_deltas([])
    store = backend.reopen(store)

    assert ENTRIES == store.load_usage_deltas()
    assert None is store.load_session()


def test_ledger_is_merged(store):
    """
    A session's ledger adds up source and model, in order of appearance.
    """
    commit_nodes(store, message_node("m1"))
    store.append_usage_deltas(ENTRIES)
    store.append_usage_deltas([make_usage("turn", "b", input_tokens=7)])

    expected = (
        make_usage(
            "turn",
            "a",
            input_tokens=1,
            output_tokens=2,
            cache_read_input_tokens=3,
            reasoning_output_tokens=9,
        ),
        make_usage("subagent", "a", cache_write_input_tokens=4),
        make_usage("turn", "b", input_tokens=7),
    )
    assert expected == store.load_session().token_ledger
    assert 1 == store.load_session().head_revision


def test_ledger_leaves_out_zero_totals(store):
    """
    An entry without a total counts as nothing, its reasoning included.
    """
    commit_nodes(store, message_node("m1"))
    store.append_usage_deltas(
        [make_usage("x", reasoning_output_tokens=5), make_usage("y", input_tokens=1)]
    )

    assert (make_usage("y", input_tokens=1),) == store.load_session().token_ledger


def test_rejected_commit_books_nothing(store):
    """
    Usage lands with its commit or not at all.
    """
    commit = make_commit(
        acquire_lease(store), usage_deltas=ENTRIES, session_execution_lease=None
    )

    with pytest.raises(SessionExecutionLeaseExpiredError):
        store.commit_runtime_state(commit)

    assert () == store.load_usage_deltas()


def test_total_is_the_first_four():
    """
    Reasoning tokens are not added to the total.
    """
    usage = TokenUsage(
        input_tokens=1,
        output_tokens=20,
        cache_read_input_tokens=300,
        cache_write_input_tokens=4000,
        reasoning_output_tokens=50_000,
    )

    assert 4321 == usage.total()


def test_largest_counter(store):
    """
    A counter holds up to 2**63-1.
    """
    entry = make_usage(output_tokens=2**63 - 1)
    store.append_usage_deltas([entry])

    assert (entry,) == store.load_usage_deltas()


@pytest.mark.parametrize("name", TokenUsage.__struct_fields__)
@pytest.mark.parametrize("count", [-1, 2**63, 1.5, None, True], ids=repr)
def test_counters_have_a_range(store, name, count):
    """
    A counter outside its range is refused, and nothing is written.
    """
    entries = [ENTRIES[0], make_usage(**{name: count})]

    with pytest.raises(InvalidArgumentError):
        store.append_usage_deltas(entries)
    with pytest.raises(InvalidArgumentError):
        store.commit_runtime_state(
            make_commit(acquire_lease(store), usage_deltas=tuple(entries))
        )

    assert () == store.load_usage_deltas()
    assert None is store.load_session()


@pytest.mark.parametrize("field", ["source", "model"])
@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["nul", "surrogate"])
def test_names_are_storable_text(store, field, text):
    """
    Sources and models without NUL and lone surrogates only.
    """
    names = {"source": "turn", "model": "m"} | {field: text}
    entry = TokenLedgerEntry(usage=TokenUsage(input_tokens=1), **names)

    with pytest.raises(InvalidArgumentError):
        store.append_usage_deltas([entry])

    assert () == store.load_usage_deltas()
