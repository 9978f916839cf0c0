"""
One real thing for each state machine: every call that it knows, and where it
stands by its row.
"""

import subprocess

import sqlalchemy as sa

from lashstore import (
    AbandonedOutput,
    AbandonEvidence,
    AbandonRequest,
    AbandonWriter,
    CancelledOutput,
    CheckpointKind,
    CheckpointRetention,
    EffectEnvelope,
    EffectHost,
    EngineInput,
    ExternalInput,
    FailureClass,
    FailureOutput,
    HostOriginator,
    HydratedCheckpoint,
    InputIdTarget,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    ManualClock,
    ProcessIdentity,
    ProcessLeaseCompletion,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    QueuedWorkBoundary,
    RecoveryDisposition,
    SignalWait,
    Store,
    StoreOptions,
    SuccessOutput,
    TriggerOccurrenceRequest,
    TriggerStore,
    TriggerSubscriptionDraft,
    TurnScope,
    WaitState,
    procfs,
)
from lashstore.model.effects import prepare_effect, scope_key
from lashstore.testing import (
    acquire_lease,
    active_turn_draft,
    make_commit,
    make_owner,
    next_turn_draft,
    turn_work_draft,
)

TTL_MS = 30_000
LONG_MS = 10**9
FAR_MS = 10**12


class Driver:
    """
    One thing and the calls on it, which are its methods.
    """

    def __init__(self):
        self.clock = ManualClock(1_000_000)
        self.store = self.open()

    def open(self):
        return Store.memory("s", clock=self.clock)

    def close(self):
        self.store.close()

    def row(self, statement):
        """
        Look at the thing behind the store's back; None: there is no row.
        """

        def look(connection):
            return connection.execute(sa.text(statement)).one_or_none()

        database = self.store._database
        if not callable(database):
            return database._database.read_through_core(look)
        with database() as opened:
            return opened.read_through_core(look)

    def time(self):
        self.clock.advance(TTL_MS + 1)

    def is_live(self, expires_at_ms):
        return expires_at_ms is not None and expires_at_ms > self.clock.now_ms()


class SessionDriver(Driver):
    """
    With a lease that outlasts all of it.
    """

    def __init__(self):
        super().__init__()
        self.owner = make_owner()
        self.lease = acquire_lease(self.store, self.owner, ttl_ms=LONG_MS)
        self.claim_held = None

    def commit(self, **fields):
        return self.store.commit_runtime_state(make_commit(self.lease, **fields))


class TurnInputDriver(SessionDriver):
    def where(self):
        row = self.row(
            "SELECT state, claim_id, claim_expires_at_ms FROM session_turn_inputs"
        )
        if row is None:
            return "absent"
        if row.claim_id is None:
            return {
                "pending_active": "pending",
                "deferred_next_turn": "deferred",
            }.get(row.state, row.state)
        states = {
            ("accepted", True): "accepted",
            ("accepted", False): "stranded",
            ("deferred_next_turn", True): "claimed",
            ("deferred_next_turn", False): "lapsed",
        }
        return states[row.state, self.is_live(row.claim_expires_at_ms)]

    def submit_active(self):
        self.store.enqueue_pending_turn_input(active_turn_draft("t", input_id="i"))

    def submit_next(self):
        self.store.enqueue_pending_turn_input(next_turn_draft(input_id="i"))

    def claim_active(self):
        self.claim_held = (
            self.store.claim_active_turn_inputs(
                self.lease.fence(),
                self.owner,
                "t",
                CheckpointKind.BEFORE_COMPLETION,
                TTL_MS,
                8,
            )
            or self.claim_held
        )

    def claim_next(self):
        self.claim_held = (
            self.store.claim_next_turn_inputs(
                self.lease.fence(), self.owner, TTL_MS, max_inputs=8
            )
            or self.claim_held
        )

    def renew(self):
        if self.claim_held:
            self.store.renew_turn_input_claim(self.claim_held, TTL_MS)

    def abandon(self):
        if self.claim_held:
            self.store.abandon_turn_input_claim(self.claim_held)

    def other_commit(self):
        self.store.commit_runtime_state(make_commit(self.lease).stamped("t"))

    def redefer(self):
        self.store.redefer_orphaned_turn_inputs(self.lease.fence())

    def complete(self):
        if self.claim_held:
            self.commit(completed_turn_input_claims=(self.claim_held.completion(),))

    def cancel(self):
        self.store.cancel_pending_turn_input(InputIdTarget(input_id="i"))

    def vacuum(self):
        self.store.vacuum()


class QueuedBatchDriver(SessionDriver):
    batch_id = "none"

    def where(self):
        row = self.row(
            "SELECT available_at_ms, claim_id, claim_expires_at_ms"
            " FROM session_queued_batches"
        )
        if row is None:
            return "absent"
        if row.claim_id:
            return "claimed" if self.is_live(row.claim_expires_at_ms) else "lapsed"
        return "waiting" if self.is_live(row.available_at_ms) else "ready"

    def _enqueue(self, **fields):
        draft = turn_work_draft(source_key="k", **fields)
        self.batch_id = self.store.enqueue_queued_work(draft).batch_id

    def enqueue(self):
        self._enqueue()

    def enqueue_later(self):
        self._enqueue(available_at_ms=self.clock.now_ms() + TTL_MS)

    def claim(self):
        self.claim_held = (
            self.store.claim_ready_queued_work(
                self.lease.fence(), self.owner, QueuedWorkBoundary.IDLE, TTL_MS, 8
            )
            or self.claim_held
        )

    def renew(self):
        if self.claim_held:
            self.store.renew_queued_work_claim(self.claim_held, TTL_MS)

    def abandon(self):
        if self.claim_held:
            self.store.abandon_queued_work_claim(self.claim_held)

    def complete(self):
        if self.claim_held:
            self.commit(completed_queue_claims=(self.claim_held.completion(),))

    def cancel(self):
        self.store.cancel_queued_work_batch(self.batch_id)


class Holders:
    """
    Owners that are processes of their own, each of which can be ended.
    """

    def __init__(self):
        self._processes = []

    def new(self):
        process = subprocess.Popen(["sleep", "600"])
        self._processes.append(process)
        liveness = LocalProcessLiveness(
            host_id="here",
            boot_id=procfs.boot_id(),
            pid_namespace=procfs.pid_namespace(),
            pid=process.pid,
            process_start=procfs.start_time(process.pid),
        )
        name = f"holder-{len(self._processes)}"
        return LeaseOwnerIdentity(owner_id=name, incarnation_id=name, liveness=liveness)

    def end(self):
        for process in self._processes:
            process.kill()
            process.wait()


class LeaseDriver(Driver):
    """
    A lease whose claimers are processes.
    """

    table = ""

    def __init__(self):
        super().__init__()
        self.holders = Holders()
        self.lease = None
        self.claim()
        self.release()
        self.old, self.lease = self.lease, None

    def close(self):
        self.holders.end()
        super().close()

    def where(self):
        row = self.row(f"SELECT owner_json, expires_at_ms FROM {self.table}")
        if row is None or row.owner_json is None:
            return "free"
        if not self.is_live(row.expires_at_ms):
            return "lapsed"
        liveness = self.lease.owner.liveness
        is_gone = procfs.is_gone(liveness.pid, liveness.process_start)
        return "orphaned" if is_gone else "held"

    def _take(self, outcome):
        self.lease = getattr(outcome, "lease", self.lease)

    def dies(self):
        self.holders.end()

    def release_old(self):
        self.old, self.lease = self.lease, self.old
        self.release()
        self.old, self.lease = self.lease, self.old


class ExecutionLeaseDriver(LeaseDriver):
    table = "session_execution_leases"

    def claim(self):
        self._take(
            self.store.try_claim_session_execution_lease(self.holders.new(), TTL_MS)
        )

    def reclaim(self):
        if self.lease is None:
            # What was observed need not be there any more.
            self.claim()
            self.release()
        self._take(
            self.store.reclaim_session_execution_lease(
                self.holders.new(), self.lease.fence(), TTL_MS
            )
        )

    def renew(self):
        if self.lease:
            self.store.renew_session_execution_lease(self.lease.fence(), TTL_MS)

    def release(self):
        if self.lease:
            self.store.release_session_execution_lease(self.lease.completion())

    def commit(self):
        if self.lease:
            release = self.lease.completion()
            self.store.commit_runtime_state(
                make_commit(self.lease, release_session_execution_lease=release)
            )


def registration():
    return ProcessRegistration(
        id="p",
        input=ExternalInput(),
        disposition=RecoveryDisposition.EXTERNALLY_OWNED,
        provenance=ProcessProvenance(originator=HostOriginator()),
    )


class ProcessLeaseDriver(LeaseDriver):
    table = "process_leases"

    def open(self):
        store = ProcessRegistry.memory(clock=self.clock)
        store.register_process(registration())
        return store

    def where(self):
        if self.row("SELECT status FROM processes").status != "running":
            return "ended"
        return super().where()

    def claim(self):
        self._take(self.store.claim_process_lease("p", self.holders.new(), TTL_MS))

    def reclaim(self):
        if self.lease is None:
            self.claim()
            self.release()
        self._take(
            self.store.reclaim_process_lease(
                "p", self.holders.new(), self.lease, TTL_MS
            )
        )

    def renew(self):
        if self.lease:
            self.store.renew_process_lease(self.lease, TTL_MS)

    def release(self):
        if self.lease:
            self.store.complete_process_lease(
                ProcessLeaseCompletion(
                    process_id="p",
                    lease_token=self.lease.lease_token,
                )
            )

    def end(self):
        self.store.complete_process("p", SuccessOutput(value=1))


class ProcessDriver(Driver):
    def open(self):
        return ProcessRegistry.memory(clock=self.clock)

    def where(self):
        row = self.row("SELECT status, activity FROM processes")
        if row is None:
            return "absent"
        return "waiting" if row.activity == "waiting" else row.status

    def register(self):
        self.store.register_process(registration())

    def wait(self):
        kind = SignalWait(name="n", event_type="signal.n", key="k", ordinal=1)
        self.store.set_process_wait("p", WaitState(kind=kind, since_ms=0))

    def clear(self):
        self.store.clear_process_wait("p")

    def request(self):
        self.store.request_process_abandon(
            "p", AbandonRequest(requested_by="x", requested_at_ms=0)
        )

    def succeed(self):
        self.store.complete_process("p", SuccessOutput(value=1))

    def fail(self):
        failure = FailureOutput(
            failure_class=FailureClass.TIMEOUT, code="c", message="m"
        )
        self.store.complete_process("p", failure)

    def cancel(self):
        self.store.complete_process("p", CancelledOutput(message="m"))

    def abandon(self):
        evidence = AbandonEvidence(writer=AbandonWriter.SWEEP, epoch_ms=0)
        self.store.complete_process("p", AbandonedOutput(evidence=evidence))

    def prune(self):
        self.store.prune_terminal_processes(FAR_MS)


class TriggerDeliveryDriver(Driver):
    occurrence_id = "none"

    def open(self):
        store = TriggerStore.memory(clock=self.clock)
        self.subscription_id = store.register_subscription(
            TriggerSubscriptionDraft(
                registrant=HostOriginator(),
                env_ref="env",
                source_type="t",
                source_key="k",
                target=EngineInput(kind="lua", payload={}),
                target_identity=ProcessIdentity(kind="lua", label="Go"),
            )
        ).subscription_id
        return store

    def where(self):
        row = self.row("SELECT acknowledged_at_ms, start_error FROM trigger_deliveries")
        if row is None:
            return "absent"
        if row.acknowledged_at_ms is None:
            return "pending"
        return "started" if row.start_error is None else "refused"

    def reserve(self):
        request = TriggerOccurrenceRequest(
            source_type="t", source_key="k", payload=1, idempotency_key="i"
        )
        self.occurrence_id = self.store.record_occurrence(request).occurrence_id
        self.store.reserve_matching_deliveries(self.occurrence_id)

    def acknowledge(self):
        self.store.acknowledge_delivery(self.occurrence_id, self.subscription_id)

    def refuse(self):
        self.store.acknowledge_delivery(
            self.occurrence_id, self.subscription_id, error="no such engine"
        )

    def prune(self):
        self.store.prune_occurrences(FAR_MS)

    def unsubscribe(self):
        self.store.cancel_subscription_by_id(self.subscription_id)


class EffectDriver(Driver):
    """
    By the journal, whose calls `execute_effect` makes: none of them waits.
    """

    def open(self):
        host = EffectHost.memory(clock=self.clock)
        self.journal = host._journal
        self.claim = None
        scope = TurnScope(session_id="s", turn_id="t")
        self.effect = prepare_effect(
            scope_key(scope),
            "s",
            EffectEnvelope(kind="k", effect_id="e", replay_key="r"),
        )
        return host

    def where(self):
        row = self.row("SELECT status, lease_expires_at_ms FROM effects")
        if row is None:
            return "absent"
        if row.status == "in_progress":
            return "running" if self.is_live(row.lease_expires_at_ms) else "lapsed"
        return row.status

    def begin(self):
        seen = self.journal.look_up(self.effect)
        if type(seen).__name__ == "EffectFree":
            self.claim = self.journal.claim(self.effect, seen)

    def renew(self):
        if self.claim:
            self.journal.renew(self.claim)

    def returns(self):
        if self.claim:
            self.journal.record_outcome(self.claim, "1")

    def fail(self):
        if self.claim:
            self.journal.record_failure(self.claim, '{"code":"c","message":"m"}')

    def raises(self):
        if self.claim:
            self.journal.free(self.claim)

    def prune(self):
        self.store.prune(FAR_MS)

    def delete(self):
        self.store.delete_session("s")


class CheckpointDriver(SessionDriver):
    wanted = HydratedCheckpoint(turn_state={"at": "here"})
    kept_count = 2

    def open(self):
        retention = CheckpointRetention(max_count=self.kept_count)
        options = StoreOptions(checkpoint_retention=retention)
        return Store.memory("s", clock=self.clock, options=options)

    def __init__(self):
        super().__init__()
        self.other_count = 0
        with Store.memory("elsewhere") as store:
            self.ref = store.put_checkpoint(self.wanted).checkpoint_ref
        # The session's first commit is none of what is looked at.
        self._commit_another()

    def where(self):
        blob = self.row(f"SELECT 1 FROM session_blobs WHERE blob_ref = '{self.ref}'")
        if blob is None:
            return "absent"
        head = self.row("SELECT checkpoint_ref FROM session_heads")
        if head.checkpoint_ref == self.ref:
            return "current"
        named = self.row(
            f"SELECT 1 FROM session_checkpoint_blobs WHERE blob_ref = '{self.ref}'"
        )
        return "past" if named else "put"

    def _commit_another(self):
        self.other_count += 1
        other = HydratedCheckpoint(turn_state={"other": self.other_count})
        self.commit(checkpoint=other)

    def put(self):
        self.store.put_checkpoint(self.wanted)

    def commit_it(self):
        self.commit(checkpoint=self.wanted)

    def commit_other(self):
        # A commit of an odd revision lets go of nothing, so that this shows
        # one move at a time.
        if self.where() == "current":
            self._commit_another()

    def retention(self):
        if self.where() != "current":
            for _ in range(2 * self.kept_count):
                self._commit_another()

    def gc(self):
        self.store.gc_unreachable()


class BlobDriver(SessionDriver):
    def __init__(self):
        super().__init__()
        self.content = b"x" * 100
        with Store.memory("elsewhere") as store:
            self.ref = store.put_blob(self.content)

    def where(self):
        if not self.row(f"SELECT 1 FROM session_blobs WHERE blob_ref = '{self.ref}'"):
            return "absent"
        named = self.row(
            f"SELECT 1 FROM session_artifacts WHERE blob_ref = '{self.ref}'"
        )
        return "named" if named else "loose"

    def put(self):
        self.store.put_blob(self.content)

    def name(self):
        self.store.put_artifact_bytes("a", self.content)

    def rename(self):
        self.store.put_artifact_bytes("a", b"another")

    def gc(self):
        self.store.gc_unreachable()


DRIVERS = {
    "turn-input": TurnInputDriver,
    "queued-batch": QueuedBatchDriver,
    "execution-lease": ExecutionLeaseDriver,
    "process": ProcessDriver,
    "process-lease": ProcessLeaseDriver,
    "trigger-delivery": TriggerDeliveryDriver,
    "effect": EffectDriver,
    "checkpoint": CheckpointDriver,
    "blob": BlobDriver,
}

# Calls whose names Python or the base has taken.
METHODS = {
    ("effect", "return"): "returns",
    ("effect", "raise"): "raises",
    ("checkpoint", "commit"): "commit_it",
}
