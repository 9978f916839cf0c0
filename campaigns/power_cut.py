"""
The power-cut campaign: a host's writes and fsyncs are recorded by strace and
replayed up to any point, with whatever was not synced lost or torn; the
result is opened and compared with what was acknowledged.

    python -m campaigns power_cut --cuts 2000 --seed 1
"""

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from lashstore import (
    EffectHost,
    LashStoreError,
    ProcessRegistry,
    SessionStoreFactory,
    StoreOptions,
    Synchronous,
    TriggerStore,
)

from . import tokens
from .command import run_campaign
from .disk_model import Disk, Event, read_trace
from .host import SESSION, Host, quick
from .places import Files, Rows, fast_folder, scratch
from .reference import watching_commits
from .report import Report
from .script import take_step

_CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat"
_ACKS = "acknowledged"
# How often a file may have been cut within a call, so that both are met.
_WAL_BYTES = 40_960


def _options(synchronous: str) -> StoreOptions:
    return StoreOptions(
        synchronous=Synchronous(synchronous), wal_limit_bytes=_WAL_BYTES
    )


def live(folder: Path, seed: int, steps: int, synchronous: str) -> None:
    """
    Be the host that is recorded.
    """
    tokens.install()
    log = os.open(folder.parent / _ACKS, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    tokens.restart(f"{seed}:0:open")
    host = Host(Files(folder), life=0, options=_options(synchronous))
    os.write(log, b"o")
    for step in range(steps):
        take_step(host, seed, step)
        os.write(log, b"s")
    # Not closed: that would copy every WAL into its file.
    os._exit(0)


def record(folder: Path, seed: int, steps: int, synchronous: str) -> list[Event]:
    """
    Run a host under strace; return what it did to the disk.
    """
    trace = folder.parent / "trace"
    command = [
        *("strace", "-f", "-y", "-xx", "-s", "10000000", "-o", str(trace)),
        *("-e", f"trace={_CALLS}", sys.executable, "-m", "campaigns", "power_cut"),
        *("--host", str(folder), "--steps", str(steps), "--seed", str(seed)),
        *("--synchronous", synchronous),
    ]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    return list(read_trace(trace))


class History:
    """
    The states each database file went through, undisturbed.
    """

    def __init__(self, folder: Path, seed: int, steps: int, options: StoreOptions):
        self._place = Files(folder)
        # Of each file its states in order, and how many of them a
        # number of acknowledgements had been told of.
        self.states: dict[str, list[Rows]] = {}
        self.told: list[dict[str, int]] = [{}]
        tokens.restart(f"{seed}:0:open")
        with watching_commits(self._look):
            host = Host(self._place, life=0, options=quick(options))
            self._acknowledge()
            for step in range(steps):
                take_step(host, seed, step)
                self._acknowledge()
        host.close()

    def _look(self) -> None:
        present = {path.name: path for path in self._place.databases()}
        for name in {*present, *self.states}:
            states = self.states.setdefault(name, [{}])
            now = _rows_of(present[name]) if name in present else {}
            if states[-1] != now:
                states.append(now)

    def _acknowledge(self) -> None:
        self._look()
        self.told.append({name: len(known) for name, known in self.states.items()})


def _rows_of(path: Path) -> Rows:
    found = Files(path).rows_of(path)
    return {name: rows for name, rows in found.items() if rows}


def check(
    folder: Path,
    history: History,
    acknowledged: int,
    *,
    is_full: bool,
    options: StoreOptions,
) -> list[str]:
    """
    Open what a cut left, and find each file's state in its history.
    """
    try:
        return _differences(folder, history, acknowledged, is_full, options)
    except sqlite3.Error as error:
        return [f"it cannot be read: {error!r}"]


def _differences(
    folder: Path,
    history: History,
    acknowledged: int,
    is_full: bool,
    options: StoreOptions,
) -> list[str]:
    # Looked at in a copy: opening may make what it misses.
    place = Files(folder).copied_to(folder.parent / "copy")
    wrong = [*_open_all(folder, options), *place.complaints()]
    present = {path.name: path for path in place.databases()}
    told = history.told[acknowledged]
    latest = history.told[min(acknowledged + 1, len(history.told) - 1)]
    for name, states in history.states.items():
        rows = _rows_of(present[name]) if name in present else {}
        first = told.get(name, 1) - 1 if is_full else 0
        allowed = states[first : latest.get(name, 1)]
        if rows not in allowed:
            where = [n for n, state in enumerate(states) if state == rows]
            wrong.append(
                f"{name} is at state {where or 'none'}, not in "
                f"{first}..{latest.get(name, 1) - 1}"
            )
    return wrong


def _open_all(folder: Path, options: StoreOptions) -> Iterator[str]:
    options = quick(options)
    deployment = folder / "deployment.db"
    try:
        with SessionStoreFactory(folder / "sessions", options=options) as factory:
            if (folder / "sessions").is_dir():
                list(factory.list_sessions())
            store = factory.open_existing_store(SESSION)
            if store is not None:
                store.load_session()
                store.list_queued_work()
        if deployment.exists() and deployment.stat().st_size:
            for kind in (ProcessRegistry, TriggerStore):
                kind.open(deployment, options=options).close()
            EffectHost.open(deployment).close()
    except LashStoreError as error:
        yield f"it does not open: {error!r}"


def run(cuts: int, seed: int, steps: int, synchronous: str) -> Report:
    """
    Cut the power so many times in one recorded run.
    """
    report = Report("power_cut", engine=f"sqlite, synchronous={synchronous}", seed=seed)
    dice = Random(seed)
    options = _options(synchronous)
    if shutil.which("strace") is None:
        report.violate("there is no strace: nothing can be recorded")
        return report.end()
    tokens.install()
    with scratch("power", fast_folder()) as folder:
        events = record(folder / "place", seed, steps, synchronous)
        history = History(folder / "reference", seed, steps, options)
        report.counts["events recorded"] = len(events)
        points = sorted(dice.randrange(len(events)) for _ in range(cuts))
        for point, how, wrong in _cuts(
            folder,
            events,
            points,
            dice,
            lambda f, n: check(
                f, history, n, is_full=synchronous == "full", options=options
            ),
        ):
            report.counts["cuts"] += 1
            report.break_down("losses", how)
            report.violate(*(f"cut at event {point}, {how}: {w}" for w in wrong))
    report.note(f"recorded with strace ({_CALLS}); -shm is not kept: it is an index")
    return report.end()


def _cuts(
    folder: Path, events: list[Event], points: list[int], dice: Random, look: Any
) -> Iterator[tuple[int, str, list[str]]]:
    disk = Disk(str(folder / "place"))
    acknowledged, done = 0, 0
    log = str(folder / _ACKS)
    for number, point in enumerate(points):
        for event in itertools.islice(events, done, point):
            disk.run(event)
            acknowledged += event.kind == "append" and event.path == log
        done = point
        how, left = disk.cut(dice)
        place = folder / f"cut-{number}"
        for name, content in left.items():
            if not name.endswith("-shm"):
                path = place / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.write_bytes(content)
        place.mkdir(exist_ok=True)
        yield point, how, look(place, acknowledged)
        shutil.rmtree(place)


def main() -> None:
    """
    Run from the command line.
    """

    def start(options: Any) -> list[Report]:
        if options.host:
            live(Path(options.host), options.seed, options.steps, options.synchronous)
        with contextlib.suppress(BrokenPipeError):
            return [
                run(options.cuts, options.seed, options.steps, each)
                for each in ("full", "normal")
                if options.synchronous in (each, "")
            ]
        return []

    run_campaign(
        __doc__ or "",
        start,
        cuts=(int, 1_500, "how often to cut the power"),
        steps=(int, 150, "how long the recorded run is"),
        synchronous=(str, "", "full or normal; both by default"),
        host=(str, "", "be the recorded host, in this folder"),
    )
