"""
What a driver and the runner say to each other: a line of JSON each way.

`{"rounds": n}` is answered by `{"times": [nanoseconds, …]}`; `{"finish": true}`
by the bytes on disk and how the work was made durable, and ends the driver.
"""

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path


class Workload:
    """
    One kind of work, done once a round.

    `durability`: how its writes reach the disk before they are acknowledged.
    """

    durability = ""
    package = ""

    def __init__(self, folder: Path, address: str) -> None:
        """
        Make the store in *folder*, or at *address*, a PostgreSQL one.
        """

    def prepare(self) -> None:
        """
        Make the round's data; not timed.
        """

    def run(self) -> None:
        """
        Do the work; timed.
        """

    def run_rounds(self, count):
        """
        Return the nanoseconds of so many rounds.
        """
        times = []
        for _ in range(count):
            self.prepare()
            start = time.perf_counter_ns()
            self.run()
            times.append(time.perf_counter_ns() - start)
        return times

    def close(self) -> None:
        """
        Close the store, so that all of it is on disk.
        """

    def stored_bytes(self):
        """
        Return the bytes that the store takes when it is closed; None: the
        files in its folder.
        """


def require_full(execute) -> None:
    """
    Refuse a connection to SQLite whose commits do not wait for the disk.
    """
    found = execute("PRAGMA synchronous").fetchone()[0]
    mode = execute("PRAGMA journal_mode").fetchone()[0]
    if (found, mode) != (2, "wal"):
        msg = f"synchronous {found}, journal mode {mode}: not as durable as ours"
        raise RuntimeError(msg)


def serve(workloads) -> None:
    """
    Do as the runner says until it is done.

    Args:
        workloads: Classes by name.
    """
    # Whatever a peer prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, folder, address = sys.argv[1:4]
    workload = workloads[name](Path(folder), address)
    for line in sys.stdin:
        command = json.loads(line)
        if "rounds" in command:
            answer = {"times": workload.run_rounds(command["rounds"])}
        else:
            size = workload.stored_bytes()
            workload.close()
            answer = {
                "bytes": _bytes(folder) if size is None else size,
                "durability": workload.durability,
                "version": importlib.metadata.version(workload.package)
                if workload.package
                else "",
            }
        print(json.dumps(answer), file=answers, flush=True)
        if "finish" in command:
            break
    # Some peers leave threads behind that would keep the process.
    answers.close()
    os._exit(0)


def _bytes(folder):
    return sum(
        path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()
    )
