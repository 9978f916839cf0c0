"""
What of an effect waits for the disk.
"""

from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from lashstore import EffectHost, EffectReplayOptions, StoreOptions, Synchronous

from .conftest import TURN

_TRACED = ("PRAGMA synchronous", "BEGIN IMMEDIATE", "COMMIT", "INSERT", "UPDATE")


@contextmanager
def traced(synchronous, path):
    """
    Yield a host, and what its connections have been told to run.
    """
    told = []

    def note(text):
        for start in _TRACED:
            if text.startswith(start):
                told.append(text if start.startswith("PRAGMA") else start)

    def watch(driver, _record):
        driver.set_trace_callback(note)

    options = EffectReplayOptions(store=StoreOptions(synchronous=synchronous))
    EffectHost.open(path, options=options).close()
    sa.event.listen(sa.pool.Pool, "connect", watch)
    try:
        with EffectHost.open(path, options=options) as host:
            told.clear()
            yield host, told
    finally:
        sa.event.remove(sa.pool.Pool, "connect", watch)


def test_an_outcome_is_synced_and_its_claim_is_not(tmp_path):
    """
    At FULL a first run waits for the disk once, for what it came to.
    """
    with traced(Synchronous.FULL, tmp_path / "effects.db") as (host, told):
        host.scoped(TURN).step("s", lambda: 1)

    claim = ["BEGIN IMMEDIATE", "INSERT", "COMMIT"]
    outcome = ["BEGIN IMMEDIATE", "UPDATE", "COMMIT"]
    around = ["PRAGMA synchronous = NORMAL"], ["PRAGMA synchronous = FULL"]
    assert [*around[0], *claim, *around[1], *outcome] == _writes(told)


def test_a_timer_is_synced_as_a_whole(tmp_path):
    """
    When a timer is due must be there after a power cut.
    """
    with traced(Synchronous.FULL, tmp_path / "effects.db") as (host, told):
        host.scoped(TURN).sleep("t", 0)

    assert not [text for text in told if text.startswith("PRAGMA")]


def test_what_is_not_synced_anyway_is_left_alone(tmp_path):
    """
    At NORMAL no commit waits, so nothing is switched.
    """
    with traced(Synchronous.NORMAL, tmp_path / "effects.db") as (host, told):
        host.scoped(TURN).step("s", lambda: 1)

    assert not [text for text in told if text.startswith("PRAGMA")]


def test_a_failed_claim_leaves_no_connection_unsynced(tmp_path):
    """
    A connection whose unsynced transaction was undone is not used again.
    """
    with traced(Synchronous.FULL, tmp_path / "effects.db") as (host, told):
        database = host._database

        def fail(_connection):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            database.write_unsynced(fail)
        modes = [
            database.write(
                lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar_one()
            )
            for _ in range(3)
        ]

    assert [2, 2, 2] == modes
    assert "PRAGMA synchronous = NORMAL" in told


def _writes(told):
    # Reads begin and commit, too: what stands before the first switch, and a
    # COMMIT that ends no write.
    found, is_writing = [], False
    for text in told:
        if text == "COMMIT" and not is_writing:
            continue
        is_writing = text == "BEGIN IMMEDIATE" or (is_writing and text != "COMMIT")
        found.append(text)
    return found
