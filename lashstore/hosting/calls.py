"""
The tool calls of a plan, each with what its tool gave back.
"""

from lashstore.model.effects import EffectEnvelope
from lashstore.model.record import Json, Record

from .plan import ReplayPlan

_KIND = "tool_attempt"


class PlannedCall(Record, frozen=True, kw_only=True):
    """
    One call; `key` is made from its position. `output` is the content of the
    node that answers it, None if the transcript has no answer.
    """

    key: str
    name: str
    arguments: str
    output: Json

    def envelope(self) -> EffectEnvelope:
        """
        Return the call as an effect.
        """
        return EffectEnvelope(
            kind=_KIND,
            effect_id=self.key,
            replay_key=f"tool:{self.key}",
            command={"name": self.name, "arguments": self.arguments},
        )


def planned_calls(plan: ReplayPlan) -> dict[str, tuple[PlannedCall, ...]]:
    """
    Return the calls of each turn that has any, in order, by turn id.
    """
    entries: dict[str, Json] = {}
    content_of: dict[str, Json] = {}
    for turn in plan.turns:
        # A later turn may bring the output of a call: the last entry has it.
        entries |= turn.tool_changes
        content_of |= {node.node_id: node.payload.get("content") for node in turn.nodes}
    calls: dict[str, list[PlannedCall]] = {}
    for key, entry in sorted(entries.items()):
        answer = entry["output"]
        calls.setdefault(entry["turn_id"], []).append(
            PlannedCall(
                key=key,
                name=entry["name"],
                arguments=entry["arguments"],
                output=None if answer is None else content_of[answer["node_id"]],
            )
        )
    return {turn_id: tuple(found) for turn_id, found in calls.items()}
