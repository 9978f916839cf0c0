"""
What the stores beside a session hold after its replay, and what they must.
"""

from lashstore import (
    QueuedWorkBatchDraft,
    SessionStoreFactory,
    TriggerSubscriptionFilter,
    TurnWorkPayload,
)
from lashstore.hosting.audit import audit_run, count_recorded_runs
from lashstore.hosting.background import is_woken
from lashstore.hosting.calls import planned_calls
from lashstore.hosting.roots import root_at
from lashstore.hosting.stores import open_stores
from lashstore.hosting.trigger import find_process_id
from lashstore.repos._run import Runner
from lashstore.tables import trigger_deliveries


class Witness:
    """
    Watches a session from kill to kill: what is recorded once runs no more.
    """

    def __init__(self, plan, root, session_id):
        self.plan = plan
        self.root = root
        self.session_id = session_id
        self.seen = []

    def look(self):
        """
        Compare the tool runs with those of the last look.
        """
        recorded = count_recorded_runs(self.plan, self.root, self.session_id)
        for earlier in self.seen[-1:]:
            assert earlier == {key: recorded.get(key) for key in earlier}
        self.seen.append(recorded)

    def check_end(self, kill_count):
        """
        Check everything beside the finished session.

        Returns:
            How many tools were cut off before their outcome was recorded.
        """
        self.look()
        audit = audit_run(self.plan, self.root, self.session_id, seen=self.seen)
        assert () == audit.complaints
        assert (0, "completed") == (audit.repeated_count, audit.process_state)
        assert count_calls(self.plan) == audit.effect_count
        assert count_wakes(self.plan) == audit.wake_count
        cut_off = audit.execution_count - audit.effect_count
        # A life is cut off in one tool at most.
        assert 0 <= cut_off <= kill_count
        with root_at(self.root).open_tool_runs(self.session_id) as log:
            runs = log.read()
        assert audit.execution_count == len(runs)
        check_trigger(self.plan, self.root, self.session_id)
        check_admissions(self.plan, self.root, self.session_id)
        return cut_off


def count_calls(plan):
    """
    Count the tool calls of a plan.
    """
    return sum(map(len, planned_calls(plan).values()))


def count_wakes(plan):
    """
    Count the wakes of a plan.
    """
    return sum(is_woken(turn.index) for turn in plan.turns)


def read_process(plan, root, session_id):
    """
    Read the background process's log and outcome, without ids and times.
    """
    with open_stores(root) as stores:
        process_id = find_process_id(stores, plan, session_id)
        record = stores.processes.get_process(process_id)
        events = stores.processes.events_after(process_id, 0)
    return record.status, [
        (event.sequence, event.event_type, event.payload, event.semantics)
        for event in events
    ]


def check_trigger(plan, root, session_id):
    """
    Check for one subscription, and one delivery that was acknowledged.
    """
    with open_stores(root) as stores:
        by_session = TriggerSubscriptionFilter(session_id=session_id)
        (subscription,) = stores.triggers.list_subscriptions(by_session)
        assert () == stores.triggers.pending_deliveries()
        assert () == stores.processes.pending_wake_deliveries()
        process_id = find_process_id(stores, plan, session_id)
        columns = trigger_deliveries.c
        deliveries = stores.triggers._database.read(
            lambda connection: (
                Runner(connection)
                .execute(
                    trigger_deliveries.select().where(
                        columns.subscription_id == subscription.subscription_id
                    )
                )
                .all()
            )
        )
    assert [process_id] == [row.process_id for row in deliveries]


def check_admissions(plan, root, session_id):
    """
    Check that every input and every wake was admitted to the session once:
    the next one's number tells, whatever was completed and removed.
    """
    admitted = sum(len(turn.drafts) for turn in plan.turns) + count_wakes(plan)
    draft = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body="probe"),))
    with (
        SessionStoreFactory(root) as factory,
        factory.open_existing_store(session_id) as store,
    ):
        assert () == store.list_queued_work()
        probe = store.enqueue_queued_work(draft)
        store.cancel_queued_work_batch(probe.batch_id)
    assert admitted + 1 == probe.enqueue_seq
