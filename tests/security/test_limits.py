"""
What is too large or nested too deeply is refused before it is stored, and
what was stored is read.
"""

import sys
import threading

import msgspec
import pytest

from lashstore import HydratedCheckpoint, InvalidArgumentError, Store
from lashstore.codec import MAX_DEPTH
from lashstore.testing import factories

from .conftest import QUICK


def nested(depth):
    """
    Return a list *depth* lists deep, wide enough to be looked at.
    """
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def run_deep(operation):
    """
    Run with a raised recursion limit, as a host may have it.
    """
    found = []
    threading.stack_size(256 * 2**20)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        thread = threading.Thread(target=lambda: found.append(operation()))
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(before)
        threading.stack_size(0)
    return found[0]


def refusal(operation):
    """
    Return the message an operation is refused with.
    """
    with pytest.raises(InvalidArgumentError) as caught:
        operation()
    return str(caught.value)


def limited(**limits):
    """
    Return options with limits.
    """
    return msgspec.structs.replace(QUICK, **limits)


def test_large_content_is_refused_by_name(place):
    """
    A blob, an artifact and a snapshot; one byte less is stored.
    """
    with place.open(options=limited(max_blob_bytes=100)) as store:
        puts = (
            lambda: store.put_blob(b"x" * 101),
            lambda: store.put_artifact_bytes("a", b"x" * 101),
            lambda: store.put_module_artifact(b"x" * 101),
            lambda: store.put_checkpoint(HydratedCheckpoint(tool_state="x" * 101)),
            lambda: store.commit_runtime_state(
                factories.make_commit(
                    lease, checkpoint=HydratedCheckpoint(tool_state="x" * 101)
                )
            ),
        )
        lease = factories.acquire_lease(store)
        for put in puts:
            assert "StoreOptions.max_blob_bytes (100)" in refusal(put)
        assert b"x" * 100 == store.get_blob(store.put_blob(b"x" * 100))
    assert [(1,)] == place.run("SELECT count(*) FROM session_blobs")


def test_large_records_are_refused_by_name(place):
    """
    A node, a config, an input, a batch and a meta.
    """
    long = "ü" * 200
    with place.open(options=limited(max_record_bytes=400)) as store:
        lease = factories.acquire_lease(store)

        def commit(*nodes, **fields):
            return store.commit_runtime_state(
                factories.make_commit(lease, *nodes, **fields)
            )

        writes = (
            lambda: commit(factories.message_node("n", content=long)),
            lambda: commit(config={"a": long}),
            lambda: commit(agent_frames=(long,)),
            lambda: store.enqueue_queued_work(factories.turn_work_draft(long)),
            lambda: store.enqueue_pending_turn_input(factories.next_turn_draft(long)),
            lambda: store.save_session_meta(
                factories.session_meta("s", session_name=long)
            ),
        )
        for write in writes:
            assert "StoreOptions.max_record_bytes (400)" in refusal(write)
        assert 1 == commit(factories.message_node("n", content="x")).head_revision


def test_commits_of_many_nodes_are_refused_by_name(place):
    """
    One node more than allowed.
    """
    with place.open(options=limited(max_commit_nodes=2)) as store:
        lease = factories.acquire_lease(store)
        nodes = factories.message_chain("a", "b", "c")
        text = refusal(
            lambda: store.commit_runtime_state(factories.make_commit(lease, *nodes))
        )
        assert "StoreOptions.max_commit_nodes (2)" in text
        store.commit_runtime_state(factories.make_commit(lease, *nodes[:2]))


def test_no_limit_hinders_reading(place):
    """
    Limits are of writing; what is stored stays readable.
    """
    with place.open() as store:
        ref = store.put_blob(b"x" * 1000)
    with place.open(options=limited(max_blob_bytes=1, max_record_bytes=1)) as store:
        assert b"x" * 1000 == store.get_blob(ref)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000])
def test_deep_values_are_refused_where_the_stack_would_hold_them(depth):
    """
    A raised recursion limit stores nothing that another host cannot read.
    """
    padding = ["x" * 2000]
    with Store.memory(options=QUICK) as store:
        for write in (
            lambda: store.put_typed_blob([padding, nested(depth - 1)]),
            lambda: store.put_checkpoint(HydratedCheckpoint(tool_state=nested(depth))),
            lambda: store.enqueue_pending_turn_input(
                factories.next_turn_draft(nested(depth))
            ),
            lambda: factories.commit_nodes(
                store, factories.message_node("n", content=nested(depth))
            ),
        ):
            assert "deep" in run_deep(lambda write=write: refusal(write))


def test_deepest_values_are_read_by_everyone(place):
    """
    Written under a raised limit, read under the default one, and by a caller
    that has used up its own stack.
    """
    deepest = nested(MAX_DEPTH - 10)

    def write():
        with place.open() as store:
            store.enqueue_pending_turn_input(factories.next_turn_draft(deepest))
            return store.put_typed_blob(deepest)

    ref = run_deep(write)
    with place.open() as store:
        shown = msgspec.msgpack.encode(store.get_typed_blob(ref))
        assert msgspec.msgpack.encode(deepest) == shown

        def deep_in(levels):
            if levels:
                return deep_in(levels - 1)
            return store.list_pending_turn_inputs()[0].input

        assert msgspec.json.encode(deepest) == msgspec.json.encode(deep_in(400))


def test_values_too_deep_for_any_stack_are_typed_errors(place):
    """
    Also without a raised limit.
    """
    with place.open() as store:
        for depth in range(940, 1400, 20):
            try:
                ref = store.put_typed_blob(nested(depth))
            except InvalidArgumentError:
                continue
            assert store.get_typed_blob(ref) is not None
