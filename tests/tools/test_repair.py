"""
What a repair mends, what it leaves alone, and the copy it makes first.
"""

import shutil

import pytest

from lashstore import BackendError, Store, repair, verify
from lashstore.tools import repairing

from .kit import SESSION, damage_index, dump, edit, opened, reseal, seen
from .test_verify_session import DELTA, put_head


def test_a_sound_file_is_not_touched(chat):
    """
    No copy is made and not a byte changes.
    """
    before = chat.read_bytes()

    report = repair(chat)

    assert report.backups == {}
    assert report.repaired == ()
    assert report.after.is_sound
    assert chat.read_bytes() == before
    assert [path.name for path in chat.parent.iterdir()] == ["chat.db"]


def test_totals_counters_and_counts_come_back(chat, session_original):
    """
    Every derived value is what it was before it was damaged.
    """
    put_head(chat, user_message_count=7, first_user_node_id="n4")
    edit(
        chat,
        "UPDATE session_usage_totals SET input_tokens = 1 WHERE source = 'compaction'",
    )
    edit(chat, "DELETE FROM session_usage_totals WHERE model = 'other'")
    edit(chat, "UPDATE sessions SET admission_seq = 1")

    report = repair(chat)

    assert [(f.kind, f.key) for f in report.repaired] == [
        ("count_wrong", SESSION),
        ("row_damaged", "compaction/m"),
        ("totals_wrong", "turn/other"),
        ("counter_behind", SESSION),
    ]
    assert report.after.is_sound
    with (
        Store.open(chat, SESSION) as store,
        Store.open(session_original, SESSION) as was,
    ):
        assert store.load_session() == was.load_session()
        assert store.load_picker_info() == was.load_picker_info()


def test_the_copy_is_the_file_as_it_was(chat):
    """
    The damaged file is kept, where it was asked for.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 1")
    damaged = dump(chat)

    beside = repair(shutil.copy(chat, chat.with_name("one.db")))
    report = repair(chat, backup_folder=chat.parent / "copies")

    (name,) = beside.backups.values()
    assert name.startswith(str(chat.with_name("one.db.before-repair-")))
    (copy,) = (chat.parent / "copies").iterdir()
    assert report.backups == {str(chat): str(copy)}
    assert dump(copy) == damaged
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("index", "statement"),
    [
        ("ix_session_nodes_seq", "DELETE FROM session_nodes WHERE 0"),
        (
            "sqlite_autoindex_session_turn_inputs_1",
            "SELECT 1",
        ),
    ],
)
def test_nothing_is_done_to_an_index_that_is_sound(chat, index, statement):
    """
    The ways of these tests to damage an index do none by themselves.
    """
    if not index.startswith("sqlite_"):
        damage_index(chat, index, statement)

    assert seen(chat) == []


def test_indexes_are_made_anew(chat):
    """
    Rows that an index kept or lost: reads through it are right again.
    """
    damage_index(
        chat,
        "ix_session_turn_inputs_terminal",
        "DELETE FROM session_turn_inputs WHERE input_id = 'completed'",
    )
    damage_index(
        chat,
        "ix_session_queued_batches_queue",
        "UPDATE session_queued_batches SET is_ready = is_ready, enqueue_seq = enqueue_seq + 0"
        " WHERE 1",
    )

    report = repair(chat)

    assert [(f.kind, f.key) for f in report.repaired] == [
        ("index_damaged", "ix_session_turn_inputs_terminal")
    ]
    assert report.after.is_sound
    assert seen(chat) == []


def test_an_index_that_lost_a_row(chat):
    """
    A row that listings no longer see is seen again.
    """
    with opened(chat) as connection:
        row = connection.execute(
            "SELECT * FROM session_turn_inputs WHERE input_id = 'deferred'"
        ).fetchone()
    edit(chat, "DELETE FROM session_turn_inputs WHERE input_id = 'deferred'")
    damage_index(
        chat,
        "ix_session_turn_inputs_seq",
        f"INSERT INTO session_turn_inputs VALUES ({', '.join('?' * len(row))})",
        *row,
    )
    assert [entry[0] for entry in seen(chat)] == ["index_damaged"]

    repair(chat)

    assert seen(chat) == []
    with Store.open(chat, SESSION) as store:
        listed = [each.input_id for each in store.list_pending_turn_inputs()]
    assert "deferred" in listed


def test_subscription_numbers_are_not_given_twice(deployment):
    """
    The counter goes on behind the numbers in use.
    """
    edit(deployment, "DELETE FROM trigger_counters")

    report = repair(deployment)

    assert [f.kind for f in report.repaired] == ["counter_behind"]
    with opened(deployment) as connection:
        assert [
            tuple(row) for row in connection.execute("SELECT * FROM trigger_counters")
        ] == [("subscription", 2)]


def test_what_is_not_proven_is_left_alone(chat):
    """
    Damage without a second, verified source: the file is not even copied.
    """
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")
    edit(chat, "DELETE FROM session_usage WHERE seq = 4")
    before = dump(chat)

    report = repair(chat)

    assert report.repaired == ()
    assert report.backups == {}
    assert [f.kind for f in report.after.findings] == ["row_damaged", "totals_wrong"]
    assert dump(chat) == before


def test_a_total_that_contradicts_its_deltas_survives_the_repair_of_others(chat):
    """
    A repair of one total writes none whose rightness is open.
    """
    edit(
        chat, "UPDATE session_usage_totals SET checksum = 1 WHERE source = 'compaction'"
    )
    reseal(chat, "session_usage_totals", "model = 'other'", {"input_tokens": 99}, DELTA)

    report = repair(chat)

    assert [f.key for f in report.repaired] == ["compaction/m"]
    assert [(f.kind, f.key) for f in report.after.findings] == [
        ("totals_wrong", "turn/other")
    ]
    with opened(chat) as connection:
        (tokens,) = connection.execute(
            "SELECT input_tokens FROM session_usage_totals WHERE model = 'other'"
        ).fetchone()
    assert tokens == 99


def test_a_repair_that_does_not_verify_is_undone(chat, monkeypatch):
    """
    A mistake in the repair leaves the file as it was.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 1")
    before = dump(chat)
    monkeypatch.setattr(repairing, "last_admission_seq", lambda *_: 2)

    with pytest.raises(BackendError, match="left as it was"):
        repair(chat)

    assert dump(chat) == before


def test_only_the_files_that_need_it_are_copied(chat, deployment):
    """
    Of a folder, the sound files stay alone.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 1")

    report = repair(chat.parent)

    assert list(report.backups) == [str(chat)]
    assert verify(chat.parent).is_sound
    assert deployment.exists()
