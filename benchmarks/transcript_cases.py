"""
The shared real transcripts, turn by turn, as the replay's host commits them.
"""

import msgspec

from lashstore.hosting.plan import FRAME_ID, build_plan
from lashstore.hosting.state import HostState
from lashstore.hosting.transcript import read_transcript

from .session_cases import FENCE, Pair, SessionCase, describe

# Set by the runner's command line: where the transcripts are.
folder = None


def _described(plan):
    state, parent = HostState(), "root"
    for turn in plan.turns:
        state = state.after(turn)
        checkpoint = state.checkpoint()
        nodes = [msgspec.to_builtins(node) for node in turn.nodes]
        nodes[0]["parent_node_id"] = parent
        for node in nodes:
            node.setdefault("agent_frame_id", None)
            node.setdefault("caused_by", None)
        parent = nodes[-1]["node_id"]
        yield {
            "turn_id": turn.turn_id,
            "expected": turn.index + 1,
            "config": plan.config(),
            "frame": FRAME_ID,
            "frames": list(plan.agent_frames()),
            "turn_state": checkpoint.turn_state,
            "tool_state": checkpoint.tool_state,
            "nodes": nodes,
            "usage": [msgspec.to_builtins(entry) for entry in turn.usage],
            "leaf": parent,
        }


class _Sessions:
    """
    A pair of sessions a transcript.
    """

    def __init__(self, place, synchronous) -> None:
        self.pairs, self.turns = [], []
        for path in sorted(folder.glob("*.json")):
            home = place / path.stem
            home.mkdir()
            pair = Pair(home, synchronous)
            self.pairs.append(pair)
            plan = build_plan(read_transcript(path))
            self.turns += [(pair, described) for described in _described(plan)]

    def close(self) -> None:
        """
        Close them all.
        """
        for pair in self.pairs:
            pair.close()


class CommitTranscripts(SessionCase):
    """
    Land every turn of every transcript: its nodes, the tool calls so far as
    the tool state, usage.
    """

    pair_kind = _Sessions
    statistic = "total"

    def __init__(self, pair: _Sessions) -> None:
        self.rounds = len(pair.turns)
        self._turns = iter(pair.turns)

    def prepare(self) -> None:
        """
        Take the next turn.
        """
        self._pair, self._turn = next(self._turns)

    def library(self) -> None:
        """
        The library's side.
        """
        commit = describe(self._turn, self._pair.fence)
        self._pair.store.commit_runtime_state(commit)

    def floor(self) -> None:
        """
        The floor's side.
        """
        self._pair.floor.commit_turn(self._turn, FENCE)
