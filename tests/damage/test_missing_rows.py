"""
Rows that vanished while a store was open.
"""

import sqlite3

import pytest

from lashstore import CorruptRecordError, LeaseOwnerIdentity, RuntimeCommit, Store


def test_a_commit_does_not_take_a_lost_session_for_a_new_one(tmp_path):
    """
    Without the session's own row its head is not found: nothing is written.
    """
    path = tmp_path / "lost.db"
    owner = LeaseOwnerIdentity.opaque("runner", "1")
    with Store.open(path, "s") as store:
        lease = store.try_claim_session_execution_lease(owner, 60_000).lease
        commit = RuntimeCommit(session_id="s", session_execution_lease=lease.fence())
        store.commit_runtime_state(commit)
        store.commit_runtime_state(commit)
        damaged = sqlite3.connect(path, isolation_level=None)
        damaged.execute("PRAGMA foreign_keys = OFF")
        damaged.execute("DELETE FROM sessions")

        with pytest.raises(CorruptRecordError, match="its row is missing"):
            store.commit_runtime_state(commit)

        assert [(2,)] == damaged.execute(
            "SELECT head_revision FROM session_heads"
        ).fetchall()
        damaged.close()
