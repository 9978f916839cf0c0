"""
Process rows: what was registered, and where it stands.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from lashstore.codec import (
    MAX_COUNTER,
    encode_json,
    encode_record,
    stored_decoder,
)
from lashstore.errors import UnknownProcessError
from lashstore.model.process_events import EventContext
from lashstore.model.process_registration import PreparedRegistration
from lashstore.model.process_states import ListScope, ProcessState
from lashstore.model.processes import (
    ProcessProvenance,
    ProcessRecord,
    SessionScope,
)
from lashstore.tables import (
    process_events,
    process_registrations,
    process_wake_targets,
    processes,
)

from ._dialect import BIND, any_of, insert_if_absent
from ._process_rows import (
    _KIND,
    _STATE,
    _STATE_PLACES,
    SCAN,
    StoredContext,
    StoredProcess,
    _context_columns,
    _event_types_from_row,
    _fixed_checksum,
    _input_checksum,
    _joined,
    _p,
    _r,
    _record_columns,
    _state_checksum,
    _state_columns,
    _state_from_row,
    _state_values,
    _stored_from_row,
    _target_checksum,
    _verify_fixed,
    _w,
    _wake_target_from_row,
)
from ._run import Runner
from ._scan import Scanned, scanned

_decode_provenance = stored_decoder(ProcessProvenance, _KIND)
_LAST_SEQUENCE = _STATE.index("last_sequence")
_is_process = _p.process_id == BIND("process_id")
_is_running = _p.status == sa.literal_column("'running'")

_find_id = sa.select(_p.process_id).where(_is_process)
_hold = _find_id.with_for_update()
# Whoever holds several takes them in this order, so that nobody waits for
# somebody who waits for him.
_hold_all = (
    sa.select(_p.process_id)
    .where(any_of(_p.process_id, "process_ids"))
    .order_by(_p.process_id)
    .with_for_update()
)
_find_state = sa.select(*_state_columns).where(_is_process)
_is_replayed = sa.exists().where(
    process_events.c.process_id == BIND("process_id"),
    process_events.c.replay_key == BIND("replay_key"),
    process_events.c.replay_key.is_not(None),
)
_find_context = (
    sa.select(*_context_columns, _is_replayed.label("is_replayed"))
    .select_from(_joined)
    .where(_is_process)
)
_find_record = sa.select(*_record_columns).select_from(_joined).where(_is_process)
_list_by_ids = (
    sa.select(*_record_columns)
    .select_from(_joined)
    .where(any_of(_p.process_id, "process_ids"))
    .order_by(_p.process_id)
)
_list_running_by_ids = _list_by_ids.where(_is_running)
_list_running_states = (
    sa.select(*_state_columns)
    .where(any_of(_p.process_id, "process_ids"), _is_running)
    .order_by(_p.process_id)
)
_add = insert_if_absent(processes)
_add_registration = sa.insert(process_registrations)
_add_wake_target = sa.insert(process_wake_targets)
_put = (
    sa.update(processes)
    .where(_p.process_id == BIND("of_process_id"))
    .values({name: BIND(name) for name in (*_STATE, "updated_at_ms", "checksum")})
)
# An event that ends nothing leaves every indexed column alone.
_advance = (
    sa.update(processes)
    .where(_p.process_id == BIND("of_process_id"))
    .values(
        {name: BIND(name) for name in ("last_sequence", "updated_at_ms", "checksum")}
    )
)
_later = sa.case(
    (_p.updated_at_ms < BIND("now_ms"), BIND("now_ms")), else_=_p.updated_at_ms
)
_touch = (
    sa.update(processes)
    .where(any_of(_p.process_id, "process_ids"))
    .values(updated_at_ms=_later, checksum=_p.checksum + _p.updated_at_ms - _later)
)
_list_session_targets = sa.select(_w.process_id).where(
    _w.session_id == BIND("session_id")
)
_remove_session_targets = (
    sa.delete(process_wake_targets)
    .where(_w.session_id == BIND("session_id"))
    .returning(_w.process_id)
)
_list_prunable = (
    sa.select(*_state_columns)
    .where(
        _p.terminal_at_ms.is_not(None),
        _p.terminal_at_ms <= BIND("last_ms"),
    )
    .order_by(_p.terminal_at_ms, _p.process_id)
    .limit(BIND("page"))
)
_list_prunable_of = sa.select(*_state_columns).where(
    any_of(_p.process_id, "process_ids"),
    _p.terminal_at_ms.is_not(None),
    _p.terminal_at_ms <= BIND("last_ms"),
)
_remove = sa.delete(processes).where(any_of(_p.process_id, "process_ids"))


def _page_statement(*criteria: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(_p.process_id).where(
        *criteria, _p.process_id > BIND("after_id", type_=sa.Text)
    )


def _list_statements() -> dict[tuple[bool, str], sa.Select[Any]]:
    # One statement for each way to filter. Ids come from one index, in its
    # order; two activities are two walks of it, merged. What is joined to a
    # page of ids is put in order by whoever reads it.
    statements = {}
    for has_definition in (False, True):
        always = (
            (_p.definition_hash == BIND("definition_hash"),) if has_definition else ()
        )
        pages: dict[str, Any] = {
            "all": _page_statement(*always),
            "status": _page_statement(*always, _p.status == BIND("status")),
            "activity": _page_statement(*always, _p.activity == BIND("activity_0")),
            "activities": sa.union_all(
                _page_statement(*always, _p.activity == BIND("activity_0")),
                _page_statement(*always, _p.activity == BIND("activity_1")),
            ),
        }
        for name, ids in pages.items():
            page = ids.order_by("process_id").limit(BIND("page")).subquery("page")
            statements[has_definition, name] = sa.select(*_record_columns).select_from(
                page.join(processes, _p.process_id == page.c.process_id)
                # A process without its registration is damage, not absent.
                .outerjoin(process_registrations, _r.process_id == page.c.process_id)
                .outerjoin(process_wake_targets, _w.process_id == page.c.process_id)
            )
    return statements


_list_page = _list_statements()
_look_at = SCAN.statement.where(_is_process)


class ProcessRepository:
    """
    Rows of `processes`, `process_registrations` and `process_wake_targets`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def hold(self, process_id: str) -> None:
        """
        Let no other writer at a process until the transaction ends; where
        writers wait for the whole database, nothing is left to do.

        What is read afterwards is what the writer before left behind.
        """
        if self._connection.locks_rows:
            self._connection.execute(_hold, {"process_id": process_id})

    def hold_all(self, process_ids: Sequence[str]) -> None:
        """
        As `hold`, for several processes.
        """
        if self._connection.locks_rows:
            self._connection.execute(_hold_all, {"process_ids": process_ids})

    def is_known(self, process_id: str) -> bool:
        """
        Tell whether there is a process of this id.
        """
        found = self._connection.execute(_find_id, {"process_id": process_id})
        return found.scalar_one_or_none() is not None

    def find_state(self, process_id: str) -> ProcessState | None:
        """
        Return where a process stands; None: unknown process.
        """
        row = self._connection.execute(
            _find_state, {"process_id": process_id}
        ).one_or_none()
        return None if row is None else _state_from_row(row)

    def find(self, process_id: str) -> StoredProcess | None:
        """
        Return a process; None: unknown process.
        """
        row = self._connection.execute(
            _find_record, {"process_id": process_id}
        ).one_or_none()
        return None if row is None else _stored_from_row(row)

    def find_context(
        self, process_id: str, replay_key: str | None
    ) -> StoredContext | None:
        """
        Return what planning an event needs; None: unknown process.

        Args:
            replay_key: Of the event; None: it has none.
        """
        row = self._connection.execute(
            _find_context, {"process_id": process_id, "replay_key": replay_key}
        ).one_or_none()
        if row is None:
            return None
        state = _state_from_row(row)
        _verify_fixed(row)
        provenance: ProcessProvenance = _decode_provenance(
            row.provenance_json, process_id
        )
        context = EventContext(
            process_id=process_id,
            is_terminal=state.is_terminal,
            last_sequence=state.last_sequence,
            event_types=_event_types_from_row(row),
            caused_by=provenance.caused_by,
            wake_target=_wake_target_from_row(row),
        )
        return StoredContext(
            state=state,
            context=context,
            is_replayed=bool(row.is_replayed),
            columns=row[_STATE_PLACES],
        )

    def list_page(
        self,
        scope: ListScope,
        *,
        definition_hash: str | None,
        after_id: str | None,
        limit: int | None,
    ) -> tuple[ProcessRecord, ...]:
        """
        Return the processes of a list scope behind *after_id*, by id.

        Args:
            definition_hash: None restricts nothing.
        """
        rows = self._list_page(
            scope, definition_hash=definition_hash, after_id=after_id, limit=limit
        )
        records = (_stored_from_row(row).record for row in rows)
        return tuple(sorted(records, key=lambda record: record.id))

    def look(
        self, scope: ListScope, *, after_id: str | None, page: int
    ) -> tuple[Scanned, ...]:
        """
        Return up to *page* processes of a list scope behind *after_id*, by id,
        damaged ones too: each decodes to a `StoredProcess`.
        """
        rows = self._list_page(
            scope, definition_hash=None, after_id=after_id, limit=page
        )
        found = (scanned(SCAN, row) for row in rows)
        return tuple(sorted(found, key=lambda each: str(each.row.process_id)))

    def look_at(self, process_id: str) -> Scanned | None:
        """
        Return a process, damaged or not; None: unknown process.
        """
        row = self._connection.execute(
            _look_at, {"process_id": process_id}
        ).one_or_none()
        return None if row is None else scanned(SCAN, row)

    def _list_page(
        self,
        scope: ListScope,
        *,
        definition_hash: str | None,
        after_id: str | None,
        limit: int | None,
    ) -> list[Any]:
        values: dict[str, Any] = {
            # No id is empty, so all are larger.
            "after_id": "" if after_id is None else after_id,
            "page": MAX_COUNTER if limit is None else limit,
        }
        if definition_hash is not None:
            values["definition_hash"] = definition_hash
        name = "all"
        if scope.status is not None:
            name, values["status"] = "status", scope.status
        elif scope.activities is not None:
            name = "activity" if len(scope.activities) == 1 else "activities"
            for index, activity in enumerate(scope.activities):
                values[f"activity_{index}"] = activity
        statement = _list_page[definition_hash is not None, name]
        return self._connection.execute(statement, values).all()

    def list_by_ids(
        self, process_ids: Sequence[str], *, is_running_only: bool = False
    ) -> tuple[ProcessRecord, ...]:
        """
        Return those of the processes that there are, by id.
        """
        statement = _list_running_by_ids if is_running_only else _list_by_ids
        rows = self._connection.execute(statement, {"process_ids": process_ids}).all()
        return tuple(_stored_from_row(row).record for row in rows)

    def list_running_ids(self, process_ids: Sequence[str]) -> tuple[str, ...]:
        """
        Return those of the processes that run, by id.
        """
        rows = self._connection.execute(
            _list_running_states, {"process_ids": process_ids}
        ).all()
        return tuple(_state_from_row(row).process_id for row in rows)

    def add(
        self, prepared: PreparedRegistration, *, now_ms: int
    ) -> ProcessRecord | None:
        """
        Add a process; return its record, or None if there is one of its id.
        """
        given, process_id = prepared.registration, prepared.registration.id
        state = ProcessState(
            process_id=process_id,
            definition_hash=prepared.definition_hash,
            updated_at_ms=now_ms,
        )
        added = self._connection.execute(
            _add, {"process_id": process_id, **_state_values(state)}
        )
        if added.rowcount != 1:
            return None
        fixed = {
            "registration_hash": prepared.registration_hash,
            "disposition": str(given.disposition),
            "identity_json": encode_record(prepared.identity, "the identity"),
            "provenance_json": encode_record(given.provenance, "the provenance"),
            "env_ref": given.env_ref,
            "created_at_ms": now_ms,
            "event_types_json": encode_json(
                msgspec.to_builtins(given.event_types), "the event types"
            ),
        }
        input_json = encode_record(given.input, "the input")
        self._connection.execute(
            _add_registration,
            {
                "process_id": process_id,
                **fixed,
                "checksum": _fixed_checksum(process_id, list(fixed.values())),
                "input_json": input_json,
                "input_checksum": _input_checksum(process_id, input_json),
            },
        )
        if given.wake_target is not None:
            self._add_wake_target(process_id, given.wake_target)
        return state.on(
            ProcessRecord(
                id=process_id,
                registration_hash=prepared.registration_hash,
                input=given.input,
                disposition=given.disposition,
                identity=prepared.identity,
                event_types=given.event_types,
                provenance=given.provenance,
                env_ref=given.env_ref,
                wake_target=given.wake_target,
                created_at_ms=now_ms,
                updated_at_ms=now_ms,
            )
        )

    def _add_wake_target(self, process_id: str, target: SessionScope) -> None:
        self._connection.execute(
            _add_wake_target,
            {
                "process_id": process_id,
                "session_id": target.session_id,
                "agent_frame_id": target.agent_frame_id,
                "checksum": _target_checksum(process_id, target),
            },
        )

    def put(self, state: ProcessState) -> None:
        """
        Write a state in place of the one before.
        """
        self._update(_put, state, _state_values(state))

    def advance(self, state: ProcessState, stored: StoredContext) -> None:
        """
        Write a state of which the last event and the time alone are others
        than what is stored.
        """
        columns = list(stored.columns)
        columns[_LAST_SEQUENCE] = state.last_sequence
        checksum = _state_checksum(
            state.process_id, columns, updated_at_ms=state.updated_at_ms
        )
        self._update(
            _advance,
            state,
            {
                "last_sequence": state.last_sequence,
                "updated_at_ms": state.updated_at_ms,
                "checksum": checksum,
            },
        )

    def _update(
        self, statement: sa.Update, state: ProcessState, values: dict[str, Any]
    ) -> None:
        done = self._connection.execute(
            statement, {"of_process_id": state.process_id, **values}
        )
        if done.rowcount != 1:
            raise UnknownProcessError(process_id=state.process_id)

    def hold_of_session(self, session_id: str, granted: Iterable[str]) -> bool:
        """
        As `hold`, for some processes and all that wake a session; tell
        whether others could write until then, so that what was read before
        must be read again.
        """
        if not self._connection.locks_rows:
            return False
        waking = self._connection.execute(
            _list_session_targets, {"session_id": session_id}
        ).all()
        self.hold_all(sorted({*granted, *(row.process_id for row in waking)}))
        return True

    def clear_session_targets(self, session_id: str, *, now_ms: int) -> None:
        """
        Take a session away as wake target of whatever process wakes it.
        """
        removed = self._connection.execute(
            _remove_session_targets, {"session_id": session_id}
        ).all()
        self._connection.execute(
            _touch,
            {"process_ids": [row.process_id for row in removed], "now_ms": now_ms},
        )

    def list_prunable(self, *, last_ms: int, page: int) -> tuple[str, ...]:
        """
        Return the ids of processes that ended until then, oldest first.
        """
        rows = self._connection.execute(
            _list_prunable, {"last_ms": last_ms, "page": page}
        ).all()
        return tuple(_state_from_row(row).process_id for row in rows)

    def hold_prunable(
        self, process_ids: Sequence[str], *, last_ms: int
    ) -> Sequence[str]:
        """
        Hold the processes; return those that ended until then, now that
        nobody can prune them and register them anew.
        """
        if not self._connection.locks_rows:
            return process_ids
        self.hold_all(process_ids)
        rows = self._connection.execute(
            _list_prunable_of, {"process_ids": process_ids, "last_ms": last_ms}
        ).all()
        return [_state_from_row(row).process_id for row in rows]

    def remove(self, process_ids: Sequence[str]) -> int:
        """
        Remove processes with all that belongs to them; return how many.
        """
        return self._connection.execute(_remove, {"process_ids": process_ids}).rowcount
