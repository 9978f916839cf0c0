"""
Handle grant rows: which session scope may address which process.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from lashstore.codec import decode_stored, row_checksum, verify_row
from lashstore.model.process_grants import ProcessHandleDescriptor, ProcessHandleGrant
from lashstore.model.processes import SessionScope
from lashstore.tables import process_handle_grants

from ._dialect import BIND, any_of, upsert
from ._listing import list_rows, listing
from ._run import Runner
from ._scan import Scanned, full_scan

_KIND = "process handle grant"
_c = process_handle_grants.c
_other = process_handle_grants.alias("other")
_of_scope = (
    _c.session_id == BIND("session_id"),
    _c.agent_frame_id == BIND("agent_frame_id"),
)
_columns = (
    _c.session_id,
    _c.agent_frame_id,
    _c.process_id,
    _c.descriptor_json,
    _c.checksum,
)

_put = upsert(process_handle_grants, ("descriptor_json", "checksum"))
_find = sa.select(*_columns).where(*_of_scope, _c.process_id == BIND("process_id"))
_list_by_scope = sa.select(*_columns).where(*_of_scope).order_by(_c.process_id)
_list_some = sa.select(*_columns).where(
    *_of_scope, any_of(_c.process_id, "process_ids")
)
_list_for_process = (
    sa.select(*_columns)
    .where(_c.process_id == BIND("process_id"))
    .order_by(_c.session_id, _c.agent_frame_id)
)
_is_kept = sa.exists().where(
    _other.c.process_id == _c.process_id,
    _other.c.session_id != BIND("session_id"),
)
_list_by_session = sa.select(*_columns, _is_kept.label("is_kept")).where(
    _c.session_id == BIND("session_id")
)
_remove = sa.delete(process_handle_grants).where(
    *_of_scope, any_of(_c.process_id, "process_ids")
)
_remove_by_session = sa.delete(process_handle_grants).where(
    _c.session_id == BIND("session_id"), any_of(_c.process_id, "process_ids")
)


def _scope_key(scope: SessionScope) -> dict[str, Any]:
    # No frame and an empty one are the same scope.
    return {
        "session_id": scope.session_id,
        "agent_frame_id": scope.agent_frame_id or "",
    }


def _grant_from_row(row: Any) -> ProcessHandleGrant:
    key = f"{row.session_id}:{row.agent_frame_id}:{row.process_id}"
    verify_row(_KIND, key, row.checksum, "process_handle_grants", *row[:4])
    descriptor: ProcessHandleDescriptor = decode_stored(
        ProcessHandleDescriptor, row.descriptor_json, _KIND, key
    )
    return ProcessHandleGrant(
        session_id=row.session_id, process_id=row.process_id, descriptor=descriptor
    )


SCAN = full_scan(process_handle_grants, _columns, _grant_from_row)
_look = listing(
    SCAN,
    _c.process_id == BIND("process_id"),
    order_by=(_c.session_id, _c.agent_frame_id),
)


class HandleGrantRepository:
    """
    Rows of `process_handle_grants`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def put_all(
        self, scope: SessionScope, descriptors: Iterable[tuple[str, str]]
    ) -> None:
        """
        Grant processes to a scope in place of what it was granted before.

        Args:
            descriptors: Process ids, each with its descriptor's JSON form.
        """
        key = _scope_key(scope)
        rows = [
            {
                **key,
                "process_id": process_id,
                "descriptor_json": descriptor_json,
                "checksum": row_checksum(
                    "process_handle_grants",
                    *key.values(),
                    process_id,
                    descriptor_json,
                ),
            }
            for process_id, descriptor_json in descriptors
        ]
        if rows:
            self._connection.execute(_put, rows)

    def find(self, scope: SessionScope, process_id: str) -> ProcessHandleGrant | None:
        """
        Return a scope's grant of a process; None if it has none.
        """
        row = self._connection.execute(
            _find, {**_scope_key(scope), "process_id": process_id}
        ).one_or_none()
        return None if row is None else _grant_from_row(row)

    def list_by_scope(self, scope: SessionScope) -> tuple[ProcessHandleGrant, ...]:
        """
        Return a scope's grants, by process id.
        """
        rows = self._connection.execute(_list_by_scope, _scope_key(scope)).all()
        return tuple(_grant_from_row(row) for row in rows)

    def find_descriptors(
        self, scope: SessionScope, process_ids: Sequence[str]
    ) -> dict[str, str]:
        """
        Return the descriptors, as JSON, of those that the scope was granted.
        """
        rows = self._connection.execute(
            _list_some, {**_scope_key(scope), "process_ids": process_ids}
        ).all()
        return {_grant_from_row(row).process_id: row.descriptor_json for row in rows}

    def list_for_process(self, process_id: str) -> tuple[ProcessHandleGrant, ...]:
        """
        Return a process's grants, by session and frame.
        """
        rows = self._connection.execute(
            _list_for_process, {"process_id": process_id}
        ).all()
        return tuple(_grant_from_row(row) for row in rows)

    def look(self, process_id: str, *, page: int) -> tuple[Scanned, ...]:
        """
        Return up to *page* grants on a process, by scope, damaged ones too:
        each decodes to a `ProcessHandleGrant`.
        """
        values = {"process_id": process_id}
        return list_rows(self._connection, _look, values, page=page)

    def list_by_session(self, session_id: str) -> dict[str, bool]:
        """
        Return the processes granted to any frame of a session, each with
        whether another session has a grant of it as well.
        """
        rows = self._connection.execute(
            _list_by_session, {"session_id": session_id}
        ).all()
        return {_grant_from_row(row).process_id: bool(row.is_kept) for row in rows}

    def remove(self, scope: SessionScope, process_ids: Sequence[str]) -> None:
        """
        Revoke a scope's grants, if it has them.
        """
        self._connection.execute(
            _remove, {**_scope_key(scope), "process_ids": process_ids}
        )

    def remove_by_session(self, session_id: str, process_ids: Sequence[str]) -> int:
        """
        Revoke every grant of a session to these processes; return how many
        there were.
        """
        return self._connection.execute(
            _remove_by_session, {"session_id": session_id, "process_ids": process_ids}
        ).rowcount
