"""
The comparisons of commits and reads: each has two sides that do the same work
once a round.
"""

import random
from pathlib import Path

from lashstore import (
    ActivePath,
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    RuntimeCommit,
    SessionNode,
    Store,
    StoreOptions,
    Synchronous,
    TokenLedgerEntry,
    TokenUsage,
)

from .floor_sql import SESSION
from .input_floor import InputFloor
from .workload import change_state, large_state, message, turn

OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")
OWNER_JSON = (
    '{"incarnation_id":"runner:1","liveness":{"kind":"opaque"},"owner_id":"runner"}'
)
FENCE = {
    "fencing_token": 1,
    "lease_token": "floor-token",
    "owner_id": "runner",
    "incarnation_id": "runner:1",
}
_LONG_MS = 10**12


class Pair:
    """
    The same session twice: one file for the library, one for the floor.
    """

    def __init__(self, folder: Path, synchronous: Synchronous) -> None:
        options = StoreOptions(synchronous=synchronous)
        self.store = Store.open(folder / "library.db", SESSION, options=options)
        lease = self.store.try_claim_session_execution_lease(OWNER, _LONG_MS).lease
        self.fence = lease.fence()
        self.store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=self.fence,
                graph=GraphAppend(nodes=(SessionNode(node_id="root"),)),
            )
        )
        # The library makes the floor's file too: same schema to the letter.
        Store.open(folder / "floor.db", SESSION, options=options).close()
        self.floor = InputFloor(
            folder / "floor.db",
            synchronous=synchronous.upper(),
            wal_limit_bytes=options.wal_limit_bytes,
        )
        self.floor.seed(FENCE, OWNER_JSON)

    def close(self) -> None:
        """
        Close both files.
        """
        self.store.close()
        self.floor.close()


class SessionCase:
    """
    What every case of the session store is built on.
    """

    pair_kind = Pair
    statistic = "median"


def node_of(described):
    """
    Return a described node as the library's own type.
    """
    return SessionNode(**described)


def describe(described, fence) -> RuntimeCommit:
    """
    Return a described turn as a stamped commit.
    """
    commit = RuntimeCommit(
        session_id=SESSION,
        expected_head_revision=described["expected"],
        session_execution_lease=fence,
        config=described["config"],
        agent_frames=tuple(described["frames"]),
        current_agent_frame_id=described["frame"],
        graph=GraphAppend(nodes=tuple(map(node_of, described["nodes"]))),
        checkpoint=HydratedCheckpoint(
            turn_state=described["turn_state"], tool_state=described["tool_state"]
        ),
        usage_deltas=tuple(map(usage_of, described["usage"])),
    )
    return commit.stamped(described["turn_id"])


def usage_of(described):
    """
    Return a described usage as the library's own type.
    """
    return TokenLedgerEntry(
        source=described["source"],
        model=described["model"],
        usage=TokenUsage(**described["usage"]),
    )


class CommitTurn(SessionCase):
    """
    Land a stamped turn of 20 KB: two nodes, a tool state, a usage delta,
    under a fence and by compare-and-swap. Describing the turn in the
    library's types and hashing it for its stamp is part of the time.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._leaf = "root"
        self._number = 0

    def prepare(self) -> None:
        """
        Make the round's turn; not timed.
        """
        self._number += 1
        self._turn = self.make_turn(self._number, self._leaf)
        self._leaf = self._turn["leaf"]

    def make_turn(self, number, leaf):
        """
        Return what the round commits.
        """
        return turn(number, number, leaf)

    def library(self) -> None:
        """
        The library's side.
        """
        commit = describe(self._turn, self._pair.fence)
        result = self._pair.store.commit_runtime_state(commit)
        assert result.head_revision == self._number + 1

    def floor(self) -> None:
        """
        The floor's side.
        """
        revision = self._pair.floor.commit_turn(self._turn, FENCE)
        assert revision == self._number + 1


class KeepLargeState(CommitTurn):
    """
    Land a stamped turn of two nodes of 200 bytes with a tool state of 1 MB
    that is the one of the turn before: encoded, hashed and looked up, not
    compressed.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._state = large_state(random.Random(0))

    def make_turn(self, number, leaf):
        return turn(number, number, leaf, node_bytes=200, tool_state=self._state)


class ChangeLargeState(KeepLargeState):
    """
    The same with 1 % of the state changed: 10 of 1,000 entries of 1 KB,
    anywhere. The floor stores each state whole, compressed.
    """

    statistic = "total"

    def make_turn(self, number, leaf):
        self._state = change_state(random.Random(number), self._state)
        return super().make_turn(number, leaf)


class GrowGraph(CommitTurn):
    """
    A conversation kept as nodes: two of 1 KB a turn, and a small tool state.
    """

    statistic = "total"

    def make_turn(self, number, leaf):
        state = {"generation": number}
        return turn(number, number, leaf, node_bytes=1_000, tool_state=state)


class GrowState(CommitTurn):
    """
    A conversation kept in the tool state, two messages of 1 KB a turn, beside
    two nodes of 20 bytes. The floor stores each state whole, compressed.
    """

    statistic = "total"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._messages = []

    def make_turn(self, number, leaf):
        dice = random.Random(number)
        self._messages = [
            *self._messages,
            *(message(dice, 2 * number + offset) for offset in range(2)),
        ]
        state = {"messages": self._messages}
        return turn(number, number, leaf, node_bytes=20, tool_state=state)


def add_plain_nodes(pair: Pair, count: int, *, with_floor: bool = True) -> None:
    """
    Append a chain of nodes of 200 bytes to a session whose checkpoint has a
    tool state; for setting up, never timed.
    """
    head = pair.store.load_session()
    leaf = head.graph.leaf_node_id
    nodes = [
        SessionNode(
            node_id=f"n{n}",
            parent_node_id=f"n{n - 1}" if n else leaf,
            timestamp="2026-01-01T00:00:00Z",
            payload={"role": "assistant", "content": "w" * 200},
        )
        for n in range(count)
    ]
    pair.store.commit_runtime_state(
        RuntimeCommit(
            session_id=SESSION,
            session_execution_lease=pair.fence,
            graph=GraphAppend(nodes=tuple(nodes)),
            checkpoint=HydratedCheckpoint(
                tool_state_ref=head.checkpoint.tool_state_ref
            ),
        )
    )
    if with_floor:
        pair.floor.add_plain_nodes(
            [
                {
                    "node_id": node.node_id,
                    "parent_node_id": node.parent_node_id,
                    "agent_frame_id": None,
                    "caused_by": None,
                    "timestamp": node.timestamp,
                    "kind": node.kind,
                    "payload": node.payload,
                }
                for node in nodes
            ]
        )


class CommitAt(CommitTurn):
    """
    Land a stamped turn of 20 KB in a session that has so many nodes already.
    """

    nodes = 0

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self.prepare()
        self.library()
        add_plain_nodes(pair, self.nodes - 3, with_floor=False)

    def make_turn(self, number, leaf):
        described = turn(number, number, leaf)
        if number > 1:
            described["expected"] = number + 1
        return described

    def library(self) -> None:
        commit = describe(self._turn, self._pair.fence)
        self._pair.store.commit_runtime_state(commit)


class CommitAtHundred(CommitAt):
    nodes = 100


class CommitAtTwentyThousand(CommitAt):
    nodes = 20_000


class LoadThousandNodes(SessionCase):
    """
    Read a session of 1,000 nodes of 200 bytes: head, nodes, checkpoint with
    a tool state, ledger.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        commits = CommitTurn(pair)
        commits.prepare()
        commits.library()
        commits.floor()
        add_plain_nodes(pair, 997)

    def prepare(self) -> None:
        """
        Nothing changes between rounds.
        """

    def library(self) -> None:
        """
        The library's side.
        """
        assert len(self._pair.store.load_session().graph.nodes) == 1_000

    def floor(self) -> None:
        """
        The floor's side.
        """
        assert len(self._pair.floor.load(SessionNode)[0]) == 1_000


class LoadActivePath(LoadThousandNodes):
    """
    Read the same session by its active path, which has all 1,000 nodes.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        # The leaf is the end of the longest chain.
        pair.floor.set_leaf("n996")

    def library(self) -> None:
        session = self._pair.store.load_session(ActivePath())
        assert len(session.graph.nodes) == 1_000

    def floor(self) -> None:
        assert len(self._pair.floor.load_path(SessionNode)[0]) == 1_000


class CheckFreshness(SessionCase):
    """
    Ask whether the session moved: read the head row.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        commits = CommitTurn(pair)
        commits.prepare()
        commits.library()
        commits.floor()

    def prepare(self) -> None:
        """
        Nothing changes between rounds.
        """

    def library(self) -> None:
        """
        The library's side.
        """
        assert self._pair.store.load_session_head_meta().head_revision == 2

    def floor(self) -> None:
        """
        The floor's side.
        """
        assert self._pair.floor.read_head_meta().head_revision == 2
