"""
Kills behind every single step that a replay takes beside its session: tools
as effects, the background process and its wakes, the trigger.
"""

import json

import pytest

from lashstore.hosting.picture import differences, take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import run_plan
from lashstore.hosting.transcript import parse_transcript

from .points import die_behind
from .shared import Witness, count_calls, count_wakes, read_process

SESSION = "killed"
# Four steps, of which two call tools and the last begins with a wake. On a
# server the log of tool runs is a process, which is registered once.
FOLDER_STEPS, SERVER_STEPS = 20, 21


def call(number):
    """
    Make a step that calls a tool, and the tool's answer.
    """
    function = {"name": "count", "arguments": f'{{"n": {number}}}'}
    calls = [{"id": f"c{number}", "function": function}]
    return [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": str(number), "tool_call_id": f"c{number}"},
    ]


@pytest.fixture(name="plan", scope="module")
def _plan():
    messages = [
        {"role": "user", "content": "Count."},
        *call(1),
        {"role": "assistant", "content": "One."},
        {"role": "assistant", "content": "And now?"},
        *call(2),
    ]
    lines = "\n".join(map(json.dumps, messages))
    return build_plan(parse_transcript(lines.encode(), "counting"))


def step_count(places):
    """
    Count the steps of a replay.
    """
    return FOLDER_STEPS if places.has_files else SERVER_STEPS


@pytest.fixture(name="root")
def _root(places):
    return places.place("killed")


@pytest.fixture(name="unbroken", scope="module")
def _unbroken(plan, places):
    root = places.place("unbroken")
    run_plan(plan, root, SESSION)
    return root


def test_the_plan_has_all_it_takes(plan):
    """
    Two tools and a wake in four turns.
    """
    assert (4, 2, 1) == (len(plan.turns), count_calls(plan), count_wakes(plan))


@pytest.mark.parametrize("step", range(1, SERVER_STEPS + 1))
def test_a_kill_behind_a_step_changes_nothing(plan, places, unbroken, root, step):
    """
    The next run ends as if there had been no kill: no recorded effect ran
    twice, no wake was enqueued twice, the trigger fired once.
    """
    witness = Witness(plan, root, SESSION)
    was_killed = die_behind(plan, root, SESSION, step)
    assert (step <= step_count(places)) == was_killed
    witness.look()

    run_plan(plan, root, SESSION)

    witness.check_end(kill_count=1)
    picture = take_picture(plan, root, SESSION)
    assert [] == list(differences(picture, take_picture(plan, unbroken, SESSION)))
    assert read_process(plan, unbroken, SESSION) == read_process(plan, root, SESSION)


def test_short_lives_come_to_the_end(plan, places, root):
    """
    However often it dies, it gets to the end.
    """
    witness = Witness(plan, root, SESSION)
    lives = 0
    # A life takes five steps to the process, two to a wake it had already, and
    # three to a tool's outcome, five on a server: with one less, none would get
    # past that turn.
    while die_behind(plan, root, SESSION, 10 if places.has_files else 12):
        lives += 1
        assert lives < 20
        witness.look()

    assert lives > 1
    witness.check_end(kill_count=lives)


def test_there_is_no_step_behind_the_last(plan, places, root):
    """
    The steps above are all there are.
    """
    assert not die_behind(plan, root, SESSION, step_count(places) + 1)
    Witness(plan, root, SESSION).check_end(kill_count=0)
