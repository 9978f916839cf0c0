"""
Every content cell of every row, changed with plain SQL.
"""

import shutil
import sqlite3

import pytest

from lashstore import (
    InputNotFound,
    LashStoreError,
    PendingTurnInput,
    QueuedWorkBatch,
    SessionPickerInfo,
)
from lashstore.tables import SESSION_TABLES

from .rich import PATH_NAME, is_other_first_message, read_everything

TABLES = [table.name for table in SESSION_TABLES]

# Columns that are no content in the sense of D24, with the reason.
NOT_CONTENT = {
    "session_id": "the key all rows of a file share; a row that left it has vanished whole",
    "claim_id": "who holds a claim and until when is not content",
    "claim_token": "who holds a claim and until when is not content",
    "claim_owner_json": "who holds a claim and until when is not content",
    "claim_host_id": "who holds a claim and until when is not content",
    "claim_fencing_token": "who holds a claim and until when is not content",
    "claimed_at_ms": "who holds a claim and until when is not content",
    "claim_expires_at_ms": "who holds a claim and until when is not content",
}

# Tables whose rows D24 does not name.
UNCHECKED_TABLES = {
    "sessions": "bookkeeping: an incarnation and a counter, no content",
    "session_checkpoint_blobs": "says when a past checkpoint goes; see test_chains",
    "session_attachments": "the write-ahead manifest is not in D24's list",
}

# What a changed cell may hide: the row is no longer found by what it is
# looked up by, and no local check can see that. Nothing else may change.
HIDES_ITS_ROW = {
    ("session_nodes", "seq"): "the picker asks an index for the first message",
    ("session_nodes", "is_tombstoned"): "the picker asks an index for live messages",
    ("session_nodes", "is_user_message"): "the picker asks an index for user messages",
    ("session_turn_inputs", "is_open"): "listings ask an index for open inputs",
    ("session_turn_inputs", "state"): "listings ask for open states",
    ("session_turn_inputs", "source_key"): "replays look up by it",
    ("session_queued_batches", "source_key"): "replays look up by it",
}


def _columns(path, table):
    database = sqlite3.connect(path)
    found = [
        (name, kind.upper(), key)
        for _, name, kind, _, _, key in database.execute(f"PRAGMA table_info({table})")
    ]
    database.close()
    return found


def _rows(path, table):
    database = sqlite3.connect(path)
    found = database.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
    database.close()
    return found


def _changes(value, kind):
    """
    Return other values of the cell's type: one bit off, and far off.
    """
    if value is None:
        return [1] if kind == "INTEGER" else [b"x" if kind == "BLOB" else "x"]
    if isinstance(value, int):
        return [value ^ 1, 2**62, 0] if value else [1, 2**62]
    if isinstance(value, bytes):
        middle = len(value) // 2
        flipped = value[:middle] + bytes([value[middle] ^ 4]) + value[middle + 1 :]
        return [flipped, b"", value[:-1]]
    middle = len(value) // 2
    flipped = (
        value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :]
        if value
        else "x"
    )
    return [flipped, "", "other"]


def _damage(path, table, statement, values):
    """
    Run one statement past all checks; tell whether it was possible.
    """
    database = sqlite3.connect(path)
    database.execute("PRAGMA ignore_check_constraints = ON")
    try:
        changed = database.execute(statement, values).rowcount
        database.commit()
    except sqlite3.IntegrityError:
        # A NOT NULL, UNIQUE or STRICT constraint: SQLite finds that itself.
        return False
    finally:
        database.close()
    return changed > 0


def _complaints(copy, sound, *, may_hide):
    wrong = []
    for name, answer in read_everything(copy).items():
        expected = sound[name]
        if isinstance(expected, LashStoreError):
            if type(answer) is not type(expected):
                wrong.append((name, expected, answer))
        elif (
            not isinstance(answer, LashStoreError)
            and answer != expected
            and not (may_hide and _is_less(answer, expected))
        ):
            wrong.append((name, expected, answer))
    return wrong


def _is_less(answer, expected):
    """
    Tell whether an answer only lacks something, and invents nothing.
    """
    if isinstance(expected, tuple) and isinstance(answer, tuple):
        return set(map(repr, answer)) < set(map(repr, expected))
    if isinstance(expected, SessionPickerInfo):
        return is_other_first_message(answer, expected)
    # A replay that does not find its row is a new submission.
    return (
        isinstance(expected, PendingTurnInput | QueuedWorkBatch)
        and type(answer) is type(expected)
        and answer.enqueue_seq > expected.enqueue_seq
    ) or isinstance(answer, InputNotFound)


def _try_cells(rich_file, sound, tmp_path, table, *, rows_per_column):
    columns = _columns(rich_file, table)
    rows = _rows(rich_file, table)
    assert rows, f"{table} has no rows: the rich session is not rich enough"
    failures, tried = [], 0
    for index, (column, kind, key) in enumerate(columns):
        if column in NOT_CONTENT or key:
            continue
        may_hide = (table, column) in HIDES_ITS_ROW
        for row in rows[:rows_per_column]:
            value = row[index + 1]
            others = [
                (other[index + 1], other[0])
                for other in rows
                if other[index + 1] != value
            ][:1]
            changes = [(change, None) for change in _changes(value, kind)] + others
            for change, other_row in changes:
                # A new name each time: errors that are kept may keep open
                # what they came from, and must not meet the next file.
                copy = tmp_path / f"{tried}-{PATH_NAME}"
                shutil.copy(rich_file, copy)
                if not _damage(
                    copy,
                    table,
                    f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
                    (change, row[0]),
                ):
                    copy.unlink()
                    continue
                if other_row is not None:
                    _damage(
                        copy,
                        table,
                        f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
                        (value, other_row),
                    )
                tried += 1
                for name, expected, answer in _complaints(
                    copy, sound, may_hide=may_hide
                ):
                    failures.append(
                        f"{table}.{column} of row {row[0]}: {value!r:.60} -> {change!r:.60}: "
                        f"{name} answers {answer!r:.300} instead of {expected!r:.300}"
                    )
                copy.unlink()
    return tried, failures


@pytest.mark.parametrize("table", TABLES)
def test_changed_cells_are_found_out(table, rich_file, sound_answers, tmp_path):
    """
    A changed cell is an error or no matter, never another answer.
    """
    if table in UNCHECKED_TABLES:
        pytest.skip(UNCHECKED_TABLES[table])
    tried, failures = _try_cells(
        rich_file, sound_answers, tmp_path, table, rows_per_column=2
    )

    assert tried > 0
    assert failures == []


@pytest.mark.campaign
@pytest.mark.parametrize("table", TABLES)
def test_all_changed_cells_are_found_out(table, rich_file, sound_answers, tmp_path):
    """
    The same for every row of the file.
    """
    if table in UNCHECKED_TABLES:
        pytest.skip(UNCHECKED_TABLES[table])
    _, failures = _try_cells(
        rich_file, sound_answers, tmp_path, table, rows_per_column=10**6
    )

    assert failures == []


@pytest.mark.parametrize("table", ["session_nodes", "session_turn_inputs"])
def test_checksums_that_are_none_are_found_out(
    table, rich_file, sound_answers, tmp_path
):
    """
    A checksum that is NULL, which no statement but only a damaged page can
    bring about, is an error of ours.
    """
    copy = tmp_path / PATH_NAME
    shutil.copy(rich_file, copy)
    database = sqlite3.connect(copy)
    database.execute("PRAGMA writable_schema = ON")
    database.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'checksum INTEGER NOT NULL',"
        " 'checksum INTEGER') WHERE name = ?",
        (table,),
    )
    database.commit()
    database.close()
    assert _damage(copy, table, f"UPDATE {table} SET checksum = NULL", ())

    answers = read_everything(copy)

    assert any(isinstance(answer, LashStoreError) for answer in answers.values())
    assert [
        name
        for name, answer in answers.items()
        if not isinstance(answer, LashStoreError) and answer != sound_answers[name]
    ] == []


def test_sound_answers_are_answers(sound_answers):
    """
    Undamaged, every operation answers, so that the tests above mean it.
    """
    errors = {
        name: answer
        for name, answer in sound_answers.items()
        if isinstance(answer, LashStoreError)
    }
    assert errors == {}
    assert sound_answers["load_session"].checkpoint.tool_state["generation"] == 3
    assert len(sound_answers["load_session"].graph.nodes) == 5
    assert len(sound_answers["list_pending_turn_inputs"]) == 4
