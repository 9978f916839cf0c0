"""
Every comparison with a peer, and the rounds of both sides in turns.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import summarise
from benchmarks.postgres import accepts_addresses, server

from .environments import python_of

_ROOT = Path(__file__).parents[2]
_DRIVERS = "benchmarks.peers.drivers"


@dataclass(frozen=True)
class Comparison:
    """
    One workload of one peer.

    `driver`: its module and, where that serves several, which. `rounds`: None:
    those of the run. `chunk`: how many rounds a side gets before the other.
    """

    case: str
    peer: str
    environment: str
    driver: tuple[str, ...]
    workload: str
    share: float = 1.0
    chunk: int = 10
    statistic: str = "median"
    limit: float | None = None
    limit_bytes: float | None = None
    is_postgres: bool = False


def _sessions(peer, environment, *driver):
    return [
        Comparison("turn of 20 KB", peer, environment, driver, "turn", share=0.6),
        Comparison(
            *("growth to 1 MB in 500 turns", peer, environment, driver, "growth"),
            statistic="total",
        ),
        Comparison(
            *("load of 1,000 messages", peer, environment, driver, "load"),
            share=0.1,
            chunk=5,
        ),
    ]


def _queues(peer):
    names = {
        "enqueue": "enqueue, 10 waiting",
        "enqueue-long": "enqueue, 10,000 waiting",
        "take": "claim and complete, 10 waiting",
        "take-long": "claim and complete, 10,000 waiting",
    }
    return [
        Comparison(name, peer, peer, ("queues", peer), workload, share=0.6)
        for workload, name in names.items()
    ]


def _langgraph(peer, driver, *, is_postgres, limits):
    turn, changed, growth = limits
    common = {"is_postgres": is_postgres}
    given = (peer, "langgraph", (driver,))
    return [
        Comparison("turn of 20 KB, stored once", *given, "turn", limit=turn, **common),
        Comparison(
            *("turn of 20 KB, put and put_writes", *given, "whole-turn"),
            limit=turn,
            **common,
        ),
        Comparison(
            *("1 MB state, 1 % changed a turn", *given, "changed"),
            statistic="total",
            limit=changed,
            limit_bytes=1 / 20,
            **common,
        ),
        Comparison(
            *("growth to 1 MB in 500 turns", *given, "growth"),
            statistic="total",
            limit=growth,
            limit_bytes=None if growth is None else 1 / 40,
            **common,
        ),
    ]


# At a turn a second.
_ROUNDS_A_MINUTE = 60

COMPARISONS = [
    *_langgraph(
        *("SqliteSaver", "langgraph_sqlite"),
        is_postgres=False,
        limits=(1.0, 1.0, 0.333),
    ),
    *_sessions("SQLiteSession", "openai-agents", "openai_agents", "sqlite"),
    *_sessions("SQLAlchemySession", "openai-agents", "openai_agents", "sqlalchemy"),
    *_sessions("SqliteSessionService", "google-adk", "google_adk", "sqlite"),
    *_sessions("DatabaseSessionService", "google-adk", "google_adk", "database"),
    Comparison("step, first run", "dbos", "dbos", ("dbos_steps",), "step", limit=0.333),
    Comparison("step, replay", "dbos", "dbos", ("dbos_steps",), "replay", chunk=100),
    *_queues("litequeue"),
    *_queues("persist-queue"),
    *_queues("huey"),
    *_langgraph(
        *("PostgresSaver", "langgraph_postgres"),
        is_postgres=True,
        limits=(None, 0.5, None),
    ),
]


class _Driver:
    """
    A driver at work in a process of its own.
    """

    def __init__(self, python, module, workload, folder, address) -> None:
        name, *which = module
        self._process = subprocess.Popen(
            [
                *(str(python), "-m", f"{_DRIVERS}.{name}", *which),
                *(workload, str(folder), address),
            ],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.times = []

    def run(self, rounds) -> None:
        self.times += self._ask({"rounds": rounds})["times"]

    def finish(self):
        answer = self._ask({"finish": True})
        self._process.wait(timeout=60)
        return answer

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()

    def _ask(self, command):
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            msg = f"{self._process.args} ended; its error is above"
            raise RuntimeError(msg)
        return json.loads(answer)


def compare(rounds, only, *, folder, with_postgres, say):
    """
    Yield the figures of every comparison whose name or peer contains *only*.
    """
    for comparison in COMPARISONS:
        name = f"{comparison.case} / {comparison.peer}"
        if only not in name:
            continue
        if comparison.is_postgres and not _may_use_postgres(with_postgres, name, say):
            continue
        python = python_of(comparison.environment, say)
        count = max(20, int(rounds * comparison.share))
        yield _measure(comparison, python, count, folder)
        say(name)


def _may_use_postgres(with_postgres, name, say):
    if not with_postgres:
        say(f"{name}: switched off; --postgres runs it")
    elif not accepts_addresses():
        say(f"{name}: Store.open takes no PostgreSQL address yet")
    else:
        return True
    return False


def _measure(comparison, python, rounds, folder):
    place = Path(tempfile.mkdtemp(prefix="lash-peers-", dir=folder))
    drivers = []
    try:
        if comparison.is_postgres:
            with server(place / "server") as address:
                return _take_turns(comparison, python, rounds, place, drivers, address)
        return _take_turns(comparison, python, rounds, place, drivers, "")
    finally:
        for driver in drivers:
            driver.kill()
        shutil.rmtree(place)


def _vacuum(address):
    # What a server does by itself every minute, for both sides. 500 rounds are
    # over before it begins; an agent takes longer for one.
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM")


def _take_turns(comparison, python, rounds, place, drivers, address):
    for side in ("ours", "theirs"):
        (place / side).mkdir()
    given = [("ours", sys.executable, ("ours",)), ("theirs", python, comparison.driver)]
    for side, interpreter, module in given:
        drivers.append(
            _Driver(interpreter, module, comparison.workload, place / side, address)
        )
    ours, theirs = drivers
    warm = 0 if comparison.statistic == "total" else comparison.chunk
    done = vacuumed = 0
    while done < rounds + warm:
        step = min(comparison.chunk, rounds + warm - done)
        pair = (ours, theirs) if done // comparison.chunk % 2 else (theirs, ours)
        for driver in pair:
            driver.run(step)
        done += step
        if address and done - vacuumed >= _ROUNDS_A_MINUTE:
            _vacuum(address)
            vacuumed = done
    ends = ours.finish(), theirs.finish()
    return {
        "case": comparison.case,
        "against": f"{comparison.peer} {ends[1]['version']}",
        **summarise(ours.times[warm:], theirs.times[warm:], comparison.statistic),
        "bytes": (
            {"library": ends[0]["bytes"], "floor": ends[1]["bytes"]}
            if comparison.statistic == "total"
            else None
        ),
        "limit": comparison.limit,
        "limit_bytes": comparison.limit_bytes,
        "durability": ends[1]["durability"],
    }
