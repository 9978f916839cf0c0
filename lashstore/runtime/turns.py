"""
The turn runner: claims what waits, runs the host's function, commits.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from lashstore.errors import (
    LashStoreError,
    QueuedWorkClaimExpiredError,
    StoreBusyError,
    TurnInputClaimExpiredError,
)
from lashstore.model.commit import RuntimeCommit, RuntimeCommitResult
from lashstore.model.leases import SessionExecutionLease
from lashstore.model.options import LeaseTimings
from lashstore.model.queue import QueuedWorkBatch, QueuedWorkBoundary, QueuedWorkClaim
from lashstore.model.record import Record
from lashstore.model.session import SessionHeadMeta
from lashstore.model.turn_inputs import CheckpointKind, PendingTurnInput, TurnInputClaim
from lashstore.store import Store

from .keeper import LeaseKeeper
from .leasing import Kept

_BUSY_PAUSE_S = 0.05


class TurnInterruptedError(Exception):
    """
    Raised by a host's function: the turn ends here.

    With a commit, what was done so far lands and what the turn claimed is
    done with it; without one nothing lands and all of it waits again. Either
    way the inputs that were sent to this turn wait for the next one.
    """

    def __init__(self, commit: RuntimeCommit | None = None) -> None:
        super().__init__("the turn was interrupted")
        self.commit = commit


class TurnOutcome(Record, frozen=True, kw_only=True):
    """
    What a turn came to; `result` None: it was interrupted and left nothing.
    """

    turn_id: str
    result: RuntimeCommitResult | None
    is_interrupted: bool = False


class TurnFacts:
    """
    What one turn is about.

    `turn_id` names what the turn began with: run again, after an error or by
    another host, it has the id it had, so that effects in its `TurnScope` are
    replayed.
    """

    turn_id: str
    head: SessionHeadMeta | None
    inputs: tuple[PendingTurnInput, ...]
    batches: tuple[QueuedWorkBatch, ...]

    def __init__(self, steps: "TurnSteps", head: SessionHeadMeta | None) -> None:
        self.turn_id = ""
        self.head = head
        self.inputs = ()
        self.batches = ()
        self.input_claims: list[Kept[TurnInputClaim]] = []
        self.work_claims: list[Kept[QueuedWorkClaim]] = []
        self._steps = steps

    def check(self) -> None:
        """
        Check that the turn may go on, before doing what must not be done in
        vain.

        Raises:
            LeaseExpiredError: The lease or a claim is lost.
        """
        self._steps.keeper.lease()

    def add_inputs(self, claim: Kept[TurnInputClaim]) -> None:
        """
        Take a claim's inputs into the turn.
        """
        self.input_claims.append(claim)
        self.inputs += claim.lease.inputs

    def add_work(self, claim: Kept[QueuedWorkClaim]) -> None:
        """
        Take a claim's batches into the turn.
        """
        self.work_claims.append(claim)
        self.batches += claim.lease.batches

    @property
    def claims(self) -> tuple[Kept[Any], ...]:
        """
        Everything to be renewed while the turn runs.
        """
        return (*self.input_claims, *self.work_claims)


class Turn(TurnFacts):
    """
    What one turn is about, and what it may ask for while it runs.
    """

    def take_inputs(
        self, checkpoint: CheckpointKind = CheckpointKind.AFTER_WORK
    ) -> tuple[PendingTurnInput, ...]:
        """
        Claim what was sent to the turn while it runs.

        Returns:
            The new inputs, in order; they are part of the turn from now on.

        Raises:
            As `Store.claim_active_turn_inputs`.
        """
        return self._steps.take_inputs(self, checkpoint)


F = TypeVar("F", bound=TurnFacts)


class TurnSteps:
    """
    The store's part of a turn: begin, take more, land, or undo.
    """

    def __init__(
        self,
        store: Store,
        keeper: LeaseKeeper[SessionExecutionLease],
        *,
        timings: LeaseTimings,
        max_inputs: int,
        max_batches: int,
    ) -> None:
        self._store = store
        self.keeper = keeper
        self._timings = timings
        self._max_inputs = max_inputs
        self._max_batches = max_batches

    def begin(
        self, make: "Callable[[TurnSteps, SessionHeadMeta | None], F]"
    ) -> F | None:
        """
        Claim what the next turn is about; None: nothing waits.

        A session command comes alone; otherwise inputs and queued work come
        together.
        """
        # What a dead host's turns had accepted, and what came for a turn that
        # had just ended.
        self._store.redefer_orphaned_turn_inputs(self.keeper.lease().fence())
        turn = make(self, self._store.load_session_head_meta())
        try:
            self._claim(turn)
        except BaseException as error:
            self.undo(turn, error)
            raise
        if not turn.claims:
            return None
        turn.turn_id = _turn_id(turn)
        return turn

    def _claim(self, turn: TurnFacts) -> None:
        lease = self.keeper.lease()
        fence, owner, ttl_ms = lease.fence(), lease.owner, self._timings.ttl_ms
        granted_at_s = time.monotonic()
        command = self._store.claim_leading_ready_session_command(fence, owner, ttl_ms)
        if command is not None:
            turn.add_work(self._kept_work(command, granted_at_s))
            return
        inputs = self._store.claim_next_turn_inputs(
            fence, owner, ttl_ms, self._max_inputs
        )
        if inputs is not None:
            turn.add_inputs(self._kept_inputs(inputs, granted_at_s))
        work = self._store.claim_ready_queued_work(
            fence, owner, QueuedWorkBoundary.IDLE, ttl_ms, self._max_batches
        )
        if work is not None:
            turn.add_work(self._kept_work(work, granted_at_s))

    def take_inputs(
        self, turn: TurnFacts, checkpoint: CheckpointKind
    ) -> tuple[PendingTurnInput, ...]:
        """
        Claim what was sent to the turn while it runs.
        """
        lease = self.keeper.lease()
        granted_at_s = time.monotonic()
        claim = self._store.claim_active_turn_inputs(
            lease.fence(),
            lease.owner,
            turn.turn_id,
            checkpoint,
            self._timings.ttl_ms,
            self._max_inputs,
        )
        if claim is None:
            return ()
        kept = self._kept_inputs(claim, granted_at_s)
        turn.add_inputs(kept)
        self.keeper.also_renew(kept)
        return claim.inputs

    def completed(
        self, turn: TurnFacts, commit: RuntimeCommit, *, is_interrupted: bool
    ) -> RuntimeCommit:
        """
        Return the host's commit with the turn's claims, proof and stamp.
        """
        return msgspec.structs.replace(
            commit,
            expected_head_revision=0 if turn.head is None else turn.head.head_revision,
            session_execution_lease=self.keeper.lease().fence(),
            completed_queue_claims=tuple(
                claim.lease.completion() for claim in turn.work_claims
            ),
            completed_turn_input_claims=tuple(
                claim.lease.completion() for claim in turn.input_claims
            ),
            interrupted_turn_input_turn_id=turn.turn_id if is_interrupted else None,
        ).stamped(turn.turn_id)

    def land(
        self, turn: TurnFacts, commit: RuntimeCommit, *, is_interrupted: bool = False
    ) -> TurnOutcome:
        """
        Commit the turn; a lock that others hold is waited for while the
        lease lives.
        """
        completed = self.completed(turn, commit, is_interrupted=is_interrupted)
        while True:
            try:
                # Stamped: sent again after a doubtful failure, it lands once.
                result = self._store.commit_runtime_state(completed)
            except StoreBusyError:
                self.keeper.lease()
                time.sleep(_BUSY_PAUSE_S)
                continue
            return TurnOutcome(
                turn_id=turn.turn_id, result=result, is_interrupted=is_interrupted
            )

    def undo(self, turn: TurnFacts, error: BaseException) -> None:
        """
        Let what the turn claimed wait again; what cannot be freed is noted
        on *error* and waits until its claim expires.
        """
        try:
            for work in turn.work_claims:
                self._store.abandon_queued_work_claim(work.lease)
            for inputs in turn.input_claims:
                self._store.abandon_turn_input_claim(inputs.lease)
            self._store.redefer_orphaned_turn_inputs(self.keeper.lease().fence())
        except LashStoreError as trouble:
            error.add_note(
                f"what turn {turn.turn_id} claimed waits until its claims expire, "
                f"since it could not be freed: {trouble}"
            )

    def _kept_inputs(
        self, claim: TurnInputClaim, granted_at_s: float
    ) -> Kept[TurnInputClaim]:
        return Kept(
            claim,
            lambda held: self._store.renew_turn_input_claim(held, self._timings.ttl_ms),
            lambda: TurnInputClaimExpiredError(
                session_id=claim.session_id, claim_id=claim.claim_id
            ),
            timings=self._timings,
            granted_at_s=granted_at_s,
        )

    def _kept_work(
        self, claim: QueuedWorkClaim, granted_at_s: float
    ) -> Kept[QueuedWorkClaim]:
        return Kept(
            claim,
            lambda held: self._store.renew_queued_work_claim(
                held, self._timings.ttl_ms
            ),
            lambda: QueuedWorkClaimExpiredError(
                session_id=claim.session_id, claim_id=claim.claim_id
            ),
            timings=self._timings,
            granted_at_s=granted_at_s,
        )


def _turn_id(turn: TurnFacts) -> str:
    admitted = [(each.enqueue_seq, each.input_id) for each in turn.inputs]
    admitted += [(each.enqueue_seq, each.batch_id) for each in turn.batches]
    # A host may use an id again once the input is vacuumed; the number is
    # never reused. A session that was deleted counts from 1 again; the ids
    # differ, unless the host chose them.
    seq, first_id = min(admitted)
    return f"turn:{seq}:{first_id}"


class TurnRunner:
    """
    Runs one turn after another of a session whose lease is kept.

        def answer(turn):
            ...
            return RuntimeCommit(session_id="chat", graph=GraphAppend(nodes=nodes))

        with keep_session_lease(store) as keeper:
            runner = TurnRunner(store, keeper, answer)
            while runner.run_next():
                pass

    The function is given a `Turn` and returns a commit with what it changed;
    proof, claims, expected revision and stamp are the runner's. A host that
    dies before the commit leaves everything waiting; one that dies after it
    has done the turn.
    """

    def __init__(
        self,
        store: Store,
        keeper: LeaseKeeper[SessionExecutionLease],
        function: Callable[[Turn], RuntimeCommit],
        *,
        timings: LeaseTimings = LeaseTimings(),
        max_inputs: int = 16,
        max_batches: int = 16,
    ) -> None:
        """
        Args:
            timings: Of the claims; they are renewed as the keeper's lease is.

            max_inputs: At most so many inputs a turn.

            max_batches: At most so many batches a turn.
        """
        self._keeper = keeper
        self._function = function
        self._steps = TurnSteps(
            store,
            keeper,
            timings=timings,
            max_inputs=max_inputs,
            max_batches=max_batches,
        )

    def run_next(self) -> TurnOutcome | None:
        """
        Run a turn, if something waits for one.

        Returns:
            What it came to; None: nothing waits.

        Raises:
            SessionExecutionLeaseExpiredError, TurnInputClaimExpiredError,
            QueuedWorkClaimExpiredError: Lost meanwhile; nothing landed.
            HeadRevisionConflictError: Somebody committed past the lease.
            Whatever the function raised but `TurnInterruptedError`,
                `KeyboardInterrupt` included: nothing landed, and what the
                turn claimed waits again.
        """
        turn = self._steps.begin(Turn)
        if turn is None:
            return None
        try:
            with self._keeper.renewing(*turn.claims):
                try:
                    commit = self._function(turn)
                except TurnInterruptedError as interrupted:
                    return self._interrupt(turn, interrupted)
                return self._steps.land(turn, commit)
        except BaseException as error:
            self._steps.undo(turn, error)
            raise

    def _interrupt(self, turn: Turn, interrupted: TurnInterruptedError) -> TurnOutcome:
        if interrupted.commit is not None:
            return self._steps.land(turn, interrupted.commit, is_interrupted=True)
        self._steps.undo(turn, interrupted)
        return TurnOutcome(turn_id=turn.turn_id, result=None, is_interrupted=True)
