"""
Help for tests of code that uses lashstore: short factories for what a
runtime commits, enqueues and leases.
"""

from .factories import (
    acquire_lease,
    active_turn_draft,
    command_draft,
    commit_nodes,
    dead_owner,
    live_owner,
    make_commit,
    make_owner,
    make_usage,
    make_wake,
    message_chain,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

__all__ = [
    "acquire_lease",
    "active_turn_draft",
    "command_draft",
    "commit_nodes",
    "dead_owner",
    "live_owner",
    "make_commit",
    "make_owner",
    "make_usage",
    "make_wake",
    "message_chain",
    "message_node",
    "next_turn_draft",
    "session_meta",
    "turn_work_draft",
]
