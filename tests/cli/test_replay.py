"""
`lashstore replay`: what it makes, and what it says.
"""

import json
import subprocess
import sys

import pytest

from lashstore import (
    LeaseOwnerIdentity,
    SessionStoreFactory,
)
from lashstore.hosting.picture import take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import RunEvents, run_plan
from lashstore.hosting.transcript import parse_transcript, read_transcript

from .kit import (
    HISTORY,
    LARGE,
    files_of,
    picture_of,
    replay,
    rows_of,
)


def test_replay_makes_the_session(transcript, place):
    """
    Every step is a revision; nodes, state, usage and attachments are there.
    """
    result = replay(transcript, place)
    picture = picture_of(transcript, place)
    session = picture.session

    assert (0, 4) == (result.exit_code, session.head_revision)
    assert tuple(HISTORY) == picture.messages()
    assert {"000002:c1", "000004:action"} == set(session.checkpoint.tool_state["calls"])
    assert 4 == session.checkpoint.turn_state["turn_index"]
    assert [LARGE.encode()] == list(picture.attachments.values())
    assert [1, 2, 3, 4] == [turn.result.head_revision for turn in picture.turns]
    assert 3 == len(picture.usage_deltas)


def test_summary(transcript, root):
    """
    The summary tells what there is now.
    """
    lines = replay(transcript, root).stdout.splitlines()

    summary = dict(line.split(None, 1) for line in lines)
    assert ("4", "8", "0") == (summary["turns"], summary["nodes"], summary["restarts"])
    assert "attachments 9.8 KiB (1)" in summary["on"]


def test_nothing_stays_pending_or_claimed(transcript, place):
    """
    Inputs are completed, attachments stamped, the lease released.
    """
    replay(transcript, place)

    with (
        SessionStoreFactory(place) as factory,
        factory.open_existing_store("s") as store,
    ):
        assert () == store.list_pending_turn_inputs()
        assert () == store.list_uncommitted_attachments(2**63)
        owner = LeaseOwnerIdentity.opaque("other", "1")
        lease = store.try_claim_session_execution_lease(owner, 1000).lease
        assert 2 == lease.fencing_token


def test_replay_twice_changes_nothing(transcript, root):
    """
    A finished session is told apart, and left alone.
    """
    replay(transcript, root)
    before = files_of(root)

    result = replay(transcript, root)

    assert 0 == result.exit_code
    assert "already holds all of talk.json; nothing was changed" in result.stdout
    assert before == files_of(root)


def test_two_sessions_of_one_root(transcript, place):
    """
    Sessions of one folder share attachments and nothing else.
    """
    for session_id in ("a", "b/../c"):
        assert 0 == replay(transcript, place, session_id).exit_code

    with SessionStoreFactory(place) as factory:
        listed = {info.session_id: info for info in factory.list_sessions()}
    assert {"a", "b/../c"} == set(listed)
    assert "What is here?" == listed["a"].first_user_message
    for session_id in listed:
        assert tuple(HISTORY) == picture_of(transcript, place, session_id).messages()


def test_a_run_that_stopped_goes_on(transcript, place):
    """
    The next run starts with the first turn that is not committed.
    """

    class StopsAfterTwo(RunEvents):
        def on_turns_done(self, count):
            if count == 2:
                raise KeyboardInterrupt

    plan = build_plan(read_transcript(transcript))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, place, "s", events=StopsAfterTwo())

    result = replay(transcript, place)

    assert ["turn 2/4", "turn 3/4", "turn 4/4"] == result.stderr.splitlines()
    assert 1 == picture_of(transcript, place).restart_count


def test_help_is_light():
    """
    Asking for help imports neither rich nor the commands.
    """
    code = (
        "import sys; from lashstore.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'rich', 'lashstore.cli.demo'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "replay" in done.stdout


def test_module_runs(transcript, place):
    """
    `python -m lashstore.cli` is the same command.
    """
    command = [sys.executable, "-m", "lashstore.cli", "replay", str(transcript)]
    done = subprocess.run(
        [*command, "--root", str(place), "--session", "s"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "turn 4/4") == (done.returncode, done.stderr.splitlines()[-1])


def test_summary_of_a_server(transcript, postgres):
    """
    It names the database without its password, and no size of its own.
    """
    result = replay(transcript, postgres.url())
    postgres.clear()

    summary = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert ("4", "8", "0") == (summary["turns"], summary["nodes"], summary["restarts"])
    assert "attachments 9.8 KiB (1)" == summary["content"]
    assert summary["server"].startswith("postgresql+psycopg://")
    assert "file" not in summary


def test_replay_twice_changes_nothing_on_a_server(transcript, postgres):
    """
    A finished session is told apart: no row changes.
    """
    url = postgres.url()
    replay(transcript, url)
    before = rows_of(postgres)

    result = replay(transcript, url)

    after = rows_of(postgres)
    postgres.clear()
    assert 0 == result.exit_code
    assert "already holds all of talk.json; nothing was changed" in result.stdout
    assert before == after
    assert {"session_nodes", "effects", "processes", "trigger_occurrences"} <= {
        name for name, rows in before.items() if rows
    }


def test_many_inputs_of_one_turn(root):
    """
    A turn takes all its inputs, however many.
    """
    messages = [{"role": "user", "content": str(n)} for n in range(150)]
    content = "\n".join(map(json.dumps, messages)).encode()
    plan = build_plan(parse_transcript(content, "t"))

    assert run_plan(plan, root, "s")
    assert tuple(messages) == take_picture(plan, root, "s").messages()
