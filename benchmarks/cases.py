"""
The comparisons: each has two sides that do the same work once a round.
"""

import shutil
import tempfile
import time
from pathlib import Path

from lashstore import (
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionNode,
    Store,
    StoreOptions,
    Synchronous,
    TokenLedgerEntry,
    TokenUsage,
    TurnWorkPayload,
)

from .deployment_cases import (
    AppendEvent,
    ClaimProcess,
    ReplayStep,
    ReserveDelivery,
    RunStep,
)
from .floor import SESSION, Floor
from .workload import turn

_OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")
_OWNER_JSON = (
    '{"incarnation_id":"runner:1","liveness":{"kind":"opaque"},"owner_id":"runner"}'
)
_FENCE = {
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
        lease = self.store.try_claim_session_execution_lease(_OWNER, _LONG_MS).lease
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
        self.floor = Floor(
            folder / "floor.db",
            synchronous=synchronous.upper(),
            wal_limit_bytes=options.wal_limit_bytes,
        )
        self.floor.seed(_FENCE, _OWNER_JSON)

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


def node_of(described):
    """
    Return a described node as the library's own type.
    """
    return SessionNode(**described)


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
        self._turn = turn(self._number, self._number, self._leaf)
        self._leaf = self._turn["leaf"]

    def describe(self) -> RuntimeCommit:
        """
        Return the turn as a commit.
        """
        described = self._turn
        usage = described["usage"]
        return RuntimeCommit(
            session_id=SESSION,
            expected_head_revision=described["expected"],
            session_execution_lease=self._pair.fence,
            config=described["config"],
            agent_frames=tuple(described["frames"]),
            current_agent_frame_id="f",
            graph=GraphAppend(nodes=tuple(map(node_of, described["nodes"]))),
            checkpoint=HydratedCheckpoint(
                turn_state=described["turn_state"], tool_state=described["tool_state"]
            ),
            usage_deltas=(
                TokenLedgerEntry(
                    source=usage["source"],
                    model=usage["model"],
                    usage=TokenUsage(**usage["usage"]),
                ),
            ),
        )

    def library(self) -> None:
        """
        The library's side.
        """
        commit = self.describe().stamped(self._turn["turn_id"])
        result = self._pair.store.commit_runtime_state(commit)
        assert result.head_revision == self._number + 1

    def floor(self) -> None:
        """
        The floor's side.
        """
        revision = self._pair.floor.commit_turn(self._turn, _FENCE)
        assert revision == self._number + 1


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
        nodes = [
            SessionNode(
                node_id=f"n{n}",
                parent_node_id=f"n{n - 1}" if n else "root",
                timestamp="2026-01-01T00:00:00Z",
                payload={"role": "assistant", "content": "w" * 200},
            )
            for n in range(997)
        ]
        pair.store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=pair.fence,
                graph=GraphAppend(nodes=tuple(nodes)),
                checkpoint=HydratedCheckpoint(
                    tool_state_ref=pair.store.load_session().checkpoint.tool_state_ref
                ),
            )
        )
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
        assert self._pair.floor.read_head_meta()[0] == 2


class EnqueueBatch(SessionCase):
    """
    Enqueue one batch of one payload of 500 bytes under a source key.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._number = 0

    def prepare(self) -> None:
        """
        Make the round's payload; not timed.
        """
        self._number += 1
        self._body = {"n": self._number, "text": "x" * 480}

    def library(self) -> None:
        """
        The library's side.
        """
        self._pair.store.enqueue_queued_work(
            QueuedWorkBatchDraft(
                payloads=(TurnWorkPayload(body=self._body),),
                source_key=f"k{self._number}",
            )
        )

    def floor(self) -> None:
        """
        The floor's side.
        """
        payload = {"type": "turn_work", "body": self._body}
        self._pair.floor.enqueue(payload, f"k{self._number}")


class ClaimAndComplete(EnqueueBatch):
    """
    Claim the leading batch and complete it in a commit that does nothing
    else: two transactions.
    """

    def prepare(self) -> None:
        """
        Enqueue the round's batch; not timed.
        """
        super().prepare()
        EnqueueBatch.library(self)
        EnqueueBatch.floor(self)

    def library(self) -> None:
        """
        The library's side.
        """
        pair = self._pair
        claim = pair.store.claim_ready_queued_work(
            pair.fence, _OWNER, QueuedWorkBoundary.IDLE, 60_000, 1
        )
        pair.store.commit_runtime_state(
            RuntimeCommit(
                session_id=SESSION,
                session_execution_lease=pair.fence,
                completed_queue_claims=(claim.completion(),),
            )
        )

    def floor(self) -> None:
        """
        The floor's side.
        """
        floor = self._pair.floor
        floor.complete(floor.claim(_FENCE, _OWNER_JSON, 60_000), _FENCE)


FULL, NORMAL = Synchronous.FULL, Synchronous.NORMAL

# Name, what it does, durability, and how many rounds of the run it gets.
CASES = (
    ("commit of a 20 KB turn, FULL", CommitTurn, FULL, 1.0),
    ("commit of a 20 KB turn, NORMAL", CommitTurn, NORMAL, 1.0),
    ("load of 1,000 nodes", LoadThousandNodes, NORMAL, 0.4),
    ("freshness check", CheckFreshness, NORMAL, 2.0),
    ("enqueue of a batch, NORMAL", EnqueueBatch, NORMAL, 1.0),
    ("claim and completion, NORMAL", ClaimAndComplete, NORMAL, 1.0),
    ("event append, FULL", AppendEvent, FULL, 1.0),
    ("process claim, FULL", ClaimProcess, FULL, 1.0),
    ("trigger reserve, FULL", ReserveDelivery, FULL, 1.0),
    ("effect step, first run, FULL", RunStep, FULL, 1.0),
    ("effect step, replay, FULL", ReplayStep, FULL, 2.0),
)


def run(kind, synchronous, rounds, folder):
    """
    Run a case; return the library's and the floor's nanoseconds, round by
    round. Sides take turns at going first.
    """
    place = Path(tempfile.mkdtemp(prefix="lash-bench-", dir=folder))
    try:
        pair = kind.pair_kind(place, synchronous)
        case = kind(pair)
        library, floor = [], []
        for number in range(rounds + rounds // 10):
            case.prepare()
            sides = [(case.library, library), (case.floor, floor)]
            for side, times in sides if number % 2 else reversed(sides):
                start = time.perf_counter_ns()
                side()
                times.append(time.perf_counter_ns() - start)
        pair.close()
    finally:
        shutil.rmtree(place)
    warm = rounds // 10
    return library[warm:], floor[warm:]
