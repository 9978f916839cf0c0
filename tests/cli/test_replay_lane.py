"""
Two hosts and one session: who runs it, and when.
"""

import time

import pytest

from lashstore import (
    LeaseOwnerIdentity,
    LeaseTimings,
    SessionExecutionLeaseExpiredError,
    SessionStoreFactory,
)
from lashstore.hosting.errors import LaneLostError
from lashstore.hosting.kills import ReplayChild
from lashstore.hosting.picture import take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import RunEvents, RunOptions, run_plan
from lashstore.hosting.transcript import read_transcript
from lashstore.model.leases import LeaseRow

from .kit import (
    HISTORY,
    assert_complains,
    picture_of,
    replay,
    run,
)


class Thief(RunEvents):
    """
    Takes the lane away after the first turn, and lets some time pass.
    """

    def __init__(self, root, wait_s):
        self._root = root
        self._wait_s = wait_s

    def on_turns_done(self, count):
        """
        Free the lease behind the holder's back.
        """
        if count == 1:
            with (
                SessionStoreFactory(self._root) as factory,
                factory.open_existing_store("s") as store,
                store.transaction() as records,
            ):
                records.execution_leases.put("s", LeaseRow(fencing_token=7))
            time.sleep(self._wait_s)


def test_a_live_holder_is_waited_for_within_bounds(transcript, root):
    """
    A session that another host runs is not touched.
    """
    with SessionStoreFactory(root) as factory, factory.create_store("s") as store:
        owner = LeaseOwnerIdentity.opaque("somebody", "1")
        store.try_claim_session_execution_lease(owner, 60_000)

        result = run(
            "replay", transcript, "--root", root, "--session", "s", "--wait", "0.3"
        )

        assert_complains(result, 1, "is being run by somebody")
        assert None is store.load_session_head_meta()


def test_an_expired_holder_is_succeeded(transcript, root):
    """
    Whoever cannot be proven dead is waited for until the lease is over.
    """
    with SessionStoreFactory(root) as factory, factory.create_store("s") as store:
        owner = LeaseOwnerIdentity.opaque("somebody", "1")
        store.try_claim_session_execution_lease(owner, 300)

    result = replay(transcript, root)

    assert 0 == result.exit_code
    assert "waiting for somebody" in result.stderr
    assert 1 == picture_of(transcript, root).restart_count


def test_two_replays_at_once(transcript, root):
    """
    One runs the session, the other waits and finds it done.
    """
    plan = build_plan(read_transcript(transcript))
    child = ReplayChild(transcript, root, "s", pause_s=0.05)
    child.wait_until_ready()
    waited = []

    class Waits(RunEvents):
        def on_wait(self, holder):
            waited.append(holder)

    assert run_plan(plan, root, "s", events=Waits())
    child.finish()

    assert 1 == len(waited)
    assert "lashstore-replay (process " in waited[0]
    assert tuple(HISTORY) == take_picture(plan, root, "s").messages()


def test_a_dead_holder_is_succeeded_at_once(transcript, root):
    """
    Nobody waits for a process that is provably gone.
    """
    plan = build_plan(read_transcript(transcript))
    child = ReplayChild(transcript, root, "s", pause_s=0.5)
    child.wait_until_ready()
    assert child.kill_after(0.1)

    assert run_plan(plan, root, "s", options=RunOptions(wait_s=0))
    assert 1 == take_picture(plan, root, "s").restart_count


@pytest.mark.parametrize(
    ("wait_s", "error"),
    [(0, SessionExecutionLeaseExpiredError), (1.5, LaneLostError)],
)
def test_a_lost_lane_stops_the_run(transcript, root, wait_s, error):
    """
    The run ends loudly, before its next commit, whether the store or the
    renewal finds out first.
    """
    plan = build_plan(read_transcript(transcript))
    options = RunOptions(timings=LeaseTimings.from_ttl(600 if wait_s else 30_000))

    with pytest.raises(error, match="lease"):
        run_plan(plan, root, "s", options=options, events=Thief(root, wait_s))

    with (
        SessionStoreFactory(root) as factory,
        factory.open_existing_store("s") as store,
    ):
        assert 1 == store.load_session_head_meta().head_revision


def test_the_lane_is_renewed(transcript, root):
    """
    A run that takes longer than its lease keeps it.
    """
    plan = build_plan(read_transcript(transcript))
    options = RunOptions(timings=LeaseTimings.from_ttl(900), pause_s=0.15)

    assert run_plan(plan, root, "s", options=options)
    assert 0 == take_picture(plan, root, "s").restart_count
