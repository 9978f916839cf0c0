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
# Four steps, of which two call tools and the last begins with a wake.
STEP_COUNT = 20


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


@pytest.fixture(name="unbroken", scope="module")
def _unbroken(plan, tmp_path_factory):
    root = tmp_path_factory.mktemp("unbroken")
    run_plan(plan, root, SESSION)
    return root


def test_the_plan_has_all_it_takes(plan):
    """
    Two tools and a wake in four turns.
    """
    assert (4, 2, 1) == (len(plan.turns), count_calls(plan), count_wakes(plan))


@pytest.mark.parametrize("step", range(1, STEP_COUNT + 1))
def test_a_kill_behind_a_step_changes_nothing(plan, unbroken, tmp_path, step):
    """
    The next run ends as if there had been no kill: no recorded effect ran
    twice, no wake was enqueued twice, the trigger fired once.
    """
    witness = Witness(plan, tmp_path, SESSION)
    assert die_behind(plan, tmp_path, SESSION, step)
    witness.look()

    run_plan(plan, tmp_path, SESSION)

    witness.check_end(kill_count=1)
    picture = take_picture(plan, tmp_path, SESSION)
    assert [] == list(differences(picture, take_picture(plan, unbroken, SESSION)))
    assert read_process(plan, unbroken, SESSION) == read_process(
        plan, tmp_path, SESSION
    )


def test_short_lives_come_to_the_end(plan, tmp_path):
    """
    However often it dies, it gets to the end.
    """
    witness = Witness(plan, tmp_path, SESSION)
    lives = 0
    # A life takes five steps to the process, two to a wake it had already, and
    # three to a tool's outcome: with one less, none would get past that turn.
    while die_behind(plan, tmp_path, SESSION, 10):
        lives += 1
        assert lives < STEP_COUNT
        witness.look()

    assert lives > 1
    witness.check_end(kill_count=lives)


def test_there_is_no_step_behind_the_last(plan, tmp_path):
    """
    The steps above are all there are.
    """
    assert not die_behind(plan, tmp_path, SESSION, STEP_COUNT + 1)
    Witness(plan, tmp_path, SESSION).check_end(kill_count=0)
