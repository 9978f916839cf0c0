"""
Replays that die: child processes killed with SIGKILL at moments they do not
choose. What the demo shows and the crash tests rely on.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .background import is_woken
from .calls import planned_calls
from .errors import HostingError
from .plan import ReplayPlan

PAUSE_VARIABLE = "LASHSTORE_REPLAY_PAUSE_MS"
_READY_S = 60.0


class ReplayChild:
    """
    A `lashstore replay` in a process of its own.
    """

    def __init__(
        self, transcript: Path, root: str | Path, session_id: str, *, pause_s: float
    ) -> None:
        arguments = ["replay", str(transcript), f"--root={root}"]
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603, this very program
            [
                sys.executable,
                "-m",
                "lashstore.cli",
                *arguments,
                f"--session={session_id}",
            ],
            env=os.environ | {PAUSE_VARIABLE: str(pause_s * 1000)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def stderr(self) -> str:
        """
        What it said so far, its progress line by line.
        """
        return "".join(self._lines)

    def wait_until_ready(self) -> float:
        """
        Wait until it holds the session and runs turns, or has ended.

        Returns:
            Seconds since it was started.
        """
        self._ready.wait(_READY_S)
        return time.monotonic() - self._started

    def kill_after(self, delay_s: float) -> bool:
        """
        Kill it so much later from now, wherever it is then.

        Returns:
            Whether it was killed; False if it had ended by itself.

        Raises:
            HostingError: It had failed by itself.
        """
        try:
            self._process.wait(delay_s)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
        return self._end() == -signal.SIGKILL

    def finish(self) -> None:
        """
        Wait until it ends by itself.

        Raises:
            HostingError: It failed.
        """
        self._end()

    def _end(self) -> int:
        # Reaped here: a dead process that nobody waited for still looks alive.
        code = self._process.wait()
        self._reader.join()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if code not in (0, -signal.SIGKILL):
            msg = f"the replay ended with exit code {code}: {self.stderr.strip()}"
            raise HostingError(msg)
        return code

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self._lines.append(line)
            self._ready.set()
        self._ready.set()


def count_pauses(plan: ReplayPlan) -> list[int]:
    """
    Return how often each turn of an unbroken run pauses: its duration, once a
    pause is chosen and the work is quick.
    """
    calls = planned_calls(plan)
    last = len(plan.turns) - 1
    return [
        len(turn.drafts)
        + bool(turn.drafts)
        + 3 * is_woken(turn.index)
        + len(calls.get(turn.turn_id, ()))
        + len(turn.parcels)
        + (turn.index == last)
        + 1
        for turn in plan.turns
    ]
