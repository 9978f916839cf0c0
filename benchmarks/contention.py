"""
Eight processes that write at once: to a session each, and all to one.

Every process lands stamped turns of 20 KB under the same fence, on whatever
head there is, hung on the root. Rounds of library and floor alternate.
"""

import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path

from lashstore import Store, StoreOptions, Synchronous

from .figures import summarise
from .floor import Floor
from .session_cases import FENCE, SESSION, Pair, describe
from .workload import turn

PROCESSES = 8
_COMMITS = 60
_OPTIONS = StoreOptions(synchronous=Synchronous.FULL)


def _turn_of(process, number):
    described = turn(process * 10_000 + number, None, "root")
    for node in described["nodes"]:
        node["timestamp"] = "2026-01-01T00:00:00Z"
    return described


def _commit_all(path, side, fence, process, barrier, answers):
    turns = [_turn_of(process, number) for number in range(_COMMITS)]
    if side == "library":
        handle = Store.open(path, SESSION, options=_OPTIONS)

        def commit(described):
            handle.commit_runtime_state(describe(described, fence))
    else:
        handle = Floor(
            path, synchronous="FULL", wal_limit_bytes=_OPTIONS.wal_limit_bytes
        )

        def commit(described):
            handle.commit_turn(described, FENCE)

    slowest, error = 0.0, None
    barrier.wait()
    try:
        for described in turns:
            start = time.perf_counter()
            commit(described)
            slowest = max(slowest, time.perf_counter() - start)
    except Exception as raised:  # noqa: BLE001, it is reported
        error = repr(raised)
    answers.put((slowest, error))
    handle.close()


def _round(place, side, sessions):
    fences, paths = [], []
    for number in range(sessions):
        folder = place / f"{side}-{number}"
        folder.mkdir()
        pair = Pair(folder, Synchronous.FULL)
        fences.append(pair.fence)
        paths.append(folder / f"{side}.db")
        pair.close()
    # The server imports once what every process needs.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier, answers = context.Barrier(PROCESSES + 1), context.Queue()
    workers = [
        context.Process(
            target=_commit_all,
            args=(
                *(paths[n % sessions], side, fences[n % sessions]),
                *(n, barrier, answers),
            ),
        )
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    barrier.wait()
    start = time.perf_counter_ns()
    found = [answers.get(timeout=300) for _ in workers]
    elapsed = time.perf_counter_ns() - start
    for worker in workers:
        worker.join()
    for path in place.iterdir():
        shutil.rmtree(path)
    slowest = max(each for each, _ in found)
    return elapsed // (PROCESSES * _COMMITS), slowest, [e for _, e in found if e]


def measure_contention(sessions, rounds, folder):
    """
    Return the figures of a commit's share of the time, both sides.
    """
    place = Path(tempfile.mkdtemp(prefix="lash-bench-", dir=folder))
    times = {"library": [], "floor": []}
    slowest = {"library": 0.0, "floor": 0.0}
    errors = []
    try:
        for number in range(rounds):
            sides = ["library", "floor"]
            for side in sides if number % 2 else reversed(sides):
                elapsed, worst, raised = _round(place, side, sessions)
                times[side].append(elapsed)
                slowest[side] = max(slowest[side], worst)
                errors += raised
    finally:
        shutil.rmtree(place)
    what = "one session" if sessions == 1 else f"{sessions} sessions"
    return {
        "case": f"{PROCESSES} processes on {what}",
        "against": "floor",
        **summarise(times["library"], times["floor"]),
        "note": (
            f"slowest write {slowest['library']:.2f} s"
            f" (floor {slowest['floor']:.2f} s), {len(errors)} errors"
        ),
        "errors": errors,
        # A rate of 0.7 is a time of 1 / 0.7.
        "limit": 1.43,
    }
