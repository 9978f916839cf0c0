"""
Print and save results: a table on the console, JSON, Markdown and a plot.
"""

import datetime as dt
import json
import os
import platform
import sqlite3
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .chart import draw

RESULTS = Path(__file__).parent / "results"
_COLUMNS = ("case", "against", "rounds", "ours µs", "theirs µs", "ratio", "goal", "met")
_TITLES = {
    "floors": "lashstore against hand-written sqlite3",
    "peers": "lashstore against peers",
}
_HOW = (
    "Times are microseconds, the median (of a total: the mean) with the 10th to 90th"
    " percentile in brackets. The ratio is ours over theirs, so that less than 1 means"
    " that lashstore is faster; its 95 % interval is by bootstrap. Both sides ran in"
    " one process tree, round by round in turns."
)


def machine(folder):
    """
    Return where and when a run was made.
    """
    return {
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "folder": str(folder or tempfile.gettempdir()),
    }


def has_met(row):
    """
    Tell whether a row met its goals; None: it has none.
    """
    verdicts = []
    if "value" in row:
        return row["value"] <= row["limit"]
    if row.get("limit") is not None:
        verdicts.append(row["ratio"] <= row["limit"])
    if row.get("limit_us") is not None:
        verdicts.append(row["ours_us"]["median"] <= row["limit_us"])
    if row.get("limit_bytes") is not None:
        sizes = row["bytes"]
        verdicts.append(sizes["library"] / sizes["floor"] <= row["limit_bytes"])
    if row.get("errors"):
        verdicts.append(False)
    return all(verdicts) if verdicts else None


def _side(figures, statistic):
    middle = figures["median" if statistic == "median" else "mean"]
    digits = 0 if middle >= 100 else 1
    low, high = figures["p10"], figures["p90"]
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _goal(row):
    limit = row.get("limit")
    goals = [] if limit is None else [f"≤ {limit:g}"]
    if row.get("limit_us"):
        goals.append(f"≤ {row['limit_us']} µs")
    if row.get("limit_bytes"):
        goals.append(f"bytes ≤ {row['limit_bytes']:.3f}")
    return ", ".join(goals)


def _cells(row):
    verdict = {True: "yes", False: "NO", None: ""}[has_met(row)]
    if "value" in row:
        measured = f"{row['value']} {row['unit']} (worst {row['worst']})"
        goal = f"≤ {row['limit']} {row['unit']}"
        return (row["case"], "", "", measured, "", "", goal, verdict)
    low, high = row["ratio_95"]
    return (
        row["case"],
        row["against"],
        str(row["rounds"]),
        _side(row["ours_us"], row["statistic"]),
        _side(row["theirs_us"], row["statistic"]),
        f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})",
        _goal(row),
        verdict,
    )


def notes_of(rows):
    """
    Return what is to be said under the table: bytes, durability, misses.
    """
    about = {}
    for row in rows:
        if sizes := row.get("bytes"):
            ours, theirs = sizes["library"], sizes["floor"]
            yield (
                f"{row['case']}, against {row['against']}: {ours / 1e6:.2f} MB on disk"
                f" against {theirs / 1e6:.2f} MB"
                f" (1/{theirs / ours:.1f})."
            )
        if durability := row.get("durability"):
            about[row["against"]] = durability
        if note := row.get("note"):
            against = f", against {row['against']}" if "against" in row else ""
            yield f"{row['case']}{against}: {note}."
    for peer, durability in about.items():
        yield f"How {peer} is made durable: {durability}."


def show(kind, rows):
    """
    Print the table.
    """
    table = Table(title=_TITLES[kind])
    for number, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if number < 2 else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    console.print(table)
    for note in notes_of(rows):
        console.print(note)


def save(kind, where, rows, *, is_whole=True):
    """
    Write JSON, Markdown and the plot into `benchmarks/results`.

    Args:
        is_whole: False: the rows take the places of their older selves among
            those that are there.
    """
    RESULTS.mkdir(exist_ok=True)
    known = RESULTS / f"{kind}.json"
    if not is_whole and known.exists():
        rows = _merged(json.loads(known.read_text())["cases"], rows)
    report = {**where, "cases": rows}
    (RESULTS / f"{kind}.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / f"{kind}.svg").write_text(draw(_TITLES[kind], rows))
    (RESULTS / f"{kind}.md").write_text(
        f"# Benchmark results: {kind}\n\n{markdown(where, rows)}\n"
        f"![Ratios]({kind}.svg)\n"
    )


def _merged(old, new):
    rows = {(row["case"], row.get("against")): row for row in old}
    rows |= {(row["case"], row.get("against")): row for row in new}
    return list(rows.values())


def markdown(where, rows):
    """
    Return where a run was made, its table, and its notes.
    """
    about = (
        f"{where['when']}, Python {where['python']}, SQLite {where['sqlite']},"
        f" {where['cpus']} CPUs, load {where['load']}, files under {where['folder']}."
    )
    lines = [about, *_HOW.replace(". ", ".\n").split("\n"), ""]
    lines += [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    notes = [f"- {note}" for note in notes_of(rows)]
    return "\n".join([*lines, "", *notes, *([""] if notes else [])])
