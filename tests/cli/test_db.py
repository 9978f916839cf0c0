"""
`lashstore db`: what it prints, its exit codes, and what it leaves behind.
"""

import json
import secrets
import shutil
import sqlite3

import pytest

from lashstore import Store
from lashstore.migrations.chain import CHAINS
from tests.migrations.make_golden import fill
from tests.migrations.older import CHAIN, make_older, make_older_on_server

from .kit import assert_complains, files_of, run


@pytest.fixture(name="root")
def _root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    fill(root / "a.db")
    shutil.copy(root / "a.db", root / "b.db")
    return root


@pytest.fixture(name="older")
def _older(root, monkeypatch):
    monkeypatch.setitem(CHAINS, "session", CHAIN)
    make_older(root / "b.db")
    return root


def test_current(root):
    """
    Versions are listed by file, also as JSON, and nothing is written.
    """
    before = files_of(root)

    listed = run("db", "current", root)
    as_json = run("db", "current", root / "a.db", "--json")

    assert 0 == listed.exit_code
    assert (
        f"{root}/a.db: current (effect 1, process 1, session 1, trigger 1)"
        == listed.stdout.splitlines()[0]
    )
    assert "2 databases: 2 current" == listed.stdout.splitlines()[2]
    assert {"effect": "1", "process": "1", "session": "1", "trigger": "1"} == (
        json.loads(as_json.stdout)["versions"]
    )
    assert before == files_of(root)


def test_nothing_to_upgrade(root):
    """
    A root that is current is told to be so.
    """
    result = run("db", "upgrade", root)

    assert (0, "2 databases: 2 current\n") == (result.exit_code, result.stdout)


def test_plan_then_upgrade(older):
    """
    A plan shows the steps and writes nothing; the upgrade takes them.
    """
    before = files_of(older)
    planned = run("db", "upgrade", older, "--plan")
    assert before == files_of(older)
    assert 1 == run("db", "check", older).exit_code

    done = run("db", "upgrade", older)

    assert 0 == planned.exit_code
    assert [
        f"{older}/b.db: outdated (effect 1, process 1, session 0, trigger 1)",
        "    session 0 -> 1: From the schema that never was to the first",
        "2 databases: 1 current, 1 outdated",
    ] == planned.stdout.splitlines()
    assert (0, "2 databases: 1 current, 1 upgraded") == (
        done.exit_code,
        done.stdout.splitlines()[-1],
    )
    assert 0 == run("db", "check", older).exit_code
    with Store.open(older / "b.db", "golden") as store:
        assert 1 == store.load_session().head_revision


def test_failures_are_shown_beside_the_rest(older):
    """
    A damaged file is named, the others are upgraded, and the exit code is 1.
    """
    (older / "c.db").write_bytes(b"damaged" * 100)

    result = run("db", "upgrade", older)

    assert 1 == result.exit_code
    assert "is not a lashstore database" in result.stdout
    assert "3 databases: 1 current, 1 upgraded, 1 failed" in result.stdout


def test_check_names_what_differs(root):
    """
    A schema that was tampered with is told to the last constraint.
    """
    connection = sqlite3.connect(root / "a.db")
    connection.execute("DROP INDEX ix_session_nodes_seq")
    connection.close()

    result = run("db", "check", root)

    assert 1 == result.exit_code
    assert [
        "    /tables/session_nodes/indexes/ix_session_nodes_seq is missing",
        "2 databases: 1 current, 1 different",
    ] == result.stdout.splitlines()[1:]


def test_wrong_targets(tmp_path):
    """
    What is not there, and another engine's address, is one line and an exit
    code.
    """
    assert_complains(run("db", "upgrade", tmp_path / "none"), 1, "none")
    assert_complains(run("db", "check", "mysql://x/y"), 2, "'mysql' is no engine")


def test_empty_root(tmp_path):
    """
    A root without databases is no mistake.
    """
    result = run("db", "upgrade", tmp_path)

    assert (0, "0 databases\n") == (result.exit_code, result.stdout)


@pytest.fixture(name="address")
def _address(postgres):
    """
    Return the address of a schema of its own, with a password in it.
    """
    name = f"db_{secrets.token_hex(4)}"
    address = postgres.url(name, password="secret")
    fill(address)
    yield address, name
    postgres.drop(name)


def test_server(postgres, address, monkeypatch):
    """
    A server's schema is listed, planned, upgraded and checked as a file is,
    and its password is never shown.
    """
    url, schema = address
    before = run("db", "check", url)
    monkeypatch.setitem(CHAINS, "session", CHAIN)
    make_older_on_server(lambda: postgres.connect(schema))

    listed = run("db", "current", url)
    planned = run("db", "upgrade", url, "--plan")
    outdated = run("db", "check", url)
    done = run("db", "upgrade", url)
    checked = run("db", "check", url)
    as_json = run("db", "current", url, "--json")

    assert (0, "1 database: 1 current\n") == (before.exit_code, before.stdout)
    assert 0 == listed.exit_code
    assert listed.stdout.splitlines()[0].endswith(
        f"schema={schema}: outdated (effect 1, process 1, session 0, trigger 1)"
    )
    assert [
        "    session 0 -> 1: From the schema that never was to the first",
        "1 database: 1 outdated",
    ] == planned.stdout.splitlines()[1:]
    assert (0, 1) == (planned.exit_code, outdated.exit_code)
    assert (0, "1 database: 1 upgraded") == (
        done.exit_code,
        done.stdout.splitlines()[-1],
    )
    assert (0, "1 database: 1 current\n") == (checked.exit_code, checked.stdout)
    assert "1" == json.loads(as_json.stdout)["versions"]["session"]
    for result in (listed, planned, outdated, done, as_json):
        assert "secret" not in result.output
    with Store.open(url, "golden") as store:
        assert 1 == store.load_session().head_revision


def test_server_that_is_not_there(tmp_path):
    """
    A server nobody can reach is a failure in the report.
    """
    result = run("db", "current", f"postgresql+psycopg:///x?host={tmp_path}")

    assert 1 == result.exit_code
    assert "cannot be reached" in result.stdout
    assert "1 database: 1 failed" == result.stdout.splitlines()[-1]
