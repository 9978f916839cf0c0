"""
Host processes on one server, killed one after the other and restarted.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .history import check, read_journals

HOST = Path(__file__).with_name("host.py")


class Result(NamedTuple):
    """
    What a campaign came to.
    """

    seconds: float
    kill_count: int
    counts: Counter
    takeover_count: int
    complaints: list


class _Child:
    def __init__(self, url, folder, number, session_count):
        self._arguments = (url, folder, number, session_count)
        self._life = 0
        self.start()

    def start(self):
        url, folder, number, session_count = self._arguments
        self._life += 1
        owner_id = f"host{number}.{self._life}"
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(HOST),
                url,
                str(folder / f"{owner_id}.jsonl"),
                owner_id,
                str(session_count),
            ]
        )

    def kill(self):
        self._process.kill()
        assert -signal.SIGKILL == self._process.wait(), "a host had ended by itself"

    def stop(self):
        self._process.terminate()
        try:
            # One that was restarted a moment ago does not listen yet.
            code = self._process.wait(60)
            assert code in (0, -signal.SIGTERM), "a host failed"
        finally:
            self._process.kill()
            self._process.wait()


def run(url, folder, *, hosts, sessions, seconds, kill_every_s, seed):
    """
    Let hosts work on the server for a while, kill one every few seconds, then
    hold their journals against the server.
    """
    dice = random.Random(seed)
    began = time.monotonic()
    children = [_Child(url, folder, number, sessions) for number in range(hosts)]
    kill_count = 0
    try:
        while (left_s := began + seconds - time.monotonic()) > 0:
            pause_s = kill_every_s * dice.uniform(0.5, 1.5)
            time.sleep(min(left_s, pause_s))
            if pause_s < left_s:
                child = dice.choice(children)
                child.kill()
                child.start()
                kill_count += 1
    finally:
        for child in children:
            child.stop()
    took_s = time.monotonic() - began
    acknowledged = read_journals(folder)
    return Result(
        seconds=took_s,
        kill_count=kill_count,
        counts=Counter(each["kind"] for each in acknowledged),
        takeover_count=_takeovers(acknowledged),
        complaints=check(url, acknowledged),
    )


def _takeovers(acknowledged):
    # How often a session went on under a host after another had committed.
    owners = {}
    for each in acknowledged:
        if each["kind"] == "lease":
            owners.setdefault(each["session"], {})[each["fence"]] = each["owner"]
    count = 0
    for by_fence in owners.values():
        in_order = [owner for _, owner in sorted(by_fence.items())]
        count += sum(
            one != other for one, other in zip(in_order, in_order[1:], strict=False)
        )
    return count


def describe(result):
    """
    Return the result in lines.
    """
    yield (
        f"{result.seconds:.1f} s on {os.cpu_count()} cores, {result.kill_count} hosts "
        f"killed, {result.takeover_count} sessions taken over by another life"
    )
    for kind, count in sorted(result.counts.items()):
        yield f"{kind:<8}{count:>8}{count / result.seconds:>10.1f}/s"
    yield f"{len(result.complaints)} contradictions"
    yield from result.complaints[:20]
