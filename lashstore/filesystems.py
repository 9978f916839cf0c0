"""
Which file system a path is on, and whether SQLite's WAL is safe there.

Every process that uses a WAL shares memory with the others through the
`-shm` file, which works on one host and on file systems of its own kernel
only (https://www.sqlite.org/wal.html, section 1). Which those are is decided
in ADR 21.
"""

import os
import re
from pathlib import Path

from .errors import UnsafeFileSystemError
from .model.options import StoreOptions, UnsafeFileSystem
from .model.record import Record

# What the kernel tells of every mount; see proc(5).
MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK = frozenset(
    [
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "coda",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gpfs",
        "pvfs2",
        "orangefs",
        "davfs",
        "acfs",
    ]
)
# One block device under several kernels at once.
_CLUSTER = frozenset(["gfs", "gfs2", "ocfs2"])
# A folder of the host in a virtual machine: another kernel has it too.
_SHARED_BY_HOST = frozenset(
    ["9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "drvfs", "hgfs"]
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(Record, frozen=True, kw_only=True):
    """
    One line of the kernel's table of mounts.

    `root` is the folder of the file system that is mounted: "/" for all of
    it, another for a bind mount or a subvolume.
    """

    mount_point: str
    root: str
    kind: str
    source: str
    is_readonly: bool

    @property
    def is_bind(self) -> bool:
        """
        Whether only a part of a file system is mounted here.
        """
        return self.root != "/"


class _Verdict(Record, frozen=True, kw_only=True):
    mount: Mount | None
    hazard: str | None
    # Names in the folder that are mount points, such as a lone file's.
    inside: frozenset[str]

    def is_mounted(self, path: Path) -> bool:
        """
        Tell whether a file of the folder is mounted by itself.
        """
        return bool(self.inside) and os.path.realpath(path) in self.inside


_verdicts: dict[tuple[Path, int, str], _Verdict] = {}


def list_mounts() -> tuple[Mount, ...]:
    """
    Return every mount, in the kernel's order; empty where it does not tell.
    """
    try:
        lines = MOUNTINFO.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ()
    return tuple(mount for mount in map(_mount_from_line, lines) if mount is not None)


def _mount_from_line(line: str) -> Mount | None:
    before, separator, after = line.partition(" - ")
    fields, described = before.split(), after.split()
    if not separator or len(fields) < 6 or len(described) < 2:  # noqa: PLR2004, see proc(5)
        return None
    return Mount(
        mount_point=_unescaped(fields[4]),
        root=_unescaped(fields[3]),
        kind=described[0],
        source=_unescaped(described[1]),
        is_readonly="ro" in fields[5].split(","),
    )


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def mount_of(path: Path) -> Mount | None:
    """
    Return the mount that *path* is on, whether it exists or not; None where
    the kernel does not tell.
    """
    return _verdict(path).mount


def wal_hazard(path: Path) -> str | None:
    """
    Say why a WAL is not safe for the database at *path*; None: it is safe, or
    nothing is known of its file system.
    """
    verdict = _verdict(path)
    return _lone_file(path) if verdict.is_mounted(path) else verdict.hazard


def may_use_wal(path: Path, options: StoreOptions) -> bool:
    """
    Decide between WAL and a rollback journal.

    Raises:
        UnsafeFileSystemError: A WAL is not safe, and *options* do not ask for
            a rollback journal; or neither is safe.
    """
    verdict = _verdict(path)
    if verdict.is_mounted(path):
        raise UnsafeFileSystemError(path=str(path), reason=_lone_file(path))
    if verdict.hazard is None:
        return True
    if options.unsafe_file_system is UnsafeFileSystem.ROLLBACK_JOURNAL:
        return False
    raise UnsafeFileSystemError(path=str(path), reason=verdict.hazard)


def _lone_file(path: Path) -> str:
    return (
        f"{path} is mounted as a single file, so that its journal lies in another "
        "folder for everybody else: mount the folder instead"
    )


def _verdict(path: Path) -> _Verdict:
    # os.path: pathlib takes several times as long, at every connection.
    if os.path.islink(path):  # noqa: PTH114
        path = Path(os.path.realpath(path))
    parent = str(path.parent)
    # A file system mounted here later has another device.
    key = (MOUNTINFO, _device_of(parent), parent)
    if key not in _verdicts:
        _verdicts[key] = _judge(Path(os.path.realpath(parent)))
    return _verdicts[key]


def _device_of(folder: str) -> int:
    while True:
        try:
            return os.stat(folder).st_dev  # noqa: PTH116
        except OSError:
            above = os.path.dirname(folder)  # noqa: PTH120
            if above == folder:
                raise
            folder = above


def _judge(folder: Path) -> _Verdict:
    found: Mount | None = None
    inside = set()
    for mount in list_mounts():
        point = Path(mount.mount_point)
        # Of two mounts on one place the later one is seen.
        if folder.is_relative_to(point) and (
            found is None or len(point.parts) >= len(Path(found.mount_point).parts)
        ):
            found = mount
        if point.parent == folder and point != folder:
            inside.add(mount.mount_point)
    return _Verdict(
        mount=found,
        hazard=None if found is None else _hazard_of(found),
        inside=frozenset(inside),
    )


def _hazard_of(mount: Mount) -> str | None:
    kind, where = mount.kind, f"{mount.mount_point} ({mount.kind})"
    if kind in _NETWORK:
        return f"{where} is a network file system"
    if kind in _CLUSTER:
        return f"{where} is shared by the hosts of a cluster"
    if kind in _SHARED_BY_HOST:
        return f"{where} is a folder of this virtual machine's host"
    # A block device driven from user space is `fuseblk`, and as local as any.
    if kind == "fuse" or kind.startswith("fuse."):
        return f"{where} is a file system in user space, which may be remote"
    return None


def forget_mounts() -> None:
    """
    Look at the table of mounts anew, the next time it is needed.
    """
    _verdicts.clear()
