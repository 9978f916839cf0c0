"""
Files: names a caller chooses, symlinks, modes, and files made by an enemy.
"""

import sqlite3
import stat

import pytest

from lashstore import (
    AttachmentMeta,
    AttachmentNotFoundError,
    FileAttachmentStore,
    LashStoreError,
    ReadOnlyStoreError,
    SessionStoreFactory,
    Store,
)
from lashstore.testing import factories

from .conftest import QUICK

ESCAPES = (
    "../../escaped",
    "/tmp/escaped",
    "..",
    ".",
    "a/b/c",
    "~root",
    "con",
    "-rf",
    "a\\..\\b",
    "%2e%2e%2f",
    "file:x?mode=memory",
    "x.db-wal",
    "",
)


@pytest.mark.parametrize("session_id", ESCAPES)
def test_no_id_leaves_the_root(tmp_path, session_id):
    """
    Whatever the id, its file lies in the root, under a name of our form.
    """
    root = tmp_path / "root"
    with SessionStoreFactory(root, options=QUICK) as factory:
        store = factory.create_store(session_id)
        factories.commit_nodes(store, factories.message_node("n"))
        assert root == factory.path_for_session(session_id).parent
        assert factory.path_for_session(session_id).is_file()
        factory.delete_session(session_id)
    assert [root] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "attachment_id",
    ["../x", "/etc/passwd", "A" * 64, "a" * 63, f"{'a' * 64}\n", f"..{'a' * 62}", ""],
)
def test_no_attachment_id_is_a_path(tmp_path, attachment_id):
    """
    What is no SHA-256 is not found, and touches nothing.
    """
    (tmp_path / "x").write_bytes(b"outside")
    attachments = FileAttachmentStore(tmp_path / "root")
    with pytest.raises(AttachmentNotFoundError):
        attachments.get(attachment_id)
    attachments.delete(attachment_id)
    assert b"outside" == (tmp_path / "x").read_bytes()
    assert not (tmp_path / "root").exists()


def test_a_symlink_in_the_root_is_not_written_through(tmp_path):
    """
    A link to a file that is not ours is refused, and the file left.
    """
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.write_bytes(b"precious" * 100)
    with SessionStoreFactory(root, options=QUICK) as factory:
        link = factory.path_for_session("s")
        link.symlink_to(outside)
        with pytest.raises(LashStoreError):
            factory.create_store("s")
        factory.delete_session("s")
        assert not link.is_symlink()
    assert b"precious" * 100 == outside.read_bytes()


def test_everything_is_the_owners(tmp_path):
    """
    0600 for the file, its WAL, its index and attachments; 0700 for folders.
    """
    root = tmp_path / "new" / "root"
    with SessionStoreFactory(root, options=QUICK) as factory:
        store = factory.create_store("s")
        factories.commit_nodes(store, factories.message_node("n"))
        attachments = FileAttachmentStore(root / "attachments")
        attachments.put(b"x", AttachmentMeta(media_type="text/plain"))
        found = {
            path.suffix if path.is_file() else "folder": stat.S_IMODE(
                path.stat().st_mode
            )
            for path in (root.parent, *root.parent.rglob("*"))
            if path.is_file()
        }
        folders = [p for p in (root.parent, *root.parent.rglob("*")) if p.is_dir()]
        assert {".db", ".db-wal", ".db-shm", ".json", ""} == set(found)
        assert {0o600} == set(found.values())
        assert {0o700} == {stat.S_IMODE(p.stat().st_mode) for p in folders}


def write_sql(path, *statements):
    """
    Change a file as its enemy would.
    """
    conn = sqlite3.connect(path, isolation_level=None)
    try:
        conn.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            conn.execute(statement)
    finally:
        conn.close()


HOSTILE = {
    "a view in a table's place": (
        "ALTER TABLE session_nodes RENAME TO kept",
        "CREATE VIEW session_nodes AS SELECT * FROM kept",
    ),
    "a view that never ends": (
        "DROP TABLE session_heads",
        "CREATE VIEW session_heads AS SELECT absent FROM nowhere",
    ),
    "a trigger on what is written": (
        """CREATE TRIGGER evil AFTER INSERT ON session_blobs
        BEGIN DELETE FROM session_nodes; END""",
    ),
    "a malformed schema": (
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE x(' WHERE name = 'session_nodes'",
    ),
    "another table's pages": (
        "UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'session_nodes'",
    ),
    "a page that is not there": (
        "UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'session_heads'",
    ),
    "other types": ("UPDATE session_heads SET config_json = CAST(x'ff00fe' AS TEXT)",),
    "a huge row": (
        "UPDATE session_nodes SET node_json = CAST(zeroblob(5000000) AS TEXT)",
    ),
    "a deep row": (
        "UPDATE session_nodes SET node_json = replace(hex(zeroblob(50000)), '00', '[')",
    ),
    "a function in an index": ("CREATE INDEX evil ON session_nodes(abs(seq))",),
    "a missing table": ("DROP TABLE session_usage_totals",),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read_without_harm(tmp_path, name):
    """
    Opened read-only and for writing: the content, or a typed error.
    """
    path = tmp_path / "s.db"
    with Store.open(path, "s", options=QUICK) as store:
        factories.commit_nodes(store, factories.message_node("n1", content="sound"))
    write_sql(path, *HOSTILE[name])
    before = path.read_bytes()
    seen = []
    for opens in (Store.open_readonly, lambda p: Store.open(p, "s", options=QUICK)):
        try:
            with opens(path) as store:
                seen.append(store.load_session().graph.nodes[0].payload["content"])
                store.load_session_meta()
                store.list_pending_turn_inputs()
        except LashStoreError as error:
            seen.append(error)
        if len(seen) == 1:
            assert before == path.read_bytes()
    assert all(one == "sound" or isinstance(one, LashStoreError) for one in seen)


def test_a_read_only_store_runs_no_foreign_code(tmp_path):
    """
    The schema is not trusted: functions with side effects do not run from it,
    and nothing can be written.
    """
    path = tmp_path / "s.db"
    Store.open(path, "s", options=QUICK).close()
    with Store.open_readonly(path) as store:
        database = store._checked_database

        def pragmas(connection):
            driver = connection.connection.driver_connection
            return [
                driver.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("trusted_schema", "query_only")
            ]

        assert [0, 1] == database.read(pragmas)
        with pytest.raises(ReadOnlyStoreError):
            store.put_blob(b"x")
    with Store.open(path, "s", options=QUICK) as store:
        assert 0 == store._checked_database.read(pragmas)[0]
