"""
Turn inputs of a planned turn: enqueued, then claimed into the turn.
"""

import time
from collections.abc import Callable, Sequence

from lashstore import (
    CheckpointKind,
    PendingTurnInput,
    Store,
    TurnInputClaim,
    TurnInputState,
)

from .errors import ForeignSessionError, SessionBusyError
from .lane import Lane
from .plan import PlannedTurn

_POLL_S = 0.1
_OVER = (TurnInputState.CANCELLED, TurnInputState.COMPLETED)


def take_inputs(
    store: Store,
    lane: Lane,
    turn: PlannedTurn,
    *,
    ttl_ms: int,
    wait_s: float,
    pace: Callable[[], None],
) -> TurnInputClaim | None:
    """
    Enqueue a turn's inputs, unless an earlier run has, and claim them.

    Args:
        wait_s: How long to wait for the claims of a run whose end cannot be
            proven; they end by time.

        pace: Called before each call of the store.

    Returns:
        One claim on exactly the turn's inputs; None if it has none.

    Raises:
        ForeignSessionError: The session has inputs that are not the plan's.
        SessionBusyError: The inputs stayed claimed.
    """
    if not turn.drafts:
        return None
    deadline = time.monotonic() + wait_s
    while True:
        inputs = []
        for draft in turn.drafts:
            pace()
            inputs.append(store.enqueue_pending_turn_input(draft))
        _refuse_finished(store, inputs)
        pace()
        claim = _claim(store, lane, turn, inputs, ttl_ms)
        if claim is not None and _is_complete(store, claim, inputs):
            return claim
        if time.monotonic() >= deadline:
            msg = (
                f"the inputs of {turn.turn_id} in session {store.session_id!r} stay "
                "claimed by another host; try again when it has ended"
            )
            raise SessionBusyError(msg)
        time.sleep(_POLL_S)


def _refuse_finished(store: Store, inputs: Sequence[PendingTurnInput]) -> None:
    for taken in inputs:
        if taken.state in _OVER:
            msg = (
                f"input {taken.input_id!r} of session {store.session_id!r} is "
                f"{taken.state} already, though its turn is not committed"
            )
            raise ForeignSessionError(msg)


def _claim(
    store: Store,
    lane: Lane,
    turn: PlannedTurn,
    inputs: Sequence[PendingTurnInput],
    ttl_ms: int,
) -> TurnInputClaim | None:
    # An input that came while its turn ran is deferred when that run dies, and
    # then waits for "the next turn" like one that came between turns.
    if all(one.state == TurnInputState.DEFERRED_NEXT_TURN for one in inputs):
        return store.claim_next_turn_inputs(
            lane.fence(), lane.owner, ttl_ms, len(inputs)
        )
    return store.claim_active_turn_inputs(
        lane.fence(),
        lane.owner,
        turn.turn_id,
        CheckpointKind.AFTER_WORK,
        ttl_ms,
        len(inputs),
    )


def _is_complete(
    store: Store, claim: TurnInputClaim, inputs: Sequence[PendingTurnInput]
) -> bool:
    wanted = [one.input_id for one in inputs]
    claimed = [one.input_id for one in claim.inputs]
    if claimed == wanted:
        return True
    store.abandon_turn_input_claim(claim)
    strangers = [one for one in claimed if one not in wanted]
    if strangers:
        msg = (
            f"session {store.session_id!r} has a pending input {strangers[0]!r} that "
            "is not the transcript's; cancel it, or replay into another session"
        )
        raise ForeignSessionError(msg)
    return False
