"""
The state machines of the documents are those of the code.
"""

import sys
from collections import deque

import pytest

from lashstore import LashStoreError

from .blocks import ROOT
from .machine_drivers import DRIVERS, METHODS

sys.path.append(str(ROOT / "tools"))
from diagrams.state_machines import MACHINES  # noqa: E402


def paths(machine):
    """
    Return the fewest calls that lead to each state.
    """
    first = machine.states[0].key
    found, waiting = {first: ()}, deque([first])
    while waiting:
        source = waiting.popleft()
        for call in machine.calls:
            target = machine.target(source, call)
            if target not in found:
                found[target] = (*found[source], call)
                waiting.append(target)
    return found


def make(driver, machine, call):
    """
    Make a call; one that is refused is told by where the thing stands then.
    """
    method = METHODS.get((machine.key, call), call)
    try:
        getattr(driver, method)()
    except LashStoreError:
        pass


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.key)
def test_every_call_in_every_state(machine):
    """
    It leads where the drawing says, and where that says nothing, nowhere.
    """
    said, seen = {}, {}
    for source, path in paths(machine).items():
        for call in machine.calls:
            driver = DRIVERS[machine.key]()
            try:
                for step in path:
                    make(driver, machine, step)
                assert source == driver.where()
                make(driver, machine, call)
                seen[source, call] = driver.where()
            finally:
                driver.close()
            said[source, call] = machine.target(source, call)

    assert said == seen


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.key)
def test_every_state_can_be_reached(machine):
    """
    And every move has a call, and every call a state it is about.
    """
    keys = [state.key for state in machine.states]

    assert sorted(keys) == sorted(paths(machine))
    assert {move.call for move in machine.moves} <= machine.calls.keys()
    assert {s for move in machine.moves for s in (*move.sources, move.target)} <= set(
        keys
    )
