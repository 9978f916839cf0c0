"""
A host: it runs whatever session it can get, and writes down what was
acknowledged to it, until it is killed.
"""

import itertools
import json
import os
import random
import secrets
import signal
import sys
import time

from lashstore import (
    EffectEnvelope,
    EffectHost,
    EffectReplayOptions,
    GraphAppend,
    HydratedCheckpoint,
    LeaseAcquired,
    LeaseOwnerIdentity,
    LeaseTimings,
    NextTurnIngress,
    PendingTurnInputDraft,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    RuntimeCommit,
    SessionNode,
    SessionStoreFactory,
    TurnScope,
    TurnWorkPayload,
)
from lashstore.errors import (
    EffectLeaseLostError,
    HeadRevisionConflictError,
    LeaseExpiredError,
    StoreBusyError,
)

LEASE_TTL_MS = 1_500
EFFECT_TTL_MS = 500
# What a host that lost its session gets; it leaves it to the next one.
LOST = (LeaseExpiredError, HeadRevisionConflictError, EffectLeaseLostError)


class Journal:
    """
    What was acknowledged to one life of a host, safe from its death.
    """

    def __init__(self, path, owner):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._owner = owner

    def add(self, kind, session_id, **facts):
        """
        Append one line; a kill leaves the whole line or none of it.
        """
        line = {"kind": kind, "session": session_id, "owner": self._owner, **facts}
        os.write(self._file, f"{json.dumps(line)}\n".encode())
        os.fsync(self._file)


class Host:
    """
    One life of a host.
    """

    def __init__(self, url, path, owner_id, session_count):
        self._owner = LeaseOwnerIdentity.opaque(owner_id.split(".")[0], owner_id)
        self._journal = Journal(path, owner_id)
        self._factory = SessionStoreFactory(url)
        timings = LeaseTimings.from_ttl(EFFECT_TTL_MS)
        options = EffectReplayOptions(lease_timings=timings)
        self._effects = EffectHost.open(url, options=options)
        self._dice = random.Random(owner_id)
        self._names = (f"{owner_id}.{number}" for number in itertools.count(1))
        self._sessions = [f"session-{number}" for number in range(session_count)]
        self.is_stopped = False

    def run(self):
        """
        Work until stopped.
        """
        while not self.is_stopped:
            session_id = self._dice.choice(self._sessions)
            try:
                self._visit(self._factory.create_store(session_id))
            except LOST:
                self._journal.add("lost", session_id)
            except StoreBusyError:
                self._journal.add("busy", session_id)

    def _visit(self, store):
        self._send(store)
        taken = store.try_claim_session_execution_lease(self._owner, LEASE_TTL_MS)
        if not isinstance(taken, LeaseAcquired):
            return
        lease = taken.lease
        self._journal.add("lease", store.session_id, fence=lease.fencing_token)
        store.redefer_orphaned_turn_inputs(lease.fence())
        turns = self._dice.randint(1, 3)
        for number in range(turns):
            # Some holders stop without a word: their lease has to run out.
            is_last = number == turns - 1 and self._dice.random() < 0.95
            self._run_turn(store, lease, is_last=is_last)

    def _send(self, store):
        name = next(self._names)
        sent = store.enqueue_pending_turn_input(
            PendingTurnInputDraft(
                ingress=NextTurnIngress(), input={"name": name}, source_key=name
            )
        )
        self._journal.add("input", store.session_id, id=sent.input_id)
        if self._dice.random() < 0.3:
            batch = store.enqueue_queued_work(
                QueuedWorkBatchDraft(
                    payloads=(TurnWorkPayload(body={"name": name}),), source_key=name
                )
            )
            self._journal.add("batch", store.session_id, id=batch.batch_id)

    def _run_turn(self, store, lease, *, is_last):
        fence, session_id = lease.fence(), store.session_id
        head = store.load_session_head_meta()
        revision = 0 if head is None else head.head_revision
        inputs = store.claim_next_turn_inputs(fence, self._owner, LEASE_TTL_MS, 4)
        work = store.claim_ready_queued_work(
            fence, self._owner, QueuedWorkBoundary.IDLE, LEASE_TTL_MS, 2
        )
        outcome = self._act(session_id, f"step-{revision + 1}")
        turn_id = next(self._names)
        took = [one.input_id for one in inputs.inputs] if inputs else []
        ran = [one.batch_id for one in work.batches] if work else []
        node = SessionNode(
            node_id=turn_id,
            parent_node_id=None if head is None else head.leaf_node_id,
            payload={
                "role": "assistant",
                "content": "word " * 200,
                "owner": self._owner.incarnation_id,
                "fence": lease.fencing_token,
                "inputs": took,
                "batches": ran,
                "outcome": outcome,
            },
        )
        commit = RuntimeCommit(
            session_id=session_id,
            expected_head_revision=revision,
            session_execution_lease=fence,
            release_session_execution_lease=lease.completion() if is_last else None,
            graph=GraphAppend(nodes=(node,)),
            checkpoint=HydratedCheckpoint(tool_state={"revision": revision + 1}),
            completed_queue_claims=(work.completion(),) if work else (),
            completed_turn_input_claims=(inputs.completion(),) if inputs else (),
        ).stamped(turn_id)
        done = store.commit_runtime_state(commit)
        if self._dice.random() < 0.1:
            assert done == store.commit_runtime_state(commit)
        self._journal.add(
            "commit", session_id, turn_id=turn_id, revision=done.head_revision
        )

    def _act(self, session_id, step):
        def executor(_envelope):
            self._journal.add("ran", session_id, step=step, at=time.monotonic())
            return secrets.token_hex(8)

        scope = TurnScope(session_id=session_id, turn_id=step)
        envelope = EffectEnvelope(
            kind="act", effect_id=step, replay_key=step, command={"step": step}
        )
        outcome = self._effects.scoped(scope).execute_effect(envelope, executor)
        self._journal.add(
            "effect", session_id, step=step, outcome=outcome, at=time.monotonic()
        )
        return outcome


def main(url, path, owner_id, session_count):
    """
    Run one life.
    """
    host = Host(url, path, owner_id, int(session_count))

    def stop(_signal, _frame):
        host.is_stopped = True

    signal.signal(signal.SIGTERM, stop)
    host.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
