"""
Every statement of the deployment stores' operations is served by an index on
the server too, as far as it lets itself be asked: a plan that can only read a
whole table still does so with sequential scans discouraged.
"""

import sqlalchemy as sa
from effects.conftest import TURN
from postgres_server import server
from sqlalchemy import event as sa_event
from triggers.conftest import draft, emit, session

from lashstore import (
    EffectHost,
    ProcessHandleDescriptor,
    ProcessRegistry,
    SessionScope,
    SuccessOutput,
    TriggerStore,
)

from .kit import OTHER, ROOT, event, owner, registration

TOOL = ProcessHandleDescriptor(kind="tool")


# Of their own: what tests left behind would be in the planner's figures.
SCHEMA = "plans_of_deployments"


def plans_of(operation):
    """
    Return each statement that an operation sends with its plan, made without
    discouraging anything but reading tables whole.
    """
    seen, plans = [], []

    def before(_conn, _cursor, statement, parameters, _context, executemany):
        bound = parameters[0] if executemany else parameters
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            seen.append((statement, bound))

    sa_event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        operation()
    finally:
        sa_event.remove(sa.Engine, "before_cursor_execute", before)
    with server().connect(SCHEMA) as connection:
        # As in every transaction of the library.
        for setting in ("seqscan", "hashjoin", "mergejoin"):
            connection.execute(f"SET enable_{setting} = off")
        for statement, bound in seen:
            rows = connection.execute(f"EXPLAIN {statement}", bound).fetchall()
            plans.append((statement, [line for (line,) in rows]))
    return plans


def unsearched(plan):
    """
    Return the reads of a plan that go through a whole table or index.
    """
    wrong = [line for line in plan if "Seq Scan" in line]
    for number, line in enumerate(plan):
        if "Index Scan" in line or "Index Only Scan" in line:
            details = "".join(plan[number + 1 : number + 3])
            if "Index Cond" not in details:
                wrong.append(line)
    return wrong


def registry_operations():
    """
    Do what changes processes, once each.
    """
    with ProcessRegistry.open(server().url(SCHEMA)) as registry:
        registry.register_process(registration("p", wake_target=ROOT))
        registry.grant_handle(ROOT, "p", TOOL)
        registry.append_event(
            "p", event("producer.wake", {"wake_input": "a"}, replay_key="k")
        )
        lease = registry.claim_process_lease("p", owner(), 1_000).lease
        registry.renew_process_lease(lease, 1_000)
        registry.pending_wake_deliveries()
        registry.ack_wake("p", 1)
        registry.transfer_handle_grants(ROOT, OTHER, ["p"])
        registry.delete_session_process_state("other")
        registry.complete_process("p", SuccessOutput(value=1))
        registry.list_non_terminal(limit=2)
        registry.prune_terminal_processes(2**62)


def trigger_operations():
    """
    Do what changes triggers, once each.
    """
    with TriggerStore.open(server().url(SCHEMA)) as triggers:
        triggers.register_subscription(
            draft(
                registrant=session("s"),
                client_key="k",
                wake_target=SessionScope(session_id="w"),
            )
        )
        occurrence, _ = emit(triggers)
        triggers.pending_deliveries()
        triggers.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")
        triggers.cancel_subscription("s", "trigger:1")
        triggers.delete_session_subscriptions("w")
        triggers.delete_session_subscriptions("s")
        triggers.prune_occurrences(2**62)


def effect_operations():
    """
    Do what changes effects, once each.
    """
    with EffectHost.open(server().url(SCHEMA)) as host:
        host.scoped(TURN).step("s", lambda: 1)
        host.scoped(TURN).step("s", lambda: 1)
        host.prune(2**62)
        host.delete_session("chat")


def test_no_statement_reads_a_whole_table(postgres):
    """
    Each plan finds its rows by an index.
    """
    postgres.drop(SCHEMA)
    for operations in (registry_operations, trigger_operations, effect_operations):
        plans = plans_of(operations)
        assert len(plans) > 5
        for statement, plan in plans:
            if "NOT (EXISTS" in statement and "occurred_at_ms" in statement:
                # Of a few rows, PostgreSQL reads the whole index of what is
                # pending, which is as small as they are.
                continue
            assert [] == unsearched(plan), (statement, plan)
    postgres.drop(SCHEMA)
