"""
Files that are not ours, and files of another version.
"""

import os
import shutil
import sqlite3

import pytest

from lashstore import (
    LashStoreError,
    NotALashStoreError,
    SchemaVersionError,
    SessionBindingMismatchError,
    Store,
    StoreNotFoundError,
)

from .rich import PATH_NAME, SESSION, open_rich


def _snapshot(folder):
    return {
        entry.name: (entry.read_bytes(), entry.stat().st_mtime_ns)
        for entry in sorted(folder.iterdir())
        if entry.is_file()
    }


def _open(path, how):
    if how == "write":
        Store.open(path, SESSION)
    else:
        Store.open_readonly(path)


def _text_file(path):
    path.write_text("this is somebody's novel\n" * 400)


def _short_text_file(path):
    path.write_text("x")


def _foreign_database(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
    database.commit()
    database.close()


def _foreign_wal_database(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE sessions (session_id TEXT PRIMARY KEY)")
    database.execute("INSERT INTO sessions VALUES ('theirs')")
    database.commit()
    database.close()


def _other_application(path):
    database = sqlite3.connect(path)
    database.execute("PRAGMA application_id = 252006674")
    database.execute("CREATE TABLE sessions (session_id TEXT PRIMARY KEY)")
    database.commit()
    database.close()


def _magic_only(path):
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)


FOREIGN = (
    _text_file,
    _short_text_file,
    _foreign_database,
    _foreign_wal_database,
    _other_application,
    _magic_only,
)


@pytest.mark.parametrize("make", FOREIGN, ids=lambda each: each.__name__.strip("_"))
@pytest.mark.parametrize("opens", ["write", "readonly"])
def test_foreign_file_is_refused_and_left(make, opens, tmp_path):
    """
    A file that is not ours is refused by name and keeps every byte.
    """
    path = tmp_path / "theirs.db"
    make(path)
    before = _snapshot(tmp_path)

    with pytest.raises(NotALashStoreError) as caught:
        _open(path, opens)

    assert caught.value.path == str(path)
    assert _snapshot(tmp_path) == before


def _with_version(rich_file, tmp_path, statement):
    path = tmp_path / PATH_NAME
    path.write_bytes(rich_file.read_bytes())
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.mark.parametrize("opens", ["write", "readonly"])
@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE schema_versions SET version = '999'", "999"),
        ("UPDATE schema_versions SET version = '0'", "0"),
        ("UPDATE schema_versions SET version = ''", ""),
    ],
)
def test_other_version_is_refused_and_left(
    statement, found, opens, rich_file, tmp_path
):
    """
    Another schema version is refused naming both, and nothing is touched.
    """
    path = _with_version(rich_file, tmp_path, statement)
    content = path.read_bytes()

    with pytest.raises(SchemaVersionError) as caught:
        _open(path, opens)

    assert caught.value.component == "session"
    assert caught.value.found == found
    assert caught.value.expected not in {found, None, ""}
    assert "lashstore db upgrade" in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "statement", ["DELETE FROM schema_versions", "DROP TABLE schema_versions"]
)
def test_lost_version_is_an_error(statement, rich_file, tmp_path):
    """
    Tables of ours without their version are not taken for current ones.
    """
    path = _with_version(rich_file, tmp_path, statement)
    content = path.read_bytes()

    with pytest.raises(SchemaVersionError) as caught:
        open_rich(path)

    assert caught.value.found is None
    assert path.read_bytes() == content


def test_zero_byte_file_counts_as_absent(tmp_path):
    """
    An empty file is made into a session, and is no session to read.
    """
    path = tmp_path / "empty.db"
    path.touch()

    with pytest.raises(StoreNotFoundError):
        Store.open_readonly(path)
    assert path.stat().st_size == 0
    with Store.open(path, "s") as store:
        assert store.load_session() is None
        ref = store.put_blob(b"content")
    with Store.open(path, "s") as store:
        assert store.get_blob(ref) == b"content"


def test_missing_file_is_not_made_by_reading(tmp_path):
    """
    Opening read-only creates nothing.
    """
    with pytest.raises(StoreNotFoundError) as caught:
        Store.open_readonly(tmp_path / "nowhere" / "missing.db")

    assert caught.value.path == str(tmp_path / "nowhere" / "missing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opens", ["write", "readonly"])
def test_directory_is_no_file(opens, tmp_path):
    """
    A directory in the file's place is an error of ours.
    """
    path = tmp_path / "folder.db"
    path.mkdir()

    with pytest.raises(LashStoreError):
        _open(path, opens)

    assert list(path.iterdir()) == []


def test_file_in_the_folders_place_is_an_error(tmp_path):
    """
    A path below a file is an error of ours.
    """
    (tmp_path / "file").write_text("x")

    with pytest.raises(LashStoreError):
        Store.open(tmp_path / "file" / "s.db", "s")


def test_other_session_is_refused(rich_file, tmp_path):
    """
    A file bound to one id does not open for another, and stays as it is.
    """
    path = tmp_path / PATH_NAME
    path.write_bytes(rich_file.read_bytes())

    with pytest.raises(SessionBindingMismatchError) as caught:
        Store.open(path, "another")

    assert caught.value.bound_session_id == SESSION
    assert caught.value.attempted_session_id == "another"
    with open_rich(path) as store:
        assert store.load_session_head_meta().head_revision == 2


def test_dangling_wal_of_a_deleted_file_is_not_replayed(rich_file, tmp_path):
    """
    A new session never inherits the WAL that a removed file left behind.
    """
    path = tmp_path / PATH_NAME
    path.write_bytes(rich_file.read_bytes())
    with open_rich(path) as store:
        store.put_blob(b"in the wal")
        wal = path.with_name(path.name + "-wal")
        left = (
            wal.read_bytes()
            if wal.exists()
            else b"\x37\x7f\x06\x82" + os.urandom(5_000)
        )
    path.unlink()
    wal.write_bytes(left)

    with open_rich(path) as store:
        assert store.load_session() is None
        assert store.load_session_meta() is None


def _leave_wal(path, *statements):
    """
    Leave a database whose every row is in its WAL, and no index of that: what
    a power cut leaves of one that was being made.
    """
    made = path.with_name("made.db")
    database = sqlite3.connect(made, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    for statement in statements:
        database.execute(statement)
    shutil.copy(made, path)
    shutil.copy(f"{made}-wal", f"{path}-wal")
    database.close()
    made.unlink()


def test_database_cut_off_in_its_making_is_made_again(tmp_path):
    """
    A power cut before the first checkpoint leaves an empty file and a WAL
    without a commit: it is ours to make, not a foreign file for ever.
    """
    path = tmp_path / "cut.db"
    _leave_wal(path, "CREATE TABLE t (x)")
    with open(f"{path}-wal", "r+b") as wal:
        wal.truncate(32 + 24)

    with Store.open(path, "s") as store:
        store.put_blob(b"made after all")

    assert not list(tmp_path.glob("made*"))


def test_foreign_database_in_a_wal_is_left_untouched(tmp_path):
    """
    A foreign database that is in its WAL alone is refused, and nothing about
    it changes.
    """
    path = tmp_path / "foreign.db"
    _leave_wal(path, "CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    with pytest.raises(NotALashStoreError):
        Store.open(path, "s")

    after = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert before == after


def test_wal_of_a_header_alone(tmp_path):
    """
    A file whose writer was killed right after it began its WAL is read.
    """
    path, copy = tmp_path / "chat.db", tmp_path / "copy.db"
    with Store.open(path, "chat") as store:
        store.put_artifact_bytes("a", b"content")
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        raw.close()
    with open(f"{copy}-wal", "r+b") as wal:
        wal.truncate(32)

    with Store.open_readonly(copy) as store:
        assert b"content" == store.get_artifact_bytes("a")
