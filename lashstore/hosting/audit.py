"""
An audit of a finished replay: did its tools run as often as they should, and
is its background process through?

It compares two witnesses that know nothing of each other: the journal of
effects, and the log of tool runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lashstore import ProcessRecord, SessionStoreFactory, TurnScope
from lashstore.deployment import ComponentDatabase
from lashstore.errors import EffectReplayError
from lashstore.model.effects import EffectEnvelope, EffectRow, EffectStatus, scope_key
from lashstore.model.options import StoreOptions
from lashstore.model.record import Json, Record
from lashstore.repos.effects import EffectRepository
from lashstore.tables import EFFECT_COMPONENT

from .background import is_woken
from .calls import PlannedCall, planned_calls
from .plan import ReplayPlan
from .roots import Root, root_at
from .stores import SharedStores, open_stores
from .tool_runs import ToolRun
from .trigger import find_process_id

# How often the tool of each recorded effect ran, by scope and replay key.
RecordedRuns = dict[tuple[str, str], int]


class RunAudit(Record, frozen=True, kw_only=True):
    """
    What an audit found.

    `execution_count` counts starts of tools, `repeated_count` those of an
    effect whose outcome was recorded already; the others beyond
    `effect_count` were cut off before anything was recorded. `complaints`
    name everything that is not as it should be.
    """

    effect_count: int
    execution_count: int
    repeated_count: int
    wake_count: int
    process_state: str
    complaints: tuple[str, ...]


class _Witnesses(Record, frozen=True, kw_only=True):
    """
    What is known of every effect of a session, by scope and replay key.
    """

    rows: dict[tuple[str, str], EffectRow]
    runs: dict[tuple[str, str], list[ToolRun]]

    def repeated(self, seen: Sequence[RecordedRuns]) -> dict[tuple[str, str], int]:
        """
        Return how often a tool ran after its outcome was recorded: by the
        clock, and by what was seen earlier, whatever the clock says.
        """
        found = {}
        for key, runs in self.runs.items():
            row = self.rows.get(key)
            if row is None or row.finished_at_ms is None:
                continue
            end_ms = row.finished_at_ms
            counts = [sum(run.at_ms > end_ms for run in runs)]
            counts += [len(runs) - each[key] for each in seen if key in each]
            if max(counts) > 0:
                found[key] = max(counts)
        return found


def audit_run(
    plan: ReplayPlan,
    root: str | Path,
    session_id: str,
    *,
    seen: Sequence[RecordedRuns] = (),
) -> RunAudit:
    """
    Audit a session that was replayed to the end; nothing is changed.

    Args:
        root: The folder or the PostgreSQL database of the replay.

        seen: What `count_recorded_runs` gave on the way.

    Raises:
        HostingError: The log of tool runs cannot be read.
        LashStoreError: A store cannot be read.
    """
    place = root_at(root)
    calls = _calls_by_scope(plan, session_id)
    witnesses = _hear_witnesses(calls, place, session_id)
    complaints = list(_effect_complaints(calls, witnesses))
    repeated = witnesses.repeated(seen)
    complaints += [
        f"{scope_id} {replay_key} ran again after its outcome was recorded"
        for scope_id, replay_key in repeated
    ]
    with open_stores(root) as stores:
        complaints += _replay_strictly(stores, plan, session_id)
        process_id = find_process_id(stores, plan, session_id)
        process = (
            None if process_id is None else stores.processes.get_process(process_id)
        )
        wakes = 0
        if process is not None:
            events = stores.processes.events_after(process.id, 0)
            wakes = sum(event.semantics.wake is not None for event in events)
        complaints += _process_complaints(stores, plan, process, wakes)
    if _queue_length(place, session_id):
        complaints.append("wakes are left in the session's queue")
    if len(_read_tool_runs(place, session_id)) != sum(
        map(len, witnesses.runs.values())
    ):
        complaints.append("the strict replay ran a tool")
    return RunAudit(
        effect_count=len(witnesses.rows),
        execution_count=sum(map(len, witnesses.runs.values())),
        repeated_count=sum(repeated.values()),
        wake_count=wakes,
        process_state="missing" if process is None else process.status.label,
        complaints=tuple(complaints),
    )


def count_recorded_runs(
    plan: ReplayPlan, root: str | Path, session_id: str
) -> RecordedRuns:
    """
    Return how often the tool of each effect ran whose outcome is recorded, by
    scope and replay key. Once it is recorded, the number must not grow.
    """
    place = root_at(root)
    if not place.has_effects:
        return {}
    calls = _calls_by_scope(plan, session_id)
    witnesses = _hear_witnesses(calls, place, session_id)
    return {
        key: len(witnesses.runs.get(key, ()))
        for key, row in witnesses.rows.items()
        if row.status is EffectStatus.COMPLETED
    }


def _calls_by_scope(
    plan: ReplayPlan, session_id: str
) -> dict[tuple[str, str], PlannedCall]:
    return {
        (
            scope_key(TurnScope(session_id=session_id, turn_id=turn_id)),
            call.envelope().replay_key,
        ): call
        for turn_id, calls in planned_calls(plan).items()
        for call in calls
    }


def _hear_witnesses(
    calls: Mapping[tuple[str, str], PlannedCall], root: Root, session_id: str
) -> _Witnesses:
    database = ComponentDatabase.open(
        root.address_of(EFFECT_COMPONENT), EFFECT_COMPONENT, StoreOptions()
    )
    try:
        found = database.read(
            lambda connection: {
                key: EffectRepository(connection).find(*key) for key in calls
            }
        )
    finally:
        database.close()
    runs: dict[tuple[str, str], list[ToolRun]] = {}
    for run in _read_tool_runs(root, session_id):
        runs.setdefault((run.scope_id, run.replay_key), []).append(run)
    return _Witnesses(
        rows={key: stored.row for key, stored in found.items() if stored is not None},
        runs=runs,
    )


def _read_tool_runs(root: Root, session_id: str) -> tuple[ToolRun, ...]:
    with root.open_tool_runs(session_id) as log:
        return log.read()


def _effect_complaints(
    calls: Mapping[tuple[str, str], PlannedCall], witnesses: _Witnesses
) -> Iterator[str]:
    for key, call in calls.items():
        row = witnesses.rows.get(key)
        if row is None or row.status is not EffectStatus.COMPLETED:
            yield f"tool call {call.key} has no recorded outcome"
        if key not in witnesses.runs:
            yield f"tool call {call.key} never ran"
    for key in witnesses.runs.keys() - calls.keys():
        yield f"a tool ran that nobody called: {key}"


def _replay_strictly(
    stores: SharedStores, plan: ReplayPlan, session_id: str
) -> Iterator[str]:
    ran: list[str] = []

    def executor(envelope: EffectEnvelope) -> Json:
        ran.append(envelope.replay_key)
        return None

    stores.effects.start_replay()
    for turn_id, calls in planned_calls(plan).items():
        scope = TurnScope(session_id=session_id, turn_id=turn_id)
        controller = stores.effects.scoped(scope)
        for call in calls:
            try:
                outcome = controller.execute_effect(call.envelope(), executor)
            except EffectReplayError as error:
                yield f"tool call {call.key} cannot be replayed: {error}"
                continue
            if outcome != call.output:
                yield f"tool call {call.key} is replayed with another outcome"
    if ran:
        yield f"the strict replay ran {', '.join(ran)}"


def _process_complaints(
    stores: SharedStores,
    plan: ReplayPlan,
    process: ProcessRecord | None,
    wake_count: int,
) -> Iterator[str]:
    if process is None:
        yield "the background process is missing"
        return
    if process.status.label != "completed":
        yield f"the background process is {process.status.label}"
    planned = sum(is_woken(turn.index) for turn in plan.turns)
    if wake_count != planned:
        yield f"the background process woke {wake_count} times, not {planned}"
    if stores.processes.wake_events_after(process.id, 0):
        yield "a wake was never acknowledged"
    pending = stores.triggers.pending_deliveries()
    if any(each.process_id == process.id for each in pending):
        yield "the trigger's delivery was never acknowledged"


def _queue_length(root: Root, session_id: str) -> int:
    with SessionStoreFactory(root.address) as factory:
        store = factory.open_existing_store(session_id)
        if store is None:
            return 0
        with store:
            return len(store.list_queued_work())
