"""
A disk that may lose what nobody synced: recorded system calls, replayed up to
a cut.

What is known to be on the disk is what was there at the last fsync of a file,
and of its folder for the name. Of the rest a cut keeps whatever it likes,
sector by sector.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

_SECTORS = (512, 4096)
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (\d+)")
_PATH = re.compile(r"^-?\w+<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Event:
    """
    One system call that changes a disk, or orders its changes.
    """

    kind: str
    path: str
    data: bytes = b""
    at: int = 0


def read_trace(trace: Path) -> Iterator[Event]:
    """
    Yield what strace saw, in order; failed calls changed nothing.
    """
    for line in trace.read_text().splitlines():
        if (found := _CALL.match(line)) is not None:
            name, arguments, answer = found.groups()
            yield from _event(name, arguments, int(answer))


def _text(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("\\x", ""))


def _event(name: str, arguments: str, answer: int) -> Iterator[Event]:
    texts = [_text(each) for each in _TEXT.findall(arguments)]
    described = _PATH.match(arguments)
    path = "" if described is None else _plain(described.group(1))
    if name == "openat" and "O_CREAT" in arguments:
        yield Event("create", os.fsdecode(texts[0]))
    elif name == "pwrite64":
        yield Event(
            "write", path, texts[0][:answer], int(arguments.rsplit(",", maxsplit=1)[-1])
        )
    elif name == "write":
        yield Event("append", path, texts[0][:answer])
    elif name == "ftruncate":
        yield Event("truncate", path, at=int(arguments.rsplit(",", maxsplit=1)[-1]))
    elif name in ("fsync", "fdatasync"):
        yield Event("sync", path)
    elif name in ("unlink", "unlinkat"):
        yield Event("unlink", os.fsdecode(texts[0]))


def _plain(path: str) -> str:
    # With -xx strace writes the paths of descriptors in hex, too.
    return os.fsdecode(_text(path)) if path.startswith("\\x") else path


@dataclass
class File:
    """
    One file's content: what is safe, and what was written since.
    """

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)

    def sync(self) -> None:
        """
        Make everything safe.
        """
        for event in self.pending:
            _apply(self.safe, event)
        self.pending.clear()

    def after_cut(self, dice: Random, how: str) -> bytes:
        """
        Return what a cut leaves.
        """
        content = bytearray(self.safe)
        kept = dice.randrange(len(self.pending) + 1)
        sector = dice.choice(_SECTORS)
        for number, event in enumerate(self.pending):
            if how == "all lost":
                break
            if how == "suffix lost":
                if number < kept:
                    _apply(content, event)
            elif how == "some lost":
                if dice.random() < 0.5:
                    _apply(content, event)
            else:
                for part in _sectors(event, sector):
                    if dice.random() < 0.5:
                        _apply(content, part)
        return bytes(content)


def _sectors(event: Event, size: int) -> Iterator[Event]:
    if event.kind != "write":
        yield event
        return
    at, end = event.at, event.at + len(event.data)
    while at < end:
        until = min(end, (at // size + 1) * size)
        part = event.data[at - event.at : until - event.at]
        yield Event("write", event.path, part, at)
        at = until


def _apply(content: bytearray, event: Event) -> None:
    if event.kind == "truncate":
        del content[event.at :]
        content.extend(bytes(event.at - len(content)))
        return
    if len(content) < event.at:
        content.extend(bytes(event.at - len(content)))
    content[event.at : event.at + len(event.data)] = event.data


LOSSES = ("all lost", "suffix lost", "some lost", "torn")


class Disk:
    """
    The files below a folder.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._files: dict[str, File] = {}
        # Names that are on the disk for certain, and to which file.
        self._safe_names: dict[str, File] = {}

    def run(self, event: Event) -> None:
        """
        Take in one event.
        """
        if not event.path.startswith(self._root):
            return
        file = self._files.get(event.path)
        if event.kind == "create":
            self._files.setdefault(event.path, File())
        elif event.kind == "unlink":
            self._files.pop(event.path, None)
        elif event.kind == "sync" and file is None:
            self._sync_folder(event.path)
        elif file is None:
            return
        elif event.kind == "sync":
            file.sync()
        else:
            file.pending.append(event)

    def _sync_folder(self, folder: str) -> None:
        for names in (self._safe_names, self._files):
            for path in [p for p in names if str(Path(p).parent) == folder]:
                if path in self._files:
                    self._safe_names[path] = self._files[path]
                else:
                    del self._safe_names[path]

    def cut(self, dice: Random) -> tuple[str, dict[str, bytes]]:
        """
        Cut the power.

        Returns:
            How it was cut, and the files that are left.
        """
        how = dice.choice(LOSSES)
        left = {}
        for path in {*self._files, *self._safe_names}:
            now, safe = self._files.get(path), self._safe_names.get(path)
            found = now if now is safe else dice.choice((now, safe))
            if found is not None:
                left[path[len(self._root) + 1 :]] = found.after_cut(dice, how)
        return how, left
