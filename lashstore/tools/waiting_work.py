"""
What waits for a session: queued work and turn inputs, and who has claimed it.
"""

from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from lashstore.codec import MAX_COUNTER
from lashstore.model.record import Json, Record
from lashstore.repos._claims import hold_from_row
from lashstore.repos._scan import Scanned
from lashstore.repos.queue import QueuedWorkRepository
from lashstore.repos.turn_inputs import TurnInputRepository

from .pages import Damaged, HoldView, as_json, cut, place_after, sift, view_of_hold
from .reading import SessionReader
from .scanning import lenient

_BATCHES, _INPUTS = "session_queued_batches", "session_turn_inputs"


class BatchState(StrEnum):
    """
    Whether a batch may be claimed: it is ready, has a later time, is claimed,
    or was claimed until a time that is over.
    """

    READY = "ready"
    WAITING = "waiting"
    CLAIMED = "claimed"
    CLAIM_EXPIRED = "claim_expired"


class BatchView(Record, frozen=True, kw_only=True):
    """
    A batch of queued work.

    `items` None: they are sealed, and the row was not verified.
    """

    batch_id: str
    enqueue_seq: int
    state: BatchState
    work_class: str
    source_key: str | None
    delivery_policy: str
    slot_policy: str
    merge_key: Json
    available_at_ms: int
    enqueued_at_ms: int
    claim: HoldView | None
    claim_fencing_token: int
    items: Json | None


class QueuePage(Record, frozen=True, kw_only=True):
    """
    Batches in admission order, and the damaged ones among them.
    """

    session_id: str
    is_sealed: bool
    now_ms: int
    batches: tuple[BatchView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


class InputView(Record, frozen=True, kw_only=True):
    """
    A turn input; `turn_id` None: it is for the next turn.

    `input` is None if it is sealed; the row was not verified then.
    """

    input_id: str
    enqueue_seq: int
    state: str
    source_key: str | None
    turn_id: str | None
    min_boundary: str | None
    submitted_ingress: Json
    enqueued_at_ms: int
    claim: HoldView | None
    claim_fencing_token: int
    input: Json


class InputPage(Record, frozen=True, kw_only=True):
    """
    Inputs, and the damaged ones among them.
    """

    session_id: str
    is_sealed: bool
    now_ms: int
    inputs: tuple[InputView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


def list_queue(reader: SessionReader, *, after: str | None, limit: int) -> QueuePage:
    """
    Return a page of a session's queued work, in admission order.

    Args:
        after: `next_after` of the page before; None: from the first on.

    Raises:
        InvalidArgumentError: *after* is no place in a queue.
        StoreNotFoundError, StoreBusyError, BackendError: It cannot be read.
    """
    after_seq = place_after(after, otherwise=0)

    def look(connection: sa.Connection) -> QueuePage:
        lenient(connection)
        now_ms = reader.clock.now_ms()
        found = QueuedWorkRepository(connection).look(
            reader.session_id,
            after_seq=after_seq,
            page=limit + 1,
            is_sealed=reader.is_sealed,
        )
        rows, has_more = cut(found, limit)
        damaged: list[Damaged] = []
        batches = sift(_BATCHES, rows, lambda each: _batch_view(each, now_ms), damaged)
        return QueuePage(
            session_id=reader.session_id,
            is_sealed=reader.is_sealed,
            now_ms=now_ms,
            batches=tuple(batches),
            damaged=tuple(damaged),
            next_after=str(rows[-1].row.enqueue_seq) if has_more else None,
        )

    return reader.read(look)


def list_inputs(
    reader: SessionReader, *, is_all: bool, after: str | None, limit: int
) -> InputPage:
    """
    Return a page of a session's turn inputs.

    Args:
        is_all: In any state, the latest first; else only those that may still
            be used, in admission order.

        after: `next_after` of the page before; None: from the first on.

    Raises:
        As `list_queue`.
    """
    place = place_after(after, otherwise=MAX_COUNTER if is_all else 0)

    def look(connection: sa.Connection) -> InputPage:
        lenient(connection)
        now_ms = reader.clock.now_ms()
        inputs, session_id = TurnInputRepository(connection), reader.session_id
        page, is_sealed = limit + 1, reader.is_sealed
        found = (
            inputs.look_back(
                session_id, before_seq=place, page=page, is_sealed=is_sealed
            )
            if is_all
            else inputs.look_at_open(
                session_id, after_seq=place, page=page, is_sealed=is_sealed
            )
        )
        rows, has_more = cut(found, limit)
        damaged: list[Damaged] = []
        views = sift(_INPUTS, rows, lambda each: _input_view(each, now_ms), damaged)
        return InputPage(
            session_id=session_id,
            is_sealed=is_sealed,
            now_ms=now_ms,
            inputs=tuple(views),
            damaged=tuple(damaged),
            next_after=str(rows[-1].row.enqueue_seq) if has_more else None,
        )

    return reader.read(look)


def _batch_view(scanned: Scanned, now_ms: int) -> BatchView:
    row, stored = scanned.row, scanned.value
    claim = _claim_view("queued-work batch", scanned.key, row, now_ms)
    return BatchView(
        batch_id=row.batch_id,
        enqueue_seq=row.enqueue_seq,
        state=_batch_state(row, claim, now_ms),
        work_class=row.work_class,
        source_key=row.source_key,
        delivery_policy=row.delivery_policy,
        slot_policy=row.slot_policy,
        merge_key=msgspec.json.decode(row.merge_key_json),
        available_at_ms=row.available_at_ms,
        enqueued_at_ms=row.enqueued_at_ms,
        claim=claim,
        claim_fencing_token=row.claim_fencing_token,
        items=None if stored is None else as_json(stored.batch.items),
    )


def _batch_state(row: Any, claim: HoldView | None, now_ms: int) -> BatchState:
    if claim is not None:
        return BatchState.CLAIMED if claim.is_live else BatchState.CLAIM_EXPIRED
    return BatchState.READY if row.available_at_ms <= now_ms else BatchState.WAITING


def _input_view(scanned: Scanned, now_ms: int) -> InputView:
    row, stored = scanned.row, scanned.value
    return InputView(
        input_id=row.input_id,
        enqueue_seq=row.enqueue_seq,
        state=row.state,
        source_key=row.source_key,
        turn_id=row.turn_id,
        min_boundary=row.min_boundary,
        submitted_ingress=msgspec.json.decode(row.submitted_ingress_json),
        enqueued_at_ms=row.enqueued_at_ms,
        claim=_claim_view("turn input", scanned.key, row, now_ms),
        claim_fencing_token=row.claim_fencing_token,
        input=None if stored is None else stored.pending.input,
    )


def _claim_view(kind: str, key: str, row: Any, now_ms: int) -> HoldView | None:
    hold = hold_from_row(kind, key, row)
    if hold is None:
        return None
    return view_of_hold(
        hold.owner,
        claim_id=hold.claim_id,
        claimed_at_ms=hold.claimed_at_ms,
        expires_at_ms=hold.expires_at_ms,
        now_ms=now_ms,
    )
