"""
`EffectController`: the effects of one scope.
"""

import threading
from collections.abc import Callable

from lashstore.errors import InvalidArgumentError
from lashstore.model.effects import (
    DURABLE_STEP,
    SLEEP,
    EffectEnvelope,
    ExecutionScope,
    prepare_effect,
    scope_key,
    scope_session_id,
)
from lashstore.model.names import require_name
from lashstore.model.record import Json, require_counter

from .runner import EffectRunner
from .waiting import Patience


class EffectController:
    """
    Runs the effects of one scope, or replays them from the journal.

    An outcome is recorded at most once, and its work is done at least once:
    a host that dies between the two leaves it to whoever comes next, once
    its lease has expired.
    """

    scope: ExecutionScope
    scope_id: str

    def __init__(self, scope: ExecutionScope, runner: EffectRunner) -> None:
        self.scope = scope
        self.scope_id = scope_key(scope)
        self._session_id = scope_session_id(scope)
        self._runner = runner

    def execute_effect(
        self,
        envelope: EffectEnvelope,
        executor: Callable[[EffectEnvelope], Json],
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> Json:
        """
        Return the recorded outcome of an effect; if there is none, run it and
        record one.

        While it runs, its claim is renewed on another thread. Any exception
        of *executor* but `EffectFailure` is recorded nowhere: it frees the
        claim and propagates, and the effect may run again.

        Args:
            envelope: What is to be done. Its replay key names the effect
                within the scope.

            executor: Does it, and returns what JSON can carry. Not called
                for a timer (kind "sleep").

            timeout_s: How long to wait, in real seconds, for somebody else's
                claim or for a timer; None: for ever. A running executor is
                never interrupted.

            cancel: Set from another thread, it ends the same waits.

        Returns:
            The outcome as it is recorded, None for a timer. Safe to retry.

        Raises:
            EffectFailure: The executor raised it, now or back then.
            EffectReplayConflictError: The replay key is recorded with another
                envelope; the differing paths are named.
            EffectReplayMissingError: The host replays strictly, and there is
                no finished record.
            EffectLeaseLostError: The claim expired while the executor ran.
                Nothing was recorded: execute it again.
            EffectCancelledError, TimeoutError: The caller stopped waiting;
                a timer stays due when it was.
            InvalidArgumentError: The envelope cannot be stored, or the
                outcome is no JSON, which frees the claim.
            CorruptRecordError: The record is damaged.
            StoreBusyError, BackendError, StoreClosedError: The database
                failed, or the host is closed.
        """
        effect = prepare_effect(self.scope_id, self._session_id, envelope)
        patience = Patience(timeout_s, cancel)
        if effect.duration_ms is None:
            require_callable("the executor", executor)
        return self._runner.execute(effect, executor, patience)

    def step(
        self,
        step_id: str,
        function: Callable[[], Json],
        *,
        input: Json = None,  # noqa: A002, the contract's name
    ) -> Json:
        """
        Run *function* once in the scope's life, whatever happens in between.

        Args:
            step_id: Names the step within the scope.

            input: What the step depends on; the same step with another input
                is a conflict instead of a replay.

        Returns:
            What the function returned, now or back then.

        Raises:
            As `execute_effect`.
        """
        envelope = step_envelope(step_id, input)
        require_callable("the step's function", function)
        return self.execute_effect(envelope, lambda _: function())

    def sleep(
        self,
        effect_id: str,
        duration_ms: int,
        *,
        cancel: threading.Event | None = None,
    ) -> None:
        """
        Wait until *duration_ms* after the timer was first asked for.

        The time it is due is recorded first: a restarted host waits for what
        is left of it, not from the beginning.

        Args:
            effect_id: Names the timer within the scope.

            cancel: Set from another thread, it ends the waiting; the timer
                stays due when it was.

        Raises:
            As `execute_effect`.
        """
        envelope = timer_envelope(effect_id, duration_ms)
        self.execute_effect(envelope, _run_nothing, cancel=cancel)


def step_envelope(step_id: str, step_input: Json) -> EffectEnvelope:
    """
    Return the envelope of a step.

    Raises:
        InvalidArgumentError: The id is no storable name.
    """
    require_name("step_id", step_id)
    return EffectEnvelope(
        kind=DURABLE_STEP,
        effect_id=step_id,
        replay_key=f"step:{step_id}",
        command={"step_id": step_id, "input": step_input},
    )


def timer_envelope(effect_id: str, duration_ms: int) -> EffectEnvelope:
    """
    Return the envelope of a timer.

    Raises:
        InvalidArgumentError: The id is no storable name, or the duration is
            out of range.
    """
    require_name("effect_id", effect_id)
    require_counter("duration_ms", duration_ms)
    return EffectEnvelope(
        kind=SLEEP,
        effect_id=effect_id,
        replay_key=f"sleep:{effect_id}",
        command={"duration_ms": duration_ms},
    )


def _run_nothing(_envelope: EffectEnvelope) -> Json:
    return None


def require_callable(what: str, value: object) -> None:
    """
    Raises:
        InvalidArgumentError: It cannot be called.
    """
    if not callable(value):
        msg = f"{what} must be callable, not {value!r}"
        raise InvalidArgumentError(msg)
