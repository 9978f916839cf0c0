"""
Tools of a planned turn, run as recorded effects.
"""

from collections.abc import Callable, Sequence

from lashstore import EffectController, EffectEnvelope, EffectHost, TurnScope
from lashstore.errors import EffectLeaseLostError
from lashstore.model.record import Json

from .calls import PlannedCall
from .errors import HostingError
from .lane import Lane
from .tool_runs import ToolRuns


class ToolBench:
    """
    Runs the tools of one session's turns.

    A tool whose outcome is recorded is never started again; one that died
    before that is, once the lease of whoever ran it has expired.
    """

    def __init__(
        self,
        effects: EffectHost,
        runs: ToolRuns,
        lane: Lane,
        session_id: str,
        *,
        pace: Callable[[], None],
    ) -> None:
        self._effects = effects
        self._runs = runs
        self._lane = lane
        self._session_id = session_id
        self._pace = pace

    def run(self, turn_id: str, calls: Sequence[PlannedCall]) -> None:
        """
        Have the outcome of every call of a turn recorded.

        Raises:
            HostingError: The journal has another outcome than the transcript.
            LaneLostError: The lane ended meanwhile.
        """
        scope = TurnScope(session_id=self._session_id, turn_id=turn_id)
        controller = self._effects.scoped(scope)
        for call in calls:
            if self._run_call(controller, call) != call.output:
                msg = (
                    f"tool call {call.key!r} of session {self._session_id!r} is "
                    "recorded with another outcome; replay into another session"
                )
                raise HostingError(msg)

    def _run_call(self, controller: EffectController, call: PlannedCall) -> Json:
        def start_tool(envelope: EffectEnvelope) -> Json:
            self._runs.add(controller.scope_id, envelope.replay_key)
            # Here the tool works; nothing of it is recorded yet.
            self._pace()
            return call.output

        while True:
            self._lane.fence()
            try:
                return controller.execute_effect(call.envelope(), start_tool)
            except EffectLeaseLostError:
                # A machine too busy to renew in time: nothing was recorded.
                continue
