"""
Real files, really migrated: whole, atomically, side by side.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from lashstore import (
    EffectHost,
    ProcessRegistry,
    SchemaVersionError,
    Store,
    StoreOptions,
    TriggerStore,
    TurnScope,
)
from lashstore.migrations.chain import CHAINS
from lashstore.migrations.files import database_files, inspect_file, upgrade_file
from lashstore.migrations.reports import Outcome
from lashstore.migrations.targets import for_each_database

from .make_golden import dump, fill, restore
from .older import CHAIN, make_older

ROOT = Path(__file__).parent.parent.parent
OLDER = {**CHAINS, "session": CHAIN}
upgrade_older = partial(upgrade_file, chains=OLDER)


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "golden.db"


def read_everything(path):
    """
    Check what the golden file says, in all four stores.
    """
    with Store.open(path, "golden") as store:
        session = store.load_session()
        assert 1 == session.head_revision
        assert {"role": "user", "content": "Grüezi"} == session.graph.nodes[0].payload
        assert {"step": 1} == session.checkpoint.turn_state
        assert b"state " * 2000 == session.checkpoint.execution_state
        assert 3 == session.token_ledger[0].usage.input_tokens
        assert "Golden" == store.load_session_meta().session_name
        (batch,) = store.list_queued_work()
        assert {"do": "this"} == batch.items[0].payload.body
        (waiting,) = store.list_pending_turn_inputs()
        assert "and then?" == waiting.input
    with ProcessRegistry.open(path) as registry:
        assert "p1" == registry.get_process("p1").id
    with TriggerStore.open(path) as triggers:
        (subscription,) = triggers.list_subscriptions()
        assert "when blue" == subscription.name
    with EffectHost.open(path) as effects:
        turn = effects.scoped(TurnScope(session_id="golden", turn_id="t1"))
        assert {"answer": 42} == turn.step("ask", lambda: "never run")


@pytest.mark.parametrize("name", ["v1"])
def test_golden_file_is_carried_forward(path, name):
    """
    A database of every released version is upgraded, read whole, and then
    looks like a new one.
    """
    restore(name, path)

    report = upgrade_file(path)

    assert report.outcome in (Outcome.CURRENT, Outcome.UPGRADED)
    read_everything(path)
    assert () == inspect_file(path, is_thorough=True).problems


def test_older_file_is_upgraded(path):
    """
    A file of an older version is refused by name, then upgraded with its
    data, and then looks like a new one.
    """
    fill(path)
    make_older(path)
    with pytest.raises(SchemaVersionError) as refused:
        Store.open(path, "golden")
    assert ("0", "1") == (refused.value.found, refused.value.expected)

    planned = inspect_file(path, chains=OLDER)
    report = upgrade_older(path)

    assert Outcome.OUTDATED == planned.outcome
    assert Outcome.UPGRADED == report.outcome
    assert planned.steps == report.steps
    assert [("session", "0", "1", "From the schema that never was to the first")] == [
        (step.component, step.from_version, step.to_version, step.title)
        for step in report.steps
    ]
    with Store.open(path, "golden") as store:
        assert store.get_artifact_bytes("notes") is None
    read_everything(path)
    assert () == inspect_file(path, is_thorough=True).problems
    assert Outcome.CURRENT == upgrade_older(path).outcome


def test_planning_changes_nothing(path):
    """
    A plan leaves every byte, and the folder, as it was.
    """
    fill(path)
    make_older(path)
    before = path.read_bytes()

    inspect_file(path, chains=OLDER)

    assert before == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_failing_migration_changes_nothing(path):
    """
    An error in the middle undoes all of it, DDL included.
    """
    fill(path)
    make_older(path)
    connection = sqlite3.connect(path)
    # The rebuilt table refuses what the old one took.
    connection.execute("UPDATE session_blobs SET compression = 'lz4'")
    connection.commit()
    connection.close()
    before = dump(path)

    report = upgrade_older(path)

    assert Outcome.FAILED == report.outcome
    assert "CHECK constraint failed" in report.problems[0]
    assert before == dump(path)


def test_broken_references_are_refused(path):
    """
    Rows that refer to nothing stop an upgrade, which is undone.
    """
    fill(path)
    make_older(path)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO process_wake_targets SELECT 'nobody', "
        + ", ".join(
            "'0'" if row[2] == "TEXT" else "0"
            for row in connection.execute("PRAGMA table_info(process_wake_targets)")
            if row[1] != "process_id"
        )
    )
    connection.commit()
    connection.close()

    report = upgrade_older(path)

    assert Outcome.FAILED == report.outcome
    assert "refer to rows that are not there" in report.problems[0]
    assert {"session": "0"} == {
        "session": inspect_file(path, chains=OLDER).versions["session"]
    }


def test_newer_file_is_refused(path):
    """
    A version no migration leads from is named, and nothing is changed.
    """
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_versions SET version = '7'")
    connection.commit()
    connection.close()

    report = upgrade_file(path)

    assert Outcome.FAILED == report.outcome
    assert "version 7" in report.problems[0]
    assert "needs version 1" in report.problems[0]


def test_locked_file_fails_alone(path):
    """
    A writer at work makes the upgrade of its file fail after the lock wait.
    """
    fill(path)
    make_older(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    report = upgrade_older(path, options=StoreOptions(busy_timeout_ms=20))
    holder.close()

    assert Outcome.FAILED == report.outcome
    assert "locked by another writer" in report.problems[0]


@pytest.fixture(name="root")
def _root(tmp_path):
    """
    Twelve older sessions, and what else may lie in a root.
    """
    root = tmp_path / "root"
    root.mkdir()
    fill(tmp_path / "first.db")
    make_older(tmp_path / "first.db")
    for number in range(12):
        shutil.copy(tmp_path / "first.db", root / f"s{number:02}.db")
    (root / "s03.db").write_bytes(b"damaged" * 1000)
    connection = sqlite3.connect(root / "s05.db")
    connection.execute("UPDATE schema_versions SET version = '7'")
    connection.commit()
    connection.close()
    (root / "notes.txt").write_text("not ours")
    (root / "attachments").mkdir()
    (root / "empty.db").touch()
    return root


@pytest.mark.parametrize("jobs", [1, 4])
def test_root_is_upgraded_whatever_is_in_it(root, jobs):
    """
    Every file has its report; damaged and newer ones hide no other, and a
    second run finds only those.
    """
    paths = database_files(root)
    assert 12 == len(paths)

    first = {
        Path(each.database).name: each.outcome
        for each in for_each_database(paths, upgrade_older, jobs=jobs)
    }
    second = [
        each.outcome for each in for_each_database(paths, upgrade_older, jobs=jobs)
    ]

    assert {"s03.db", "s05.db"} == {
        name for name, outcome in first.items() if outcome == Outcome.FAILED
    }
    assert 10 == list(first.values()).count(Outcome.UPGRADED)
    assert (10, 2) == (second.count(Outcome.CURRENT), second.count(Outcome.FAILED))
    read_everything(root / "s11.db")


PROGRAM = """
import sys
from pathlib import Path
from lashstore.migrations.files import database_files
from lashstore.migrations.targets import for_each_database
from tests.migrations.test_upgrade import upgrade_older
for report in for_each_database(database_files(Path(sys.argv[1])), upgrade_older, jobs=2):
    print("done", report.database, report.outcome, flush=True)
"""


def started(target, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_killed_in_the_middle_of_a_migration(path):
    """
    A process killed between two statements leaves the file as it was, and
    the next run carries it forward.
    """
    fill(path)
    make_older(path)
    before = dump(path)

    process = started(path, LASHSTORE_TEST_HALT="migration")
    assert "halfway\n" == process.stdout.readline()
    killed(process)

    assert before == dump(path)
    assert Outcome.UPGRADED == upgrade_older(path).outcome
    read_everything(path)


def test_killed_in_the_middle_of_a_root(root):
    """
    A run killed after some files is gone on with: those are current, none is
    halfway, and the rest are upgraded.
    """
    process = started(root)
    for _ in range(3):
        assert process.stdout.readline().startswith("done")
    killed(process)

    paths = database_files(root)
    reports = [inspect_file(each, chains=OLDER) for each in paths]
    outcomes = [each.outcome for each in reports]
    assert outcomes.count(Outcome.CURRENT) + outcomes.count(Outcome.OUTDATED) == 10
    assert Outcome.CURRENT in outcomes
    for _ in for_each_database(paths, upgrade_older, jobs=2):
        pass
    after = [inspect_file(each, is_thorough=True).outcome for each in paths]
    assert (10, 2) == (after.count(Outcome.CURRENT), after.count(Outcome.FAILED))


def test_importing_and_opening_import_no_alembic(tmp_path):
    """
    Every public name, every store and the command line do without alembic.
    """
    program = """
import sys, lashstore, lashstore.aio, lashstore.cli
from lashstore import *
from pathlib import Path
root = Path(sys.argv[1])
Store.open(root / "a.db", "a").close()
Store.open_readonly(root / "a.db").close()
SessionStoreFactory(root / "f").create_store("x")
for kind in (ProcessRegistry, TriggerStore, EffectHost):
    kind.open(root / "a.db").close()
for name in dir(lashstore.aio):
    getattr(lashstore.aio, name)
lashstore.cli.main(["--help"], standalone_mode=False)
print([name for name in sys.modules if "alembic" in name or "migrations" in name])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert "[]" == ran.stdout.splitlines()[-1]
