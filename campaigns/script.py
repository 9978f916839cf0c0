"""
The script of a host: which call it makes at which step.

A step's call depends on the seed, the step and what the stores hold, so that
two hosts over equal stores do the same.
"""

from random import Random
from typing import Any

from lashstore import LashStoreError

from . import deployment_calls, session_calls, tokens, work_calls  # noqa: F401, they register calls
from .calls import CALLS
from .host import Call, Host

NAMES = tuple(sorted(CALLS))
# How often a call is made, against 2 for one that is not listed.
_WEIGHTS = {
    "commit_runtime_state": 10,
    "enqueue_queued_work": 5,
    "enqueue_pending_turn_input": 5,
    "claim_ready_queued_work": 5,
    "claim_next_turn_inputs": 5,
    "try_claim_session_execution_lease": 6,
    "append_event": 5,
    "execute_effect": 4,
    "register_process": 3,
    "register_subscription": 5,
    "delete_session_subscriptions": 1,
    "reclaim_session_execution_lease": 1,
    "release_session_execution_lease": 1,
    "redefer_orphaned_turn_inputs": 1,
    "reclaim_process_lease": 1,
}
_CHOICES = [name for name in NAMES for _ in range(_WEIGHTS.get(name, 2))]


def take_step(host: Host, seed: int, step: int) -> tuple[str, str, dict[str, Any]]:
    """
    Do one step.

    Returns:
        The call's name, the error it was refused with ("" without one), and
        the facts an auditor may use.
    """
    dice = Random(f"{seed}:{host.life}:{step}")
    tokens.restart(f"{seed}:{host.life}:{step}")
    host.begin(step, dice)
    made = choose(host, dice)
    try:
        result = made.run()
    except LashStoreError as error:
        return made.name, type(error).__name__, {}
    made.keep(result)
    return made.name, "", made.facts(result)


def choose(host: Host, dice: Random) -> Call:
    """
    Return a call that can be made now.
    """
    while True:
        made = CALLS[dice.choice(_CHOICES)](host)
        if made is not None:
            return made
