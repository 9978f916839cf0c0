"""
Faults of the disk: full, or failing where SQLite writes and syncs.

* A file system of our own (tmpfs, `mount -o size=`) that is full but for some
  pages, where we may mount one; and RLIMIT_FSIZE where we may not.
* Each `pwrite` fails with ENOSPC and EIO, and each `fsync` with EIO, by a
  preloaded library (see `campaigns.shim`), where there is a C compiler.
"""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from . import shim
from .injection import injector
from .places import Files

_FILE_SYSTEM_BYTES = 8 * 2**20
_PAGE = 4096
_ROOM_PAGES = (0, 1, 3, 8, 20)


def run(faults: Any, ends: dict[str, Any], share: float, dice: Random) -> None:
    """
    Fail every call in each of these ways.
    """
    _fail_system_calls(faults, ends, share, dice)
    with _small_file_system() as folder:
        if folder is None:
            faults.report.note("no tmpfs could be mounted: only RLIMIT_FSIZE")
        else:
            faults.report.note("disk full: a tmpfs of 8 MiB with 0 to 20 pages left")
            _fill_disk(faults, ends, share, dice, folder)
    _limit_files(faults, ends, share, dice)


def _fail_system_calls(
    faults: Any, ends: dict[str, Any], share: float, dice: Random
) -> None:
    library = shim.library()
    if library is None:
        faults.report.note("no C compiler: no failing fsync and pwrite")
        return
    faults.report.note("fsync and pwrite fail by an LD_PRELOAD library built by cc")
    kinds = (
        (shim.SYNCS, errno.EIO, "fsync error"),
        (shim.WRITES, errno.ENOSPC, "write: no space"),
        (shim.WRITES, errno.EIO, "write error"),
    )
    for name, end in ends.items():
        for kind, number, mode in kinds:
            total = _count_system_calls(faults, name, library, kind)
            for target in range(1, total + 1):
                if dice.random() < share:
                    _fail_one(
                        faults, (name, end), library, (kind, target, number, mode)
                    )


def _count_system_calls(faults: Any, name: str, library: Any, kind: int) -> int:
    host, made = faults.begun(name)
    library.lash_arm(kind, 0, 0)
    injector.listen("first")
    made.run()
    injector.stop()
    total: int = library.lash_disarm()
    host.close()
    return total


def _fail_one(faults: Any, what: Any, library: Any, how: Any) -> None:
    from .faults import told

    (name, end), (kind, target, number, mode) = what, how
    host, made = faults.begun(name)
    injector.listen("first")
    library.lash_arm(kind, target, number)
    error = told(made)
    library.lash_disarm()
    injector.stop()
    faults.report.break_down("modes", mode)
    where = f"{name}, {mode} at system call {target}"
    faults.judge(where, end, made, error, faults.place.rows())
    host.close()


@contextlib.contextmanager
def _small_file_system() -> Iterator[Path | None]:
    folder = Path(tempfile.mkdtemp(prefix="lashstore-full-"))
    size = f"size={_FILE_SYSTEM_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
        is_mounted = done.returncode == 0
    except OSError:
        is_mounted = False
    try:
        yield folder if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=False)
        folder.rmdir()


def _fill_disk(
    faults: Any, ends: dict[str, Any], share: float, dice: Random, folder: Path
) -> None:
    from .faults import told

    usual, faults.place.folder = faults.place, faults.place.folder
    moved = Files(folder / "place")
    faults.place = faults.scene.place = moved
    ballast = folder / "ballast"
    for name, end in ends.items():
        for pages in _ROOM_PAGES:
            if dice.random() >= share:
                continue
            shutil.rmtree(moved.folder, ignore_errors=True)
            host, made = faults.begun(name)
            _fill(ballast, pages)
            injector.listen("first")
            error = told(made)
            injector.stop()
            ballast.unlink()
            faults.report.break_down("modes", "disk full")
            where = f"{name}, disk full but for {pages} pages"
            faults.judge(where, end, made, error, moved.rows())
            host.close()
    faults.place = faults.scene.place = usual


def _fill(ballast: Path, pages: int) -> None:
    found = os.statvfs(ballast.parent)
    free = found.f_bavail * found.f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(_PAGE, free - pages * _PAGE))


def _limit_files(faults: Any, ends: dict[str, Any], share: float, dice: Random) -> None:
    from .faults import told

    for name, end in ends.items():
        if dice.random() >= share:
            continue
        host, made = faults.begun(name)
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No file may grow beyond what the largest of a host's WALs has by now.
        wals = [path.stat().st_size for path in faults.place.folder.rglob("*-wal")]
        resource.setrlimit(resource.RLIMIT_FSIZE, (max([*wals, _PAGE]), usual[1]))
        injector.listen("first")
        error = told(made)
        injector.stop()
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        faults.report.break_down("modes", "RLIMIT_FSIZE")
        faults.judge(f"{name}, RLIMIT_FSIZE", end, made, error, faults.place.rows())
        host.close()
