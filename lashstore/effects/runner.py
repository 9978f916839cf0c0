"""
One effect from look-up to outcome.
"""

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from lashstore.codec import encode_and_read, stored_decoder
from lashstore.errors import (
    EffectFailure,
    EffectLeaseLostError,
    InvalidArgumentError,
    LashStoreError,
    StoreBusyError,
)
from lashstore.model.effects import (
    Effect,
    EffectBusy,
    EffectClaim,
    EffectEnvelope,
    EffectFailureRecord,
    EffectFinished,
    EffectFree,
    EffectRow,
    EffectStatus,
    encode_failure,
)
from lashstore.model.record import Json

from .journal import EffectJournal
from .renewal import LeaseRenewer
from .waiting import POLL_S, FinishSignal, Patience

_decode_outcome = stored_decoder(Any, "effect")
_decode_failure = stored_decoder(EffectFailureRecord, "effect")

Executor = Callable[[EffectEnvelope], Json]


class EffectRunner:
    """
    Runs effects of every scope of one host, each at most once at a time.
    """

    def __init__(
        self, journal: EffectJournal, renewer: LeaseRenewer, *, lease_ttl_ms: int
    ) -> None:
        self._journal = journal
        self._renewer = renewer
        self._lease_ttl_s = lease_ttl_ms / 1000
        self._claim_ended = FinishSignal()
        self._thread = threading.local()

    def execute(self, effect: Effect, executor: Executor, patience: Patience) -> Json:
        """
        Return an effect's recorded outcome, or run it and record one.
        """
        while True:
            seen = self._claim_ended.count()
            state: Any = self._journal.look_up(effect)
            if isinstance(state, EffectFree):
                state = self._journal.claim(effect, state)
            if isinstance(state, EffectFinished):
                return self._replay(effect, state.row, patience)
            if isinstance(state, EffectClaim):
                try:
                    return self._run(effect, state, executor, patience)
                except EffectLeaseLostError:
                    # A timer did nothing that must not be done twice, and is
                    # still due when it was: a machine that was asleep longer
                    # than the lease goes on where it stopped.
                    if effect.duration_ms is None or self._is_forgotten(effect):
                        raise
            else:
                self._await_claim(effect, state, patience, seen)

    def _is_forgotten(self, effect: Effect) -> bool:
        return self._journal.look_up(effect) == EffectFree(stored=None)

    def _replay(self, effect: Effect, row: EffectRow, patience: Patience) -> Json:
        # A timer's outcome may be recorded by a host whose clock is ahead.
        self._await_due(effect, row, patience)
        return recorded_outcome(row)

    def _await_claim(
        self, effect: Effect, busy: EffectBusy, patience: Patience, seen: int
    ) -> None:
        refuse_own(effect, busy, self._tokens())
        while True:
            patience.require(effect)
            self._claim_ended.wait(seen, patience.pause_s())
            seen = self._claim_ended.count()
            if not self._journal.is_busy(effect, busy):
                return

    def _await_due(self, effect: Effect, row: EffectRow, patience: Patience) -> None:
        if row.due_at_ms is None:
            return
        while (left_ms := row.due_at_ms - self._journal.now_ms()) > 0:
            patience.require(effect)
            patience.sleep(left_ms / 1000)

    def _run(
        self,
        effect: Effect,
        claim: EffectClaim,
        executor: Executor,
        patience: Patience,
    ) -> Json:
        failure: EffectFailure | None = None
        outcome: Json = None
        outcome_json = "null"
        try:
            try:
                self._begin(claim)
                try:
                    if effect.duration_ms is None:
                        # What a replay will give, not an object the executor
                        # may still hold.
                        outcome_json, outcome = encode_and_read(
                            executor(effect.envelope), "the outcome"
                        )
                    else:
                        self._await_due(effect, claim.row, patience)
                except EffectFailure as raised:
                    failure = raised
                    error_json = encode_failure(raised.code, raised.message)
                    self._record(self._journal.record_failure, claim, error_json)
                else:
                    self._record(self._journal.record_outcome, claim, outcome_json)
            finally:
                self._end(claim)
        except BaseException as error:
            self._free(claim, error)
            raise
        finally:
            self._claim_ended.tell()
        if failure is not None:
            raise failure
        return outcome

    def _record(
        self,
        record: Callable[[EffectClaim, str], None],
        claim: EffectClaim,
        content_json: str,
    ) -> None:
        # The work is done and cannot be undone: a lock that others hold is
        # waited for as long as a lease lives, while renewal goes on.
        deadline = time.monotonic() + self._lease_ttl_s
        while True:
            try:
                return record(claim, content_json)
            except StoreBusyError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(POLL_S)

    def _free(self, claim: EffectClaim, error: BaseException) -> None:
        try:
            self._journal.free(claim)
        except LashStoreError as trouble:
            error.add_note(stays_claimed(claim, trouble))

    def _begin(self, claim: EffectClaim) -> None:
        self._tokens().add(claim.lease.token)
        self._renewer.begin(claim)

    def _end(self, claim: EffectClaim) -> None:
        self._renewer.end(claim)
        self._tokens().discard(claim.lease.token)

    def _tokens(self) -> set[str]:
        # The claims whose executors are running on this thread right now.
        if not hasattr(self._thread, "tokens"):
            self._thread.tokens = set()
        tokens: set[str] = self._thread.tokens
        return tokens


def recorded_outcome(row: EffectRow) -> Json:
    """
    Return the outcome of a finished effect.

    Raises:
        EffectFailure: It failed.
        CorruptRecordError: The record is damaged.
    """
    if row.status is EffectStatus.FAILED:
        failure: EffectFailureRecord = _decode_failure(row.error_json, row.replay_key)
        raise EffectFailure(failure.code, failure.message)
    return _decode_outcome(row.outcome_json, row.replay_key)


def refuse_own(effect: Effect, busy: EffectBusy, own_tokens: Collection[str]) -> None:
    """
    Refuse to wait for a claim that is held by whoever would wait.

    Raises:
        InvalidArgumentError: It is one of *own_tokens*.
    """
    if busy.token in own_tokens:
        msg = (
            f"effect {effect.replay_key!r} of {effect.scope_id!r} is asked "
            "for by its own executor, and would wait for itself"
        )
        raise InvalidArgumentError(msg)


def stays_claimed(claim: EffectClaim, trouble: LashStoreError) -> str:
    """
    Say what it means that a claim could not be freed.
    """
    return (
        f"effect {claim.row.replay_key!r} stays claimed until its lease "
        f"expires, since it could not be freed: {trouble}"
    )
