"""
The log of tool runs: an entry for each time a tool was started, durable before
it does anything. It is what proves that no recorded effect ran twice.
"""

import json
import os
from pathlib import Path
from typing import Protocol

from lashstore import (
    ExternalInput,
    HostOriginator,
    ProcessEventAppendRequest,
    ProcessEventType,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    codec,
)
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


class ToolRuns(Protocol):
    """
    The log of one session, in order; nothing is ever changed or removed in
    it.
    """

    def add(self, scope_id: str, replay_key: str) -> None:
        """
        Append an entry, and wait until it is durable.
        """
        ...

    def read(self) -> tuple[ToolRun, ...]:
        """
        Return every run in order.
        """
        ...


class ToolRunLog:
    """
    The log of one session in a file; nothing is ever changed or removed in it.
    """

    def __init__(self, root: Path, session_id: str) -> None:
        name = codec.sha256_hex(session_id.encode())[:32]
        self.path: Path = root / "tool-runs" / f"{name}.jsonl"

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


_STARTED = "replay.tool_started"
_KIND = "lashstore.replay.tool_runs"
_EVENT_TYPE = ProcessEventType(
    name=_STARTED,
    payload_schema={
        "type": "object",
        "properties": {
            "scope_id": {"type": "string"},
            "replay_key": {"type": "string"},
            "pid": {"type": "integer"},
        },
        "required": ["scope_id", "replay_key", "pid"],
    },
)


class ServerToolRunLog:
    """
    The log of one session as the events of a process that never ends, on a
    server whose hosts share no folder.
    """

    def __init__(self, processes: ProcessRegistry, session_id: str) -> None:
        self._processes = processes
        name = codec.sha256_hex(session_id.encode())[:32]
        self._process_id = f"replay-tool-runs:{name}"
        self._is_registered = False

    def add(self, scope_id: str, replay_key: str) -> None:
        """
        Append an event, and wait until the server has it. A time of the
        server's, as the journal of effects has.
        """
        if not self._is_registered:
            self._processes.register_process(self._registration())
            self._is_registered = True
        self._processes.append_event(
            self._process_id,
            ProcessEventAppendRequest(
                event_type=_STARTED,
                payload={
                    "scope_id": scope_id,
                    "replay_key": replay_key,
                    "pid": os.getpid(),
                },
            ),
        )

    def read(self) -> tuple[ToolRun, ...]:
        """
        Return every run in order; none if no tool was ever started.
        """
        if self._processes.get_process(self._process_id) is None:
            return ()
        return tuple(
            ToolRun(at_ms=event.occurred_at_ms, **event.payload)
            for event in self._processes.events_after(self._process_id, 0)
        )

    def _registration(self) -> ProcessRegistration:
        return ProcessRegistration(
            id=self._process_id,
            input=ExternalInput(metadata={"kind": _KIND}),
            disposition=RecoveryDisposition.EXTERNALLY_OWNED,
            identity=ProcessIdentity(kind=_KIND, label="Started tools"),
            event_types=(_EVENT_TYPE,),
            provenance=ProcessProvenance(originator=HostOriginator()),
        )
