"""
Each example, run as its docstring says, in processes of its own.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lashstore import (
    NextTurnIngress,
    PendingTurnInputDraft,
    SessionStoreFactory,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(name="run")
def _run(tmp_path):
    def run(name, *arguments, typed="", code=0):
        """
        Run an example; return the lines it prints.
        """
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / name, "--root", tmp_path, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        )
        assert (code, "") == (done.returncode, done.stderr)
        return done.stdout.splitlines()

    return run


def test_chat(run, tmp_path):
    """
    A line that waits is answered, and the next run shows and remembers all.
    """
    with SessionStoreFactory(tmp_path) as factory:
        factory.create_store("chat").enqueue_pending_turn_input(
            PendingTurnInputDraft(
                ingress=NextTurnIngress(),
                input={"role": "user", "content": "My name is Ada"},
            )
        )

    first = run("chat.py", "--say", "Hi")
    second = run("chat.py", typed="How are you?\n\n")

    assert [
        "user: My name is Ada",
        "assistant: Hello Ada, that was message 1.",
        "user: Hi",
        "assistant: Hello Ada, that was message 2.",
    ] == first
    assert [
        *first,
        "user: How are you?",
        "assistant: Hello Ada, that was message 3.",
    ] == second


def test_tools(run, tmp_path):
    """
    A tool that has run is not run again after a kill.
    """
    killed = run(
        "tools.py", "The weather in Rome?", "--die-after", "mail", code=-signal.SIGKILL
    )
    restarted = run("tools.py")

    assert ["killed after mail"] == killed
    assert ["It is sunny in Rome; I have mailed it."] == restarted
    assert "It is sunny in Rome.\n" == (tmp_path / "outbox.txt").read_text()


def test_workers(run):
    """
    Each job lands once and in order, though one of two workers dies.
    """
    *jobs, codes = run("workers.py", "--jobs", "6")

    numbers = [line.split()[1] for line in jobs]
    survivors = {line.split()[-1] for line in jobs[3:]}
    assert ["1", "2", "3", "4", "5", "6"] == numbers
    assert 1 == len(survivors)
    assert "exit codes of the workers: [-9, 0]" == codes


def test_background(run):
    """
    An event that is told twice and a host that is killed cause one analysis
    and one message.
    """
    killed = run("background.py", "18", "--die-after", "analysis", code=-signal.SIGKILL)
    again = run("background.py", "18")
    odd = run("background.py", "17")

    assert ["analysing build 18", "killed after the analysis"] == killed
    assert ["Build 18 is broken."] == again
    assert ["analysing build 17", "Build 18 is broken.", "Build 17 is fine."] == odd
