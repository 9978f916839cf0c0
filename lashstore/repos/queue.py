"""
Queued work rows: batches in admission order, and the claims on them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import encode_record, row_checksum, stored_decoder, verify_row
from lashstore.errors import CorruptRecordError
from lashstore.model.claims import (
    ClaimGrant,
    ClaimHold,
    death_host,
)
from lashstore.model.leases import LeaseOwnerIdentity
from lashstore.model.queue import (
    ClaimCandidate,
    DeliveryPolicy,
    MergeKey,
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkClass,
    QueuedWorkItem,
    QueuedWorkPayload,
    SlotPolicy,
)
from lashstore.model.record import Record
from lashstore.tables import session_queued_batches

from ._claims import (
    CLAIM_COLUMNS,
    CLEARED_CLAIM,
    HeldRow,
    RenewedClaim,
    grant_statement,
    grant_values,
    hold_from_row,
    is_of_claim,
    is_unclaimed,
    may_be_claimable,
    of_claim,
    page_through,
    renew,
    renew_statement,
)
from ._dialect import BIND
from ._listing import list_rows, listing
from ._run import Answer, Runner
from ._scan import Scanned, session_scan

_KIND = "queued-work batch"
_decode_payloads = stored_decoder(tuple[QueuedWorkPayload, ...], _KIND)
_decode_merge_key = stored_decoder(MergeKey, _KIND)
# Much sooner looked up than called for; a checksum stands before them.
_WORK_CLASSES = {each.value: each for each in QueuedWorkClass}
_DELIVERY_POLICIES = {each.value: each for each in DeliveryPolicy}
_SLOT_POLICIES = {each.value: each for each in SlotPolicy}

_c = session_queued_batches.c
_CONTENT = (
    "batch_id",
    "enqueue_seq",
    "source_key",
    "work_class",
    "delivery_policy",
    "slot_policy",
    "merge_key_json",
    "available_at_ms",
    "enqueued_at_ms",
    "payloads_json",
)
_columns = tuple(_c[name] for name in (*_CONTENT, *CLAIM_COLUMNS, "checksum"))
_is_session = _c.session_id == BIND("session_id")

_find_by_source_key = sa.select(*(_c[name] for name in (*_CONTENT, "checksum"))).where(
    _is_session,
    _c.source_key == BIND("source_key"),
    _c.source_key.is_not(None),
)
_list_all = sa.select(*_columns).where(_is_session).order_by(_c.enqueue_seq)
_list_unclaimed = (
    sa.select(*_columns)
    .where(_is_session, is_unclaimed(session_queued_batches))
    .order_by(_c.enqueue_seq)
)
_list_candidates = (
    sa.select(*_columns)
    .where(
        _is_session,
        _c.is_ready == sa.literal_column("1"),
        _c.enqueue_seq > BIND("after_seq"),
        _c.available_at_ms <= BIND("now_ms"),
        may_be_claimable(session_queued_batches),
    )
    .order_by(_c.enqueue_seq)
    .limit(BIND("page"))
)
_add = sa.insert(session_queued_batches)
_make_ready = (
    sa.update(session_queued_batches)
    .where(
        _c.session_id == BIND("of_session_id"),
        _c.is_ready == sa.literal_column("0"),
        _c.available_at_ms <= BIND("now_ms"),
    )
    .values(is_ready=sa.literal_column("1"))
)
_grant = grant_statement(session_queued_batches, _c.batch_id)
_renew = renew_statement(session_queued_batches, _c.batch_id)
_abandon = (
    sa.update(session_queued_batches)
    .where(is_of_claim(session_queued_batches))
    .values(**CLEARED_CLAIM)
)
_complete = (
    sa.delete(session_queued_batches)
    .where(is_of_claim(session_queued_batches))
    .returning(_c.batch_id)
)
_remove_unclaimed = (
    sa.delete(session_queued_batches)
    .where(
        _is_session,
        _c.batch_id == BIND("batch_id"),
        is_unclaimed(session_queued_batches),
    )
    .returning(*_columns)
)


class BatchRow(Record, frozen=True, kw_only=True):
    """
    A stored batch with what the selection of claims needs.
    """

    batch: QueuedWorkBatch
    candidate: ClaimCandidate
    hold: ClaimHold | None
    fencing_token: int


def _checksum(session_id: str, content: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("session_queued_batches", session_id, *content)


def _batch_from_row(session_id: str, row: Any) -> QueuedWorkBatch:
    key = str(row.batch_id)
    verify_row(_KIND, key, row.checksum, *_checksum(session_id, row[: len(_CONTENT)]))
    return QueuedWorkBatch(
        batch_id=row.batch_id,
        session_id=session_id,
        enqueue_seq=row.enqueue_seq,
        source_key=row.source_key,
        delivery_policy=_DELIVERY_POLICIES[row.delivery_policy],
        slot_policy=_SLOT_POLICIES[row.slot_policy],
        merge_key=_decode_merge_key(row.merge_key_json, key),
        available_at_ms=row.available_at_ms,
        enqueued_at_ms=row.enqueued_at_ms,
        items=_items_of(row.batch_id, _decode_payloads(row.payloads_json, key)),
    )


def _items_of(
    batch_id: str, payloads: Sequence[QueuedWorkPayload]
) -> tuple[QueuedWorkItem, ...]:
    return tuple(
        QueuedWorkItem(item_id=f"{batch_id}:item:{index}", payload=payload)
        for index, payload in enumerate(payloads)
    )


def _claimable_from_row(session_id: str, row: Any) -> BatchRow:
    batch = _batch_from_row(session_id, row)
    return BatchRow(
        batch=batch,
        candidate=ClaimCandidate(
            work_class=_WORK_CLASSES[row.work_class],
            delivery_policy=batch.delivery_policy,
            slot_policy=batch.slot_policy,
            merge_key=batch.merge_key,
        ),
        hold=hold_from_row(_KIND, batch.batch_id, row),
        fencing_token=row.claim_fencing_token,
    )


SCAN = session_scan(
    session_queued_batches,
    (*_columns, _c.claim_host_id),
    _claimable_from_row,
    lambda _session_id, row: HeldRow(hold=hold_from_row(_KIND, row.batch_id, row)),
)
_look = listing(SCAN, _c.enqueue_seq > BIND("after_seq"), order_by=(_c.enqueue_seq,))


class QueuedWorkRepository:
    """
    Rows of `session_queued_batches`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def get_by_source_key(self, session_id: str, source_key: str) -> QueuedWorkBatch:
        """
        Return the batch a source key names.

        Raises:
            CorruptRecordError: It is damaged, or an index names one that is
                not there.
        """
        row = self._connection.execute(
            _find_by_source_key, {"session_id": session_id, "source_key": source_key}
        ).one_or_none()
        if row is None:
            raise CorruptRecordError(
                record_kind=_KIND,
                key=source_key,
                reason="its source key is known, and it is not there",
            )
        return _batch_from_row(session_id, row)

    def list_all(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        """
        Return every batch in admission order.
        """
        rows = self._connection.execute(_list_all, {"session_id": session_id}).all()
        return tuple(_claimable_from_row(session_id, row).batch for row in rows)

    def look(
        self, session_id: str, *, after_seq: int, page: int, is_sealed: bool = False
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* batches behind a place, in admission order, damaged
        ones too: each decodes to a `BatchRow`, or to None if it is sealed.
        """
        return list_rows(
            self._connection,
            _look,
            {"session_id": session_id, "after_seq": after_seq},
            page=page,
            is_sealed=is_sealed,
        )

    def list_unclaimed(
        self, session_id: str, *, now_ms: int
    ) -> tuple[QueuedWorkBatch, ...]:
        """
        Return the batches no live claim has, in admission order.
        """
        rows = self._connection.execute(
            _list_unclaimed, {"session_id": session_id, "now_ms": now_ms}
        ).all()
        return tuple(_claimable_from_row(session_id, row).batch for row in rows)

    def candidates(
        self, session_id: str, claimant: LeaseOwnerIdentity, *, now_ms: int
    ) -> Iterator[BatchRow]:
        """
        Yield ready batches that are unclaimed, or whose holder may be dead,
        in admission order, reading no further than it is asked to.
        """
        self._connection.execute(
            _make_ready, {"of_session_id": session_id, "now_ms": now_ms}
        )

        def list_page(after_seq: int, page: int) -> list[Any]:
            return self._connection.execute(
                _list_candidates,
                {
                    "session_id": session_id,
                    "after_seq": after_seq,
                    "now_ms": now_ms,
                    "host_id": death_host(claimant),
                    "page": page,
                },
            ).all()

        for row in page_through(list_page, first_page=1):
            yield _claimable_from_row(session_id, row)

    def add(
        self,
        session_id: str,
        batch_id: str,
        draft: QueuedWorkBatchDraft,
        *,
        work_class: QueuedWorkClass,
        payloads_json: str,
        enqueue_seq: int,
        now_ms: int,
    ) -> QueuedWorkBatch:
        """
        Append a batch; return it as it is stored.
        """
        content = {
            "batch_id": batch_id,
            "enqueue_seq": enqueue_seq,
            "source_key": draft.source_key,
            "work_class": work_class.value,
            "delivery_policy": draft.delivery_policy.value,
            "slot_policy": draft.slot_policy.value,
            "merge_key_json": encode_record(draft.merge_key, "the merge key"),
            "available_at_ms": draft.available_at_ms,
            "enqueued_at_ms": now_ms,
            "payloads_json": payloads_json,
        }
        checksum = row_checksum(*_checksum(session_id, tuple(content.values())))
        self._connection.execute(
            _add,
            {
                "session_id": session_id,
                **content,
                "is_ready": int(draft.available_at_ms <= now_ms),
                "claim_fencing_token": 0,
                "checksum": checksum,
            },
        )
        return QueuedWorkBatch(
            batch_id=batch_id,
            session_id=session_id,
            enqueue_seq=enqueue_seq,
            source_key=draft.source_key,
            delivery_policy=draft.delivery_policy,
            slot_policy=draft.slot_policy,
            merge_key=draft.merge_key,
            available_at_ms=draft.available_at_ms,
            enqueued_at_ms=now_ms,
            items=_items_of(batch_id, draft.payloads),
        )

    def grant(self, session_id: str, grant: ClaimGrant, batch_ids: list[str]) -> int:
        """
        Claim batches; return how many rows it reached.
        """
        return self._connection.execute(
            _grant, grant_values(session_id, grant, batch_ids)
        ).rowcount

    def renew_claim(
        self,
        session_id: str,
        claim_id: str,
        token: str,
        *,
        now_ms: int,
        expires_at_ms: int,
    ) -> RenewedClaim:
        """
        Extend a live claim; return the batches it reached.
        """
        return renew(
            self._connection,
            _renew,
            of_claim(session_id, claim_id, token),
            now_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )

    def abandon_claim(self, session_id: str, claim_id: str, token: str) -> None:
        """
        Free a claim's batches, if it still has any.
        """
        self._connection.execute(_abandon, of_claim(session_id, claim_id, token))

    def complete(
        self, session_id: str, claim_id: str, token: str
    ) -> Answer[frozenset[str]]:
        """
        Remove a claim's batches; the answer is their ids.
        """
        removed = self._connection.execute(
            _complete, of_claim(session_id, claim_id, token)
        )
        return lambda: frozenset(row[0] for row in removed)

    def remove_unclaimed(self, session_id: str, batch_id: str, *, now_ms: int) -> Any:
        """
        Remove a batch unless a live claim has it; return its row for
        `batch_from_removed`, None if nothing was removed.
        """
        return self._connection.execute(
            _remove_unclaimed,
            {"session_id": session_id, "batch_id": batch_id, "now_ms": now_ms},
        ).one_or_none()


def batch_from_removed(session_id: str, row: Any) -> QueuedWorkBatch:
    """
    Decode what `remove_unclaimed` returned, after it has been committed: a
    damaged batch can be removed too, and is only then complained of.
    """
    return _claimable_from_row(session_id, row).batch
