"""
Whose session is it? A replay goes on only in a session of its own.
"""

from lashstore import PersistedSession, SessionHeadMeta, Store
from lashstore.model.record import Json

from .errors import ForeignSessionError
from .plan import ReplayPlan

# Names the transcript until the first commit brings the config that does.
_MARK = "lashstore-replay:fingerprint"


def count_committed_turns(store: Store, plan: ReplayPlan) -> int:
    """
    Return how many of the plan's turns the session has; it is only read.

    Raises:
        ForeignSessionError: The session holds something else.
    """
    head = store.load_session_head_meta()
    if head is None:
        _check_beginning(store, plan)
        return 0
    _check_config(head, plan)
    done = head.head_revision
    if done > len(plan.turns) or head.leaf_node_id != _leaf_after(plan, done):
        raise _foreign(head.session_id, "has been changed since it was replayed")
    return done


def mark_session(store: Store, plan: ReplayPlan) -> None:
    """
    Name the plan's transcript in the session, before anything else of it.
    """
    store.put_artifact_bytes(_MARK, plan.fingerprint.encode())


def check_nodes(session: PersistedSession | None, plan: ReplayPlan, done: int) -> None:
    """
    Compare the session's nodes with those of the plan's first turns; None has
    no nodes.

    Raises:
        ForeignSessionError: They differ.
    """
    planned = tuple(node for turn in plan.turns[:done] for node in turn.nodes)
    if session is not None and session.graph.nodes != planned:
        raise _foreign(session.session_id, "has been changed since it was replayed")


def _check_beginning(store: Store, plan: ReplayPlan) -> None:
    mark = store.get_artifact_bytes(_MARK)
    if mark is not None and mark != plan.fingerprint.encode():
        raise _foreign(store.session_id, "was begun with another transcript")
    if mark is None and store.list_pending_turn_inputs():
        raise _foreign(store.session_id, "has inputs that are not the transcript's")


def _check_config(head: SessionHeadMeta, plan: ReplayPlan) -> None:
    replayed = head.config.get("replay") if isinstance(head.config, dict) else None
    if not isinstance(replayed, dict):
        raise _foreign(head.session_id, "was not made by a replay")
    if replayed.get("fingerprint") != plan.fingerprint:
        raise _foreign(head.session_id, "holds another transcript")
    wanted: Json = plan.config()["replay"]
    if replayed != wanted:
        raise _foreign(head.session_id, "was begun by another version of lashstore")


def _leaf_after(plan: ReplayPlan, done: int) -> str:
    return plan.turns[done - 1].nodes[-1].node_id


def _foreign(session_id: str, what: str) -> ForeignSessionError:
    return ForeignSessionError(
        f"session {session_id!r} {what}; nothing was changed: "
        "replay into another session (--session)"
    )
