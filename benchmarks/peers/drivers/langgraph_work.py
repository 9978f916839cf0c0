"""
What LangGraph's savers are given: a checkpoint a turn, with the writes that led
to it, as its runtime gives them.

In "turn" the 20 KB are stored once: the messages as writes, the state in the
checkpoint; in "whole-turn" all of it is in both, as when LangGraph runs. A state lives in one channel, whose version changes with it.
"""

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from benchmarks.peers.data import LargeState, messages_of, turn_of
from benchmarks.peers.protocol import Workload


class _Thread(Workload):
    def __init__(self, folder, address) -> None:
        self.saver, self.close = self.open_saver(folder, address)
        self.number = 0
        self.config = {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}}

    def prepare(self) -> None:
        self.number += 1

    def put(self, channel, value, writes) -> None:
        """
        Store the writes of a task, then the checkpoint they lead to.
        """
        if writes and self.number > 1:
            self.saver.put_writes(self.config, writes, f"task-{self.number}")
        checkpoint = {
            **empty_checkpoint(),
            "id": str(uuid6(clock_seq=self.number)),
            "channel_values": {channel: value},
            "channel_versions": {channel: self.number},
        }
        self.config = self.saver.put(
            self.config,
            checkpoint,
            {"source": "loop", "step": self.number},
            {channel: self.number},
        )


class _Turn(_Thread):
    def prepare(self) -> None:
        super().prepare()
        self.turn = turn_of(self.number)

    def run(self) -> None:
        messages, state = self.turn
        self.put("state", state, [("messages", messages)])


class _WholeTurn(_Turn):
    """
    As its runtime does it: every change is a write, and in the checkpoint too.
    """

    def run(self) -> None:
        messages, state = self.turn
        writes = [("messages", messages), ("state", state)]
        self.put("all", {"messages": messages, "state": state}, writes)


class _ChangedState(_Thread):
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        self.state = LargeState()

    def prepare(self) -> None:
        super().prepare()
        self.state.change()

    def run(self) -> None:
        self.put("state", self.state.value, [])


class _Growth(_Thread):
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        self.messages = []

    def prepare(self) -> None:
        super().prepare()
        self.new = messages_of(self.number)
        self.messages = self.messages + self.new

    def run(self) -> None:
        self.put("messages", self.messages, [("messages", self.new)])


WORKLOADS = {
    "turn": _Turn,
    "whole-turn": _WholeTurn,
    "changed": _ChangedState,
    "growth": _Growth,
}
