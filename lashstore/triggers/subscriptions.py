"""
Who wants what to start a process.
"""

from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from lashstore.deployment import DeploymentStore
from lashstore.errors import (
    CorruptRecordError,
)
from lashstore.model.record import (
    require_text,
)
from lashstore.model.trigger_rules import (
    PreparedSubscription,
    prepare_filter,
    prepare_subscription,
)
from lashstore.model.triggers import (
    TriggerSubscriptionDraft,
    TriggerSubscriptionFilter,
    TriggerSubscriptionRecord,
)
from lashstore.repos.triggers import TriggerRepository

from .damaged import log_damaged


class SubscriptionStore(DeploymentStore):
    """
    Registering, listing and cancelling subscriptions.
    """

    def register_subscription(
        self, draft: TriggerSubscriptionDraft
    ) -> TriggerSubscriptionRecord:
        """
        Start a process whenever something happens.

        Returns:
            The subscription, enabled, under a handle that was never used
            before. With a client key that this registrant used already, the
            stored one, whatever else the draft says, cancelled or not; only
            then is a retry safe.

        Raises:
            InvalidArgumentError: The draft could never be stored, never
                match, or never start a process: a blank name, a schema that
                is none, a target that is no engine with an object as payload,
                a label that is not the identity's.
            StoreBusyError, BackendError, StoreClosedError: As for every
                write.
        """
        prepared = prepare_subscription(draft)

        def operation(connection: sa.Connection) -> TriggerSubscriptionRecord:
            repository = TriggerRepository(connection)
            stored = _find_by_client_key(repository, prepared)
            if stored is not None:
                return stored
            number = repository.next_number()
            if repository.has_other_writers:
                # Who used the key meanwhile had the numbers before us, and
                # has let go of them.
                stored = _find_by_client_key(repository, prepared)
                if stored is not None:
                    return stored
            return repository.add_subscription(
                prepared, number=number, now_ms=self._clock.now_ms()
            )

        return self._database.write(operation)

    def list_subscriptions(
        self,
        filter: TriggerSubscriptionFilter = TriggerSubscriptionFilter(),  # noqa: A002, the contract's name
    ) -> tuple[TriggerSubscriptionRecord, ...]:
        """
        Return the subscriptions that meet every condition of *filter*,
        cancelled ones included, by registrant and then oldest first.

        Raises:
            CorruptRecordError: One of them is damaged; its id is the key.
            InvalidArgumentError: The filter holds what no subscription can.
        """
        query = prepare_filter(filter)
        return self._database.read(lambda c: TriggerRepository(c).list_by(query))

    def cancel_subscription(self, session_id: str, handle: str) -> bool:
        """
        Let a session's subscription match nothing from now on.

        What it met already stays pending. It stays listed, disabled.

        Returns:
            Whether this call disabled it: False if the session has no such
            subscription, or it was cancelled before. Safe to retry.

        Raises:
            CorruptRecordError: It was damaged; it is disabled all the same.
        """
        require_text("session_id", session_id)
        require_text("handle", handle)
        return self._cancel(lambda repo: repo.hold_registered(session_id, handle))

    def cancel_subscription_by_id(self, subscription_id: str) -> bool:
        """
        As `cancel_subscription`, whoever registered it, hosts included.
        """
        require_text("subscription_id", subscription_id)
        return self._cancel(lambda repo: repo.hold_subscription(subscription_id))

    def _cancel(
        self, find: Callable[[TriggerRepository], TriggerSubscriptionRecord | None]
    ) -> bool:
        def operation(connection: sa.Connection) -> bool | CorruptRecordError:
            repository = TriggerRepository(connection)
            try:
                stored = find(repository)
            except CorruptRecordError as error:
                # Out of matching at least, or it would be tried for ever.
                repository.disable_damaged(error.key)
                return error
            if stored is None or not stored.enabled:
                return False
            repository.put_subscriptions(
                [
                    msgspec.structs.replace(
                        stored, enabled=False, updated_at_ms=self._clock.now_ms()
                    )
                ]
            )
            return True

        outcome = self._database.write(operation)
        if isinstance(outcome, CorruptRecordError):
            raise outcome
        return outcome

    def delete_session_subscriptions(self, session_id: str) -> int:
        """
        Remove what a session registered, with its deliveries, pending ones
        too; and let the processes of others wake it no more. Occurrences
        stay.

        Returns:
            How many subscriptions were removed. Safe to retry.
        """
        require_text("session_id", session_id)

        def operation(connection: sa.Connection) -> int:
            repository = TriggerRepository(connection)
            repository.hold_of_session(session_id)
            removed = repository.remove_session(session_id)
            waking = repository.list_waking(session_id)
            # A damaged one cannot fire; it must not keep a session alive.
            log_damaged(waking.damaged)
            now_ms = self._clock.now_ms()
            repository.put_subscriptions(
                [
                    msgspec.structs.replace(
                        record, wake_target=None, updated_at_ms=now_ms
                    )
                    for record in waking.intact
                ]
            )
            return removed

        return self._database.write(operation)


def _find_by_client_key(
    repository: TriggerRepository, prepared: PreparedSubscription
) -> TriggerSubscriptionRecord | None:
    client_key = prepared.draft.client_key
    if client_key is None:
        return None
    return repository.find_by_client_key(prepared.registrant_key, client_key)
