"""
Sessions to look at: a conversation with a side branch, its child, one that
has only been made.
"""

import json

from lashstore import (
    ChildRelation,
    HydratedCheckpoint,
    ManualClock,
    SessionStoreFactory,
    StoreOptions,
    Synchronous,
)
from lashstore.model.options import CheckpointRetention
from lashstore.tables import SESSION_TABLES
from lashstore.testing import acquire_lease, make_commit, make_usage, message_node

from .kit import run

# 2023-11-14 22:13:20 UTC.
NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000
QUICK = StoreOptions(
    synchronous=Synchronous.NORMAL,
    checkpoint_retention=CheckpointRetention(max_count=2),
)


def make_root(place, *, options=QUICK):
    """
    Make the sessions "chat", "chat-child" and "empty" at a folder or server.
    """
    clock = ManualClock(NOW_MS)
    with SessionStoreFactory(place, options=options, clock=clock) as factory:
        chat = factory.create_store("chat", model="m-1", session_name="A chat", cwd="/")
        converse(chat, clock)
        child = factory.create_store(
            "chat-child", cwd=None, relation=ChildRelation(parent_session_id="chat")
        )
        lease = acquire_lease(child)
        child.commit_runtime_state(make_commit(lease, message_node("c0")))
        child.release_session_execution_lease(lease.completion())
        factory.create_store("empty", cwd=None)


def converse(store, clock):
    """
    Land four commits a minute apart, the second of them unstamped: n3 and n4
    branch off n1 and are the active path. The checkpoints of the first two are
    let go by the last.
    """
    lease = acquire_lease(store)
    for revision, nodes, usage, tool_state in (
        (1, (node("n0", None, "system"), node("n1", "n0", "user")), "m-1", {"a": 1}),
        (2, (node("n2", "n1", "assistant"),), None, {"a": 3}),
        (3, (node("n3", "n1", "user"),), "m-1", {"a": {"deep": 2}, "b": 1}),
        (4, (node("n4", "n3", "assistant"),), "m-2", {"b/c": [1]}),
    ):
        clock.advance(MINUTE_MS)
        commit = make_commit(
            lease,
            *nodes,
            checkpoint=HydratedCheckpoint(
                turn_state={"turn": revision}, tool_state=tool_state
            ),
            usage_deltas=()
            if usage is None
            else (make_usage("turn", usage, input_tokens=10, output_tokens=revision),),
        )
        store.commit_runtime_state(
            commit if revision == 2 else commit.stamped(f"t{revision}")
        )
    store.release_session_execution_lease(lease.completion())


def node(node_id, parent, role):
    return message_node(
        node_id, parent=parent, role=role, content=f"<{node_id}> & \x1b[31mred"
    )


def answer_of(*arguments):
    """
    Run a command with --json that succeeds; return what it prints.
    """
    done = run(*arguments, "--json")
    assert 0 == done.exit_code, done.output
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def session_rows_of(postgres):
    """
    Read every row of the sessions in the schema that tests share.
    """
    with postgres.connect() as connection:
        return {
            table.name: sorted(
                map(repr, connection.execute(f'SELECT * FROM "{table.name}"'))
            )
            for table in SESSION_TABLES
        }
