"""
Effects on a file: sharing it, damage to it, and killed processes.
"""

import json
import signal
import subprocess
import sys
import time

import pytest

from lashstore import (
    BackendError,
    CorruptRecordError,
    DurabilityTier,
    EffectFailure,
    EffectHost,
    EffectReplayMissingError,
    InvalidArgumentError,
    NotALashStoreError,
    SchemaVersionError,
    Store,
    StoreBusyError,
    TriggerStore,
)

from .conftest import TURN, Work, options


def test_tiers():
    """
    A file is durable, memory is inline; both journal.
    """
    with EffectHost.memory() as host:
        assert DurabilityTier.INLINE == host.durability_tier
        assert 1 == host.scoped(TURN).step("s", lambda: 1)
        assert 1 == host.scoped(TURN).step("s", Work(2))


def test_components_share_a_file(file):
    """
    In any order, each with its own tables, and none minds the others.
    """
    with (
        TriggerStore.open(file.path),
        Store.open(file.path, "chat") as store,
        file.open() as host,
    ):
        assert DurabilityTier.DURABLE == host.durability_tier
        host.scoped(TURN).step("s", lambda: 1)
        store.put_blob(b"x")
    with Store.open(file.path, "chat"), file.open() as host:
        assert 1 == host.scoped(TURN).step("s", Work(2))

    assert [("effect", "1"), ("session", "1"), ("trigger", "1")] == file.sql(
        "SELECT component, version FROM schema_versions ORDER BY 1"
    )
    assert 0o600 == file.path.stat().st_mode & 0o777


def test_other_files_are_refused(file):
    """
    By name, and left as they are.
    """
    file.path.write_bytes(b"not a database, but long enough to look at it" * 9)
    with pytest.raises(NotALashStoreError):
        file.open()
    with pytest.raises(InvalidArgumentError):
        EffectHost.open("mysql://host/db")
    file.path.unlink()
    file.open().close()
    file.sql("UPDATE schema_versions SET version = '99'")
    with pytest.raises(SchemaVersionError) as raised:
        file.open()
    assert ("effect", "1", "99") == (
        raised.value.component,
        raised.value.expected,
        raised.value.found,
    )


def test_a_removed_file_is_an_error(file):
    """
    Nothing is made anew behind the caller's back.
    """
    host = file.open()
    file.path.unlink()

    for call in (
        lambda: host.scoped(TURN).step("s", lambda: 1),
        lambda: host.prune(0),
    ):
        with pytest.raises(BackendError):
            call()
    assert not file.path.exists()


def test_a_locked_database_is_busy(shared):
    """
    StoreBusyError before anything ran.
    """
    shared.open().close()
    blocker = shared.blocker()
    blocker.execute(shared.lock)
    work = Work(1)
    with EffectHost.open(shared.address, options=options(busy_timeout_ms=20)) as host:
        with pytest.raises(StoreBusyError):
            host.scoped(TURN).step("s", work)
        blocker.execute("ROLLBACK")
        assert 0 == work.runs
        assert 1 == host.scoped(TURN).step("s", work)
    blocker.close()


@pytest.mark.parametrize(
    "damage",
    [
        "outcome_json = '2'",
        "outcome_json = 'no json'",
        "envelope_json = replace(envelope_json, 'null', '1')",
        "created_at_ms = created_at_ms + 1",
        "finished_at_ms = finished_at_ms + 1",
        "due_at_ms = 5",
        "session_id = 'another'",
        "checksum = checksum + 1",
        "replay_key = 'step:t'",
        'scope_id = \'["process","p"]\'',
        "status = 'failed', error_json = '{}', outcome_json = NULL",
        "status = 'in_progress', outcome_json = NULL, finished_at_ms = NULL",
    ],
)
def test_damage_is_an_error_and_no_other_answer(shared, damage):
    """
    Whatever content is changed, the effect neither replays nor runs again.
    """
    from lashstore import ProcessScope

    work = Work("ran")
    with shared.open() as host:
        host.scoped(TURN).step("s", lambda: 1)
    shared.sql(f"UPDATE effects SET {damage}")
    step = "t" if "step:t" in damage else "s"
    scope = ProcessScope(process_id="p") if "scope_id" in damage else TURN

    with shared.open() as host:
        with pytest.raises(CorruptRecordError) as raised:
            host.scoped(scope).step(step, work)
        host.start_replay()
        with pytest.raises(CorruptRecordError):
            host.scoped(scope).step(step, work)
        assert 1 == host.prune(2**63) + host.delete_session("chat")

    assert "effect" == raised.value.record_kind
    assert 0 == work.runs


def test_impossible_rows_cannot_be_written(shared):
    """
    The schema repeats the state machine.
    """
    shared.open().scoped(TURN).step("s", lambda: 1)
    for change in (
        "status = 'unknown'",
        "status = 'in_progress'",
        "status = 'failed'",
        "outcome_json = NULL",
        "finished_at_ms = NULL",
        "lease_token = 'x', lease_owner_id = 'y', lease_expires_at_ms = 1",
        "lease_token = 'x'",
    ):
        with pytest.raises(shared.violation):
            shared.sql(f"UPDATE effects SET {change}")


OWNER = """
import sys, time
from lashstore import EffectHost, EffectReplayOptions, LeaseTimings, TurnScope
from lashstore import EffectEnvelope, EffectFailure, EffectReplayMissingError
path, log, role = sys.argv[1:]
options = EffectReplayOptions(lease_timings=LeaseTimings.from_ttl(900))
envelope = EffectEnvelope(kind="tool_attempt", effect_id="c", replay_key="c",
                          command={"pay": 7})

def say(word):
    with open(log, "a") as file:
        file.write(word + "\\n")

def work(_):
    say(role)
    print("running", flush=True)
    if role == "owner":
        time.sleep(60)
    time.sleep(1.5)
    return {"paid_by": role}

with EffectHost.open(path, options=options) as host:
    turn = host.scoped(TurnScope(session_id="chat", turn_id="7"))
    if role == "reader":
        host.start_replay()
    print(turn.execute_effect(envelope, work), flush=True)
"""


def start(shared, log, role):
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(shared.address), str(log), role],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_owner_is_followed_and_the_third_replays(shared, tmp_path):
    """
    SIGKILL in the middle: another process takes over after the lease, the
    journal ends with one outcome, and a third replays without running.
    """
    log = tmp_path / "log"
    owner = start(shared, log, "owner")
    assert "running\n" == owner.stdout.readline()
    time.sleep(1.2)
    (before,) = shared.sql(
        "SELECT status, lease_token, lease_expires_at_ms FROM effects"
    )
    assert "in_progress" == before[0]
    assert before[2] > time.time_ns() // 1_000_000, "renewed past its first lease"
    owner.send_signal(signal.SIGKILL)
    owner.communicate(timeout=10)

    second = start(shared, log, "second")
    assert "running\n" == second.stdout.readline()
    assert time.time_ns() // 1_000_000 >= before[2], "not before the lease is over"
    # While it works, three times a lease, others wait and do not run it.
    third = start(shared, log, "third")
    assert "{'paid_by': 'second'}\n" == second.communicate(timeout=30)[0]
    assert "{'paid_by': 'second'}\n" == third.communicate(timeout=30)[0]
    reader = start(shared, log, "reader")
    assert "{'paid_by': 'second'}\n" == reader.communicate(timeout=30)[0]

    assert ["owner", "second"] == log.read_text().split()
    ((status, outcome, token),) = shared.sql(
        "SELECT status, outcome_json, lease_token FROM effects"
    )
    assert ("completed", {"paid_by": "second"}, None) == (
        status,
        json.loads(outcome),
        token,
    )


def test_a_process_killed_anywhere_repeats_no_recorded_effect(shared, tmp_path):
    """
    Killed again and again, a run of steps counts each recorded one once.
    """
    code = """
import sys
from lashstore import *
path, log = sys.argv[1:]
options = EffectReplayOptions(lease_timings=LeaseTimings.from_ttl(60))
with EffectHost.open(path, options=options) as host:
    turn = host.scoped(TurnScope(session_id="chat", turn_id="7"))
    for n in range(40):
        def work():
            with open(log, "a") as file:
                file.write(f"{n}\\n")
            return n
        assert turn.step(f"s{n}", work) == n
print("done")
"""
    log = tmp_path / "log"
    kills = 0
    for attempt in range(60):
        worker = subprocess.Popen(
            [sys.executable, "-c", code, str(shared.address), str(log)],
            stdout=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        target = len(log.read_text().split()) + 7 if log.exists() else 7
        while worker.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().split()) >= target:
                break
            time.sleep(0.001)
        if worker.poll() is None:
            worker.kill()
            kills += 1
        output = worker.communicate(timeout=20)[0]
        if output == "done\n":
            break
    assert "done\n" == output
    assert kills >= 3

    runs = [int(n) for n in log.read_text().split()]
    # A kill between work and record repeats that one; nothing else repeats.
    assert sorted(set(runs)) == list(range(40))
    assert len(runs) <= 40 + kills
    with shared.open() as host:
        host.start_replay()
        turn = host.scoped(TURN)
        assert list(range(40)) == [turn.step(f"s{n}", Work(-1)) for n in range(40)]
        with pytest.raises(EffectReplayMissingError):
            turn.step("s40", Work(-1))


def test_two_hosts_agree_on_a_failure(shared):
    """
    A failure recorded by one is raised by the other.
    """
    with shared.open() as one, shared.open() as other:
        for host in (one, other):
            with pytest.raises(EffectFailure) as raised:
                host.scoped(TURN).step("s", Work(EffectFailure("c", "m"), "fine"))
            assert "m" == raised.value.message
