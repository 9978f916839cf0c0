"""
Every kind of damage to a session's file, and exactly what verifying says.
"""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest
from damage import rich

from lashstore import (
    AttachmentMeta,
    FileAttachmentStore,
    GraphReplace,
    HydratedCheckpoint,
    RuntimeCommit,
    SessionGraph,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    backup,
    compact,
    verify,
)
from lashstore.repos.graph import _checksum
from lashstore.tables import SESSION_TABLES

from .kit import SESSION, damage_index, edit, opened, reseal, seen

DELTA = (
    "session_id",
    "seq",
    "source",
    "model",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "reasoning_output_tokens",
)
BATCH = (
    "session_id",
    "batch_id",
    "enqueue_seq",
    "source_key",
    "work_class",
    "delivery_policy",
    "slot_policy",
    "merge_key_json",
    "available_at_ms",
    "enqueued_at_ms",
    "payloads_json",
)
TURN = (
    *("session_id", "turn_id", "turn_commit_hash", "result_json", "committed_at_ms"),
    *("head_revision", "first_node_seq", "node_count"),
    *("first_usage_seq", "usage_count"),
)


def scalar(path, query, *values):
    with opened(path) as connection:
        return connection.execute(query, values).fetchone()[0]


def batch_id(path, source_key):
    return scalar(
        path,
        "SELECT batch_id FROM session_queued_batches WHERE source_key = ?",
        source_key,
    )


def put_head(path, **changed):
    """
    Write a head that verifies, with other content.
    """
    with Store.open(path, SESSION) as store, store.transaction() as tx:
        head = tx.heads.find(SESSION)
        tx.heads.put(msgspec.structs.replace(head, **changed))


def rewrite_node(path, node_id, parent):
    """
    Give a node that verifies another parent.
    """
    with Store.open(path, SESSION) as store, store.transaction() as tx:
        encoded = next(
            e for e, _ in tx.graph.list_stored(SESSION) if e.node.node_id == node_id
        )
    node = msgspec.structs.replace(encoded.node, parent_node_id=parent)
    encoded = msgspec.structs.replace(
        encoded, node=node, json=msgspec.json.encode(node, order="sorted").decode()
    )
    seq = scalar(path, "SELECT seq FROM session_nodes WHERE node_id = ?", node_id)
    edit(
        path,
        "UPDATE session_nodes SET parent_node_id = ?, node_json = ?, checksum = ?"
        " WHERE node_id = ?",
        parent,
        encoded.json,
        _checksum(SESSION, encoded, seq),
        node_id,
    )


def test_a_healthy_session_has_no_findings(chat):
    """
    Nothing is found, and every row of every table was looked at.
    """
    report = verify(chat)

    assert report.findings == ()
    assert report.is_sound
    assert report.files == (str(chat),)
    with opened(chat) as connection:
        counts = {
            table.name: connection.execute(
                f"SELECT count(*) FROM {table.name}"
            ).fetchone()[0]
            for table in SESSION_TABLES
        }
    assert report.rows == counts
    assert min(counts.values()) >= 1


def test_a_new_and_a_replaced_session_have_no_findings(tmp_path):
    """
    A session without commits is sound; so is one whose graph was replaced.
    """
    with SessionStoreFactory(tmp_path) as factory:
        store = factory.create_store("new")
        fence = store.try_claim_session_execution_lease(rich.OWNER, 10**6)
        fence = fence.lease.fence()
        assert seen(tmp_path) == []

        store.commit_runtime_state(
            RuntimeCommit(
                session_id="new",
                session_execution_lease=fence,
                graph=GraphReplace(graph=SessionGraph()),
                checkpoint=HydratedCheckpoint(turn_state={}),
            )
        )
        store.vacuum()

        assert seen(tmp_path) == []


# One cell of each table with a checksum: table, where, change, key.
CELLS = [
    ("session_meta", "1", "meta_json = meta_json || ' '", SESSION),
    ("session_heads", "1", "leaf_node_id = 'side'", SESSION),
    ("session_nodes", "node_id = 'n2'", "node_json = node_json || ' '", "n2"),
    ("session_nodes", "node_id = 'n2'", "is_tombstoned = 1", "n2"),
    (
        "session_artifacts",
        "namespace = 'artifact'",
        "checksum = 7",
        "artifact/artifact",
    ),
    ("session_usage", "seq = 2", "input_tokens = 9", "2"),
    ("session_usage_totals", "model = 'other'", "input_tokens = 8", "turn/other"),
    ("session_turn_commits", "turn_id = 't1'", "committed_at_ms = 5", "t1"),
    ("session_execution_leases", "1", "fencing_token = 9", SESSION),
    ("session_turn_inputs", "input_id = 'pending'", "input_json = '1'", "pending"),
    ("session_turn_inputs", "input_id = 'deferred'", "turn_id = 't'", "deferred"),
]


@pytest.mark.parametrize(("table", "where", "change", "key"), CELLS)
def test_a_changed_cell_is_one_finding(chat, table, where, change, key):
    """
    A row that fails its checksum is named, and its neighbours are not blamed.
    """
    edit(chat, f"UPDATE {table} SET {change} WHERE {where}")

    found = [entry for entry in seen(chat) if entry[0] != "sqlite_integrity"]

    assert found == [("row_damaged", table, key)]


def test_damaged_attachment_and_batch_rows(chat):
    """
    Rows with derived keys are named by them.
    """
    batch = batch_id(chat, "batch-free")
    attachment = hashlib.sha256(b"uncommitted").hexdigest()
    edit(
        chat,
        "UPDATE session_queued_batches SET work_class = 'turn_work', payloads_json = '[]' WHERE batch_id = ?",
        batch,
    )
    edit(
        chat,
        "UPDATE session_attachments SET canonical_uri = 'x' WHERE attachment_id = ?",
        attachment,
    )

    assert seen(chat) == [
        ("row_damaged", "session_queued_batches", batch),
        ("row_damaged", "session_attachments", attachment),
    ]


def test_text_that_is_none_hides_no_other_row(chat):
    """
    Bytes that are no UTF-8 damage their row alone.
    """
    edit(
        chat,
        "UPDATE session_nodes SET node_json = CAST(x'ff' AS TEXT) WHERE node_id = 'n1'",
    )
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n4'")

    assert seen(chat) == [
        ("row_damaged", "session_nodes", "n1"),
        ("row_damaged", "session_nodes", "n4"),
    ]


def test_a_damaged_blob_is_one_finding(chat):
    """
    The head and the artifacts that need a damaged blob are not blamed.
    """
    ref = scalar(
        chat, "SELECT blob_ref FROM session_artifacts WHERE namespace = 'module'"
    )
    edit(
        chat,
        "UPDATE session_blobs SET raw_bytes = raw_bytes + 1 WHERE blob_ref = ?",
        ref,
    )
    manifest = scalar(chat, "SELECT checkpoint_ref FROM session_heads")
    edit(
        chat,
        "UPDATE session_blobs SET content = zeroblob(9) WHERE blob_ref = ?",
        manifest,
    )

    assert sorted(seen(chat)) == sorted(
        [
            ("row_damaged", "session_blobs", ref),
            ("row_damaged", "session_blobs", manifest),
        ]
    )


def test_missing_blobs_are_named_by_who_needs_them(chat):
    """
    A part of the head's checkpoint, an artifact's content and a base.
    """
    with opened(chat) as connection:
        refs = [
            row[0]
            for row in connection.execute(
                "SELECT blob_ref FROM session_artifacts WHERE namespace = 'artifact'"
            )
        ]
        loose = hashlib.sha256(b"loose" * 10).hexdigest()
        connection.execute(
            "UPDATE session_blobs SET base_ref = 'gone' WHERE blob_ref = ?", (loose,)
        )
        part = hashlib.sha256(msgspec.msgpack.encode(rich.EXECUTION_STATE)).hexdigest()
        for ref in (refs[0], part):
            assert (
                connection.execute(
                    "DELETE FROM session_blobs WHERE blob_ref = ?", (ref,)
                ).rowcount
                == 1
            )

    assert seen(chat) == [
        ("reference_missing", "session_blobs", loose),
        ("reference_missing", "session_artifacts", "artifact/artifact"),
        ("reference_missing", "session_heads", SESSION),
    ]


def test_a_node_that_vanished_is_counted(chat):
    """
    A leaf that is gone is seen by the count, a parent also by its child.
    """
    edit(chat, "DELETE FROM session_nodes WHERE node_id = 'side'")

    assert seen(chat) == [("count_wrong", "session_heads", SESSION)]
    assert not verify(chat).findings[0].is_repairable

    edit(chat, "DELETE FROM session_nodes WHERE node_id = 'n2'")

    assert seen(chat) == [
        ("reference_missing", "session_nodes", "n3"),
        ("count_wrong", "session_heads", SESSION),
    ]


def test_a_head_that_vanished_or_lost_its_leaf(chat):
    """
    Nodes without a head, turns beyond it, and a leaf that is not stored.
    """
    put_head(chat, leaf_node_id="nowhere")
    assert seen(chat) == [("reference_missing", "session_heads", SESSION)]

    edit(chat, "DELETE FROM session_heads")
    assert seen(chat) == [
        ("count_wrong", "session_heads", None),
        ("sequence_broken", "session_turn_commits", "t1"),
        ("sequence_broken", "session_turn_commits", "t2"),
    ]


def test_a_cycle_is_one_finding(chat):
    """
    Parents that form a ring are found once, wherever one enters it.
    """
    rewrite_node(chat, "n1", "n3")

    assert [entry[:2] for entry in seen(chat)] == [("graph_cycle", "session_nodes")]


def test_columns_that_contradict_their_json(chat):
    """
    A node whose checksum is right, and whose columns say something else.
    """
    reseal(
        chat,
        "session_nodes",
        "node_id = 'n2'",
        {"is_user_message": 1},
        (
            "session_id",
            "node_id",
            "seq",
            "parent_node_id",
            "is_user_message",
            "node_json",
        ),
    )
    reseal(
        chat,
        "session_meta",
        "1",
        {
            "meta_json": scalar(
                chat, "SELECT replace(meta_json, 'rich/1', 'rich/2') FROM session_meta"
            )
        },
        ("session_id", "meta_json"),
    )

    assert seen(chat) == [
        ("row_inconsistent", "session_meta", SESSION),
        ("row_inconsistent", "session_nodes", "n2"),
        ("count_wrong", "session_heads", SESSION),
    ]
    # Not from a node that may say the wrong thing.
    assert not any(finding.is_repairable for finding in verify(chat).findings)


def test_head_counts(chat):
    """
    The picker's counts can be told again; the commit's own cannot.
    """
    put_head(chat, user_message_count=7)
    (finding,) = verify(chat).findings
    assert (finding.kind, finding.is_repairable) == ("count_wrong", True)

    put_head(chat, user_message_count=3, graph_node_count=1)
    (finding,) = verify(chat).findings
    assert (finding.kind, finding.is_repairable) == ("count_wrong", False)


def test_turn_results_beyond_the_head(chat):
    """
    A head that was set back, or has another checkpoint than its turn made.
    """
    other = scalar(
        chat,
        "SELECT blob_ref FROM session_blobs WHERE blob_ref <> (SELECT checkpoint_ref"
        " FROM session_heads) AND kind = (SELECT kind FROM session_blobs JOIN"
        " session_heads ON blob_ref = checkpoint_ref)",
    )
    put_head(chat, checkpoint_ref=other)
    assert seen(chat) == [("state_wrong", "session_turn_commits", "t2")]

    put_head(chat, head_revision=1)
    assert seen(chat) == [("sequence_broken", "session_turn_commits", "t2")]


def test_two_turns_of_one_revision(chat):
    """
    No two turns can have made the same head.
    """
    result = scalar(
        chat, "SELECT result_json FROM session_turn_commits WHERE turn_id = 't1'"
    )
    reseal(
        chat,
        "session_turn_commits",
        "turn_id = 't1'",
        {
            "result_json": result.replace('"head_revision":1', '"head_revision":2'),
            "head_revision": 2,
        },
        TURN,
    )

    assert ("sequence_broken", "session_turn_commits", "t2") in seen(chat)


def test_a_turn_filed_under_another_revision(chat):
    """
    The column that commits are listed by repeats what the result says.
    """
    reseal(chat, "session_turn_commits", "turn_id = 't1'", {"head_revision": 9}, TURN)

    assert seen(chat) == [("row_inconsistent", "session_turn_commits", "t1")]


def test_deltas_and_totals(chat):
    """
    A gap in the deltas, a total that contradicts them, one too many.
    """
    copies = [shutil.copy(chat, chat.with_name(f"{n}.db")) for n in range(4)]
    edit(copies[0], "DELETE FROM session_usage WHERE seq = 2")
    assert seen(copies[0]) == [("sequence_broken", "session_usage", "3")]

    edit(copies[1], "DELETE FROM session_usage WHERE seq = 4")
    assert seen(copies[1]) == [("totals_wrong", "session_usage_totals", "turn/other")]

    reseal(
        copies[2], "session_usage_totals", "model = 'other'", {"input_tokens": 8}, DELTA
    )
    (finding,) = verify(copies[2]).findings
    assert (finding.kind, finding.key, finding.is_repairable) == (
        "totals_wrong",
        "turn/other",
        False,
    )

    edit(copies[3], "DELETE FROM session_usage_totals WHERE model = 'other'")
    (finding,) = verify(copies[3]).findings
    assert (finding.kind, finding.key, finding.is_repairable) == (
        "totals_wrong",
        "turn/other",
        True,
    )


def test_admission_numbers(chat):
    """
    A counter behind numbers in use, and one number used twice.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 3")
    (finding,) = verify(chat).findings
    assert (finding.kind, finding.key, finding.is_repairable) == (
        "counter_behind",
        SESSION,
        True,
    )

    edit(chat, "UPDATE sessions SET admission_seq = 99")
    reseal(
        chat,
        "session_queued_batches",
        "source_key = 'batch-free'",
        {"enqueue_seq": 1},
        BATCH,
    )
    (found,) = seen(chat)
    assert found[:2] == ("sequence_broken", "session_turn_inputs")


@pytest.mark.parametrize(
    "change",
    [
        "claim_expires_at_ms = claimed_at_ms - 1",
        "claim_fencing_token = 0",
        "claim_host_id = 'elsewhere'",
    ],
)
def test_claims(chat, change):
    """
    A claim that contradicts itself is a warning.
    """
    edit(chat, f"UPDATE session_queued_batches SET {change} WHERE claim_id IS NOT NULL")
    batch = scalar(
        chat, "SELECT batch_id FROM session_queued_batches WHERE claim_id IS NOT NULL"
    )

    (finding,) = verify(chat).findings

    assert (finding.kind, finding.key) == ("claim_broken", batch)
    assert finding.severity == "warning"


def test_rows_of_one_claim_agree(chat):
    """
    Two rows of one claim with two tokens.
    """
    edit(
        chat,
        "UPDATE session_queued_batches AS b SET claim_id = c.claim_id, claim_token = 'x',"
        " claim_owner_json = c.claim_owner_json, claimed_at_ms = c.claimed_at_ms,"
        " claim_expires_at_ms = c.claim_expires_at_ms, claim_fencing_token = 1"
        " FROM session_queued_batches AS c"
        " WHERE c.claim_id IS NOT NULL AND b.source_key = 'batch-free'",
    )

    assert [entry[:2] for entry in seen(chat)] == [
        ("claim_broken", "session_queued_batches")
    ]


def test_a_lease_that_ended_before_it_began(chat):
    """
    A lease whose checksum is right, and whose times are not.
    """
    reseal(
        chat,
        "session_execution_leases",
        "1",
        {"expires_at_ms": 1},
        (
            "session_id",
            "fencing_token",
            "lease_token",
            "owner_json",
            "claimed_at_ms",
            "expires_at_ms",
        ),
    )

    assert seen(chat) == [("row_inconsistent", "session_execution_leases", SESSION)]


def test_rows_of_another_session(chat):
    """
    A second session, and rows that belong to none.
    """
    edit(chat, "INSERT INTO sessions VALUES ('other', 'x', 0, NULL)")
    edit(chat, "UPDATE session_meta SET session_id = 'third'")

    assert seen(chat) == [
        ("session_foreign", "sessions", SESSION),
        ("session_foreign", "session_meta", None),
    ]


def test_a_file_under_another_sessions_name(chat):
    """
    A factory would not find it.
    """
    with SessionStoreFactory(chat.parent) as factory:
        wrong = factory.path_for_session("other")
    chat.rename(wrong)

    (finding,) = verify(chat.parent).findings

    assert (finding.kind, finding.severity, finding.path) == (
        "file_name",
        "warning",
        str(wrong),
    )


def test_a_file_that_is_none(chat):
    """
    A header that was overwritten is damage; in a folder, a stranger's file is
    nobody's business.
    """
    content = bytearray(chat.read_bytes())
    content[:16] = b"\0" * 16
    chat.write_bytes(content)
    sound = chat.with_name("sound.db")
    with Store.open(sound, "s"):
        pass

    assert seen(chat) == [("file_unreadable", None, None)]
    assert seen(chat.parent) == []

    named = chat.rename(chat.with_name("chat-0123456789abcdef.db"))
    assert seen(chat.parent) == [("file_unreadable", None, None)]
    assert named.exists()


def test_schema_versions(chat):
    """
    Another version, and none at all.
    """
    edit(chat, "UPDATE schema_versions SET version = '0'")
    assert seen(chat) == [("schema_version", "schema_versions", "session")]

    edit(chat, "DELETE FROM schema_versions")
    assert seen(chat) == [("schema_version", "schema_versions", "session")]


def test_a_database_without_tables(tmp_path):
    """
    A file marked as ours that has nothing in it.
    """
    path = tmp_path / "bare.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 1818325864")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()

    assert seen(path) == [("schema_version", None, None)]


def test_constraints(chat):
    """
    Rows whose checksums hold, and that a constraint forbids.
    """
    edit(
        chat,
        "UPDATE session_turn_inputs SET claim_host_id = 'h' WHERE input_id = 'pending'",
    )
    edit(
        chat,
        "UPDATE session_attachments SET is_orphaned = 2 WHERE committed_at_ms IS NOT NULL",
    )

    assert seen(chat) == [
        ("row_inconsistent", "session_turn_inputs", "pending"),
        (
            "row_inconsistent",
            "session_attachments",
            hashlib.sha256(b"committed").hexdigest(),
        ),
    ]


@pytest.mark.parametrize(
    ("index", "statement"),
    [
        ("ix_session_nodes_seq", "DELETE FROM session_nodes WHERE node_id = 'buried'"),
        (
            "ix_session_turn_inputs_terminal",
            "DELETE FROM session_turn_inputs WHERE input_id = 'completed'",
        ),
    ],
)
def test_damaged_indexes(chat, index, statement):
    """
    An index that keeps rows its table lost is one finding, and can be made
    anew.
    """
    damage_index(chat, index, statement)

    (finding,) = verify(chat).findings

    assert (finding.kind, finding.key, finding.is_repairable) == (
        "index_damaged",
        index,
        True,
    )


def test_pages_of_noise(chat):
    """
    A table whose pages are overwritten: errors of SQLite, nothing worse.
    """
    root = scalar(
        chat, "SELECT rootpage FROM sqlite_master WHERE name = 'session_turn_commits'"
    )
    content = bytearray(chat.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    chat.write_bytes(content)

    found = seen(chat)

    assert found
    assert found == [
        ("sqlite_integrity", None, None),
        ("row_damaged", "session_turn_commits", None),
    ]


def test_a_file_cut_short(chat):
    """
    A file that SQLite does not even open is one finding.
    """
    content = chat.read_bytes()
    chat.write_bytes(content[: len(content) // 2 // 4096 * 4096])

    assert seen(chat) == [("file_unreadable", None, None)]


def test_attachments_are_checked_where_they_are(chat, tmp_path):
    """
    Committed bytes that are missing or damaged; others are not asked for.
    """
    folder = tmp_path / "attachments"
    committed = hashlib.sha256(b"committed").hexdigest()
    assert seen(chat) == []
    assert seen(chat, attachments=folder) == [
        ("attachment_missing", "session_attachments", committed)
    ]

    store = FileAttachmentStore(folder)
    store.put(b"committed", AttachmentMeta(media_type="text/plain"))
    assert seen(chat, attachments=folder) == []
    assert seen(chat, attachments=store) == []

    (folder / "sha256" / committed[:2] / committed).write_bytes(b"commitxed")
    assert seen(chat, attachments=folder) == [
        ("attachment_damaged", "session_attachments", committed)
    ]


def test_nothing_to_verify(tmp_path):
    """
    An absent file, an empty one and an empty folder are no sound targets.
    """
    (tmp_path / "empty.db").touch()
    for target in ("absent.db", "empty.db", "."):
        with pytest.raises(StoreNotFoundError):
            verify(tmp_path / target)


def test_a_wal_without_its_index(chat):
    """
    It is not damage, and compacting recovers what it holds.
    """
    copy = chat.with_name("copy.db")
    with Store.open(chat, SESSION) as store:
        ref = store.put_blob(b"in the wal")
        shutil.copy(chat, copy)
        shutil.copy(f"{chat}-wal", f"{copy}-wal")

    (finding,) = verify(copy).findings
    assert (finding.kind, finding.severity) == ("wal_index_missing", "warning")
    assert backup(copy, chat.parent / "backup").findings == (finding,)
    assert not Path(f"{copy}-shm").exists()

    compact(copy)

    assert seen(copy) == []
    with Store.open(copy, SESSION) as store:
        assert store.get_blob(ref) == b"in the wal"


def test_verifying_changes_nothing(chat):
    """
    Neither the file nor its folder is written to.
    """
    before = chat.read_bytes()
    verify(chat)

    assert chat.read_bytes() == before
    assert [path.name for path in chat.parent.iterdir()] == ["chat.db"]


def test_findings_say_what_to_do(chat):
    """
    Each names its file, its place and a remedy.
    """
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")

    (finding,) = verify(chat).findings

    assert finding.path == str(chat)
    assert finding.what == "its checksum does not match its content"
    assert "lashstore restore" in finding.remedy
