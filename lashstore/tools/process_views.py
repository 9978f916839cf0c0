"""
Background processes to look at: where each stands, who runs it, its events.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from lashstore.errors import UnknownProcessError
from lashstore.model.process_events import ProcessEvent
from lashstore.model.process_facts import check_filter
from lashstore.model.process_grants import ProcessHandleGrant
from lashstore.model.process_registration import require_process_id
from lashstore.model.process_states import ListScope, list_scope
from lashstore.model.processes import (
    AbandonRequest,
    ProcessExternalRef,
    ProcessListFilter,
    ProcessStatusFilter,
    SessionScope,
    WaitState,
)
from lashstore.model.record import Json, Record
from lashstore.repos._process_rows import StoredProcess
from lashstore.repos._scan import Scanned
from lashstore.repos.handle_grants import HandleGrantRepository
from lashstore.repos.process_events import ProcessEventRepository
from lashstore.repos.process_leases import ProcessLeaseRepository
from lashstore.repos.processes import ProcessRepository

from .pages import Damaged, HoldView, as_json, cut, place_after, sift, view_of_hold
from .reading import ComponentReader
from .scanning import lenient

# Wakes and grants of one process that are shown at most.
_MOST = 1_000


class EventView(Record, frozen=True, kw_only=True):
    """
    The head of an event.
    """

    sequence: int
    event_type: str
    occurred_at_ms: int


class ProcessView(Record, frozen=True, kw_only=True):
    """
    Where a process stands; `last_event` None: it has none, or a damaged one.
    """

    process_id: str
    status: str
    kind: str
    label: str | None
    disposition: str
    originator: Json
    wake_target: SessionScope | None
    created_at_ms: int
    updated_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    wait: WaitState | None
    abandon_request: AbandonRequest | None
    external_ref: ProcessExternalRef | None
    lease: HoldView | None
    lease_fencing_token: int
    event_count: int
    last_event: EventView | None


class ProcessPage(Record, frozen=True, kw_only=True):
    """
    Processes by id, and the damaged ones among them.
    """

    place: str
    now_ms: int
    processes: tuple[ProcessView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


class ProcessDetail(Record, frozen=True, kw_only=True):
    """
    All about a process, with a page of its events in order.

    `process` and `record` are None if its row is damaged. `wakes` are those
    nobody has acknowledged.
    """

    place: str
    now_ms: int
    process_id: str
    process: ProcessView | None
    record: Json
    grants: tuple[ProcessHandleGrant, ...]
    wakes: tuple[Json, ...]
    events: tuple[ProcessEvent, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


def list_processes(
    reader: ComponentReader,
    *,
    status: ProcessStatusFilter,
    is_waiting: bool,
    after: str | None,
    limit: int,
) -> ProcessPage:
    """
    Return a page of processes, by id.

    Args:
        is_waiting: Only those that wait.

        after: `next_after` of the page before; None: from the first on.

    Raises:
        InvalidArgumentError: *after* can be no process.
        StoreNotFoundError, StoreBusyError, BackendError: They cannot be read.
    """
    wanted = ProcessListFilter(status=status, waiting=True if is_waiting else None)
    check_filter(wanted)
    scope = list_scope(wanted)
    if after is not None:
        require_process_id(after)

    def look(connection: sa.Connection) -> ProcessPage:
        lenient(connection)
        now_ms = reader.clock.now_ms()
        found = _found(connection, scope, after, limit + 1)
        rows, has_more = cut(found, limit)
        damaged: list[Damaged] = []
        return ProcessPage(
            place=reader.place,
            now_ms=now_ms,
            processes=tuple(_views(connection, rows, now_ms, damaged)),
            damaged=tuple(damaged),
            next_after=rows[-1].key if has_more else None,
        )

    return reader.read(look)


def _found(
    connection: sa.Connection, scope: ListScope | None, after: str | None, page: int
) -> tuple[Scanned, ...]:
    # None: only a running process waits.
    if scope is None:
        return ()
    return ProcessRepository(connection).look(scope, after_id=after, page=page)


def show_process(
    reader: ComponentReader, process_id: str, *, after: str | None, limit: int
) -> ProcessDetail:
    """
    Return a process with a page of its events.

    Args:
        after: The event to begin behind; None: the last *limit* events.

    Raises:
        UnknownProcessError: There is none of this id.
        As `list_processes`.
    """
    require_process_id(process_id)
    after_sequence = None if after is None else place_after(after, otherwise=0)

    def look(connection: sa.Connection) -> ProcessDetail:
        lenient(connection)
        now_ms = reader.clock.now_ms()
        found = ProcessRepository(connection).look_at(process_id)
        if found is None:
            raise UnknownProcessError(process_id=process_id)
        damaged: list[Damaged] = []
        views = _views(connection, (found,), now_ms, damaged)
        log, grants = (
            ProcessEventRepository(connection),
            HandleGrantRepository(connection),
        )
        if after_sequence is None:
            rows, has_more = log.look_back(process_id, page=limit), False
        else:
            read = log.look(process_id, after_sequence=after_sequence, page=limit + 1)
            page, has_more = cut(read, limit)
            rows = tuple(page)
        events = sift("process_events", rows, lambda each: each.value, damaged)
        wakes = sift(
            "process_wakes",
            log.look_at_wakes(process_id, page=_MOST),
            _wake_view,
            damaged,
        )
        granted = sift(
            "process_handle_grants",
            grants.look(process_id, page=_MOST),
            lambda each: each.value,
            damaged,
        )
        return ProcessDetail(
            place=reader.place,
            now_ms=now_ms,
            process_id=process_id,
            process=views[0] if views else None,
            record=as_json(found.value.record) if views else None,
            grants=tuple(granted),
            wakes=tuple(wakes),
            events=tuple(events),
            damaged=tuple(damaged),
            next_after=str(rows[-1].row.sequence) if has_more else None,
        )

    return reader.read(look)


def _wake_view(scanned: Scanned) -> Json:
    delivery = scanned.value
    return {
        "sequence": scanned.row.sequence,
        "created_at_ms": scanned.row.created_at_ms,
        "delivery": None if delivery is None else as_json(delivery),
    }


def _views(
    connection: sa.Connection,
    rows: Any,
    now_ms: int,
    damaged: list[Damaged],
) -> list[ProcessView]:
    ids = [each.key for each in rows]
    if not ids:
        return []
    leases = dict(
        sift(
            "process_leases",
            ProcessLeaseRepository(connection).look(ids),
            lambda each: (each.key, each.value),
            damaged,
        )
    )
    events = dict(
        sift(
            "process_events",
            ProcessEventRepository(connection).look_at_last(ids),
            lambda each: (each.value.process_id, each.value),
            damaged,
        )
    )
    return sift(
        "processes",
        rows,
        lambda each: _process_view(each.value, leases, events, now_ms),
        damaged,
    )


def _process_view(
    stored: StoredProcess,
    leases: Mapping[str, Any],
    events: Mapping[str, ProcessEvent],
    now_ms: int,
) -> ProcessView:
    record, state = stored.record, stored.state
    row, event = leases.get(record.id), events.get(record.id)
    lease = None if row is None else row.lease
    started = record.first_started
    return ProcessView(
        process_id=record.id,
        status=record.status.label,
        kind=record.identity.kind,
        label=record.identity.label,
        disposition=record.disposition,
        originator=as_json(record.provenance.originator),
        wake_target=record.wake_target,
        created_at_ms=record.created_at_ms,
        updated_at_ms=record.updated_at_ms,
        started_at_ms=None if started is None else started.started_at_ms,
        ended_at_ms=state.terminal_at_ms,
        wait=record.wait,
        abandon_request=record.abandon_request,
        external_ref=record.external_ref,
        lease=None
        if lease is None
        else view_of_hold(
            lease.owner,
            claim_id=None,
            claimed_at_ms=lease.claimed_at_ms,
            expires_at_ms=lease.expires_at_ms,
            now_ms=now_ms,
        ),
        lease_fencing_token=0 if row is None else row.fencing_token,
        event_count=state.last_sequence,
        last_event=None
        if event is None
        else EventView(
            sequence=event.sequence,
            event_type=event.event_type,
            occurred_at_ms=event.occurred_at_ms,
        ),
    )
