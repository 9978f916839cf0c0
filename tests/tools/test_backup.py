"""
Backups of files and folders, while hosts write, and what is restored.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lashstore import (
    AlreadyExistsError,
    ArchiveError,
    AttachmentMeta,
    FileAttachmentStore,
    InvalidArgumentError,
    SessionDeletedError,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    backup,
    list_snapshots,
    restore,
    verify,
)

from .kit import SESSION, dump, edit

TESTS = Path(__file__).resolve().parent.parent


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def hosts(root, *session_ids):
    """
    Run a writing host for each session; kill them at the end.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tools.hosts", str(root), session_id],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for session_id in session_ids
    ]
    try:
        for host in running:
            assert host.stdout.readline() == b"ready\n"
        yield
        assert [host.poll() for host in running] == [None] * len(running)
    finally:
        for host in running:
            host.send_signal(signal.SIGKILL)
            host.wait()
            host.stdout.close()


def test_a_second_backup_of_an_unchanged_session_copies_nothing(chat, tmp_path):
    """
    It adds the list of its snapshot and not a byte of content.
    """
    folder = tmp_path / "backup"
    first = backup(chat, folder)
    before = tree(folder)
    second = backup(chat, folder)

    assert first.new_byte_count > 0
    assert (second.new_byte_count, second.byte_count) == (0, first.byte_count)
    added = tree(folder).keys() - before.keys()
    assert added == {f"snapshots/{second.snapshot}.json"}
    assert tree(folder).items() >= before.items()
    assert [found.name for found in list_snapshots(folder)] == [
        first.snapshot,
        second.snapshot,
    ]


def test_a_small_change_copies_little(chat, tmp_path):
    """
    Pieces that did not change are not stored again.
    """
    with Store.open(chat, SESSION) as store:
        store.put_blob(os.urandom(1_000_000))
    first = backup(chat, tmp_path / "backup")
    with Store.open(chat, SESSION) as store:
        store.tombstone_nodes(["n1"])
    second = backup(chat, tmp_path / "backup")

    assert first.new_byte_count > 1_000_000
    assert 0 < second.new_byte_count < 100_000


def test_a_restored_folder_holds_what_was_backed_up(chat, deployment, tmp_path):
    """
    Sessions answer as before, other components row for row.
    """
    backup(chat.parent, tmp_path / "backup")

    report = restore(tmp_path / "backup", tmp_path / "restored")

    assert report.files == ("chat.db", "deployment.db")
    assert verify(tmp_path / "restored").is_sound
    restored = tmp_path / "restored"
    assert dump(restored / "deployment.db") == dump(deployment)
    with (
        Store.open(chat, SESSION) as was,
        Store.open(restored / "chat.db", SESSION) as store,
    ):
        assert store.load_session() == was.load_session()
        assert store.list_queued_work() == was.list_queued_work()
    assert (restored / "chat.db").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in restored.iterdir()) == [
        "chat.db",
        "deployment.db",
    ]


def test_a_restored_session_is_a_new_making_of_it(tmp_path):
    """
    A handle of the lost file is told so, and cannot write into the new one.
    """
    with SessionStoreFactory(tmp_path / "root") as factory:
        store = factory.create_store("chat")
        backup(tmp_path / "root", tmp_path / "backup")
        path = factory.path_for_session("chat")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        restore(tmp_path / "backup", tmp_path / "root", only=["chat"])

        with pytest.raises(SessionDeletedError):
            store.tombstone_nodes(["x"])
        assert factory.open_existing_store("chat") is not None


def test_restore_overwrites_nothing(chat, tmp_path):
    """
    Neither a database nor a WAL that would be taken for the new file's; and
    of several files none is made.
    """
    second = chat.with_name("another.db")
    with Store.open(second, "s"):
        pass
    backup(chat.parent, tmp_path / "backup")
    target = tmp_path / "target"
    target.mkdir()
    (target / "chat.db-wal").write_bytes(b"precious")

    with pytest.raises(AlreadyExistsError):
        restore(tmp_path / "backup", target)
    assert tree(target) == {"chat.db-wal": b"precious"}

    restore(tmp_path / "backup", target, only=["another.db"])
    with pytest.raises(AlreadyExistsError):
        restore(tmp_path / "backup", target, only=["s"])
    with pytest.raises(InvalidArgumentError):
        restore(tmp_path / "backup", target, only=["nobody"])


def test_restore_verifies_first(chat, tmp_path):
    """
    A piece that rotted or is gone, or a list that was changed: nothing is
    made.
    """
    folder = tmp_path / "backup"
    backup(chat, folder)
    pieces = sorted((folder / "content").rglob("*"))
    piece = next(path for path in pieces if path.is_file())
    content = piece.read_bytes()
    (listed,) = (folder / "snapshots").iterdir()
    text = listed.read_bytes()

    for path, damaged in (
        (piece, content[:-1] + bytes([content[-1] ^ 1])),
        (piece, b""),
        (listed, text.replace(b"chat.db", b"evil.db")),
        (listed, text[:-5]),
    ):
        kept = path.read_bytes()
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError):
            restore(folder, tmp_path / "restored")
        path.write_bytes(kept)
        assert not (tmp_path / "restored").exists()

    piece.unlink()
    with pytest.raises(ArchiveError):
        restore(folder, tmp_path / "restored")


def test_a_piece_that_rotted_is_stored_anew(chat, tmp_path):
    """
    The next backup mends it while the original is there.
    """
    folder = tmp_path / "backup"
    backup(chat, folder)
    piece = next(
        path for path in sorted((folder / "content").rglob("*")) if path.is_file()
    )
    piece.write_bytes(b"rotten")

    assert backup(chat, folder).new_byte_count > 0
    restore(folder, tmp_path / "restored")


def test_a_damaged_file_is_left_out_and_the_others_are_not(chat, tmp_path):
    """
    It is reported, and the snapshot says that it is missing.
    """
    sound = chat.with_name("sound.db")
    with Store.open(sound, "s"):
        pass
    backup(chat.parent, tmp_path / "backup")
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")

    report = backup(chat.parent, tmp_path / "backup")

    assert report.files == ("sound.db",)
    assert [(f.kind, f.key, f.path) for f in report.findings] == [
        ("row_damaged", "n1", str(chat))
    ]
    assert list_snapshots(tmp_path / "backup")[-1].left_out == ("chat.db",)
    first = list_snapshots(tmp_path / "backup")[0]
    restore(tmp_path / "backup", tmp_path / "r", snapshot=first.name, only=["chat.db"])
    assert verify(tmp_path / "r").is_sound


def test_attachments_go_along(chat, tmp_path):
    """
    Committed bytes are stored once and come back; missing ones are reported.
    """
    folder = tmp_path / "attachments"
    committed = hashlib.sha256(b"committed").hexdigest()
    missing = backup(chat, tmp_path / "backup", attachments=folder)
    assert [(f.kind, f.key) for f in missing.findings] == [
        ("attachment_missing", committed)
    ]
    meta = AttachmentMeta(media_type="text/plain", label="a")
    FileAttachmentStore(folder).put(b"committed", meta)

    report = backup(chat, tmp_path / "backup", attachments=folder)
    restore(tmp_path / "backup", tmp_path / "r", attachments=tmp_path / "bytes")

    assert (report.attachment_count, report.findings) == (1, ())
    ref, content = FileAttachmentStore(tmp_path / "bytes").get(committed)
    assert (ref.meta, content) == (meta, b"committed")


def test_a_folder_that_is_no_backup(chat, tmp_path):
    """
    It is neither written to nor read from.
    """
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song").touch()

    with pytest.raises(ArchiveError):
        backup(chat, tmp_path / "music")
    with pytest.raises(ArchiveError):
        restore(tmp_path / "music", tmp_path / "r")
    with pytest.raises(StoreNotFoundError):
        restore(tmp_path / "absent", tmp_path / "r")
    assert list(tree(tmp_path / "music")) == ["song"]


def test_a_wal_is_part_of_the_backup(chat, tmp_path):
    """
    What was committed and not checkpointed is in the copy.
    """
    with Store.open(chat, SESSION) as store:
        store.put_blob(b"in the wal")
        assert Path(f"{chat}-wal").stat().st_size > 0
        backup(chat, tmp_path / "backup")
        # The store goes on, its locks intact.
        store.put_blob(b"after")

    restore(tmp_path / "backup", tmp_path / "r")
    with Store.open(tmp_path / "r" / "chat.db", SESSION) as store:
        assert store.get_blob(hashlib.sha256(b"in the wal").hexdigest()) is not None
        assert store.get_blob(hashlib.sha256(b"after").hexdigest()) is None


def test_hosts_may_write_meanwhile(tmp_path):
    """
    Two hosts commit all the time: every verification finds nothing, and every
    backup is of one instant.
    """
    root = tmp_path / "root"
    with hosts(root, "one", "two"):
        for _ in range(4):
            assert verify(root).findings == ()
            assert backup(root, tmp_path / "backup").findings == ()
    assert verify(root).findings == ()

    revisions = []
    for snapshot in list_snapshots(tmp_path / "backup"):
        target = tmp_path / snapshot.name
        restore(tmp_path / "backup", target, snapshot=snapshot.name)
        assert verify(target).findings == ()
        with SessionStoreFactory(target) as factory:
            head = factory.open_existing_store("one").load_session_head_meta()
            revisions.append(head.head_revision)
    assert revisions == sorted(revisions)
    assert revisions[0] < revisions[-1]
