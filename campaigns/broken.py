"""
Deliberately broken builds: one line of a copy of lashstore is changed, and
the campaign that is to notice must report a violation.

    python -m campaigns broken
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .command import run_campaign
from .places import ROOT, scratch
from .report import Report

_PATIENCE_S = 300
_LINE = re.compile(r"violations: (\d+)\n(?: +(.*))?")


@dataclass(frozen=True)
class Mutation:
    """
    What is broken, and the run that must notice.
    """

    name: str
    file: str
    line: str
    instead: str
    campaign: str
    options: tuple[str, ...] = ()


_SQLITE = ("--engine", "sqlite")
MUTATIONS = (
    Mutation(
        "each statement commits by itself",
        "engines/sqlite/database.py",
        'held.begin("BEGIN IMMEDIATE")',
        'held.begin("SELECT 1")',
        "crash",
        (*_SQLITE, "--kills", "60"),
    ),
    Mutation(
        "commits are acknowledged and not made",
        "engines/sqlite/database.py",
        "                held.commit()\n",
        "                held.close()\n                held = self._take()\n",
        "crash",
        (*_SQLITE, "--kills", "10"),
    ),
    Mutation(
        "an error of the driver is swallowed",
        "engines/sqlite/database.py",
        "            self._undo_write(held, error)\n            raise\n",
        "            with __import__('contextlib').suppress(Exception):\n"
        "                self._undo_write(held, error)\n"
        "            return None\n",
        "faults",
        (*_SQLITE, "--call", "put_blob"),
    ),
    Mutation(
        "a failed transaction is committed",
        "engines/sqlite/database.py",
        "        try:\n"
        "            self._open_connection = None\n"
        "            held.close()\n",
        "        try:\n"
        "            self._open_connection = None\n"
        "            sqlite3.Connection.commit(driver_of(held.connection))\n"
        "            held.close()\n",
        "faults",
        (*_SQLITE, "--call", "append_usage_deltas"),
    ),
    Mutation(
        "a lost answer to COMMIT is tried again",
        "engines/postgres/failures.py",
        "    if is_lost(cause) and is_committing:",
        "    if is_committing and not is_lost(cause):",
        "faults",
        ("--engine", "postgres", "--call", "append_usage_deltas"),
    ),
    Mutation(
        "synchronous=OFF",
        "connections.py",
        'f"synchronous = {options.synchronous.upper()}"',
        '"synchronous = OFF"',
        "power_cut",
        ("--cuts", "200", "--steps", "40", "--synchronous", "full"),
    ),
    Mutation(
        "a folder is not synced after a file was made or removed",
        "files.py",
        "        os.fsync(handle)",
        "        pass",
        "power_cut",
        ("--cuts", "1500", "--steps", "150", "--synchronous", "full"),
    ),
    Mutation(
        "checksums are not looked at",
        "codec.py",
        "    if actual != stored:",
        "    if False:",
        "damage",
        ("--cases", "40"),
    ),
    Mutation(
        "the hash of a blob is not looked at",
        "repos/blobs.py",
        "        or sha256_hex(content) != target.blob_ref\n",
        "",
        "damage",
        ("--cases", "100"),
    ),
    Mutation(
        "no compare-and-swap",
        "model/commit.py",
        "    if commit.expected_head_revision not in (None, head_revision):",
        "    if False:",
        "contention",
        (*_SQLITE, "--processes", "6", "--rounds", "4", "--race", "swap_heads"),
    ),
    Mutation(
        "a commit's fence is not looked at",
        "model/commit.py",
        "    if fence is None or not is_valid_fence(\n"
        "        lease, fence, session_id=commit.session_id, now_ms=now_ms\n"
        "    ):",
        "    if fence is None:",
        "contention",
        (*_SQLITE, "--processes", "6", "--rounds", "4", "--race", "hold_leases"),
    ),
    Mutation(
        "a held lease is given away",
        "model/leases.py",
        "            return LeaseBusy(holder=held)\n        if not (",
        "            return LeaseAcquired(lease=held)\n        if not (",
        "contention",
        (*_SQLITE, "--processes", "6", "--rounds", "4", "--race", "hold_leases"),
    ),
    Mutation(
        "writers do not lock the session's row",
        "repos/sessions.py",
        "_lock = _find.with_for_update()",
        "_lock = _find",
        "contention",
        (
            *("--engine", "postgres", "--processes", "6"),
            *("--rounds", "6", "--race", "swap_heads"),
        ),
    ),
)


def run_one(report: Report, mutation: Mutation, folder: Path) -> None:
    """
    Break a copy, run the campaign on it, and check that it fails.
    """
    for name in ("lashstore", "campaigns", "tests"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    path = folder / "lashstore" / mutation.file
    text = path.read_text()
    report.counts["mutations"] += 1
    if text.count(mutation.line) != 1 or not mutation.line:
        report.violate(f"{mutation.name}: the line to break is not there once")
        return
    path.write_text(text.replace(mutation.line, mutation.instead))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "campaigns", mutation.campaign, *mutation.options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    found = _LINE.search(done.stdout)
    took = f"{time.monotonic() - began:.0f} s"
    if found is None and done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        report.note(
            f"{mutation.name}: {mutation.campaign} broke off: {last:.160}, {took}"
        )
        report.counts["caught"] += 1
    elif found is not None and int(found.group(1)):
        report.note(
            f"{mutation.name} ({mutation.file}): {mutation.campaign} reported "
            f"{found.group(1)}, first: {found.group(2) or '':.160}, {took}"
        )
        report.counts["caught"] += 1
    else:
        report.violate(f"{mutation.name}: {mutation.campaign} noticed nothing, {took}")


def run(only: str = "") -> Report:
    """
    Break everything in turn.
    """
    report = Report("broken", engine="both", seed=1)
    for mutation in MUTATIONS:
        if only in mutation.name:
            with scratch("broken") as folder:
                run_one(report, mutation, folder)
            print(report.notes[-1] if report.notes else report.violations, flush=True)
    return report.end()


def main() -> None:
    """
    Run from the command line.
    """

    def start(options: Any) -> list[Report]:
        return [run(options.only)]

    run_campaign(
        __doc__ or "", start, only=(str, "", "the mutations with this in their names")
    )
