"""
lashstore's side, with its defaults: synchronous FULL.
"""

from benchmarks.peers.data import BODY, LargeState, messages_of, short_message, turn_of
from benchmarks.peers.protocol import Workload, serve
from benchmarks.postgres import library_address
from lashstore import (
    EffectHost,
    GraphAppend,
    HydratedCheckpoint,
    LeaseOwnerIdentity,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionNode,
    Store,
    TurnScope,
    TurnWorkPayload,
)

_OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")


class _Session(Workload):
    durability = "WAL, synchronous FULL (its default)"

    def __init__(self, folder, address) -> None:
        self.address = address
        target = folder / "session.db"
        if address:
            target = library_address(address, "postgres")
        self.store = Store.open(target, "bench")
        lease = self.store.try_claim_session_execution_lease(_OWNER, 10**12).lease
        self.fence = lease.fence()
        self.number, self.leaf, self.revision = 0, None, 0

    def prepare(self) -> None:
        self.number += 1

    def close(self) -> None:
        self.store.close()

    def stored_bytes(self):
        if not self.address:
            return None
        import psycopg

        with psycopg.connect(self.address) as connection:
            (size,) = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
                " WHERE relkind = 'r' AND relname LIKE 'session%'"
            ).fetchone()
        return int(size)

    def commit(self, messages, state) -> None:
        """
        Land a stamped turn under the fence, by compare-and-swap.
        """
        nodes = []
        for message in messages:
            node = SessionNode(
                node_id=message["id"], parent_node_id=self.leaf, payload=message
            )
            nodes.append(node)
            self.leaf = node.node_id
        commit = RuntimeCommit(
            session_id="bench",
            expected_head_revision=self.revision,
            session_execution_lease=self.fence,
            graph=GraphAppend(nodes=tuple(nodes)),
            checkpoint=HydratedCheckpoint(
                turn_state={"turn": self.number}, tool_state=state
            ),
        )
        stamped = commit.stamped(f"turn-{self.number}")
        self.revision = self.store.commit_runtime_state(stamped).head_revision


class Turn(_Session):
    def prepare(self) -> None:
        super().prepare()
        self.turn = turn_of(self.number)

    def run(self) -> None:
        self.commit(*self.turn)


class ChangedState(_Session):
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        self.state = LargeState()

    def prepare(self) -> None:
        super().prepare()
        self.state.change()

    def run(self) -> None:
        message = {"id": f"m{self.number}", "role": "assistant", "content": "w"}
        self.commit([message], self.state.value)


class Growth(_Session):
    def prepare(self) -> None:
        super().prepare()
        self.messages = messages_of(self.number)

    def run(self) -> None:
        self.commit(self.messages, {"generation": self.number})


class Load(_Session):
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        for number in range(100):
            self.prepare()
            self.commit([short_message(10 * number + n) for n in range(10)], {})

    def run(self) -> None:
        assert len(self.store.load_session().graph.nodes) == 1_000


class Enqueue(_Session):
    pending = 10

    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        for _ in range(self.pending):
            self.put()
        self.added = None

    def put(self):
        """
        Enqueue a batch of one payload.
        """
        draft = QueuedWorkBatchDraft(payloads=(TurnWorkPayload(body=BODY),))
        return self.store.enqueue_queued_work(draft).batch_id

    def prepare(self) -> None:
        if self.added is not None:
            self.store.cancel_queued_work_batch(self.added)

    def run(self) -> None:
        self.added = self.put()


class Take(Enqueue):
    def prepare(self) -> None:
        self.put()

    def run(self) -> None:
        claim = self.store.claim_ready_queued_work(
            self.fence, _OWNER, QueuedWorkBoundary.IDLE, 60_000, 1
        )
        self.store.commit_runtime_state(
            RuntimeCommit(
                session_id="bench",
                session_execution_lease=self.fence,
                completed_queue_claims=(claim.completion(),),
            )
        )


class EnqueueLong(Enqueue):
    pending = 10_000


class TakeLong(Take):
    pending = 10_000


class Step(Workload):
    durability = "WAL, synchronous FULL (its default)"

    def __init__(self, folder, _address) -> None:
        self.host = EffectHost.open(folder / "effects.db")
        self.turn = self.host.scoped(TurnScope(session_id="bench", turn_id="1"))
        self.number = 0

    def prepare(self) -> None:
        self.number += 1

    def run(self) -> None:
        number = self.number
        self.turn.step(f"s{number}", lambda: BODY, input={"n": number})

    def close(self) -> None:
        self.host.close()


class Replay(Step):
    def __init__(self, folder, address) -> None:
        super().__init__(folder, address)
        for _ in range(100):
            super().prepare()
            self.run()

    def prepare(self) -> None:
        self.number = self.number % 100 + 1


if __name__ == "__main__":
    serve(
        {
            "turn": Turn,
            "whole-turn": Turn,
            "changed": ChangedState,
            "growth": Growth,
            "load": Load,
            "enqueue": Enqueue,
            "enqueue-long": EnqueueLong,
            "take": Take,
            "take-long": TakeLong,
            "step": Step,
            "replay": Replay,
        }
    )
