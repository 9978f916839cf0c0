"""
A replay that dies by its own hand, right behind one chosen step.
"""

import functools
import itertools
import multiprocessing
import os
import signal

from lashstore import ProcessRegistry, Store, TriggerStore
from lashstore.effects.journal import EffectJournal
from lashstore.hosting.runner import run_plan
from lashstore.hosting.tool_runs import ToolRunLog

# Whatever a replay writes beside its session, and what ties the two together.
STEPS = (
    (TriggerStore, "register_subscription"),
    (TriggerStore, "record_occurrence"),
    (TriggerStore, "reserve_matching_deliveries"),
    (TriggerStore, "acknowledge_delivery"),
    (ProcessRegistry, "register_process"),
    (ProcessRegistry, "append_event"),
    (ProcessRegistry, "ack_wake"),
    (ProcessRegistry, "complete_process"),
    (EffectJournal, "claim"),
    (EffectJournal, "record_outcome"),
    (ToolRunLog, "add"),
    (Store, "enqueue_queued_work"),
    (Store, "claim_ready_queued_work"),
    (Store, "commit_runtime_state"),
)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["lashstore.hosting.runner"])


def die_behind(plan, root, session_id, step):
    """
    Replay in another process until it has done so many steps.

    Returns:
        Whether it was killed there; False if it came to its end before.
    """
    child = _context.Process(target=_replay, args=(plan, root, session_id, step))
    child.start()
    child.join()
    code = child.exitcode
    child.close()
    assert code in (0, -signal.SIGKILL)
    return code == -signal.SIGKILL


def _replay(plan, root, session_id, step):
    numbers = itertools.count(1)
    for owner, name in STEPS:
        setattr(owner, name, _fatal(getattr(owner, name), numbers, step))
    run_plan(plan, root, session_id)


def _fatal(method, numbers, step):
    @functools.wraps(method)
    def wrapped(*arguments, **options):
        result = method(*arguments, **options)
        if next(numbers) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped
