"""
What Linux's /proc tells about a process: the evidence of a death proof.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
# Field 22 of the stat line, the third being the first behind the command.
_START_TIME = 19


def boot_id() -> str | None:
    """
    Return the kernel's boot id; None if it cannot be read.
    """
    try:
        text = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return text or None


def pid_namespace() -> str | None:
    """
    Return the inode text of this process's PID namespace; None if unknown.
    """
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None


def start_time(pid: int) -> str | None:
    """
    Return a process's start time in clock ticks since boot, as text.

    Raises:
        FileNotFoundError: There is no such process.
        OSError, ValueError: It cannot be told.
    """
    stat = (_PROC / str(pid) / "stat").read_text()
    # The command may contain blanks and parentheses; the last one ends it.
    _, found, tail = stat.rpartition(") ")
    fields = tail.split()
    if not found or len(fields) <= _START_TIME:
        msg = f"/proc/{pid}/stat has an unknown form"
        raise ValueError(msg)
    return fields[_START_TIME]


def is_readable() -> bool:
    """
    Tell whether /proc shows this very process, so that absence means death.
    """
    try:
        start_time(os.getpid())
    except (OSError, ValueError):
        return False
    return True


def is_gone(pid: int, process_start: str) -> bool:
    """
    Tell whether the process that started then is certainly dead.
    """
    if not is_readable():
        return False
    try:
        return start_time(pid) != process_start
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, ValueError):
        return False
