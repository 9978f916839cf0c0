"""
The crash campaign: hosts are killed with SIGKILL at random moments, and what
they leave is compared with stores that followed the same script undisturbed.

    python -m campaigns crash --engine sqlite --kills 2000 --seed 1
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

from . import tokens
from .audit import Auditor
from .command import engines, run_campaign
from .host import Host
from .places import Files, Place, ServerPlace, fast_folder, scratch
from .reference import Reference, State
from .report import Report
from .script import take_step

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["campaigns.crash"])

# After so many kills the stores are begun anew: that keeps every check quick,
# and kills the making of files and tables as well.
_LIVES_PER_WORLD = 40
_LONGEST_LIFE_S = {"sqlite": 0.12, "postgres": 0.35}
_PATIENCE_S = 60


def live(pipe: Any, place: Place, seed: int, life: int, step: int) -> None:
    """
    Do steps until somebody kills us, and tell of each before and after.
    """
    tokens.install()
    tokens.restart(f"{seed}:{life}:open")
    began = time.perf_counter()
    pipe.send(("begun", "opening"))
    host = Host(place, life=life)
    host.store.load_session()
    host.store.list_pending_queued_work()
    host.registry.list_non_terminal()
    host.triggers.pending_deliveries()
    pipe.send(("done", 1000 * (time.perf_counter() - began)))
    while True:
        pipe.send(("begun", step))
        pipe.send(("done", take_step(host, seed, step)))
        step += 1


class World:
    """
    One set of stores, from its making through a number of kills.
    """

    def __init__(self, place: Place, folder: Path, seed: int, report: Report) -> None:
        self._place = place
        self._seed = seed
        self._report = report
        self._copy = folder / "copy"
        self._reference = Reference(folder / "reference", seed)
        self._auditor = Auditor()
        self._step = 0

    def kill(self, life: int, delay_s: float, *, is_early: bool) -> None:
        """
        Let a host live for a while, kill it, and check what it left.

        Args:
            is_early: The time counts from its start, and not from the moment
                it is open.
        """
        told = self._live(life, delay_s, is_early=is_early)
        self._place.settle()
        done = [what for how, what in told if how == "done"]
        in_doubt = len(told) > 2 * len(done)
        self._count(done, in_doubt=in_doubt)
        where = f"life {life}, step {self._step + max(len(done) - 1, 0)}"
        for name, _, facts in done[1:]:
            self._report.break_down("calls acknowledged", name)
            self._note(where, self._auditor.learn(life, facts))
        states, differing = self._reference.states(
            life, self._step, done, in_doubt=in_doubt
        )
        self._note(where, differing)
        self._check(where, states, in_doubt=bool(in_doubt and done))
        self._step += max(len(done) - 1, 0) + (in_doubt and bool(done))

    def _live(self, life: int, delay_s: float, *, is_early: bool) -> list[Any]:
        ours, theirs = _context.Pipe(duplex=False)
        host = _context.Process(
            target=live, args=(theirs, self._place, self._seed, life, self._step)
        )
        host.start()
        theirs.close()
        told = []
        with contextlib.suppress(EOFError):
            while not is_early and len(told) < 2:
                told.append(ours.recv())
        time.sleep(delay_s)
        pid = host.pid
        assert pid is not None
        # One that ended by itself is reported by its exit code, below.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        try:
            while True:
                told.append(ours.recv())
        except (EOFError, OSError):
            pass
        host.join(_PATIENCE_S)
        if host.exitcode != -signal.SIGKILL:
            self._report.violate(f"life {life}: the host ended by {host.exitcode}")
        host.close()
        ours.close()
        return told

    def _count(self, done: list[Any], *, in_doubt: bool) -> None:
        counts = self._report.counts
        counts["kills"] += 1
        counts["steps acknowledged"] += max(len(done) - 1, 0)
        counts["kills amid a call"] += in_doubt and bool(done)
        counts["kills amid opening"] += in_doubt and not done
        if done:
            self._report.recoveries_ms.append(done[0])

    def _note(self, where: str, wrong: list[str]) -> None:
        self._report.violate(*(f"seed {self._seed}, {where}: {w}" for w in wrong))

    def _check(self, where: str, states: list[State], *, in_doubt: bool) -> None:
        copy = self._place.copied_to(self._copy)
        rows = copy.rows()
        found = [state for state in states if state.rows == rows]
        if not found:
            self._note(where, [_difference(rows, states)])
            raise LostError
        self._report.break_down("left", found[0].when)
        self._reference.follow(found[0])
        self._note(where, copy.complaints())
        self._note(where, self._auditor.check(rows, copy, _name(states, in_doubt)))


def _name(states: list[State], in_doubt: bool) -> str:
    return states[-1].call if in_doubt else ""


class LostError(Exception):
    """
    The stores are in a state that their history does not lead to.
    """


def _difference(rows: Any, states: list[State]) -> str:
    told = []
    for state in states:
        tables = [name for name in rows if rows[name] != state.rows[name]]
        sizes = [(n, len(state.rows[n]), len(rows[n])) for n in tables]
        told.append(f"{state.when} ({state.call}): table, wanted, found: {sizes}")
    return "what is there is no state of the history: " + "; ".join(told)


def run(engine: str, kills: int, seed: int) -> Report:
    """
    Kill so many hosts.
    """
    report = Report("crash", engine=engine, seed=seed)
    tokens.install()
    dice = Random(seed)
    worlds = -(-kills // _LIVES_PER_WORLD)
    for number in range(worlds):
        lives = min(_LIVES_PER_WORLD, kills - number * _LIVES_PER_WORLD)
        with scratch("crash", fast_folder()) as folder:
            place = _new_place(engine, folder / "place", number)
            world = World(place, folder, seed * 1_000 + number, report)
            try:
                for life in range(lives):
                    longest = _LONGEST_LIFE_S[engine]
                    is_early = dice.random() < 0.2
                    world.kill(life, dice.random() * longest, is_early=is_early)
            except LostError:
                report.note("a world with a violation was given up")
            if isinstance(place, ServerPlace):
                place.drop()
        shutil.rmtree(folder, ignore_errors=True)
    report.note("hosts are forked, killed by SIGKILL; files lie in memory (/dev/shm)")
    return report.end()


def _new_place(engine: str, folder: Path, number: int) -> Place:
    folder.mkdir(mode=0o700)
    if engine == "sqlite":
        return Files(folder)
    return ServerPlace(folder, f"crash_{os.getpid()}_{number}")


def main() -> None:
    """
    Run from the command line.
    """
    run_campaign(
        __doc__ or "",
        lambda options: [
            run(engine, options.kills or default, options.seed)
            for engine, default in engines(options, sqlite=2_000, postgres=500)
        ],
        kills=(int, None, "how many hosts to kill"),
    )
