"""
The fault campaign: every writing call of every store fails at each of its
statements in turn, and in several manners; then it is made again.

    python -m campaigns faults --engine sqlite --share 1.0 --seed 1
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from lashstore import LashStoreError, StoreOptions

from . import disk_faults, tokens
from .command import engines, run_campaign
from .host import TTL_MS, Call, Host
from .injection import (
    POSTGRES_MODES,
    SQLITE_MODES,
    injector,
    install_postgres,
    install_sqlite,
)
from .places import Files, Place, Rows, ServerPlace, fast_folder, scratch
from .reference import watching_commits
from .report import Report
from .scene import FIRST, Scene
from .script import NAMES
from .shim import restart_with_shim

OPTIONS = StoreOptions(busy_timeout_ms=300)
_STEP = 900
_FIRST_STEP = 800

# Calls that do something once more when they are repeated, by what they are:
# they carry no key that would tell the store. Every other call, repeated
# after it was done, must change nothing or say why it cannot be done.
REPEATABLE = {
    "append_unkeyed_event": "an event without a replay key is another event",
    "append_usage_deltas": "usage has no key: it is booked again",
    "enqueue_queued_work": "without a source key it is another batch",
    "claim_ready_queued_work": "a claim takes what is ready next",
    "claim_next_turn_inputs": "a claim takes what is ready next",
    "claim_active_turn_inputs": "a claim takes what is ready next",
    "fail_effect": "an executor's runs are outside the store",
}


@dataclass
class Ends:
    """
    How a call ends when nothing fails.
    """

    before: Rows
    after: Rows
    # Done under the tokens of a repetition, and done a second time.
    alone: Rows
    twice: Rows
    error: str
    twice_error: str
    statements: list[str]
    between: list[Rows] = field(default_factory=list)


class Faults:
    """
    One engine's campaign.
    """

    def __init__(self, place: Place, report: Report) -> None:
        self.place = place
        self.report = report
        tokens.install()
        self.scene = Scene(place, OPTIONS)

    def begun(self, name: str) -> tuple[Host, Call]:
        """
        Return a host over a fresh scene, and the call it is about to make.
        """
        self.scene.restore()
        self.host = host = self.scene.host()
        for number, first in enumerate(FIRST.get(name, ())):
            try:
                self.scene.make(host, first, _FIRST_STEP + number).run_and_keep()
            except LookupError:
                continue
        return host, self.scene.make(host, name, _STEP)

    def ends(self, name: str) -> Ends:
        """
        Make a call undisturbed: once, twice, and once as a repetition.
        """
        host, made = self.begun(name)
        before = self.place.rows()
        between: list[Rows] = []
        injector.listen("first")
        with watching_commits(lambda: between.append(self.place.rows())):
            error = told(made)
        injector.stop()
        statements = injector.statements
        after = self.place.rows()
        injector.listen("again")
        twice_error = told(made)
        injector.stop()
        twice = self.place.rows()
        host.close()
        host, made = self.begun(name)
        injector.listen("again")
        told(made)
        injector.stop()
        alone = self.place.rows()
        host.close()
        found = Ends(
            before, after, alone, twice, error, twice_error, statements, between
        )
        self._check_ends(name, found)
        return found

    def _check_ends(self, name: str, ends: Ends) -> None:
        if ends.error:
            self.report.violate(f"{name} fails undisturbed: {ends.error}")
        if ends.before == ends.after:
            self.report.violate(f"{name} changes nothing: the scene lacks something")
        is_same = shape(ends.after) == shape(ends.twice)
        if not is_same and name not in REPEATABLE:
            self.report.violate(f"{name}, made twice, does it twice")

    def try_fault(self, name: str, ends: Ends, target: int, mode: str) -> None:
        """
        Make a call with one statement spoilt, and make it again.
        """
        host, made = self.begun(name)
        injector.listen("first", target=target, mode=mode)
        error = told(made)
        injector.stop()
        if not injector.hits:
            self.report.counts["faults not reached"] += 1
            host.close()
            return
        rows = self.place.rows()
        statement = ends.statements[min(target, len(ends.statements)) - 1]
        where = f"{name}, {mode} at statement {target} ({statement})"
        self.judge(where, ends, made, error, rows)
        host.close()

    def judge(self, where: str, ends: Ends, made: Call, error: str, rows: Rows) -> None:
        """
        Check what a failed call left, and that repeating it ends well.
        """
        counts, name = self.report.counts, made.name
        counts["faults"] += 1
        if rows in ends.between and rows not in (ends.before, ends.after):
            # A claim that nobody knows he has ends with its lease.
            self.host.clock.advance(2 * TTL_MS)
        injector.listen("again")
        again = told(made)
        injector.stop()
        end = self.place.rows()
        self.report.break_down("errors", error or "none: the library tried again")
        if error.startswith("untyped"):
            self.report.violate(f"{where}: {error}")
        if rows == ends.before:
            counts["left unchanged"] += 1
            if not error:
                self.report.violate(f"{where}: no error, and nothing was done")
            self._check_again(where, again, "", end, ends.alone)
        elif rows == ends.after:
            counts["left done"] += 1
            self._check_again(where, again, ends.twice_error, end, ends.twice)
        elif rows in ends.between or _is_freed(name, rows, ends):
            counts["left between two transactions"] += 1
            self._check_finished(where, name, again)
        else:
            self.report.violate(f"{where}: half done: {_difference(rows, ends)}")

    def _check_again(
        self, where: str, again: str, wanted: str, end: Rows, wanted_end: Rows
    ) -> None:
        if again != wanted:
            self.report.violate(f"{where}: again gives {again!r}, not {wanted!r}")
        elif end != wanted_end:
            self.report.violate(f"{where}: again ends elsewhere")
        else:
            self.report.counts["right after trying again"] += 1

    def _check_finished(self, where: str, name: str, again: str) -> None:
        # A claim whose outcome was not recorded stays until it expires.
        is_held = again == "TimeoutError" and name == "execute_effect"
        if again and not is_held:
            self.report.violate(f"{where}: again gives {again!r}")
        else:
            self.report.counts["right after trying again"] += 1


def told(made: Call) -> str:
    """
    Make a call; return its error's name, "" without one.
    """
    try:
        made.run()
    except LashStoreError as error:
        return type(error).__name__
    except TimeoutError as error:
        return type(error).__name__
    except Exception as error:
        return f"untyped {error!r}"
    return ""


def shape(rows: Rows) -> dict[str, int]:
    """
    Return how many rows each table has.
    """
    return {name: len(found) for name, found in rows.items()}


def _is_freed(name: str, rows: Rows, ends: Ends) -> bool:
    # A timer that failed is freed and stays due when it was: a transaction
    # of its own, which a timer that did not fail has no need of.
    others = (table for table in rows if table != "effects")
    return name == "sleep" and all(rows[t] == ends.before[t] for t in others)


def _difference(rows: Rows, ends: Ends) -> list[str]:
    return [
        name for name in rows if rows[name] not in (ends.before[name], ends.after[name])
    ] or ["some tables before, some after"]


def cases(
    names: list[str], ends: dict[str, Ends], modes: tuple[str, ...]
) -> Iterator[tuple[str, int, str]]:
    """
    Yield every call, statement and mode.
    """
    for name in names:
        for target in range(1, len(ends[name].statements) + 1):
            for mode in modes:
                yield name, target, mode


def run(engine: str, share: float, seed: int, only: str = "") -> Report:
    """
    Run one engine's campaign.

    Args:
        share: Which part of the cases is tried, chosen by the seed.

        only: Try this call alone; "": all.
    """
    # A connection that was cut is what we want, and no news.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    report = Report("faults", engine=engine, seed=seed)
    dice = Random(seed)
    with scratch("faults", fast_folder()) as folder:
        place = _place(engine, folder)
        faults = Faults(place, report)
        names = [name for name in NAMES if only in ("", name)]
        if share < 1:
            names = sorted(dice.sample(names, max(1, int(len(names) * share))))
        ends = {name: faults.ends(name) for name in names}
        modes = SQLITE_MODES if engine == "sqlite" else POSTGRES_MODES
        report.counts["calls"] = len(ends)
        for name, target, mode in cases(names, ends, modes):
            if dice.random() < share:
                report.break_down("modes", mode)
                faults.try_fault(name, ends[name], target, mode)
        if engine == "sqlite":
            disk_faults.run(faults, ends, share, dice)
        if isinstance(place, ServerPlace):
            place.drop()
    return report.end()


def _place(engine: str, folder: Path) -> Place:
    if engine == "sqlite":
        install_sqlite()
        return Files(folder / "place")
    place = ServerPlace(folder, f"faults_{os.getpid()}")
    install_postgres(place.connect())
    return place


def main() -> None:
    """
    Run from the command line.
    """
    restart_with_shim()
    run_campaign(
        __doc__ or "",
        lambda options: [
            run(engine, options.share, options.seed, options.call)
            for engine, _ in engines(options, sqlite=1, postgres=1)
        ],
        share=(float, 1.0, "which part of the cases to try, up to 1"),
        call=(str, "", "try this call alone"),
    )


__all__ = ["Any", "Faults", "main", "run"]
