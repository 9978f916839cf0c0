"""
The journal's transactions: look up, claim, renew, record, free.
"""

import msgspec
import sqlalchemy as sa

from lashstore.clock import Clock, ask_ahead
from lashstore.deployment import ComponentDatabase
from lashstore.errors import BackendError, EffectLeaseLostError, StoreBusyError
from lashstore.model.claims import new_token
from lashstore.model.effects import (
    Effect,
    EffectBusy,
    EffectClaim,
    EffectFinished,
    EffectFree,
    EffectLease,
    EffectState,
    EffectStatus,
    first_row,
    judge,
)
from lashstore.model.leases import is_live
from lashstore.model.record import deadline_ms
from lashstore.repos.effects import EffectRepository

_CLAIM_ATTEMPTS = 10


class EffectJournal:
    """
    Recorded effects, as one host sees them.
    """

    def __init__(
        self, database: ComponentDatabase, clock: Clock, *, lease_ttl_ms: int
    ) -> None:
        self.is_strict = False
        self._database = database
        self._clock = clock
        self._lease_ttl_ms = lease_ttl_ms
        self._owner_id = new_token()

    def now_ms(self) -> int:
        """
        Return the time decisions are made by.

        Raises:
            StoreClosedError: The host is closed, so whoever waits for a time
                must stop.
        """
        self._database.require_open()
        return self._clock.now_ms()

    def look_up(self, effect: Effect) -> EffectState:
        """
        Return where an effect stands; takes no lock.

        Raises:
            EffectReplayConflictError: Its key has another envelope.
            EffectReplayMissingError: Strict, and it is not finished.
        """
        return self._database.read(lambda connection: self._judge(connection, effect))

    def _judge(self, connection: sa.Connection, effect: Effect) -> EffectState:
        stored = EffectRepository(connection).find(effect.scope_id, effect.replay_key)
        return judge(
            effect, stored, now_ms=self._clock.now_ms(), is_strict=self.is_strict
        )

    def claim(
        self, effect: Effect, seen: EffectFree
    ) -> EffectClaim | EffectBusy | EffectFinished:
        """
        Take the right to run an effect, unless somebody else was first.

        Args:
            seen: What `look_up` said; an effect that was not there then is
                inserted without being looked for again.

        Raises:
            EffectReplayConflictError: Its key has another envelope by now.
        """
        token = new_token()

        def operation(
            connection: sa.Connection,
        ) -> EffectClaim | EffectBusy | EffectFinished:
            repository = EffectRepository(connection)
            if seen.stored is None and not self.is_strict:
                first = self._first_claim(effect, token, self._clock.now_ms())
                if repository.add(first):
                    return first
            # Others may begin and free it this very moment.
            for _ in range(_CLAIM_ATTEMPTS):
                claim = self._claim_stored(repository, effect, token)
                if claim is not None:
                    return claim
            msg = f"effect {effect.replay_key!r} is freed as often as it is begun"
            raise StoreBusyError(f"{msg}: try again")

        if effect.duration_ms is None:
            # A power cut ends whoever has the claim, too, and the effect runs
            # again as it would once the claim expires.
            return self._database.write_unsynced(operation)
        # When a timer is due must be there after one.
        return self._database.write(operation)

    def _claim_stored(
        self, repository: EffectRepository, effect: Effect, token: str
    ) -> EffectClaim | EffectBusy | EffectFinished | None:
        stored = repository.hold(effect.scope_id, effect.replay_key)
        ask_ahead(self._clock)
        now_ms = self._clock.now_ms()
        state = judge(effect, stored, now_ms=now_ms, is_strict=self.is_strict)
        if not isinstance(state, EffectFree):
            return state
        first = self._first_claim(effect, token, now_ms)
        if state.stored is None:
            return first if repository.add(first) else None
        claim = EffectClaim(row=state.stored.row, lease=first.lease)
        if not repository.take_over(claim, now_ms=now_ms):
            msg = f"claiming effect {effect.replay_key!r} reached no row"
            raise BackendError(msg)
        return claim

    def _first_claim(self, effect: Effect, token: str, now_ms: int) -> EffectClaim:
        due_at_ms = (
            None
            if effect.duration_ms is None
            else deadline_ms(now_ms, effect.duration_ms)
        )
        return EffectClaim(
            row=first_row(effect, now_ms=now_ms, due_at_ms=due_at_ms),
            lease=EffectLease(
                owner_id=self._owner_id,
                token=token,
                expires_at_ms=deadline_ms(now_ms, self._lease_ttl_ms),
            ),
        )

    def is_busy(self, effect: Effect, busy: EffectBusy) -> bool:
        """
        Tell whether the claim that was seen still runs; reads one small row.
        """

        def operation(connection: sa.Connection) -> bool:
            lease = EffectRepository(connection).find_lease(
                effect.scope_id, effect.replay_key
            )
            return (
                lease is not None
                and lease.token == busy.token
                and is_live(lease.expires_at_ms, self._clock.now_ms())
            )

        return self._database.read(operation)

    def renew(self, claim: EffectClaim) -> bool:
        """
        Extend a claim; tell whether it was still held.
        """

        def operation(connection: sa.Connection) -> bool:
            repository = EffectRepository(connection)
            now_ms = self._held_ms(repository, claim)
            return repository.renew(
                claim,
                now_ms=now_ms,
                expires_at_ms=deadline_ms(now_ms, self._lease_ttl_ms),
            )

        return self._database.write(operation)

    def _held_ms(self, repository: EffectRepository, claim: EffectClaim) -> int:
        # A host's clock must not be read before the row is ours.
        held = repository.ask_hold(claim)
        ask_ahead(self._clock)
        held()
        return self._clock.now_ms()

    def record_outcome(self, claim: EffectClaim, outcome_json: str) -> None:
        """
        Record what an effect came to, for ever.

        Raises:
            EffectLeaseLostError: The claim is not held any more; nothing was
                recorded.
        """
        self._finish(claim, EffectStatus.COMPLETED, outcome_json=outcome_json)

    def record_failure(self, claim: EffectClaim, error_json: str) -> None:
        """
        Record how an effect failed, for ever.

        Raises:
            EffectLeaseLostError: As `record_outcome`.
        """
        self._finish(claim, EffectStatus.FAILED, error_json=error_json)

    def _finish(
        self,
        claim: EffectClaim,
        status: EffectStatus,
        *,
        outcome_json: str | None = None,
        error_json: str | None = None,
    ) -> None:
        def operation(connection: sa.Connection) -> bool:
            repository = EffectRepository(connection)
            now_ms = self._held_ms(repository, claim)
            finished = msgspec.structs.replace(
                claim.row,
                status=status,
                outcome_json=outcome_json,
                error_json=error_json,
                finished_at_ms=now_ms,
            )
            return repository.finish(claim, finished, now_ms=now_ms)

        if not self._database.write(operation):
            raise EffectLeaseLostError(
                scope_id=claim.row.scope_id, replay_key=claim.row.replay_key
            )

    def free(self, claim: EffectClaim) -> None:
        """
        Give a claim back without an outcome.

        A timer keeps its record, and with it the time it is due; of anything
        else nothing is left. Nothing happens if somebody else has it by now.
        """

        def operation(connection: sa.Connection) -> None:
            repository = EffectRepository(connection)
            if claim.row.due_at_ms is None:
                repository.remove(claim)
            else:
                repository.free(claim)

        self._database.write(operation)

    def remove_finished(self, *, cutoff_ms: int) -> int:
        """
        Remove the effects that finished before *cutoff_ms*; return how many.
        """
        return self._database.write(
            lambda c: EffectRepository(c).remove_finished(cutoff_ms=cutoff_ms)
        )

    def remove_session(self, session_id: str) -> int:
        """
        Remove the effects of every scope of a session; return how many.
        """
        return self._database.write(
            lambda c: EffectRepository(c).remove_session(session_id)
        )
