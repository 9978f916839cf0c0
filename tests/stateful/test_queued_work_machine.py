"""
Queued work against a model that is a list of batches.
"""

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from lashstore import (
    DeliveryPolicy,
    InvalidArgumentError,
    MergeGroup,
    MergeNever,
    MergePayloadDefault,
    QueuedWorkBatchDraft,
    QueuedWorkBoundary,
    QueuedWorkClaimExpiredError,
    QueuedWorkClass,
    SessionBindingMismatchError,
    SessionCommandPayload,
    SessionExecutionLeaseExpiredError,
    SlotPolicy,
    TurnWorkPayload,
)

from .kit import CAMPAIGN, SESSION, StoreMachine, proves_dead, short, ttls

owner_names = st.sampled_from(["opaque-1", "opaque-b", "alive", "dead"])
bodies = st.sampled_from(
    [None, "text\0with NUL", 7, [1, {"a": "é"}], {"k": [True, None]}]
)
turn_payloads = st.builds(lambda body: TurnWorkPayload(body=body), bodies)
command_payloads = st.builds(lambda body: SessionCommandPayload(command=body), bodies)
payloads = st.one_of(
    st.lists(turn_payloads, min_size=1, max_size=3),
    st.lists(turn_payloads, min_size=1, max_size=2),
    st.lists(command_payloads, min_size=1, max_size=2),
)
merge_keys = st.sampled_from(
    [MergeNever(), MergePayloadDefault(), MergeGroup(group="a"), MergeGroup(group="b")]
)
boundaries = st.sampled_from(list(QueuedWorkBoundary))


class QueueMachine(StoreMachine):
    """
    Model: `rows` in admission order, each with its batch and its claim.
    """

    claims = Bundle("claims")
    batch_ids = Bundle("batch_ids")

    def __init__(self):
        super().__init__()
        self.rows = []
        self.last_seq = 0
        self.revision = 0

    @initialize()
    def lease(self):
        """Work under a lease that lasts, and keep one that does not."""
        self.stale, self.fence = self.take_two_leases()

    def claimed(self, row):
        return row["claim"] is not None and row["claim"]["expires"] > self.now

    def held_by(self, claim):
        return [
            row
            for row in self.rows
            if row["claim"] is not None
            and (row["claim"]["id"], row["claim"]["token"])
            == (claim.claim_id, claim.lease_token)
        ]

    def owns_all(self, claim):
        held = {row["batch"].batch_id for row in self.held_by(claim)}
        return held == {batch.batch_id for batch in claim.batches}

    def candidates(self, owner):
        return [
            row
            for row in self.rows
            if row["batch"].available_at_ms <= self.now
            and (not self.claimed(row) or proves_dead(row["claim"]["owner"], owner))
        ]

    def prefix(self, owner, boundary, max_batches):
        ready = self.candidates(owner)
        if max_batches == 0 or not ready or ready[0]["class"] != "turn_work":
            return []
        head = ready[0]["batch"]
        if (
            boundary is QueuedWorkBoundary.ACTIVE_TURN_CHECKPOINT
            and head.delivery_policy is not DeliveryPolicy.EARLIEST_SAFE_BOUNDARY
        ):
            return []
        if head.slot_policy is SlotPolicy.EXCLUSIVE:
            return ready[:1]
        chosen = ready[:1]
        for row in ready[1:max_batches]:
            batch = row["batch"]
            if (
                row["class"] != "turn_work"
                or batch.slot_policy is not SlotPolicy.JOIN
                or batch.delivery_policy is not head.delivery_policy
                or batch.merge_key != head.merge_key
            ):
                break
            chosen.append(row)
        return chosen

    def expect_claim(self, claim, rows, owner, ttl_ms):
        if not rows:
            assert claim is None
            return multiple()
        assert claim is not None
        assert claim.session_id == SESSION
        assert claim.owner == self.owners[owner]
        assert list(claim.batches) == [row["batch"] for row in rows]
        assert claim.claimed_at_ms == self.now
        assert claim.expires_at_ms == self.now + ttl_ms
        assert claim.fencing_token > rows[0]["fencing"]
        self.fresh(claim.lease_token)
        self.fresh(claim.claim_id)
        for row in rows:
            row["fencing"] += 1
            row["claim"] = {
                "id": claim.claim_id,
                "token": claim.lease_token,
                "owner": owner,
                "expires": claim.expires_at_ms,
            }
        rows[0]["fencing"] = claim.fencing_token
        return claim

    @rule(
        target=batch_ids,
        payloads=payloads,
        policy=st.sampled_from(list(DeliveryPolicy)),
        slot=st.sampled_from(list(SlotPolicy)),
        merge_key=merge_keys,
        key=st.sampled_from([None, None, "k1", "k2"]),
        delay=st.sampled_from([None, None, -1, 0, 1, 1_000, 10**15]),
    )
    def enqueue(self, payloads, policy, slot, merge_key, key, delay):
        """Enqueue: a new batch, or the stored one of the same source key."""
        available = 0 if delay is None else self.now + delay
        draft = QueuedWorkBatchDraft(
            payloads=tuple(payloads),
            delivery_policy=policy,
            slot_policy=slot,
            merge_key=merge_key,
            source_key=key,
            available_at_ms=available,
        )
        batch = self.store.enqueue_queued_work(draft)
        for row in self.rows:
            if key is not None and row["batch"].source_key == key:
                assert batch == row["batch"]
                return multiple()
        self.fresh(batch.batch_id)
        assert batch.enqueue_seq > self.last_seq
        self.last_seq = batch.enqueue_seq
        assert batch.session_id == SESSION
        assert batch.source_key == key
        assert batch.delivery_policy is policy
        assert batch.slot_policy is slot
        assert batch.merge_key == merge_key
        assert batch.available_at_ms == available
        assert batch.enqueued_at_ms == self.now
        assert [item.payload for item in batch.items] == payloads
        assert [item.item_id for item in batch.items] == [
            f"{batch.batch_id}:item:{index}" for index in range(len(payloads))
        ]
        is_command = isinstance(payloads[0], SessionCommandPayload)
        work_class = "session_command" if is_command else "turn_work"
        assert batch.work_class is QueuedWorkClass(work_class)
        self.rows.append(
            {"batch": batch, "class": work_class, "claim": None, "fencing": 0}
        )
        return batch.batch_id

    @rule(turn=turn_payloads, command=command_payloads)
    def enqueue_nonsense(self, turn, command):
        """An empty or mixed batch is refused."""
        for wrong in ((), (turn, command), (command, turn)):
            with pytest.raises(InvalidArgumentError):
                self.store.enqueue_queued_work(QueuedWorkBatchDraft(payloads=wrong))

    @rule(target=claims, owner=owner_names, ttl_ms=ttls)
    def claim_command(self, owner, ttl_ms):
        """Claim the leading command: only if a command leads."""
        claim = self.store.claim_leading_ready_session_command(
            self.fence, self.owners[owner], ttl_ms
        )
        ready = self.candidates(owner)[:1]
        rows = [row for row in ready if row["class"] == "session_command"]
        return self.expect_claim(claim, rows, owner, ttl_ms)

    @rule(
        target=claims,
        owner=owner_names,
        boundary=boundaries,
        ttl_ms=ttls,
        max_batches=st.integers(0, 4),
    )
    def claim_work(self, owner, boundary, ttl_ms, max_batches):
        """Claim turn work: the prefix that joins."""
        claim = self.store.claim_ready_queued_work(
            self.fence, self.owners[owner], boundary, ttl_ms, max_batches
        )
        rows = self.prefix(owner, boundary, max_batches)
        return self.expect_claim(claim, rows, owner, ttl_ms)

    @rule(
        target=claims,
        data=st.data(),
        owner=owner_names,
        boundary=boundaries,
        ttl_ms=ttls,
        exact=st.booleans(),
        count=st.integers(0, 3),
    )
    def claim_by_ids(self, data, owner, boundary, ttl_ms, exact, count):
        """Claim by ids: they must be the next runnable group, in order."""
        if exact:
            ids = [r["batch"].batch_id for r in self.prefix(owner, boundary, count)]
        else:
            known = [row["batch"].batch_id for row in self.rows]
            ids = data.draw(
                st.lists(
                    st.sampled_from([*known, "qwb:unknown"]), max_size=3, unique=True
                )
            )
        claim = self.store.claim_ready_queued_work_by_batch_ids(
            self.fence, self.owners[owner], boundary, ttl_ms, ids
        )
        rows = self.prefix(owner, boundary, len(ids))
        if [row["batch"].batch_id for row in rows] != ids:
            rows = []
        return self.expect_claim(claim, rows, owner, ttl_ms)

    @rule(owner=owner_names, boundary=boundaries)
    def claim_under_stale_fence(self, owner, boundary):
        """A stale fence is refused, unless nothing at all was asked for."""
        who = self.owners[owner]
        store = self.store
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.claim_leading_ready_session_command(self.stale, who, 1)
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.claim_ready_queued_work(self.stale, who, boundary, 1, 1)
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.claim_ready_queued_work_by_batch_ids(
                self.stale, who, boundary, 1, ["x"]
            )
        assert store.claim_ready_queued_work(self.stale, who, boundary, 1, 0) is None
        assert (
            store.claim_ready_queued_work_by_batch_ids(self.stale, who, boundary, 1, [])
            is None
        )

    @rule(claim=claims, ttl_ms=ttls)
    def renew(self, claim, ttl_ms):
        """Renew: while the claim runs and owns all; never shorter."""
        held = self.held_by(claim)
        alive = self.owns_all(claim) and all(self.claimed(row) for row in held)
        if not alive:
            with pytest.raises(QueuedWorkClaimExpiredError):
                self.store.renew_queued_work_claim(claim, ttl_ms)
            return
        renewed = self.store.renew_queued_work_claim(claim, ttl_ms)
        expires = max(held[0]["claim"]["expires"], self.now + ttl_ms)
        for row in held:
            row["claim"]["expires"] = expires
        assert renewed == msgspec.structs.replace(claim, expires_at_ms=expires)

    @rule(claim=claims)
    def abandon(self, claim):
        """Abandon: frees what the claim still holds."""
        self.store.abandon_queued_work_claim(claim)
        for row in self.held_by(claim):
            row["claim"] = None

    @rule(claim=claims)
    def foreign_claim(self, claim):
        """Another session's claim is refused."""
        foreign = msgspec.structs.replace(claim, session_id="another")
        with pytest.raises(QueuedWorkClaimExpiredError):
            self.store.renew_queued_work_claim(foreign, 1)
        with pytest.raises(SessionBindingMismatchError):
            self.store.abandon_queued_work_claim(foreign)
        with pytest.raises(QueuedWorkClaimExpiredError):
            self.plain_commit(
                self.fence, completed_queue_claims=(foreign.completion(),)
            )

    @rule(claim=claims)
    def forged_claim(self, claim):
        """A claim with another token or id owns nothing and frees nothing."""
        for wrong in (
            msgspec.structs.replace(claim, lease_token="forged"),
            msgspec.structs.replace(claim, claim_id="forged"),
        ):
            with pytest.raises(QueuedWorkClaimExpiredError):
                self.store.renew_queued_work_claim(wrong, 60_000)
            with pytest.raises(QueuedWorkClaimExpiredError):
                self.plain_commit(
                    self.fence, completed_queue_claims=(wrong.completion(),)
                )
            self.store.abandon_queued_work_claim(wrong)

    @rule(batch_id=batch_ids)
    def cancel(self, batch_id):
        """Cancel: what nobody has claimed."""
        cancelled = self.store.cancel_queued_work_batch(batch_id)
        rows = [r for r in self.rows if r["batch"].batch_id == batch_id]
        free = [row for row in rows if not self.claimed(row)]
        assert cancelled == (free[0]["batch"] if free else None)
        self.rows = [row for row in self.rows if row not in free]

    @rule(claim=claims, with_stale=st.booleans())
    def complete(self, claim, with_stale):
        """Complete in a commit: everything the claim took, or nothing."""

        def commit(fence):
            return self.plain_commit(
                fence, completed_queue_claims=(claim.completion(),)
            )

        if with_stale:
            with pytest.raises(SessionExecutionLeaseExpiredError):
                commit(self.stale)
        elif not self.owns_all(claim):
            with pytest.raises(QueuedWorkClaimExpiredError):
                commit(self.fence)
        else:
            self.revision += 1
            assert commit(self.fence).head_revision == self.revision
            held = self.held_by(claim)
            self.rows = [row for row in self.rows if row not in held]

    @rule(claim=claims)
    def complete_a_part(self, claim):
        """A completion that names other ids than the claim's is refused."""
        completion = claim.completion()
        if not self.owns_all(claim):
            return
        for ids in (
            completion.batch_ids[1:],
            (*completion.batch_ids, "qwb:more"),
            (*completion.batch_ids[1:], "qwb:other"),
        ):
            if not ids:
                continue
            with pytest.raises(QueuedWorkClaimExpiredError):
                self.plain_commit(
                    self.fence,
                    completed_queue_claims=(
                        msgspec.structs.replace(completion, batch_ids=ids),
                    ),
                )

    @invariant()
    def lists_agree(self):
        """Both listings show what the model has, in admission order."""
        everything = [row["batch"] for row in self.rows]
        pending = [row["batch"] for row in self.rows if not self.claimed(row)]
        assert list(self.store.list_queued_work()) == everything
        assert list(self.store.list_pending_queued_work()) == pending

    @invariant()
    def head_counts_commits(self):
        """Refused commits leave no trace in the head."""
        head = self.store.load_session_head_meta()
        assert (0 if head is None else head.head_revision) == self.revision


class MemoryQueueMachine(QueueMachine):
    """The same, in memory."""

    durable = False


class ServerQueueMachine(QueueMachine):
    """The same, on a server."""

    on_server = True


@pytest.mark.parametrize(
    "machine", [QueueMachine, MemoryQueueMachine, ServerQueueMachine]
)
def test_queued_work_follows_its_model(machine):
    """
    Any program of enqueues, claims and completions goes as the model.
    """
    run_state_machine_as_test(machine, settings=short(machine))


@pytest.mark.campaign
@pytest.mark.parametrize(
    "machine", [QueueMachine, MemoryQueueMachine, ServerQueueMachine]
)
def test_queued_work_follows_its_model_for_long(machine):
    """
    The same with many more programs.
    """
    run_state_machine_as_test(machine, settings=CAMPAIGN)
