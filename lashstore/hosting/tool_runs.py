"""
The log of tool runs: a line for each time a tool was started, written before
it does anything. It is what proves that no recorded effect ran twice.
"""

import json
import os
from pathlib import Path

from lashstore import codec
from lashstore.clock import SystemClock
from lashstore.model.record import Record

from .errors import HostingError


class ToolRun(Record, frozen=True, kw_only=True):
    """
    One start of a tool.
    """

    scope_id: str
    replay_key: str
    at_ms: int
    pid: int


class ToolRunLog:
    """
    The log of one session; nothing is ever changed or removed in it.
    """

    def __init__(self, root: Path, session_id: str) -> None:
        name = codec.sha256_hex(session_id.encode())[:32]
        self.path = root / "tool-runs" / f"{name}.jsonl"

    def add(self, scope_id: str, replay_key: str) -> None:
        """
        Append a line, and wait until the disk has it.
        """
        line = {
            "scope_id": scope_id,
            "replay_key": replay_key,
            "at_ms": SystemClock().now_ms(),
            "pid": os.getpid(),
        }
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(self.path, flags, 0o600)
        try:
            # One call: a kill leaves the whole line or none of it.
            os.write(file, f"{json.dumps(line)}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> tuple[ToolRun, ...]:
        """
        Return every run in order; none without a file.

        Raises:
            HostingError: A line is none of ours.
        """
        if not self.path.exists():
            return ()
        lines = self.path.read_text(encoding="utf-8").splitlines()
        try:
            return tuple(ToolRun(**json.loads(line)) for line in lines)
        except (TypeError, ValueError) as error:
            msg = f"{self.path}: a line is no tool run ({error})"
            raise HostingError(msg) from error
