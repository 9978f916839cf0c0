"""
Each campaign in its short form: as `make crash` and the others, for seconds.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _run(folder, *arguments):
    """
    Run a campaign as its make target does; return what it reports, by engine.
    """
    out = folder / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "campaigns", *arguments, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    reports = [json.loads(line) for line in out.read_text().splitlines()]
    assert [report["violation_count"] for report in reports] == [0] * len(reports)
    return reports


@pytest.mark.parametrize(("engine", "kills"), [("sqlite", 16), ("postgres", 4)])
def test_killed_hosts_lose_nothing(engine, kills, tmp_path):
    """
    Hosts killed at random moments leave a state of their history.
    """
    (report,) = _run(
        tmp_path, "crash", "--engine", engine, "--kills", str(kills), "--seed", "7"
    )

    assert report["counts"]["kills"] == kills
    assert report["counts"]["kills amid a call"] > 0


@pytest.mark.parametrize(
    ("engine", "share"), [("sqlite", "0.08"), ("postgres", "0.04")]
)
def test_failed_statements_leave_all_or_nothing(engine, share, tmp_path):
    """
    A call whose statement fails did nothing or all, and can be made again.
    """
    (report,) = _run(
        tmp_path, "faults", "--engine", engine, "--share", share, "--seed", "7"
    )

    assert report["counts"]["faults"] > 5


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to record")
def test_power_cuts_lose_nothing_acknowledged(tmp_path):
    """
    Whatever was not synced may go, and what was acknowledged stays.
    """
    reports = _run(tmp_path, "power_cut", "--cuts", "60", "--steps", "40")

    assert [report["counts"]["cuts"] for report in reports] == [60, 60]


def test_damage_is_found_out(tmp_path):
    """
    Damaged bytes give the original data or a typed error.
    """
    (report,) = _run(tmp_path, "damage", "--cases", "2")

    assert report["counts"]["cases"] > 100


def test_processes_that_race_agree(tmp_path):
    """
    Four processes at once: single holders, everything exactly once.
    """
    (report,) = _run(
        tmp_path,
        *("contention", "--engine", "sqlite", "--processes", "4", "--rounds", "2"),
    )

    assert report["counts"]["races"] == 9
