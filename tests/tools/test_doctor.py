"""
What the doctor sees, in plain words and with the command to run next.
"""

import os
import shutil

import pytest
from damage import rich
from processes import kit

from lashstore import (
    ManualClock,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    StoreOptions,
    compact,
    doctor,
    filesystems,
)
from lashstore.tools import doctoring

from .kit import SESSION, edit


def found(target, topic, now_ms=rich.NOW_MS + 1):
    """
    Return what is said of a topic.
    """
    report = doctor(target, clock=ManualClock(now_ms))
    return [d for d in report.diagnoses if d.topic == topic]


def healths(target, topic, now_ms=rich.NOW_MS + 1):
    return [str(d.health) for d in found(target, topic, now_ms)]


def test_a_healthy_folder(chat, deployment):
    """
    Every topic is there for the host, the disk and each file.
    """
    report = doctor(chat.parent, clock=ManualClock(kit.NOW_MS + 1))

    assert report.health == "ok"
    topics = [d.topic for d in report.diagnoses]
    assert topics[:3] == ["sqlite", "file system", "disk space"]
    assert topics.count("wal") == 2
    assert topics.count("schema") == 4
    assert deployment.exists()


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_the_wal_reset_bug(version, has_it):
    """
    Mended in 3.51.3, and in two older branches.
    """
    assert doctoring.has_reset_bug(version) is has_it


def test_sqlite_versions(chat, monkeypatch):
    """
    Too old, with the bug, and without.
    """
    said = {}
    for version in ((3, 31, 1), (3, 45, 0), (3, 53, 0)):
        monkeypatch.setattr(doctoring.sqlite3, "sqlite_version_info", version)
        monkeypatch.setattr(
            doctoring.sqlite3, "sqlite_version", ".".join(map(str, version))
        )
        (diagnosis,) = found(chat, "sqlite")
        said[version] = (str(diagnosis.health), diagnosis.what)

    assert said[3, 31, 1][0] == "problem"
    assert said[3, 45, 0][0] == "ok"
    assert "WAL-reset bug" in said[3, 45, 0][1]
    assert "no known" in said[3, 53, 0][1]


def test_an_unsafe_file_system(chat, tmp_path, monkeypatch):
    """
    Named, with what to do.
    """
    table = tmp_path / "mountinfo"
    table.write_text("30 1 0:9 / / rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(filesystems, "MOUNTINFO", table)

    (diagnosis,) = found(chat, "file system")

    assert diagnosis.health == "problem"
    assert "nfs4" in diagnosis.what
    assert diagnosis.command.startswith("cp -a ")

    table.write_text("30 1 0:9 /sub / ro - ext4 /dev/x rw\n")
    (diagnosis,) = found(chat, "file system")
    assert diagnosis.health == "problem"
    assert "read-only" in diagnosis.what
    assert "bind mount" in diagnosis.what
    filesystems.forget_mounts()


def test_disk_space(chat, monkeypatch):
    """
    Little and too little.
    """
    usage = shutil.disk_usage(chat)
    for free, health in ((2**28 - 1, "warning"), (2**24, "problem"), (2**30, "ok")):
        monkeypatch.setattr(
            doctoring.shutil, "disk_usage", lambda _, f=free: usage._replace(free=f)
        )
        assert healths(chat, "disk space") == [health]


def test_modes_and_links(chat):
    """
    Readable by others, and a second name.
    """
    chat.chmod(0o644)
    (diagnosis,) = found(chat, "file mode")
    assert diagnosis.command == f"chmod 600 {chat}"

    os.link(chat, chat.with_name("second.db"))
    assert healths(chat, "hard links") == ["problem"]

    link = chat.with_name("link.db")
    link.symlink_to(chat)
    assert healths(link, "symbolic link") == ["warning"]


def test_leftovers(chat):
    """
    A WAL whose database is gone may hold commits.
    """
    (chat.parent / "lost.db-wal").write_bytes(b"x")

    (diagnosis,) = found(chat.parent, "leftover")

    assert (diagnosis.health, diagnosis.path) == (
        "problem",
        str(chat.parent / "lost.db-wal"),
    )


def test_a_large_wal_and_its_end(chat):
    """
    Above its limit by far; compacting empties it.
    """
    options = StoreOptions(wal_limit_bytes=2**40)
    with Store.open(chat, SESSION, options=options) as store:
        for _ in range(17):
            store.put_blob(os.urandom(4 * 2**20))
        (diagnosis,) = found(chat, "wal")
        assert diagnosis.health == "warning"
        assert diagnosis.command == f"lashstore compact {chat}"
    report = compact(chat)
    assert healths(chat, "wal") == ["ok"]
    assert report.bytes_after <= report.bytes_before


def test_free_pages_and_their_end(chat):
    """
    More than half of a file; compacting gives it back.
    """
    with Store.open(chat, SESSION) as store:
        for _ in range(6):
            store.put_blob(os.urandom(4 * 2**20))
    # A collection would give the pages back; one that was killed does not.
    edit(chat, "DELETE FROM session_blobs WHERE length(content) > 2 * 1024 * 1024")
    assert healths(chat, "free pages") == ["warning"]

    report = compact(chat)

    assert report.bytes_after < 2**20 < report.bytes_before
    assert healths(chat, "free pages") == ["ok"]


def test_schema_versions(chat):
    """
    Another version, and the command that changes it.
    """
    edit(chat, "UPDATE schema_versions SET version = '0'")

    (diagnosis,) = found(chat, "schema")

    assert diagnosis.health == "problem"
    assert diagnosis.command == f"lashstore db upgrade {chat}"


def test_rows_from_the_future(chat):
    """
    More than a minute ahead of now; the columns are named.
    """
    assert healths(chat, "clock") == ["ok"]
    assert healths(chat, "clock", rich.NOW_MS - 59_000) == ["ok"]

    (diagnosis,) = found(chat, "clock", rich.NOW_MS - 61_000)

    assert diagnosis.health == "warning"
    assert "session_turn_commits.committed_at_ms" in diagnosis.what


def test_stale_and_endless_leases(chat):
    """
    A hold that ran out is taken over; one of many days is a warning.
    """
    # The runner's lease is for eleven days, and the claims for a quarter hour.
    (diagnosis,) = found(chat, "leases")
    assert diagnosis.health == "warning"
    assert "session_execution_leases" in diagnosis.what

    assert found(chat, "leases", rich.NOW_MS + 10**9) == []
    (diagnosis,) = found(chat, "stale leases", rich.NOW_MS + 10**9)
    assert diagnosis.health == "ok"
    assert "session_queued_batches" in diagnosis.what


def test_a_file_that_cannot_be_read(chat):
    """
    The next command is verify.
    """
    chat.write_bytes(b"\0" * 8192)

    (diagnosis,) = found(chat, "file")

    assert diagnosis.health == "problem"
    assert diagnosis.command == f"lashstore verify {chat}"


def test_nothing_there(tmp_path):
    """
    An absent target is an error, an empty folder a warning.
    """
    with pytest.raises(StoreNotFoundError):
        doctor(tmp_path / "absent")
    assert healths(tmp_path, "files") == ["warning"]
    with SessionStoreFactory(tmp_path) as factory:
        factory.create_store("chat")
        assert doctor(tmp_path).health == "ok"
