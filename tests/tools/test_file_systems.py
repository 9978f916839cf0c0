"""
Where a WAL is not safe: refused, or without a WAL, and never by mistake.
"""

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from damage import rich

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    LashStoreError,
    ProcessRegistry,
    SessionStoreFactory,
    Store,
    StoreOptions,
    TriggerStore,
    UnsafeFileSystem,
    UnsafeFileSystemError,
    backup,
    doctor,
    filesystems,
    restore,
    verify,
)

from .kit import SESSION

ALLOWED = StoreOptions(unsafe_file_system=UnsafeFileSystem.ROLLBACK_JOURNAL)
LINE = "{id} 1 {device} {root} {point} rw,relatime shared:1 - {kind} {source} rw"


def line(point, kind, *, root="/", source="x", device="0:99"):
    """
    Make a line as the kernel writes it, see proc(5).
    """
    escaped = str(point).replace("\\", "\\134").replace(" ", "\\040")
    return LINE.format(
        id=30, device=device, root=root, point=escaped, kind=kind, source=source
    )


@pytest.fixture(name="mounts")
def _mounts(tmp_path, monkeypatch):
    """
    Return a function that makes the kernel's table of mounts.
    """
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(filesystems, "MOUNTINFO", table)

    def tell(*lines):
        table.write_text("\n".join([line("/", "ext4"), *lines]) + "\n")
        filesystems.forget_mounts()

    tell()
    yield tell
    filesystems.forget_mounts()


@pytest.fixture(name="share")
def _share(tmp_path):
    folder = tmp_path / "network share"
    folder.mkdir()
    return folder


UNSAFE = (
    "nfs nfs4 cifs smb3 9p virtiofs vboxsf ceph glusterfs lustre gfs2 ocfs2 afs fuse"
    " fuse.sshfs fuse.s3fs fuse.rclone fuse.grpcfuse fuse.glusterfs fuse.vmhgfs-fuse"
).split()
SAFE = "ext4 xfs btrfs tmpfs overlay zfs f2fs fuseblk ext3 ramfs bcachefs".split()


@pytest.mark.parametrize("kind", UNSAFE)
def test_refused(mounts, share, kind):
    """
    Nothing is opened, and nothing is made.
    """
    mounts(line(share, kind))

    with pytest.raises(UnsafeFileSystemError) as caught:
        Store.open(share / "deep" / "chat.db", "chat")

    assert list(share.iterdir()) == []
    assert kind in caught.value.reason
    assert not caught.value.retryable
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, again.reason) == (caught.value.path, caught.value.reason)


@pytest.mark.parametrize("kind", SAFE)
def test_allowed(mounts, share, kind):
    """
    Local file systems, bind mounts of them included, are opened as ever.
    """
    mounts(line(share, kind, root="/some/folder"))

    with Store.open(share / "chat.db", "chat"):
        pass
    assert journal_mode(share / "chat.db") == "wal"


def journal_mode(path):
    connection = sqlite3.connect(path)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return mode


def test_every_way_to_open_is_refused(mounts, share):
    """
    Factories and the stores of a whole deployment too.
    """
    mounts(line(share, "nfs4"))
    with SessionStoreFactory(share) as factory:
        for opening in (
            lambda: factory.create_store("chat"),
            lambda: ProcessRegistry.open(share / "p.db"),
            lambda: TriggerStore.open(share / "t.db"),
            lambda: EffectHost.open(share / "e.db"),
        ):
            with pytest.raises(UnsafeFileSystemError):
                opening()
    assert list(share.iterdir()) == []


def test_the_mount_that_counts(mounts, share, tmp_path):
    """
    The longest mount point, of equal ones the last; symbolic links are
    followed, and a mount elsewhere is none of ours.
    """
    mounts(line(share, "nfs"), line(share / "local", "xfs"))
    (share / "local").mkdir()
    with Store.open(share / "local" / "chat.db", "chat"):
        pass

    mounts(line(share, "nfs"), line(share, "ext4"))
    with Store.open(share / "chat.db", "chat"):
        pass

    mounts(line(f"{share}-2", "nfs"))
    with Store.open(share / "other.db", "chat"):
        pass

    mounts(line(share, "nfs"))
    (tmp_path / "link").symlink_to(share)
    with pytest.raises(UnsafeFileSystemError):
        Store.open(tmp_path / "link" / "chat.db", "chat")


def test_no_table_of_mounts(mounts, share, tmp_path, monkeypatch):
    """
    Where the kernel does not tell, nothing is refused; the doctor says so.
    """
    monkeypatch.setattr(filesystems, "MOUNTINFO", tmp_path / "absent")
    with Store.open(share / "chat.db", "chat"):
        pass

    (found,) = [d for d in doctor(share).diagnoses if d.topic == "file system"]
    assert found.health == "warning"


def test_a_lone_file_is_refused_even_with_the_option(mounts, share):
    """
    Its journal would lie in another folder for everybody else.
    """
    mounts(line(share / "chat.db", "ext4", root="/data/chat.db"))

    for options in (StoreOptions(), ALLOWED):
        with pytest.raises(UnsafeFileSystemError, match="single file"):
            Store.open(share / "chat.db", "chat", options=options)
    with Store.open(share / "other.db", "chat"):
        pass


def test_the_fallback_uses_no_wal(mounts, share):
    """
    A new file never has one, is durable all the same, and is read by others
    while it is open.
    """
    mounts(line(share, "nfs4"))
    path = share / "chat.db"

    with Store.open(path, "chat", options=ALLOWED) as store:
        ref = store.put_blob(b"content")
        assert {p.name for p in share.iterdir()} <= {"chat.db", "chat.db-journal"}
        with Store.open_readonly(path) as reader:
            assert reader.get_blob(ref) == b"content"
        with Store.open(path, "chat", options=ALLOWED) as second:
            second.put_blob(b"more")
        assert verify(path).is_sound
    assert path.read_bytes()[18:20] == b"\x01\x01"
    backup(share, share.parent / "backup")
    assert verify(path).is_sound


def test_a_file_with_a_wal_is_switched_back(mounts, share):
    """
    What its WAL holds is not lost; on a local disk it gets one again.
    """
    path = share / "rich.db"
    rich.build(path)
    with Store.open(path, SESSION) as store:
        ref = store.put_blob(b"in the wal")
        shutil.copy(path, share / "crashed.db")
        shutil.copy(f"{path}-wal", share / "crashed.db-wal")
    crashed = share / "crashed.db"
    mounts(line(share, "cifs"))

    with pytest.raises(UnsafeFileSystemError):
        Store.open_readonly(crashed)
    with Store.open(crashed, SESSION, options=ALLOWED) as store:
        assert store.get_blob(ref) == b"in the wal"
        store.put_blob(b"after")
        assert not Path(f"{crashed}-wal").exists()
        assert not Path(f"{crashed}-shm").exists()
    assert journal_mode(crashed) == "delete"
    assert verify(crashed).is_sound

    mounts()
    with Store.open(crashed, SESSION) as store:
        store.put_blob(b"again")
    assert journal_mode(crashed) == "wal"


def test_a_whole_session_runs_in_the_fallback(mounts, share, monkeypatch):
    """
    Every operation of the rich session works without a WAL.
    """
    mounts(line(share, "fuse.sshfs"))
    path = share / "rich.db"
    monkeypatch.setattr(
        rich,
        "open_rich",
        lambda p, _cipher: Store.open(
            p, SESSION, clock=rich.ManualClock(rich.NOW_MS), options=ALLOWED
        ),
    )
    rich.build(path)

    assert not Path(f"{path}-wal").exists()
    assert verify(path).is_sound
    answers = rich.read_everything(path)
    assert not [a for a in answers.values() if isinstance(a, LashStoreError)]


def test_restoring_to_such_a_place_is_refused(mounts, chat, share):
    """
    Unless the option allows it.
    """
    backup(chat, share.parent / "backup")
    mounts(line(share, "nfs"))

    with pytest.raises(UnsafeFileSystemError):
        restore(share.parent / "backup", share / "r")
    assert [path for path in share.rglob("*") if path.is_file()] == []
    restore(share.parent / "backup", share / "r", options=ALLOWED)
    assert not Path(f"{share / 'r' / 'chat.db'}-wal").exists()


def test_the_table_is_read_once_a_folder(mounts, share, monkeypatch):
    """
    Opening many sessions parses it once.
    """
    mounts(line(share, "ext4"))
    calls = []
    real = filesystems.list_mounts
    monkeypatch.setattr(filesystems, "list_mounts", lambda: calls.append(1) or real())

    with SessionStoreFactory(share) as factory:
        for n in range(10):
            factory.create_store(f"s{n}").put_blob(b"x")

    assert len(calls) == 1


_CHILD = """
import sys
from pathlib import Path
from lashstore import Store, UnsafeFileSystemError, filesystems
folder = Path(sys.argv[1])
with Store.open(folder / "tmpfs" / "chat.db", "chat"):
    pass
with Store.open(folder / "bound" / "other.db", "chat"):
    pass
try:
    Store.open(folder / "lone.db", "chat")
except UnsafeFileSystemError as error:
    print("refused", "single file" in error.reason)
print(filesystems.mount_of(folder / "tmpfs" / "x").kind)
print(filesystems.mount_of(folder / "bound" / "x").is_bind)
"""


@pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="mounting needs root and a mount namespace",
)
def test_real_mounts(tmp_path):
    """
    A tmpfs, a folder and a single file, really mounted, in a namespace of
    their own.
    """
    for name in ("tmpfs", "bound", "source"):
        (tmp_path / name).mkdir()
    with Store.open(tmp_path / "source" / "lone.db", "chat"):
        pass
    (tmp_path / "lone.db").touch()
    script = (
        f"mount -t tmpfs none '{tmp_path}/tmpfs' &&"
        f" mount --bind '{tmp_path}/source' '{tmp_path}/bound' &&"
        f" mount --bind '{tmp_path}/source/lone.db' '{tmp_path}/lone.db' &&"
        f" '{sys.executable}' -c '{_CHILD}' '{tmp_path}'"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"PYTHONPATH": str(Path(filesystems.__file__).resolve().parent.parent)},
    )

    assert done.stderr == ""
    assert done.stdout.split("\n")[:3] == ["refused True", "tmpfs", "True"]


def test_options_of_effects(mounts, share):
    """
    The option reaches the effect journal too.
    """
    mounts(line(share, "nfs"))
    host = EffectHost.open(share / "e.db", options=EffectReplayOptions(store=ALLOWED))
    host.close()
    assert not (share / "e.db-wal").exists()
