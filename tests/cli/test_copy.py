"""
`lashstore copy`: what it says, and how it ends.
"""

import json

import pytest

from lashstore import SessionStoreFactory

from .kit import assert_complains, picture_of, replay, run


@pytest.fixture(name="sessions")
def _sessions(tmp_path):
    with SessionStoreFactory(tmp_path / "from") as factory:
        for name in ("a", "b"):
            factory.create_store(name).put_blob(name.encode())
    return tmp_path / "from"


@pytest.fixture(name="server")
def _server(postgres):
    yield postgres.url()
    postgres.clear()


def test_copy_to_a_server_and_back(sessions, server, tmp_path):
    """
    A line of progress for each session, and one in the end.
    """
    there = run("copy", sessions, server)
    back = run("copy", server, tmp_path / "to", "--session", "b")
    again = run("copy", sessions, tmp_path / "to", "--quiet")

    assert (0, "2 sessions: 2 copied\n") == (there.exit_code, there.stdout)
    assert ["copied 'a'", "copied 'b'"] == there.stderr.splitlines()
    assert (0, "1 sessions: 1 copied\n") == (back.exit_code, back.stdout)
    assert (0, "") == (again.exit_code, again.stderr)
    assert "2 sessions: 1 copied, 1 present\n" == again.stdout


def test_a_different_session_fails(sessions, server):
    """
    It is reported, and the exit code is 1.
    """
    run("copy", sessions, server)
    with SessionStoreFactory(server) as factory:
        factory.open_existing_store("a").put_blob(b"more")

    result = run("copy", sessions, server, "--json", "--quiet")

    report = json.loads(result.stdout)
    assert (1, False, "") == (result.exit_code, report["is_complete"], result.stderr)
    one, other = report["sessions"]
    assert ("a", "different", 2) == (
        one["session_id"],
        one["outcome"],
        one["row_count"],
    )
    assert "session_blobs" in one["reason"]
    assert {
        "session_id": "b",
        "outcome": "present",
        "row_count": 3,
        "reason": None,
    } == other


def test_a_missing_session_fails(sessions, server):
    """
    It is named.
    """
    result = run("copy", sessions, server, "--session", "no", "--quiet")

    assert 1 == result.exit_code
    assert "missing   'no'\n1 sessions: 1 missing\n" == result.stdout


def test_wrong_places(sessions, tmp_path):
    """
    One line, and nothing is made.
    """
    to = tmp_path / "to"
    assert_complains(run("copy", tmp_path / "none", to), 1, "there is no session store")
    assert_complains(run("copy", sessions, sessions), 1, "are the same")
    assert_complains(run("copy", sessions, "mysql://h/d"), 2, "no engine of lashstore")
    assert_complains(run("copy", sessions), 2, "DEST")
    assert not to.exists()


def test_a_replay_of_small_outputs_moves(server, tmp_path):
    """
    A finished replay is one wherever its session is.
    """
    talk = tmp_path / "small.json"
    talk.write_text(json.dumps({"history": [{"role": "user", "content": "Hello."}]}))
    replay(talk, tmp_path / "from")
    run("copy", tmp_path / "from", server)

    result = replay(talk, server)

    assert "already holds all of small.json" in result.stdout
    assert 1 == picture_of(talk, server).session.head_revision
