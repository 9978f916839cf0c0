"""
Plan a replay: from a transcript to the turns a host would run, each with
everything it will commit.

A plan depends on the transcript alone. Ids and times are made from positions,
so that a run that was killed and started again writes what an unbroken run
writes.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from lashstore.model.graph import SessionNode
from lashstore.model.record import Json, Record
from lashstore.model.turn_inputs import (
    ActiveTurnIngress,
    NextTurnIngress,
    PendingTurnInputDraft,
)
from lashstore.model.usage import TokenLedgerEntry

from .messages import TOOL_ROLES, is_tool_output
from .parcels import Parcel, pack
from .tokens import TokenMeter
from .tool_calls import ToolCallBook
from .transcript import Transcript

# Raise it when the same transcript is planned into other commits: a session
# begun under the old number cannot go on under the new one.
PLAN_VERSION = 1
FRAME_ID = "frame:initial"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class PlannedTurn(Record, frozen=True, kw_only=True):
    """
    One turn: what enters it, and what it will commit.

    `tool_changes` are the entries of the tool state that are new or other
    than before; `parcels` the large outputs to store beside the session.
    """

    index: int
    turn_id: str
    drafts: tuple[PendingTurnInputDraft, ...]
    nodes: tuple[SessionNode, ...]
    parcels: tuple[Parcel, ...]
    tool_changes: dict[str, Json]
    usage: tuple[TokenLedgerEntry, ...]

    def attachment_ids(self) -> tuple[str, ...]:
        """
        Return the ids of the turn's parcels, each once, sorted.
        """
        return tuple(sorted({parcel.attachment_id for parcel in self.parcels}))


class ReplayPlan(Record, frozen=True, kw_only=True):
    """
    Every turn of a transcript; turn *n* makes head revision *n* + 1.
    """

    name: str
    fingerprint: str
    messages: tuple[Json, ...]
    turns: tuple[PlannedTurn, ...]

    def config(self) -> Json:
        """
        Return the session's config: whose replay it is.
        """
        return {
            "provider_id": "transcript",
            "replay": {
                "plan_version": PLAN_VERSION,
                "fingerprint": self.fingerprint,
                "message_count": len(self.messages),
                "turn_count": len(self.turns),
            },
        }

    def agent_frames(self) -> tuple[Json, ...]:
        """
        Return the one frame the whole session runs in.
        """
        return (
            {
                "frame_id": FRAME_ID,
                "status": "active",
                "reason": "initial",
                "created_at": _timestamp(0),
            },
        )


class _Span(Record, frozen=True, kw_only=True):
    """
    The messages of one turn: inputs, an assistant step, and what its tools
    gave back. `step` equals `end` in a closing turn, which has no step.
    """

    first: int
    step: int
    end: int


def build_plan(transcript: Transcript) -> ReplayPlan:
    """
    Plan every turn of a transcript.

    An assistant message is a turn, together with the messages since the turn
    before, which enter as turn inputs, and the tool messages right behind it.
    Messages after the last turn land in a closing turn.
    """
    fingerprint = transcript.fingerprint()
    planner = _Planner(transcript.messages, fingerprint)
    return ReplayPlan(
        name=transcript.name,
        fingerprint=fingerprint,
        messages=transcript.messages,
        turns=tuple(
            planner.plan_turn(index, span)
            for index, span in enumerate(_spans(transcript.messages))
        ),
    )


def _spans(messages: tuple[Json, ...]) -> Iterator[_Span]:
    first = at = 0
    while at < len(messages):
        step = at
        at += 1
        if messages[step]["role"] != "assistant":
            continue
        while at < len(messages) and messages[at]["role"] in TOOL_ROLES:
            at += 1
        yield _Span(first=first, step=step, end=at)
        first = at
    if first < at:
        yield _Span(first=first, step=at, end=at)


class _Planner:
    def __init__(self, messages: tuple[Json, ...], fingerprint: str) -> None:
        self._messages = messages
        self._source = f"transcript:{fingerprint[:16]}"
        self._book = ToolCallBook()
        self._meter = TokenMeter(messages)

    def plan_turn(self, index: int, span: _Span) -> PlannedTurn:
        turn_id = f"turn-{index:06d}"
        parcels: list[Parcel] = []
        nodes = tuple(
            self._plan_node(position, turn_id, parcels)
            for position in range(span.first, span.end)
        )
        return PlannedTurn(
            index=index,
            turn_id=turn_id,
            drafts=self._plan_drafts(index, turn_id, span),
            nodes=nodes,
            parcels=tuple(parcels),
            tool_changes=self._book.take_changes(),
            usage=self._meter.book(span.step) if span.step < span.end else (),
        )

    def _plan_node(
        self, position: int, turn_id: str, parcels: list[Parcel]
    ) -> SessionNode:
        message = payload = self._messages[position]
        node_id = _node_id(position)
        if message["role"] == "assistant":
            self._book.note_calls(message, position=position, turn_id=turn_id)
        elif is_tool_output(self._messages, position):
            self._book.note_output(message, node_id=node_id)
            payload, parcel = pack(message)
            if parcel is not None:
                parcels.append(parcel)
        return SessionNode(
            node_id=node_id,
            parent_node_id=_node_id(position - 1) if position else None,
            agent_frame_id=FRAME_ID,
            timestamp=_timestamp(position),
            payload=payload,
        )

    def _plan_drafts(
        self, index: int, turn_id: str, span: _Span
    ) -> tuple[PendingTurnInputDraft, ...]:
        # The first turn starts on an idle session. Later a lone message comes
        # while its turn runs. Several ones wait for the turn together: if
        # they came into a running turn that dies, some would be deferred and
        # the others not, and the claims would tell a killed run from another.
        is_lone = index > 0 and span.step - span.first == 1
        ingress = ActiveTurnIngress(turn_id=turn_id) if is_lone else NextTurnIngress()
        return tuple(
            PendingTurnInputDraft(
                ingress=ingress,
                input=self._messages[position],
                input_id=f"input-{position:06d}",
                source_key=f"{self._source}:{position:06d}",
            )
            for position in range(span.first, span.step)
        )


def _node_id(position: int) -> str:
    return f"node-{position:06d}"


def _timestamp(position: int) -> str:
    # One second a message: a transcript does not tell when things were said.
    at = _EPOCH + timedelta(seconds=position)
    return at.isoformat().replace("+00:00", "Z")
