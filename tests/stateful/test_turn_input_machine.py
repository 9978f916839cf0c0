"""
Pending turn inputs against a model that is a list of inputs.
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
    ActiveTurnIngress,
    ActiveTurnMode,
    CancelResult,
    CheckpointKind,
    InputAlreadyCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputCancelled,
    InputIdTarget,
    InputNotFound,
    InvalidArgumentError,
    NextTurnIngress,
    NextTurnMode,
    PendingTurnInput,
    PendingTurnInputDraft,
    RuntimeCommit,
    SessionBindingMismatchError,
    SessionExecutionLeaseExpiredError,
    SourceKeyConflictError,
    SourceKeyTarget,
    TurnCommitConflictError,
    TurnInputClaimDiagnostics,
    TurnInputClaimExpiredError,
    TurnInputState,
    VacuumReport,
)

from .kit import CAMPAIGN, SESSION, StoreMachine, proves_dead, short, ttls

PENDING = TurnInputState.PENDING_ACTIVE
DEFERRED = TurnInputState.DEFERRED_NEXT_TURN
ACCEPTED = TurnInputState.ACCEPTED
CANCELLED = TurnInputState.CANCELLED
COMPLETED = TurnInputState.COMPLETED
TERMINAL = {CANCELLED, COMPLETED}

TURNS = ("t1", "t2", "t3")
owner_names = st.sampled_from(["opaque-1", "opaque-b", "alive", "dead"])
turn_ids = st.sampled_from(TURNS)
checkpoints = st.sampled_from(list(CheckpointKind))
ingresses = st.one_of(
    st.just(NextTurnIngress()),
    st.builds(
        lambda turn, boundary: ActiveTurnIngress(turn_id=turn, min_boundary=boundary),
        turn_ids,
        checkpoints,
    ),
)
bodies = st.sampled_from([{"text": "hi"}, {"text": "hö\0"}, [1, None], "plain"])
source_keys = st.sampled_from([None, None, "k1", "k2", "k3"])
explicit_ids = st.sampled_from([None, None, None, "own-1", "own-2"])


def admits(ingress, checkpoint):
    """Tell whether an input may be taken at a checkpoint."""
    return (
        ingress.min_boundary is CheckpointKind.AFTER_WORK
        or checkpoint is CheckpointKind.BEFORE_COMPLETION
    )


class TurnInputMachine(StoreMachine):
    """
    Model: `rows` in admission order; `turns` that were committed.
    """

    claims = Bundle("claims")
    input_ids = Bundle("input_ids")

    def __init__(self):
        super().__init__()
        self.rows = []
        self.last_seq = 0
        self.revision = 0
        self.turns = {}

    @initialize()
    def lease(self):
        """Work under a lease that lasts, and keep one that does not."""
        self.stale, self.fence = self.take_two_leases()

    def claimed(self, row):
        return row["claim"] is not None and row["claim"]["expires"] > self.now

    def shown(self, row):
        return PendingTurnInput(
            input_id=row["id"],
            session_id=SESSION,
            enqueue_seq=row["seq"],
            source_key=row["key"],
            ingress=row["ingress"],
            state=row["state"],
            enqueued_at_ms=row["enqueued"],
            input=row["input"],
        )

    def find(self, target):
        for row in self.rows:
            if isinstance(target, InputIdTarget) and row["id"] == target.input_id:
                return row
            if isinstance(target, SourceKeyTarget) and row["key"] == target.source_key:
                return row
        return None

    def held_by(self, claim):
        return [
            row
            for row in self.rows
            if row["claim"] is not None
            and (row["claim"]["id"], row["claim"]["token"])
            == (claim.claim_id, claim.lease_token)
        ]

    def owns_all(self, claim):
        held = {row["id"] for row in self.held_by(claim)}
        return held == {taken.input_id for taken in claim.inputs}

    def free_for(self, row, owner):
        return not self.claimed(row) or proves_dead(row["claim"]["owner"], owner)

    def expect_cancel(self, row):
        """Apply a cancel to the model; return the outcome it must have."""
        if row is None:
            return InputNotFound()
        if row["state"] is CANCELLED:
            return InputAlreadyCancelled(input=self.shown(row))
        if row["state"] is COMPLETED:
            return InputAlreadyCompleted(input=self.shown(row))
        if self.claimed(row):
            return InputAlreadyClaimed(
                input=self.shown(row),
                claim=TurnInputClaimDiagnostics(
                    state=row["state"],
                    claim_id=row["claim"]["id"],
                    claim_owner=self.owners[row["claim"]["owner"]],
                    claim_expires_at_ms=row["claim"]["expires"],
                    claim_fencing_token=row["fencing"],
                ),
            )
        row["state"] = CANCELLED
        row["claim"] = None
        return InputCancelled(input=self.shown(row))

    def defer(self, rows):
        for row in rows:
            row["state"] = DEFERRED
            row["ingress"] = NextTurnIngress()
            row["claim"] = None

    def expect_claim(self, claim, rows, owner, ttl_ms, mode):
        if not rows:
            assert claim is None
            return multiple()
        assert claim is not None
        state = ACCEPTED if isinstance(mode, ActiveTurnMode) else DEFERRED
        for row in rows:
            row["state"] = state
        assert claim.session_id == SESSION
        assert claim.owner == self.owners[owner]
        assert claim.mode == mode
        assert list(claim.inputs) == [self.shown(row) for row in rows]
        assert claim.claimed_at_ms == self.now
        assert claim.expires_at_ms == self.now + ttl_ms
        assert claim.fencing_token == rows[0]["fencing"] + 1
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
        return claim

    @rule(
        target=input_ids,
        ingress=ingresses,
        body=bodies,
        key=source_keys,
        own=explicit_ids,
    )
    def enqueue(self, ingress, body, key, own):
        """Enqueue: new, or the stored one of the same key and content."""
        draft = PendingTurnInputDraft(
            ingress=ingress, input=body, input_id=own, source_key=key
        )
        known = self.find(SourceKeyTarget(source_key=key)) if key else None
        if known is not None:
            if known["submitted"] == ingress and known["input"] == body:
                assert self.store.enqueue_pending_turn_input(draft) == self.shown(known)
            else:
                with pytest.raises(SourceKeyConflictError) as caught:
                    self.store.enqueue_pending_turn_input(draft)
                assert caught.value.source_key == key
                assert caught.value.existing_input_id == known["id"]
            return multiple()
        if own is not None and self.find(InputIdTarget(input_id=own)) is not None:
            with pytest.raises(InvalidArgumentError):
                self.store.enqueue_pending_turn_input(draft)
            return multiple()
        added = self.store.enqueue_pending_turn_input(draft)
        if own is None:
            self.fresh(added.input_id)
        else:
            assert added.input_id == own
        assert added.enqueue_seq > self.last_seq
        self.last_seq = added.enqueue_seq
        is_active = isinstance(ingress, ActiveTurnIngress)
        self.rows.append(
            {
                "id": added.input_id,
                "seq": added.enqueue_seq,
                "key": key,
                "submitted": ingress,
                "ingress": ingress,
                "state": PENDING if is_active else DEFERRED,
                "input": body,
                "enqueued": self.now,
                "claim": None,
                "fencing": 0,
            }
        )
        assert added == self.shown(self.rows[-1])
        return added.input_id

    @rule(data=st.data())
    def replay_submission(self, data):
        """The submission of a stored input, again: the input as it is now."""
        keyed = [row for row in self.rows if row["key"] is not None]
        if not keyed:
            return
        row = data.draw(st.sampled_from(keyed))
        draft = PendingTurnInputDraft(
            ingress=row["submitted"], input=row["input"], source_key=row["key"]
        )
        assert self.store.enqueue_pending_turn_input(draft) == self.shown(row)

    @rule(input_id=st.one_of(input_ids, st.just("unknown")))
    def cancel_by_id(self, input_id):
        """Cancel one input by its id."""
        target = InputIdTarget(input_id=input_id)
        assert self.store.cancel_pending_turn_input(target) == self.expect_cancel(
            self.find(target)
        )

    @rule(key=st.sampled_from(["k1", "k2", "k3", "unknown"]))
    def cancel_by_key(self, key):
        """Cancel one input by its source key."""
        target = SourceKeyTarget(source_key=key)
        assert self.store.cancel_pending_turn_input(target) == self.expect_cancel(
            self.find(target)
        )

    @rule(
        aims=st.lists(
            st.one_of(
                st.builds(
                    lambda key: SourceKeyTarget(source_key=key),
                    source_keys.filter(bool),
                ),
                st.builds(
                    lambda input_id: InputIdTarget(input_id=input_id),
                    st.one_of(input_ids, st.just("unknown")),
                ),
            ),
            max_size=4,
        )
    )
    def cancel_bulk(self, aims):
        """Cancel many: each target sees what those before it did."""
        results = self.store.cancel_pending_turn_inputs(aims)
        assert list(results) == [
            CancelResult(target=target, outcome=self.expect_cancel(self.find(target)))
            for target in aims
        ]

    @rule(input_id=st.one_of(input_ids, st.just("unknown")))
    def cancel_suffix(self, input_id):
        """Cancel an input and everything admitted after it."""
        anchor = self.find(InputIdTarget(input_id=input_id))
        outcomes = self.store.cancel_pending_turn_input_suffix(
            InputIdTarget(input_id=input_id)
        )
        if anchor is None:
            assert outcomes is None
            return
        suffix = [row for row in self.rows if row["seq"] >= anchor["seq"]]
        assert list(outcomes) == [self.expect_cancel(row) for row in suffix]

    @rule(
        target=claims,
        owner=owner_names,
        turn_id=turn_ids,
        checkpoint=checkpoints,
        ttl_ms=ttls,
        max_inputs=st.integers(0, 3),
    )
    def claim_active(self, owner, turn_id, checkpoint, ttl_ms, max_inputs):
        """Claim a running turn's inputs, lapsed ones included."""
        claim = self.store.claim_active_turn_inputs(
            self.fence, self.owners[owner], turn_id, checkpoint, ttl_ms, max_inputs
        )
        rows = [
            row
            for row in self.rows
            if row["state"] in {PENDING, ACCEPTED}
            and row["ingress"].turn_id == turn_id
            and admits(row["ingress"], checkpoint)
            and self.free_for(row, owner)
        ][:max_inputs]
        mode = ActiveTurnMode(turn_id=turn_id, checkpoint=checkpoint)
        return self.expect_claim(claim, rows, owner, ttl_ms, mode)

    @rule(target=claims, owner=owner_names, ttl_ms=ttls, max_inputs=st.integers(0, 3))
    def claim_next(self, owner, ttl_ms, max_inputs):
        """Claim what waits for the next turn."""
        claim = self.store.claim_next_turn_inputs(
            self.fence, self.owners[owner], ttl_ms, max_inputs
        )
        rows = [
            row
            for row in self.rows
            if row["state"] is DEFERRED and self.free_for(row, owner)
        ][:max_inputs]
        return self.expect_claim(claim, rows, owner, ttl_ms, NextTurnMode())

    @rule(owner=owner_names, turn_id=turn_ids, checkpoint=checkpoints)
    def use_stale_fence(self, owner, turn_id, checkpoint):
        """A stale fence is refused, unless nothing at all was asked for."""
        who, store = self.owners[owner], self.store
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.claim_active_turn_inputs(self.stale, who, turn_id, checkpoint, 1, 1)
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.claim_next_turn_inputs(self.stale, who, 1, 1)
        with pytest.raises(SessionExecutionLeaseExpiredError):
            store.redefer_orphaned_turn_inputs(self.stale)
        assert store.claim_next_turn_inputs(self.stale, who, 1, 0) is None
        assert (
            store.claim_active_turn_inputs(self.stale, who, turn_id, checkpoint, 1, 0)
            is None
        )

    @rule(claim=claims, ttl_ms=ttls)
    def renew(self, claim, ttl_ms):
        """Renew: while the claim runs and owns all; never shorter."""
        held = self.held_by(claim)
        if not (self.owns_all(claim) and all(self.claimed(row) for row in held)):
            with pytest.raises(TurnInputClaimExpiredError):
                self.store.renew_turn_input_claim(claim, ttl_ms)
            return
        renewed = self.store.renew_turn_input_claim(claim, ttl_ms)
        expires = max(held[0]["claim"]["expires"], self.now + ttl_ms)
        for row in held:
            row["claim"]["expires"] = expires
        assert renewed == msgspec.structs.replace(claim, expires_at_ms=expires)

    @rule(claim=claims)
    def abandon(self, claim):
        """Abandon: an accepted input waits for its turn again."""
        self.store.abandon_turn_input_claim(claim)
        for row in self.held_by(claim):
            row["claim"] = None
            if row["state"] is ACCEPTED:
                row["state"] = PENDING

    @rule(claim=claims)
    def foreign_claim(self, claim):
        """Another session's claim is refused."""
        foreign = msgspec.structs.replace(claim, session_id="another")
        with pytest.raises(TurnInputClaimExpiredError):
            self.store.renew_turn_input_claim(foreign, 1)
        with pytest.raises(SessionBindingMismatchError):
            self.store.abandon_turn_input_claim(foreign)
        with pytest.raises(TurnInputClaimExpiredError):
            self.plain_commit(
                self.fence, completed_turn_input_claims=(foreign.completion(),)
            )

    @rule(claim=claims)
    def forged_claim(self, claim):
        """A claim with another token or id owns nothing and frees nothing."""
        completion = claim.completion()
        for wrong in (
            msgspec.structs.replace(claim, lease_token="forged"),
            msgspec.structs.replace(claim, claim_id="forged"),
        ):
            with pytest.raises(TurnInputClaimExpiredError):
                self.store.renew_turn_input_claim(wrong, 60_000)
            with pytest.raises(TurnInputClaimExpiredError):
                self.plain_commit(
                    self.fence, completed_turn_input_claims=(wrong.completion(),)
                )
            self.store.abandon_turn_input_claim(wrong)
        if not self.owns_all(claim):
            return
        for ids in (
            completion.input_ids[1:],
            (*completion.input_ids, "more"),
            (*completion.input_ids[1:], "other"),
        ):
            if not ids:
                continue
            named = msgspec.structs.replace(completion, input_ids=ids)
            with pytest.raises(TurnInputClaimExpiredError):
                self.plain_commit(self.fence, completed_turn_input_claims=(named,))

    @rule(
        claim=claims,
        completes=st.booleans(),
        stamped=st.one_of(st.none(), st.integers(0, 2), st.integers(3, 60)),
        interrupted=st.one_of(st.none(), turn_ids),
    )
    def commit(self, claim, completes, stamped, interrupted):
        """Commit: completions, then whatever the ended turns leave behind."""
        self.send(claim if completes else None, stamped, interrupted)

    @rule(stamped=st.integers(0, 2), interrupted=st.one_of(st.none(), turn_ids))
    def end_turn(self, stamped, interrupted):
        """A stamped commit is its turn's last."""
        self.send(None, stamped, interrupted)

    def send(self, claim, stamped, interrupted):
        completes = claim is not None
        turn_id = None
        if stamped is not None:
            turn_id = TURNS[stamped] if stamped < len(TURNS) else f"turn-{stamped}"
        commit = RuntimeCommit(
            session_id=SESSION,
            session_execution_lease=self.fence,
            config={"n": self.revision},
            completed_turn_input_claims=(claim.completion(),) if completes else (),
            interrupted_turn_input_turn_id=interrupted,
        )
        if turn_id is not None:
            commit = commit.stamped(turn_id)
        if turn_id in self.turns:
            with pytest.raises(TurnCommitConflictError):
                self.store.commit_runtime_state(commit)
            return
        if completes and not self.owns_all(claim):
            with pytest.raises(TurnInputClaimExpiredError):
                self.store.commit_runtime_state(commit)
            return
        self.revision += 1
        result = self.store.commit_runtime_state(commit)
        assert result.head_revision == self.revision
        if turn_id is not None:
            self.turns[turn_id] = (commit, result)
        if completes:
            for row in self.held_by(claim):
                row["state"] = COMPLETED
                row["claim"] = None
        self.defer(
            [
                row
                for row in self.rows
                if row["state"] is PENDING
                and row["ingress"].turn_id in {turn_id, interrupted}
            ]
        )

    @rule(data=st.data())
    def replay_commit(self, data):
        """A turn sent again returns its result and does nothing."""
        if self.turns:
            commit, result = self.turns[data.draw(st.sampled_from(sorted(self.turns)))]
            unfenced = msgspec.structs.replace(commit, session_execution_lease=None)
            assert self.store.commit_runtime_state(commit) == result
            assert self.store.commit_runtime_state(unfenced) == result

    @rule(live=st.lists(turn_ids, unique=True))
    def redefer(self, live):
        """Redefer: what belongs to no live turn waits for the next one."""
        moved = self.store.redefer_orphaned_turn_inputs(self.fence, live_turn_ids=live)
        rows = [
            row
            for row in self.rows
            if row["state"] in {PENDING, ACCEPTED}
            and row["ingress"].turn_id not in live
        ]
        self.defer(rows)
        assert list(moved) == [self.shown(row) for row in rows]

    @rule()
    def vacuum(self):
        """Vacuum: cancelled and completed inputs are gone."""
        gone = [row for row in self.rows if row["state"] in TERMINAL]
        assert self.store.vacuum() == VacuumReport(removed_turn_input_count=len(gone))
        self.rows = [row for row in self.rows if row not in gone]
        assert self.store.vacuum() == VacuumReport()

    @invariant()
    def list_agrees(self):
        """The listing shows what is open and unclaimed, in admission order."""
        assert list(self.store.list_pending_turn_inputs()) == [
            self.shown(row)
            for row in self.rows
            if row["state"] not in TERMINAL and not self.claimed(row)
        ]

    @invariant()
    def head_counts_commits(self):
        """Refused commits leave no trace in the head."""
        head = self.store.load_session_head_meta()
        assert (0 if head is None else head.head_revision) == self.revision


class MemoryTurnInputMachine(TurnInputMachine):
    """The same, in memory."""

    durable = False


class ServerTurnInputMachine(TurnInputMachine):
    """The same, on a server."""

    on_server = True


@pytest.mark.parametrize(
    "machine", [TurnInputMachine, MemoryTurnInputMachine, ServerTurnInputMachine]
)
def test_turn_inputs_follow_their_model(machine):
    """
    Any program of submissions, claims, cancels and commits goes as the model.
    """
    run_state_machine_as_test(machine, settings=short(machine))


@pytest.mark.campaign
@pytest.mark.parametrize(
    "machine", [TurnInputMachine, MemoryTurnInputMachine, ServerTurnInputMachine]
)
def test_turn_inputs_follow_their_model_for_long(machine):
    """
    The same with many more programs.
    """
    run_state_machine_as_test(machine, settings=CAMPAIGN)
