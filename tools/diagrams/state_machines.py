"""
What becomes of each thing that lives, move by move.

`tests/docs/test_state_machines.py` walks a real store through every call in
every state: a move that is missing here, or is here and does not happen,
fails. So the drawings cannot lie.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """
    Where a thing can stand; `note` tells how that looks in its row.
    """

    key: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Move:
    """
    One call that takes a thing from some states to another.
    """

    sources: tuple[str, ...]
    target: str
    call: str


@dataclass(frozen=True)
class Machine:
    """
    The life of one kind of thing; the first state is where it begins.

    `calls` has a sentence for every call there is; one without a move changes
    nothing anywhere. `note` tells what the drawing leaves out.
    """

    key: str
    title: str
    states: tuple[State, ...]
    moves: tuple[Move, ...]
    calls: dict[str, str]
    note: str = ""

    def target(self, source: str, call: str) -> str:
        """
        Return the state after a call.
        """
        for move in self.moves:
            if move.call == call and source in move.sources:
                return move.target
        return source


TURN_INPUT = Machine(
    key="turn-input",
    title="A turn input",
    states=(
        State("absent", "not stored"),
        State("pending", "pending_active", "waits for its turn"),
        State("accepted", "accepted", "claim live"),
        State("stranded", "accepted", "claim ran out"),
        State("deferred", "deferred_next_turn", "waits for the next turn"),
        State("claimed", "deferred_next_turn", "claim live"),
        State("lapsed", "deferred_next_turn", "claim ran out"),
        State("completed", "completed", "kept as evidence"),
        State("cancelled", "cancelled", "kept as evidence"),
    ),
    moves=(
        Move(("absent",), "pending", "submit_active"),
        Move(("absent",), "deferred", "submit_next"),
        Move(("pending", "stranded"), "accepted", "claim_active"),
        Move(("deferred", "lapsed"), "claimed", "claim_next"),
        Move(("accepted",), "stranded", "time"),
        Move(("claimed",), "lapsed", "time"),
        Move(("accepted", "stranded"), "pending", "abandon"),
        Move(("claimed", "lapsed"), "deferred", "abandon"),
        Move(("pending",), "deferred", "other_commit"),
        Move(("pending", "accepted", "stranded"), "deferred", "redefer"),
        Move(("accepted", "stranded", "claimed", "lapsed"), "completed", "complete"),
        Move(("pending", "stranded", "deferred", "lapsed"), "cancelled", "cancel"),
        Move(("completed", "cancelled"), "absent", "vacuum"),
    ),
    calls={
        "submit_active": "enqueue_pending_turn_input, for the running turn",
        "submit_next": "enqueue_pending_turn_input, for the next turn",
        "claim_active": "claim_active_turn_inputs",
        "claim_next": "claim_next_turn_inputs",
        "renew": "renew_turn_input_claim",
        "time": "the claim runs out",
        "abandon": "abandon_turn_input_claim",
        "other_commit": "the turn's stamped commit lands without it",
        "redefer": "redefer_orphaned_turn_inputs, by a host that takes over",
        "complete": "a commit completes the claim",
        "cancel": "cancel_pending_turn_input",
        "vacuum": "vacuum",
    },
)

QUEUED_BATCH = Machine(
    key="queued-batch",
    title="A batch of queued work",
    states=(
        State("absent", "not queued"),
        State("waiting", "waiting", "available later"),
        State("ready", "ready"),
        State("claimed", "claimed", "claim live"),
        State("lapsed", "claimed", "claim ran out"),
    ),
    moves=(
        Move(("absent",), "waiting", "enqueue_later"),
        Move(("absent",), "ready", "enqueue"),
        Move(("waiting",), "ready", "time"),
        Move(("ready", "lapsed"), "claimed", "claim"),
        Move(("claimed",), "lapsed", "time"),
        Move(("claimed", "lapsed"), "ready", "abandon"),
        Move(("claimed", "lapsed"), "absent", "complete"),
        Move(("waiting", "ready", "lapsed"), "absent", "cancel"),
    ),
    calls={
        "enqueue_later": "enqueue_queued_work, with available_at_ms",
        "enqueue": "enqueue_queued_work",
        "time": "time passes",
        "claim": "claim_ready_queued_work",
        "renew": "renew_queued_work_claim",
        "abandon": "abandon_queued_work_claim",
        "complete": "a commit completes the claim",
        "cancel": "cancel_queued_work_batch",
    },
)

EXECUTION_LEASE = Machine(
    key="execution-lease",
    title="A session's execution lease",
    states=(
        State("free", "free"),
        State("held", "held", "holder alive, as far as can be told"),
        State("orphaned", "held", "holder's process gone"),
        State("lapsed", "run out"),
    ),
    moves=(
        Move(("free", "lapsed"), "held", "claim"),
        Move(("free", "lapsed", "orphaned"), "held", "reclaim"),
        Move(("held",), "orphaned", "dies"),
        Move(("held", "orphaned"), "lapsed", "time"),
        Move(("held", "orphaned", "lapsed"), "free", "release"),
        Move(("held", "orphaned"), "free", "commit"),
    ),
    calls={
        "claim": "try_claim_session_execution_lease, by another",
        "reclaim": "reclaim_session_execution_lease, by another",
        "renew": "renew_session_execution_lease",
        "dies": "the holder's process ends",
        "time": "the lease runs out",
        "release": "release_session_execution_lease",
        "release_old": "release_session_execution_lease, by an earlier holder",
        "commit": "a commit releases it",
    },
)

PROCESS = Machine(
    key="process",
    title="A process",
    states=(
        State("absent", "not registered"),
        State("running", "running", "idle"),
        State("waiting", "running", "waits for a signal"),
        State("completed", "completed"),
        State("failed", "failed"),
        State("cancelled", "cancelled"),
        State("abandoned", "abandoned"),
    ),
    moves=(
        Move(("absent",), "running", "register"),
        Move(("running",), "waiting", "wait"),
        Move(("waiting",), "running", "clear"),
        Move(("running", "waiting"), "completed", "succeed"),
        Move(("running", "waiting"), "failed", "fail"),
        Move(("running", "waiting"), "cancelled", "cancel"),
        Move(("running", "waiting"), "abandoned", "abandon"),
        Move(("completed", "failed", "cancelled", "abandoned"), "absent", "prune"),
    ),
    calls={
        "register": "register_process",
        "wait": "set_process_wait",
        "clear": "clear_process_wait",
        "request": "request_process_abandon",
        "succeed": "complete_process, with a SuccessOutput",
        "fail": "complete_process, with a FailureOutput",
        "cancel": "complete_process, with a CancelledOutput",
        "abandon": "complete_process, with an AbandonedOutput",
        "prune": "prune_terminal_processes",
    },
)

PROCESS_LEASE = Machine(
    key="process-lease",
    title="A process's lease",
    states=(
        State("free", "free"),
        State("held", "held", "holder alive, as far as can be told"),
        State("orphaned", "held", "holder's process gone"),
        State("lapsed", "run out"),
        State("ended", "not to be had", "the process has ended"),
    ),
    moves=(
        Move(("free", "lapsed"), "held", "claim"),
        Move(("free", "lapsed", "orphaned"), "held", "reclaim"),
        Move(("held",), "orphaned", "dies"),
        Move(("held", "orphaned"), "lapsed", "time"),
        Move(("held", "orphaned", "lapsed"), "free", "release"),
        Move(("free", "held", "orphaned", "lapsed"), "ended", "end"),
    ),
    calls={
        "claim": "claim_process_lease, by another",
        "reclaim": "reclaim_process_lease, by another",
        "renew": "renew_process_lease",
        "dies": "the holder's process ends",
        "time": "the lease runs out",
        "release": "complete_process_lease",
        "release_old": "complete_process_lease, by an earlier holder",
        "end": "complete_process",
    },
)

TRIGGER_DELIVERY = Machine(
    key="trigger-delivery",
    title="A delivery of a trigger",
    states=(
        State("absent", "not reserved"),
        State("pending", "pending", "its process is to be started"),
        State("started", "acknowledged", "its process was started"),
        State("refused", "acknowledged", "with the error that kept it"),
    ),
    moves=(
        Move(("absent",), "pending", "reserve"),
        Move(("pending",), "started", "acknowledge"),
        Move(("pending",), "refused", "refuse"),
        Move(("started", "refused"), "absent", "prune"),
    ),
    calls={
        "reserve": "record_occurrence, then reserve_matching_deliveries",
        "acknowledge": "acknowledge_delivery",
        "refuse": "acknowledge_delivery, with an error",
        "prune": "prune_occurrences",
        "unsubscribe": "cancel_subscription_by_id",
    },
)

EFFECT = Machine(
    key="effect",
    title="An effect",
    states=(
        State("absent", "not recorded"),
        State("running", "in_progress", "somebody runs it"),
        State("lapsed", "in_progress", "lease ran out"),
        State("completed", "completed", "every rerun gets the outcome"),
        State("failed", "failed", "every rerun gets the failure"),
    ),
    moves=(
        Move(("absent", "lapsed"), "running", "begin"),
        Move(("running",), "lapsed", "time"),
        Move(("running",), "completed", "return"),
        Move(("running",), "failed", "fail"),
        Move(("running", "lapsed"), "absent", "raise"),
        Move(("completed", "failed"), "absent", "prune"),
        Move(("running", "lapsed", "completed", "failed"), "absent", "delete"),
    ),
    calls={
        "begin": "execute_effect claims it",
        "renew": "the lease is renewed beside the work",
        "time": "the lease runs out",
        "return": "the executor returns",
        "fail": "the executor raises EffectFailure",
        "raise": "the executor raises anything else",
        "prune": "prune",
        "delete": "delete_session",
    },
    note="A timer that is given up is not removed: it keeps the time it is due.",
)

CHECKPOINT = Machine(
    key="checkpoint",
    title="A checkpoint",
    states=(
        State("absent", "not stored"),
        State("put", "stored", "put by itself"),
        State("current", "the head's", "never removed"),
        State("past", "a past one", "kept by CheckpointRetention"),
    ),
    moves=(
        Move(("absent", "past"), "put", "put"),
        Move(("absent", "put", "past"), "current", "commit"),
        Move(("current",), "past", "commit_other"),
        Move(("past",), "absent", "retention"),
        Move(("put", "past"), "absent", "gc"),
    ),
    calls={
        "put": "put_checkpoint",
        "commit": "commit_runtime_state, with it",
        "commit_other": "commit_runtime_state, with another",
        "retention": "more commits than CheckpointRetention keeps",
        "gc": "gc_unreachable",
    },
)

BLOB = Machine(
    key="blob",
    title="A blob",
    states=(
        State("absent", "not stored"),
        State("loose", "stored", "nothing leads to it"),
        State("named", "stored", "an artifact leads to it"),
    ),
    moves=(
        Move(("absent",), "loose", "put"),
        Move(("absent", "loose"), "named", "name"),
        Move(("named",), "loose", "rename"),
        Move(("loose",), "absent", "gc"),
    ),
    calls={
        "put": "put_blob",
        "name": "put_artifact_bytes",
        "rename": "put_artifact_bytes, of another content under its name",
        "gc": "gc_unreachable",
    },
    note="Left out: a blob that the head's checkpoint names, or that a blob which"
    " stays is stored as a difference to, is not collected either.",
)

MACHINES = (
    TURN_INPUT,
    QUEUED_BATCH,
    EXECUTION_LEASE,
    PROCESS,
    PROCESS_LEASE,
    TRIGGER_DELIVERY,
    EFFECT,
    CHECKPOINT,
    BLOB,
)
