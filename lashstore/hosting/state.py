"""
What a host carries from turn to turn, and how a checkpoint keeps it.
"""

import msgspec

from lashstore.model.blobs import HydratedCheckpoint
from lashstore.model.record import Json, Record
from lashstore.model.usage import TokenUsage

from .plan import PlannedTurn


class HostState(Record, frozen=True, kw_only=True):
    """
    The host's memory after some turns.
    """

    turn_count: int = 0
    usage: TokenUsage = TokenUsage()
    tool_calls: dict[str, Json] = {}

    @classmethod
    def from_checkpoint(cls, checkpoint: HydratedCheckpoint) -> "HostState":
        """
        Take the memory up again where a commit left it.
        """
        turn_state = checkpoint.turn_state
        tool_state = checkpoint.tool_state or {}
        return cls(
            turn_count=turn_state["turn_index"],
            usage=TokenUsage(**turn_state["token_usage"]),
            tool_calls=tool_state["calls"],
        )

    def after(self, turn: PlannedTurn) -> "HostState":
        """
        Return the memory after one more turn.
        """
        usage = self.usage
        for entry in turn.usage:
            usage = usage.plus(entry.usage)
        return HostState(
            turn_count=self.turn_count + 1,
            usage=usage,
            tool_calls=self.tool_calls | turn.tool_changes,
        )

    def checkpoint(self) -> HydratedCheckpoint:
        """
        Return the memory as a commit carries it.
        """
        return HydratedCheckpoint(
            turn_state={
                "turn_index": self.turn_count,
                "token_usage": msgspec.to_builtins(self.usage),
            },
            tool_state={"generation": self.turn_count, "calls": self.tool_calls},
        )
