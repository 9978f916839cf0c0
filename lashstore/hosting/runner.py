"""
Run a plan against a session, as a host runs a conversation.

Every step may be the last before a kill. What a step does is therefore either
repeatable (enqueuing under a source key, putting content, stamping a commit)
or undone by the next run (claims and leases of a dead process). The session's
head alone says how far a run came: revision *n* means *n* turns are done, with
their tools' outcomes recorded and their wakes handled.
"""

import time
from collections.abc import Callable
from pathlib import Path

from lashstore import (
    GcPolicy,
    GraphAppend,
    LeaseTimings,
    QueuedWorkClaim,
    RuntimeCommit,
    SessionAttachmentStore,
    SessionStoreFactory,
    Store,
    StoreOptions,
    TurnInputClaim,
)
from lashstore.model.names import require_name
from lashstore.model.record import Record

from .admission import check_nodes, count_committed_turns, mark_session
from .background import BackgroundProcess
from .calls import planned_calls
from .inputs import take_inputs
from .lane import Lane, hold_lane
from .plan import FRAME_ID, PlannedTurn, ReplayPlan
from .roots import Root, root_at
from .state import HostState
from .stores import open_stores
from .tools import ToolBench
from .trigger import start_process


class RunOptions(Record, frozen=True, kw_only=True):
    """
    How to run.

    `wait_s`: how long to wait for another host. It is longer than a lease,
    so that one whose holder cannot be proven dead runs out meanwhile.
    `pause_s`: rest before each call of the store, to be killed there in tests.
    """

    timings: LeaseTimings = LeaseTimings()
    wait_s: float = 45.0
    pause_s: float = 0.0


# Every turn stores the whole tool state anew, so that only the last ones are
# worth their space: without collecting, a file grows with the square of its
# turns.
_STORE_OPTIONS = StoreOptions(gc_policy=GcPolicy(auto_run_every_commits=32))


class RunEvents:
    """
    What a caller may want to hear of a run; the base class ignores it all.
    """

    def on_wait(self, holder: str) -> None:
        """
        Another host has the session.
        """

    def on_turns_done(self, count: int) -> None:
        """
        So many turns are committed.
        """


def run_plan(
    plan: ReplayPlan,
    root: str | Path,
    session_id: str,
    *,
    options: RunOptions = RunOptions(),
    events: RunEvents = RunEvents(),
) -> bool:
    """
    Bring a session to the end of a plan, from wherever it is.

    Args:
        root: A folder, or the address of a PostgreSQL database.

    Returns:
        Whether there was anything left to do.

    Raises:
        ForeignSessionError: The session holds something else; it is unchanged.
        SessionBusyError: Another host runs it.
        LaneLostError: The lease ended meanwhile; run the plan again.
        LashStoreError: The store failed.
    """
    # Blank, it names a session but no scope of effects.
    require_name("the session id", session_id)
    place = root_at(root)
    with SessionStoreFactory(place.address, options=_STORE_OPTIONS) as factory:
        existing = factory.open_existing_store(session_id)
        if existing is not None:
            with existing:
                if _is_complete(existing, plan):
                    return False
        # Also for an existing one: it may have died before its metadata.
        with (
            factory.create_store(session_id, session_name=plan.name) as store,
            hold_lane(
                store, options.timings, wait_s=options.wait_s, on_wait=events.on_wait
            ) as lane,
        ):
            attachments = SessionAttachmentStore(place.open_attachments(store), store)
            host = _Host(plan, store, attachments, lane, options)
            done = host.prepare()
            host.run(place, done, events.on_turns_done)
    return True


def _is_complete(store: Store, plan: ReplayPlan) -> bool:
    done = count_committed_turns(store, plan)
    if done < len(plan.turns):
        return False
    check_nodes(store.load_session(), plan, done)
    return True


class _Host:
    def __init__(
        self,
        plan: ReplayPlan,
        store: Store,
        attachments: SessionAttachmentStore,
        lane: Lane,
        options: RunOptions,
    ) -> None:
        self._plan = plan
        self._store = store
        self._attachments = attachments
        self._lane = lane
        self._options = options
        self._calls = planned_calls(plan)

    def prepare(self) -> int:
        # Asked again: another host may have run it while this one waited.
        done = count_committed_turns(self._store, self._plan)
        mark_session(self._store, self._plan)
        self._store.redefer_orphaned_turn_inputs(self._lane.fence())
        return done

    def run(self, root: Root, done: int, on_turns_done: Callable[[int], None]) -> None:
        state = self._load(done)
        session_id, ttl_ms = self._store.session_id, self._options.timings.ttl_ms
        with (
            open_stores(
                root.address, options=_STORE_OPTIONS, lease_ttl_ms=ttl_ms
            ) as stores,
            root.open_tool_runs(session_id) as runs,
        ):
            process_id = start_process(stores, self._plan, session_id)
            process = BackgroundProcess(
                stores.processes, process_id, self._store, self._lane, pace=self._pace
            )
            bench = ToolBench(
                stores.effects, runs, self._lane, session_id, pace=self._pace
            )
            on_turns_done(done)
            for turn in self._plan.turns[done:]:
                state = self._run_turn(turn, state, process, bench)
                on_turns_done(state.turn_count)

    def _load(self, done: int) -> HostState:
        session = self._store.load_session()
        check_nodes(session, self._plan, done)
        if session is None or session.checkpoint is None:
            return HostState()
        return HostState.from_checkpoint(session.checkpoint)

    def _run_turn(
        self,
        turn: PlannedTurn,
        state: HostState,
        process: BackgroundProcess,
        bench: ToolBench,
    ) -> HostState:
        timings, wait_s = self._options.timings, self._options.wait_s
        wake = process.wake_turn(turn.index, ttl_ms=timings.ttl_ms, wait_s=wait_s)
        claim = take_inputs(
            self._store,
            self._lane,
            turn,
            ttl_ms=timings.ttl_ms,
            wait_s=wait_s,
            pace=self._pace,
        )
        bench.run(turn.turn_id, self._calls.get(turn.turn_id, ()))
        for parcel in turn.parcels:
            self._pace()
            self._attachments.put(parcel.content, parcel.meta)
        state = state.after(turn)
        if turn is self._plan.turns[-1]:
            process.complete(self._plan)
        commit = self._commit_of(turn, state, claim, wake)
        self._pace()
        self._store.commit_runtime_state(commit.stamped(turn.turn_id))
        self._attachments.mark_committed(turn.attachment_ids())
        return state

    def _commit_of(
        self,
        turn: PlannedTurn,
        state: HostState,
        claim: TurnInputClaim | None,
        wake: QueuedWorkClaim | None,
    ) -> RuntimeCommit:
        is_last = turn.index == len(self._plan.turns) - 1
        return RuntimeCommit(
            session_id=self._store.session_id,
            expected_head_revision=turn.index,
            session_execution_lease=self._lane.fence(),
            release_session_execution_lease=(
                self._lane.completion() if is_last else None
            ),
            config=self._plan.config(),
            agent_frames=self._plan.agent_frames(),
            current_agent_frame_id=FRAME_ID,
            graph=GraphAppend(nodes=turn.nodes),
            checkpoint=state.checkpoint(),
            usage_deltas=turn.usage,
            completed_queue_claims=() if wake is None else (wake.completion(),),
            completed_turn_input_claims=(
                () if claim is None else (claim.completion(),)
            ),
            committed_attachment_ids=turn.attachment_ids(),
        )

    def _pace(self) -> None:
        if self._options.pause_s:
            time.sleep(self._options.pause_s)
