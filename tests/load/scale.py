"""
Commits of 20 KB turns: how many a second by the number of clients, and what
one session's writers cost another.
"""

import multiprocessing
import os
import random
import statistics
import threading
import time
import uuid

from lashstore import (
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    RuntimeCommit,
    SessionNode,
    Store,
)

CLIENTS = (1, 2, 4, 8)
_context = multiprocessing.get_context("spawn")


def turns(session_id, fence, leaf=None, revision=0):
    """
    Yield turns of 20 KB: two nodes of 4 KB each, a tool state of 12 KB.
    """
    dice = random.Random(session_id)
    while True:
        first, second = f"{revision}-user", f"{revision}-assistant"
        yield RuntimeCommit(
            session_id=session_id,
            expected_head_revision=revision,
            session_execution_lease=fence,
            graph=GraphAppend(
                nodes=(
                    SessionNode(
                        node_id=first, parent_node_id=leaf, payload=_payload(dice)
                    ),
                    SessionNode(
                        node_id=second, parent_node_id=first, payload=_payload(dice)
                    ),
                )
            ),
            checkpoint=HydratedCheckpoint(
                tool_state={f"tool-{n}": _text(dice, 1_200) for n in range(10)}
            ),
        ).stamped(f"turn-{revision}")
        leaf, revision = second, revision + 1


def _payload(dice):
    return {"role": "user", "content": _text(dice, 4_000)}


def _text(dice, size):
    words = (f"{dice.getrandbits(16):x} of the " for _ in range(size // 10))
    return "".join(words)[:size]


def commit_for(url, seconds, begin):
    """
    Commit turns to a session of its own.

    Returns:
        How long each took, in milliseconds.
    """
    session_id = f"scale-{uuid.uuid4().hex}"
    times = []
    with Store.open(url, session_id) as store:
        owner = LeaseOwnerIdentity.opaque("client", session_id)
        lease = store.try_claim_session_execution_lease(owner, 600_000).lease
        commits = turns(session_id, lease.fence())
        store.commit_runtime_state(next(commits))
        begin()
        end = time.perf_counter() + seconds
        while (at := time.perf_counter()) < end:
            store.commit_runtime_state(next(commits))
            times.append((time.perf_counter() - at) * 1000)
    return times


def _client(url, seconds, barrier, pipe):
    pipe.send(commit_for(url, seconds, barrier.wait))


def measure(url, clients, seconds):
    """
    Return commits a second, and the median and 99th percentile of one.
    """
    barrier = _context.Barrier(clients)
    pipes, processes = [], []
    for _ in range(clients):
        ours, theirs = _context.Pipe()
        process = _context.Process(target=_client, args=(url, seconds, barrier, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    times = [each for pipe in pipes for each in pipe.recv()]
    for process in processes:
        process.join()
    cuts = statistics.quantiles(times, n=100)
    return len(times) / seconds, cuts[49], cuts[98]


def measure_beside_held(url, seconds):
    """
    Return one client's commits a second while another session's row is held
    locked and four writers wait for it.
    """
    release, held = threading.Event(), threading.Event()
    with Store.open(url, f"held-{uuid.uuid4().hex}") as crowded:

        def hold():
            with crowded.transaction():
                held.set()
                release.wait()

        def write():
            crowded.put_blob(os.urandom(9))

        threads = [threading.Thread(target=hold)]
        threads[0].start()
        held.wait()
        threads += [threading.Thread(target=write) for _ in range(4)]
        for thread in threads[1:]:
            thread.start()
        try:
            times = commit_for(url, seconds, lambda: None)
        finally:
            release.set()
            for thread in threads:
                thread.join()
    cuts = statistics.quantiles(times, n=100)
    return len(times) / seconds, cuts[49], cuts[98]


def print_scale(postgres, seconds):
    """
    Measure and print all of it, *seconds* in all.
    """
    each_s = seconds / (len(CLIENTS) + 1)
    print(f"{os.cpu_count()} cores, server and clients share them")
    for clients in CLIENTS:
        rate, median, late = measure(postgres.url(), clients, each_s)
        print(
            f"{clients} clients: {rate:8.1f} commits/s, median {median:6.2f} ms, "
            f"p99 {late:6.2f} ms"
        )
    # A waiting writer gives up after 15 s.
    rate, median, late = measure_beside_held(postgres.url(), min(each_s, 10.0))
    print(
        f"1 client beside a held session with 4 waiting writers: {rate:.1f} commits/s, "
        f"median {median:.2f} ms, p99 {late:.2f} ms"
    )
