"""
What a replay does beside its session: tools as recorded effects, and a
background process that a trigger starts and that wakes the session.
"""

import pytest

from lashstore import (
    QueuedWorkBatchDraft,
    SessionStoreFactory,
    SuccessOutput,
    TriggerSubscriptionFilter,
    TurnWorkPayload,
)
from lashstore.hosting.audit import audit_run, count_recorded_runs
from lashstore.hosting.calls import planned_calls
from lashstore.hosting.errors import HostingError
from lashstore.hosting.plan import build_plan
from lashstore.hosting.roots import root_at
from lashstore.hosting.stores import open_stores
from lashstore.hosting.tool_runs import ToolRunLog
from lashstore.hosting.transcript import read_transcript
from lashstore.hosting.trigger import find_process_id

from .kit import assert_complains, picture_of, replay

TOOLS = ["tool:000002:c1", "tool:000004:action"]


def read_tool_runs(place, session_id):
    with root_at(place).open_tool_runs(session_id) as log:
        return log.read()


@pytest.fixture(name="plan")
def _plan(transcript):
    return build_plan(read_transcript(transcript))


def test_calls_are_planned_with_their_outputs(plan):
    """
    Also where the answer comes in the next turn; a large one by reference.
    """
    (listing,) = planned_calls(plan)["turn-000000"]
    (counting,) = planned_calls(plan)["turn-000001"]

    assert TOOLS == [call.envelope().replay_key for call in (listing, counting)]
    assert "stored_attachment" == listing.output[0]["type"]
    assert ("wc", "2000") == (counting.name, counting.output)


def test_tools_run_once(transcript, place, plan):
    """
    Each has a line in the log and an outcome in the journal; a finished
    session starts none of them again.
    """
    replay(transcript, place)
    replay(transcript, place)

    runs = read_tool_runs(place, "s")
    assert TOOLS == [run.replay_key for run in runs]
    assert [1, 1] == list(count_recorded_runs(plan, place, "s").values())
    audit = audit_run(plan, place, "s")
    assert ((), 2, 2, 0) == (
        audit.complaints,
        audit.effect_count,
        audit.execution_count,
        audit.repeated_count,
    )


def test_the_background_process_ends_with_its_session(transcript, place, plan):
    """
    The trigger started it, it woke the session, and it is completed.
    """
    replay(transcript, place)

    with open_stores(place) as stores:
        process_id = find_process_id(stores, plan, "s")
        process = stores.processes.get_process(process_id)
        events = stores.processes.events_after(process_id, 0)
        pending = stores.processes.pending_wake_deliveries()
        (subscription,) = stores.triggers.list_subscriptions(
            TriggerSubscriptionFilter(session_id="s")
        )
        undelivered = stores.triggers.pending_deliveries()
    assert SuccessOutput(value={"turns_done": 4}) == process.status.await_output
    assert ["replay.progress", "process.completed"] == [e.event_type for e in events]
    assert "3 turns are done." == events[0].semantics.wake.input
    assert subscription.wake_target == process.wake_target
    assert ((), ()) == (pending, undelivered)
    with (
        SessionStoreFactory(place) as factory,
        factory.open_existing_store("s") as store,
    ):
        assert () == store.list_queued_work()


def test_sessions_of_one_root_have_processes_of_their_own(transcript, place, plan):
    """
    They share the files, and nothing in them.
    """
    for session_id in ("a", "b/../c"):
        replay(transcript, place, session_id)

    for session_id in ("a", "b/../c"):
        assert () == audit_run(plan, place, session_id).complaints
        assert TOOLS == [r.replay_key for r in read_tool_runs(place, session_id)]


def test_work_of_others_in_the_queue_is_refused(transcript, place):
    """
    A turn takes its wake and nothing else.
    """
    with SessionStoreFactory(place) as factory, factory.create_store("s") as store:
        mine = store.enqueue_queued_work(
            QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body="mine"),))
        )

        result = replay(transcript, place)

        assert 1 == result.exit_code
        assert "has queued work that is not the replay's" in result.stderr
        assert mine == store.list_pending_queued_work()[0]
        store.cancel_queued_work_batch(mine.batch_id)
    assert 0 == replay(transcript, place).exit_code
    assert 4 == picture_of(transcript, place).session.head_revision


def test_the_audit_sees_a_tool_that_ran_again(transcript, place, plan):
    """
    By the clock, and by the number of runs.
    """
    replay(transcript, place)
    seen = count_recorded_runs(plan, place, "s")
    with root_at(place).open_tool_runs("s") as log:
        log.add(log.read()[0].scope_id, TOOLS[0])

    for audit in (
        audit_run(plan, place, "s"),
        audit_run(plan, place, "s", seen=[seen]),
    ):
        assert (3, 1) == (audit.execution_count, audit.repeated_count)
        assert f"{TOOLS[0]} ran again after" in audit.complaints[0]


def test_the_audit_sees_what_is_missing(transcript, root, plan):
    """
    An outcome that is not recorded, a run that is not logged.
    """
    replay(transcript, root)
    with open_stores(root) as stores:
        stores.effects.delete_session("s")
    ToolRunLog(root, "s").path.unlink()

    complaints = "\n".join(audit_run(plan, root, "s").complaints)

    assert "tool call 000002:c1 has no recorded outcome" in complaints
    assert "tool call 000004:action never ran" in complaints
    assert "cannot be replayed" in complaints


def test_the_audit_sees_that_nothing_was_begun(place, plan):
    """
    No process, no wakes.
    """
    audit = audit_run(plan, place, "s")

    assert ("missing", 0) == (audit.process_state, audit.wake_count)
    assert "the background process is missing" in audit.complaints


def test_a_broken_log_is_an_error(transcript, root, plan):
    """
    A line that is none of ours proves nothing.
    """
    replay(transcript, root)
    ToolRunLog(root, "s").path.write_text("{}\n")

    with pytest.raises(HostingError, match="a line is no tool run"):
        audit_run(plan, root, "s")


def test_a_damaged_journal_stops_the_replay(transcript, root):
    """
    Its error is one line.
    """
    root.mkdir()
    (root / "effects.db").write_bytes(b"no database" * 100)

    assert_complains(replay(transcript, root), 1, "effects.db")
