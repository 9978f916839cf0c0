"""
What effects cost with ten thousand of them stored.
"""

import pytest

from lashstore import ProcessScope, TurnScope
from lashstore.model.effects import (
    EffectRow,
    EffectStatus,
    prepare_effect,
    scope_key,
)
from lashstore.repos.effects import _values

from .conftest import NOW_MS, TURN, Work
from .meter import metering
from .test_claims import CALL

MANY = 10_000


def fill(file, count):
    """
    Put finished effects of many scopes and keys beside each other.
    """
    import sqlite3

    file.open().close()
    rows = []
    for number in range(count):
        scope = (
            TURN
            if number % 2
            else TurnScope(session_id=f"other-{number % 100}", turn_id="7")
        )
        effect = prepare_effect(scope_key(scope), scope.session_id, CALL)
        row = EffectRow(
            scope_id=effect.scope_id,
            replay_key=f"old-{number}",
            session_id=scope.session_id,
            envelope_json=effect.envelope_json,
            status=EffectStatus.COMPLETED,
            outcome_json='{"text":"' + "x" * 200 + '"}',
            error_json=None,
            due_at_ms=None,
            created_at_ms=NOW_MS - 10_000,
            finished_at_ms=NOW_MS - 5_000 - number % 1000,
        )
        rows.append(_values(row))
    database = sqlite3.connect(file.path)
    names = list(rows[0]) if rows else []
    if rows:
        database.executemany(
            f"INSERT INTO effects ({', '.join(names)})"
            f" VALUES ({', '.join(':' + name for name in names)})",
            rows,
        )
    database.commit()
    database.close()


def operations(host):
    """
    Return every operation by name; each changes at most one effect.
    """
    turn = host.scoped(TURN)
    process = host.scoped(ProcessScope(process_id="p"))

    def failing():
        with pytest.raises(ValueError):
            turn.step("raises", Work(ValueError()))

    def strict():
        from lashstore import EffectReplayMissingError

        with pytest.raises(EffectReplayMissingError):
            turn.step("absent", Work(1))

    return {
        "first run": lambda: turn.step("new", lambda: 1),
        "replay": lambda: turn.step("new", lambda: 1),
        "first run elsewhere": lambda: process.step("new", lambda: 1),
        "exception": failing,
        "timer": lambda: turn.sleep("t", 0),
        "prune none": lambda: host.prune(NOW_MS - 6_500),
        "delete none": lambda: host.delete_session("nobody"),
        "strict": lambda: [host.start_replay(), strict()],
    }


def measured(file, count, *, explain=False):
    fill(file, count)
    found = {}
    with file.open() as host:
        host.scoped(TURN).step("warm", lambda: 1)
        for name, operation in operations(host).items():
            with metering(explain=explain) as meter:
                operation()
            found[name] = meter
    return found


def test_cost_does_not_grow_with_history(tmp_path, clock):
    """
    Equal statements, and about equal work for SQLite, with none and 10,000.
    """
    from .conftest import File

    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few = measured(File(tmp_path / "few", clock), 10)
    many = measured(File(tmp_path / "many", clock), MANY)

    assert {
        "first run": 3,
        "replay": 1,
        "first run elsewhere": 3,
        "exception": 3,
        "timer": 3,
        "prune none": 1,
        "delete none": 1,
        "strict": 1,
    } == {name: len(meter.statements) for name, meter in many.items()}
    for name, meter in many.items():
        assert few[name].statements == meter.statements
        assert meter.instructions <= few[name].instructions + 200, name


def test_every_statement_is_served_by_an_index(file):
    """
    No plan reads the whole table or sorts.
    """
    for name, meter in measured(file, 1_000, explain=True).items():
        assert meter.plans, name
        assert [] == meter.complaints(), name


def test_waiting_polls_by_one_small_read(file):
    """
    A waiter reads the lease alone, without the write lock or the envelope.
    """
    from .test_claims import Running

    host, other = file.open(), file.open()
    running = Running(host.scoped(TURN))
    with metering() as meter, pytest.raises(TimeoutError):
        other.scoped(TURN).execute_effect(CALL, Work(1), timeout_s=0.2)
    running.end()

    assert "envelope_json" in meter.statements[0]
    assert len(meter.statements) > 3
    assert {"SELECT effects.lease_owner_id, effects.lease_token"} == {
        text.split(", effects.lease_expires_at_ms")[0] for text in meter.statements[1:]
    }


def test_pruning_is_one_statement_whatever_goes(file):
    """
    Rows touched are the rows that go.
    """
    fill(file, MANY)
    with file.open() as host:
        with metering() as meter:
            assert 5_000 == host.delete_session("chat")
            assert 5_000 == host.prune(NOW_MS)
        assert 2 == len(meter.statements)
