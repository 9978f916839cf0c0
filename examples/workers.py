"""
Two workers on one queue, one of which is killed in the middle of it.

    python workers.py --jobs 10

Starts two processes that serve the same session. The fourth job kills
whichever worker gets it first; the other one does that job again and all that
are left. Each job lands once.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from lashstore import (
    GraphAppend,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    Store,
    TurnWorkPayload,
)
from lashstore.runtime import Turn, Worker

SESSION = "queue"
DEADLY_JOB = 4


def main() -> None:
    """
    Be one of the workers, or start them and wait.
    """
    arguments = parse_arguments()
    root = Path(arguments.root)
    with (
        SessionStoreFactory(root / "sessions") as factory,
        factory.create_store(SESSION) as store,
    ):
        if arguments.worker is None:
            supervise(store, root, arguments.jobs)
        else:
            work(store, root, arguments.worker)


def supervise(store: Store, root: Path, count: int) -> None:
    """
    Enqueue the jobs, let two workers do them, and show who did what.
    """
    for number in range(1, count + 1):
        store.enqueue_queued_work(
            QueuedWorkBatchDraft(
                payloads=(TurnWorkPayload(body={"number": number}),),
                # Enqueued again by a second run while it waits, it is not
                # there twice.
                source_key=f"job-{number}",
            )
        )
    workers = [start_worker(root, name) for name in ("a", "b")]
    while store.list_queued_work() and any(each.poll() is None for each in workers):
        time.sleep(0.05)
    for each in workers:
        each.terminate()
    codes = sorted(each.wait() for each in workers)
    for number, name in landed(store):
        print(f"job {number} done by {name}")
    print(f"exit codes of the workers: {codes}")


def start_worker(root: Path, name: str) -> "subprocess.Popen[str]":
    """
    Start a worker, and wait until it listens to SIGTERM.
    """
    command = [sys.executable, __file__, "--root", str(root), "--worker", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def work(store: Store, root: Path, name: str) -> None:
    """
    Work through the queue until SIGTERM; the job at hand is done first.
    """
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    # It takes the session's lease only while something waits. When the other
    # worker has died, that is seen at once: both are of this machine.
    Worker(store, lambda turn: do_job(root, name, turn), poll_s=0.05).run(stop)


def do_job(root: Path, name: str, turn: Turn) -> RuntimeCommit:
    """
    Do the jobs of one turn; nothing of it lands if the process dies.
    """
    leaf = None if turn.head is None else turn.head.leaf_node_id
    nodes: list[SessionNode] = []
    for payload in (item.payload for batch in turn.batches for item in batch.items):
        assert isinstance(payload, TurnWorkPayload), payload
        number = payload.body["number"]
        if number == DEADLY_JOB and is_first_try(root):
            os.kill(os.getpid(), signal.SIGKILL)
        node = SessionNode(
            node_id=f"{turn.turn_id}-{len(nodes)}",
            parent_node_id=leaf,
            kind="event",
            payload={"job": number, "by": name},
        )
        leaf = node.node_id
        nodes.append(node)
    return RuntimeCommit(session_id=SESSION, graph=GraphAppend(nodes=tuple(nodes)))


def is_first_try(root: Path) -> bool:
    """
    Tell whether nobody has asked before.
    """
    try:
        (root / "tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def landed(store: Store) -> list[tuple[int, str]]:
    """
    Which jobs are done, and by whom, in the order they landed.
    """
    session = store.load_session()
    if session is None:
        return []
    return [(n.payload["job"], n.payload["by"]) for n in session.graph.active_path()]


def parse_arguments() -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(description="Two workers on one queue.")
    parser.add_argument("--root", default="workers", help="folder to keep it in")
    parser.add_argument("--jobs", type=int, default=10, help="how many to enqueue")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
