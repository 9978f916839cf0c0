"""
An error about damage must not keep the damaged file open.
"""

import os
import sqlite3

import pytest

from lashstore import CorruptRecordError

from .rich import PATH_NAME, open_rich


def _open_files(folder):
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


def _load_session(store):
    store.load_session()


def _list_queue(store):
    store.list_queued_work()


def _list_inputs(store):
    store.list_pending_turn_inputs()


def _list_usage(store):
    store.load_usage_deltas()


@pytest.mark.parametrize(
    ("read", "damage"),
    [
        (
            _load_session,
            "UPDATE session_nodes SET node_json = '{}' WHERE node_id = 'n1'",
        ),
        (_load_session, "UPDATE session_usage_totals SET input_tokens = 77"),
        (_list_queue, "UPDATE session_queued_batches SET payloads_json = '[]'"),
        (_list_inputs, "UPDATE session_turn_inputs SET input_json = '{}'"),
        (_list_usage, "UPDATE session_usage SET input_tokens = 77"),
    ],
)
def test_kept_error_keeps_no_file_open(read, damage, rich_file, tmp_path):
    """
    With the error still in hand, closing the store closes its files.
    """
    path = tmp_path / PATH_NAME
    path.write_bytes(rich_file.read_bytes())
    database = sqlite3.connect(path)
    database.execute("PRAGMA ignore_check_constraints = ON")
    database.execute(damage)
    database.commit()
    database.close()
    store = open_rich(path)

    with pytest.raises(CorruptRecordError) as kept:
        read(store)
    store.put_blob(b"goes on")
    store.close()

    assert kept.value.record_kind
    assert _open_files(tmp_path) == []
