"""
`python -m benchmarks`: every case once, as ratios to the floor.
"""

import argparse
import datetime as dt
import json
import os
import platform
import random
import sqlite3
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .cases import CASES, run

RESULTS = Path(__file__).parent / "results"
GOALS = dict.fromkeys(
    (
        "commit of a 20 KB turn, FULL",
        "commit of a 20 KB turn, NORMAL",
        "event append, FULL",
        "process claim, FULL",
        "trigger reserve, FULL",
        "effect step, first run, FULL",
        "effect step, replay, FULL",
    ),
    2.0,
)


def summarise(name, library, floor):
    """
    Return a case's figures: medians, their ratio with its spread.
    """
    dice = random.Random(1)
    resampled = sorted(
        statistics.median(dice.choices(library, k=len(library)))
        / statistics.median(dice.choices(floor, k=len(floor)))
        for _ in range(400)
    )
    return {
        "case": name,
        "rounds": len(library),
        "library_us": _spread(library),
        "floor_us": _spread(floor),
        "ratio": round(statistics.median(library) / statistics.median(floor), 3),
        "ratio_95": [round(resampled[9], 3), round(resampled[-10], 3)],
        "goal": GOALS.get(name),
    }


def _spread(times):
    tenths = statistics.quantiles(times, n=10)
    return {
        "p10": round(tenths[0] / 1_000, 1),
        "median": round(statistics.median(times) / 1_000, 1),
        "p90": round(tenths[-1] / 1_000, 1),
    }


def _table(figures):
    table = Table(title="lashstore against hand-written sqlite3")
    table.add_column("case")
    for column in (
        "rounds",
        "library µs (p10 to p90)",
        "floor µs (p10 to p90)",
        "ratio (95 %)",
        "goal",
    ):
        table.add_column(column, justify="right")
    for row in figures:
        table.add_row(*_cells(row))
    return table


def _cells(row):
    low, high = row["ratio_95"]
    times = [
        f"{side['median']:.0f} ({side['p10']:.0f}-{side['p90']:.0f})"
        for side in (row["library_us"], row["floor_us"])
    ]
    goal = "" if row["goal"] is None else f"≤ {row['goal']}"
    return (
        row["case"],
        str(row["rounds"]),
        *times,
        f"{row['ratio']:.2f} ({low:.2f}-{high:.2f})",
        goal,
    )


def _markdown(report):
    where = (
        f"{report['when']}, Python {report['python']}, SQLite {report['sqlite']}, "
        f"{report['cpus']} CPUs, load {report['load']}, files under {report['folder']}."
    )
    how = (
        "Medians in microseconds, 10th to 90th percentile in brackets; the ratio is of "
        "the medians, its 95 % interval by bootstrap. What the floor does: "
        "`benchmarks/floor.py` and `benchmarks/deployment_floor.py`."
    )
    lines = ["# Benchmark results", "", where, "", how, ""]
    lines += [
        "| case | rounds | library | floor | ratio | goal |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in report["cases"]]
    return "\n".join(lines) + "\n"


def main():
    """
    Run, print and write the results.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument(
        "--folder", help="where the files go (default: the temp folder)"
    )
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--no-write", action="store_true", help="leave results/ alone")
    options = parser.parse_args()
    figures = []
    for name, kind, synchronous, share in CASES:
        if options.only not in name:
            continue
        rounds = max(10, int(options.rounds * share))
        figures.append(summarise(name, *run(kind, synchronous, rounds, options.folder)))
    report = {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "folder": options.folder or os.environ.get("TMPDIR", "/tmp"),
        "cases": figures,
    }
    Console().print(_table(figures))
    if not options.no_write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "latest.json").write_text(json.dumps(report, indent=2) + "\n")
        (RESULTS / "latest.md").write_text(_markdown(report))


if __name__ == "__main__":
    main()
