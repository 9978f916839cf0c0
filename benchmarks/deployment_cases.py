"""
The comparisons of the deployment's stores: processes, triggers, effects.
"""

from pathlib import Path

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    EngineInput,
    LeaseOwnerIdentity,
    ProcessEventAppendRequest,
    ProcessEventType,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    SessionOriginator,
    SessionScope,
    StoreOptions,
    Synchronous,
    TriggerOccurrenceRequest,
    TriggerStore,
    TriggerSubscriptionDraft,
    TurnScope,
)

from .deployment_floor import EffectFloor, ProcessFloor, TriggerFloor

_SCOPE = SessionScope(session_id="chat")
_PROCESS = "process:tool:1"
_SOURCE = ("mail", "source:mail:inbox")
_TURN = TurnScope(session_id="chat", turn_id="7")
_TURN_KEY = '["turn","chat","7"]'
_ENGINE = EngineInput(kind="tool", payload={"tool": "search", "query": "w" * 200})
_TARGET_IDENTITY = ProcessIdentity(kind="tool", label="search")


class _FilePair:
    """
    The same store twice, each on a file of its own.

    The library makes and seeds both: same schema and rows to the letter.
    """

    def __init__(self, folder: Path, synchronous: Synchronous) -> None:
        options = StoreOptions(synchronous=synchronous)
        self.store = self.open(folder / "library.db", options)
        self.seed(self.store)
        twin = self.open(folder / "floor.db", options)
        self.seed(twin)
        twin.close()
        self.floor = self.floor_kind(
            folder / "floor.db",
            synchronous=synchronous.upper(),
            wal_limit_bytes=options.wal_limit_bytes,
        )

    def close(self) -> None:
        """
        Close both files.
        """
        self.store.close()
        self.floor.close()


class ProcessPair(_FilePair):
    """
    A registry with one running process that has a wake target.
    """

    floor_kind = ProcessFloor

    @staticmethod
    def open(path, options):
        return ProcessRegistry.open(path, options=options)

    @staticmethod
    def seed(registry):
        registry.register_process(
            ProcessRegistration(
                id=_PROCESS,
                input=_ENGINE,
                disposition=RecoveryDisposition.RERUNNABLE,
                event_types=(ProcessEventType(name="tool.progress"),),
                provenance=ProcessProvenance(
                    originator=SessionOriginator(scope=_SCOPE)
                ),
                env_ref="process-env:1",
                wake_target=_SCOPE,
            )
        )


class LongProcessPair(ProcessPair):
    """
    The same with 10,000 events in the process's log.
    """

    @staticmethod
    def seed(registry):
        ProcessPair.seed(registry)
        for number in range(1, 10_001):
            registry.append_event(
                _PROCESS,
                ProcessEventAppendRequest(
                    event_type="tool.progress",
                    payload={"n": number, "text": "x" * 480},
                    replay_key=f"k{number}",
                ),
            )


class TriggerPair(_FilePair):
    """
    A trigger store with one subscription to the source of the occurrences,
    and nine to others.
    """

    floor_kind = TriggerFloor

    @staticmethod
    def open(path, options):
        return TriggerStore.open(path, options=options)

    @staticmethod
    def seed(store):
        source_type, source_key = _SOURCE
        for number in range(10):
            store.register_subscription(
                TriggerSubscriptionDraft(
                    registrant=SessionOriginator(scope=_SCOPE),
                    env_ref="process-env:1",
                    wake_target=_SCOPE,
                    source_type=source_type,
                    source_key=f"{source_key}:{number}" if number else source_key,
                    target=_ENGINE,
                    target_identity=_TARGET_IDENTITY,
                )
            )


class EffectPair(_FilePair):
    """
    An effect host with nothing in its journal.
    """

    floor_kind = EffectFloor

    @staticmethod
    def open(path, options):
        return EffectHost.open(path, options=EffectReplayOptions(store=options))

    @staticmethod
    def seed(host):
        pass


class LongEffectPair(EffectPair):
    """
    An effect host with 10,000 steps of the turn in its journal.
    """

    @staticmethod
    def seed(host):
        turn = host.scoped(_TURN)
        outcome = {"status": 200, "text": "x" * 480}
        for number in range(1, 10_001):
            turn.step(f"s{number}", lambda: outcome, input={"n": number})


class AppendEvent:
    """
    Append an event of 500 bytes with a replay key to one process's log. Its
    type has no schema of its own, ends nothing and wakes nobody.
    """

    pair_kind = ProcessPair
    statistic = "median"
    first = 0

    def __init__(self, pair: ProcessPair) -> None:
        self._pair = pair
        self._number = self.first

    def prepare(self) -> None:
        """
        Make the round's payload; not timed.
        """
        self._number += 1
        self._payload = {"n": self._number, "text": "x" * 480}

    def library(self) -> None:
        """
        The library's side.
        """
        appended = self._pair.store.append_event(
            _PROCESS,
            ProcessEventAppendRequest(
                event_type="tool.progress",
                payload=self._payload,
                replay_key=f"k{self._number}",
            ),
        )
        assert appended.inserted
        assert appended.event.sequence == self._number

    def floor(self) -> None:
        """
        The floor's side.
        """
        appended = self._pair.floor.append(
            _PROCESS, "tool.progress", self._payload, f"k{self._number}"
        )
        assert appended.event.sequence == self._number


class AppendEventToLongLog(AppendEvent):
    """
    The same behind 10,000 events.
    """

    pair_kind = LongProcessPair
    first = 10_000


class ClaimProcess:
    """
    Claim the lease of a running process from its last owner, whose lease has
    expired.
    """

    pair_kind = ProcessPair
    statistic = "median"

    def __init__(self, pair: ProcessPair) -> None:
        self._pair = pair
        self._number = 0

    def prepare(self) -> None:
        """
        Make the round's owner; not timed.
        """
        self._number += 1
        run = f"runner:{self._number}"
        self._owner = LeaseOwnerIdentity.opaque("runner", run)
        self._owner_fields = {
            "owner_id": "runner",
            "incarnation_id": run,
            "liveness": {"kind": "opaque"},
        }

    def library(self) -> None:
        """
        The library's side; a lease of 0 ms is expired at once.
        """
        claimed = self._pair.store.claim_process_lease(_PROCESS, self._owner, 0)
        assert claimed.lease.fencing_token == self._number

    def floor(self) -> None:
        """
        The floor's side.
        """
        lease = self._pair.floor.claim(_PROCESS, self._owner_fields, 0)
        assert lease["fencing_token"] == self._number


class ReserveDelivery:
    """
    Let an occurrence of 500 bytes meet the one subscription that wants it.
    """

    pair_kind = TriggerPair
    statistic = "median"

    def __init__(self, pair: TriggerPair) -> None:
        self._pair = pair
        self._number = 0

    def prepare(self) -> None:
        """
        Record the round's occurrence; not timed.
        """
        self._number += 1
        payload = {"n": self._number, "text": "x" * 480}
        key = f"k{self._number}"
        source_type, source_key = _SOURCE
        recorded = self._pair.store.record_occurrence(
            TriggerOccurrenceRequest(
                source_type=source_type,
                source_key=source_key,
                payload=payload,
                idempotency_key=key,
            )
        )
        self._id = recorded.occurrence_id
        self._pair.floor.record(self._id, *_SOURCE, payload, key)

    def library(self) -> None:
        """
        The library's side.
        """
        (reserved,) = self._pair.store.reserve_matching_deliveries(self._id)
        assert reserved.payload_error is None

    def floor(self) -> None:
        """
        The floor's side.
        """
        (reserved,) = self._pair.floor.reserve(self._id)
        assert reserved[-1] is None


class RunStep:
    """
    Run a step for the first time: its outcome of 500 bytes is there at once.
    A look-up and two write transactions.
    """

    pair_kind = EffectPair
    statistic = "median"
    first = 0

    def __init__(self, pair: EffectPair) -> None:
        self._pair = pair
        self._turn = pair.store.scoped(_TURN)
        self._number = self.first
        self._outcome = {"status": 200, "text": "x" * 480}

    def prepare(self) -> None:
        """
        Name the round's step; not timed.
        """
        self._number += 1

    def library(self) -> None:
        """
        The library's side.
        """
        outcome = self._turn.step(
            f"s{self._number}", lambda: self._outcome, input={"n": self._number}
        )
        assert outcome == self._outcome

    def floor(self) -> None:
        """
        The floor's side.
        """
        outcome = self._pair.floor.step(
            *(_TURN_KEY, "chat", f"s{self._number}"),
            *(lambda: self._outcome, {"n": self._number}),
        )
        assert outcome == self._outcome


class RunStepInLongJournal(RunStep):
    """
    The same behind 10,000 steps.
    """

    pair_kind = LongEffectPair
    first = 10_000


class ReplayStep(RunStep):
    """
    Replay a step whose outcome is recorded.
    """

    def __init__(self, pair: EffectPair) -> None:
        super().__init__(pair)
        self._number = 1
        self.library()
        self.floor()

    def prepare(self) -> None:
        """
        Nothing changes between rounds.
        """
