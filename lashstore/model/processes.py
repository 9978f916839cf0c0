"""
Processes: what is to run, what its events mean, and where it stands.
"""

from enum import StrEnum

from .leases import LeaseOwnerIdentity
from .process_outputs import ProcessStatus, RunningStatus
from .record import Json, Record
from .selectors import PointerSelector, Selector


class RecoveryDisposition(StrEnum):
    """
    What may become of a process whose owner died: run it again, only its
    owner may end it, or somebody outside runs it.
    """

    RERUNNABLE = "rerunnable"
    OWNER_BOUND = "owner_bound"
    EXTERNALLY_OWNED = "externally_owned"


class SessionScope(Record, frozen=True, kw_only=True):
    """
    A session, or one agent frame of it; an empty frame id is none.
    """

    session_id: str
    agent_frame_id: str | None = None

    @property
    def scope_id(self) -> str:
        """
        The scope as one text, for consumers to show and compare.
        """
        if not self.agent_frame_id:
            return f"session:{self.session_id}"
        return f"session:{self.session_id}/frame:{self.agent_frame_id}"


class ToolCallInput(
    Record, frozen=True, kw_only=True, tag="tool_call", tag_field="type"
):
    """
    Run one prepared tool call.
    """

    call: Json


class EngineInput(Record, frozen=True, kw_only=True, tag="engine", tag_field="type"):
    """
    Run something of the host's own kind.
    """

    kind: str
    payload: Json = None


class SessionTurnInput(
    Record, frozen=True, kw_only=True, tag="session_turn", tag_field="type"
):
    """
    Run a turn of a session made for it.
    """

    create_request: Json
    turn_input: Json
    output_contract: Json


class ExternalInput(
    Record, frozen=True, kw_only=True, tag="external", tag_field="type"
):
    """
    Something that runs elsewhere.
    """

    metadata: Json = None


ProcessInput = ToolCallInput | EngineInput | SessionTurnInput | ExternalInput


class EventIdentityKey(
    Record, frozen=True, kw_only=True, tag="event_identity", tag_field="type"
):
    """
    Each event has a wake id of its own.
    """


class SelectorKey(Record, frozen=True, kw_only=True, tag="selector", tag_field="type"):
    """
    Events that select the same text share a wake id.
    """

    selector: Selector


class ConstKey(Record, frozen=True, kw_only=True, tag="const", tag_field="type"):
    """
    All events of the type that name the same text share a wake id.
    """

    text: str


DedupeKey = EventIdentityKey | SelectorKey | ConstKey


class ProcessTerminalSpec(Record, frozen=True, kw_only=True):
    """
    An event of this type ends the process.

    `state`: `completed`, `failed`, `cancelled` or `abandoned`.
    `await_output` selects the outcome; None: the whole payload, and only for
    `completed`.
    """

    state: str
    await_output: Selector | None = None


class ProcessWakeSpec(Record, frozen=True, kw_only=True):
    """
    An event of this type wakes a session.

    `when` None: always.
    """

    when: Selector | None = None
    input: Selector
    dedupe_key: DedupeKey = EventIdentityKey()


class ProcessEventSemanticsSpec(Record, frozen=True, kw_only=True):
    """
    What events of a type do besides being stored.
    """

    terminal: ProcessTerminalSpec | None = None
    wake: ProcessWakeSpec | None = None


class ProcessEventType(Record, frozen=True, kw_only=True):
    """
    A kind of event that a process may emit.

    `payload_schema` is a JSON Schema 2020-12 document.
    """

    name: str
    payload_schema: Json = {}
    semantics: ProcessEventSemanticsSpec = ProcessEventSemanticsSpec()


def _core_terminal(state: str) -> ProcessEventType:
    return ProcessEventType(
        name=f"process.{state}",
        semantics=ProcessEventSemanticsSpec(
            terminal=ProcessTerminalSpec(
                state=state, await_output=PointerSelector(pointer="/await_output")
            )
        ),
    )


CANCEL_REQUESTED = "process.cancel_requested"
WAITING = "process.waiting"
RESUMED = "process.resumed"

# Every process may emit these, declared or not.
CORE_EVENT_TYPES = (
    ProcessEventType(name=CANCEL_REQUESTED),
    ProcessEventType(name=WAITING),
    ProcessEventType(name=RESUMED),
    _core_terminal("completed"),
    _core_terminal("failed"),
    _core_terminal("cancelled"),
    _core_terminal("abandoned"),
)


class ProcessIdentity(Record, frozen=True, kw_only=True):
    """
    What a process is called, and what it is an instance of.
    """

    kind: str
    label: str | None = None
    definition: Json | None = None


class HostOriginator(Record, frozen=True, kw_only=True, tag="host", tag_field="type"):
    """
    The host itself.
    """


class SessionOriginator(
    Record, frozen=True, kw_only=True, tag="session", tag_field="type"
):
    """
    A session.
    """

    scope: SessionScope


Originator = HostOriginator | SessionOriginator


class ProcessProvenance(Record, frozen=True, kw_only=True):
    """
    Who started a process, and because of what.
    """

    originator: Originator
    caused_by: Json | None = None


class ProcessRegistration(Record, frozen=True, kw_only=True):
    """
    Everything about a process that never changes.

    `identity` None: derived from the input. `event_types` need not name the
    core ones. `env_ref` is required for tool calls and engines, and refused
    for the others.
    """

    id: str
    input: ProcessInput
    disposition: RecoveryDisposition
    identity: ProcessIdentity | None = None
    event_types: tuple[ProcessEventType, ...] = ()
    provenance: ProcessProvenance
    env_ref: str | None = None
    wake_target: SessionScope | None = None


class ProcessExternalRef(Record, frozen=True, kw_only=True):
    """
    What the process is called where it really runs.
    """

    backend: str
    id: str
    metadata: Json | None = None


class ProcessStarted(Record, frozen=True, kw_only=True):
    """
    Who ran the process first, and when.
    """

    owner: LeaseOwnerIdentity
    started_at_ms: int


class AbandonRequest(Record, frozen=True, kw_only=True):
    """
    Somebody who does not own the process wants it given up.
    """

    requested_by: str
    requested_at_ms: int
    reason: str | None = None


class SignalWait(Record, frozen=True, kw_only=True, tag="signal", tag_field="kind"):
    """
    Waiting for the `ordinal`-th signal of a name.
    """

    name: str
    event_type: str
    key: str
    ordinal: int


class WaitState(Record, frozen=True, kw_only=True):
    """
    What a running process waits for, and since when.
    """

    kind: SignalWait
    since_ms: int


class ProcessRecord(Record, frozen=True, kw_only=True):
    """
    A process as it stands: its registration, and what came of it.
    """

    id: str
    registration_hash: str
    input: ProcessInput
    disposition: RecoveryDisposition
    identity: ProcessIdentity
    event_types: tuple[ProcessEventType, ...]
    provenance: ProcessProvenance
    env_ref: str | None = None
    wake_target: SessionScope | None = None
    created_at_ms: int
    updated_at_ms: int
    external_ref: ProcessExternalRef | None = None
    first_started: ProcessStarted | None = None
    abandon_request: AbandonRequest | None = None
    wait: WaitState | None = None
    status: ProcessStatus = RunningStatus()

    @property
    def is_terminal(self) -> bool:
        """
        Whether the process has ended.
        """
        return self.status.is_terminal


class ProcessStatusFilter(StrEnum):
    """
    Which processes a listing shows.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    ANY = "any"


class ProcessListFilter(Record, frozen=True, kw_only=True):
    """
    Which processes a listing shows; None restricts nothing.

    `definition` compares with the identity's, as canonical JSON.
    """

    definition: Json | None = None
    status: ProcessStatusFilter = ProcessStatusFilter.RUNNING
    waiting: bool | None = None


class ProcessPruneReport(Record, frozen=True, kw_only=True):
    """
    How much a pruning removed.
    """

    pruned_processes: int = 0
    pruned_events: int = 0
