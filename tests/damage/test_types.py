"""
Cells of another type than their column's, which a damaged page may hold.
"""

import sqlite3

import pytest

from lashstore import CorruptRecordError, Store


@pytest.fixture(name="path")
def _path(tmp_path):
    path = tmp_path / "types.db"
    with Store.open(path, "s") as store:
        store.put_blob(b"one")
        store.put_artifact_bytes("a", b"two")
    return path


def _rewrite(path, *statements):
    """
    Change rows past the types of strict tables, as damage does.
    """
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute(
        "UPDATE sqlite_master SET sql = replace(replace(sql, 'STRICT', ''), "
        "'NOT NULL', '') WHERE name = 'session_blobs'"
    )
    database.close()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize("value", ["NULL", "7", "'text'"])
def test_blob_that_is_no_bytes_is_corrupt(path, value):
    """
    A content of another type is an error of ours, not a `TypeError`.
    """
    _rewrite(path, f"UPDATE session_blobs SET content = {value}")

    with Store.open(path, "s") as store, pytest.raises(CorruptRecordError):
        store.get_artifact_bytes("a")
