"""
Short ways to say what most tests need.
"""

import asyncio
import threading
from contextlib import contextmanager

from lashstore import (
    GraphAppend,
    LeaseOwnerIdentity,
    RuntimeCommit,
    SessionNode,
    Store,
    StoreOptions,
    Synchronous,
)

OWNER = LeaseOwnerIdentity.opaque("host", "1")
NOW_MS = 1_700_000_000_000
# No test cuts the power, so none waits for the disk.
QUICK = StoreOptions(synchronous=Synchronous.NORMAL)


async def leased(store):
    """
    Claim the session's lease, which re-entry keeps, and return its fence.
    """
    outcome = await store.try_claim_session_execution_lease(OWNER, 10**9)
    return outcome.lease.fence()


def turn(fence, number=1, **members):
    """
    Make a commit of one node.
    """
    node = SessionNode(node_id=f"n{number}", payload={"role": "user", "content": "hi"})
    return RuntimeCommit(
        session_id=fence.session_id,
        session_execution_lease=fence,
        graph=GraphAppend(nodes=(node,)),
        **members,
    )


async def land(store, number=1):
    """
    Commit a turn of one node.
    """
    return await store.commit_runtime_state(turn(await leased(store), number))


@contextmanager
def write_lock_held(path):
    """
    Keep a session's write lock, as another host does.
    """
    with Store.open(path, "chat", options=QUICK) as other, other.transaction():
        yield


async def until(is_true, what="it to come true", tries=2000):
    """
    Let other tasks and threads work until something is true.
    """
    for _ in range(tries):
        if is_true():
            return
        await asyncio.sleep(0.005)
    msg = f"waited in vain for {what}"
    raise AssertionError(msg)


def in_loops(count, main):
    """
    Run a coroutine function in several event loops at once, each in a thread
    of its own; return what they returned.
    """
    results = [None] * count

    def run(number):
        results[number] = asyncio.run(main(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
