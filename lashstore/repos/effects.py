"""
Effect rows: the journal, and the leases on what is under way.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, verify_row
from lashstore.model.effects import (
    EffectClaim,
    EffectLease,
    EffectRow,
    EffectStatus,
    StoredEffect,
)
from lashstore.tables import effects

from ._dialect import BIND, any_of, insert_if_absent
from ._run import Answer, Runner
from ._scan import Scanned, full_scan, scanned

_KIND = "effect"
_c = effects.c
_CONTENT = (
    "scope_id",
    "replay_key",
    "session_id",
    "envelope_json",
    "status",
    "outcome_json",
    "error_json",
    "due_at_ms",
    "created_at_ms",
    "finished_at_ms",
)
_LEASE = ("lease_owner_id", "lease_token", "lease_expires_at_ms")
_NO_LEASE: dict[str, Any] = dict.fromkeys(_LEASE)
_is_effect = (_c.scope_id == BIND("of_scope_id")) & (
    _c.replay_key == BIND("of_replay_key")
)
_is_held = _is_effect & (_c.lease_token == BIND("of_token"))
_is_live = _is_held & (_c.lease_expires_at_ms > BIND("now_ms"))

_columns = (*(_c[name] for name in (*_CONTENT, *_LEASE)), _c.checksum)
_find = sa.select(*_columns).where(_is_effect)
_hold = _find.with_for_update()
_hold_lease = sa.select(_c.lease_token).where(_is_effect).with_for_update()
_find_lease = sa.select(*(_c[name] for name in _LEASE)).where(_is_effect)
_add = insert_if_absent(effects)
_take_over = (
    sa.update(effects)
    .where(
        _is_effect,
        _c.lease_expires_at_ms.is_(None) | (_c.lease_expires_at_ms <= BIND("now_ms")),
    )
    .values(
        lease_owner_id=BIND("new_owner_id"),
        lease_token=BIND("new_token"),
        lease_expires_at_ms=BIND("new_expires_at_ms"),
    )
)
_renew = (
    sa.update(effects)
    .where(_is_live)
    .values(
        lease_expires_at_ms=sa.case(
            (
                _c.lease_expires_at_ms > BIND("new_expires_at_ms"),
                _c.lease_expires_at_ms,
            ),
            else_=BIND("new_expires_at_ms", type_=sa.BigInteger),
        )
    )
)
_finish = (
    sa.update(effects)
    .where(_is_live)
    .values(
        status=BIND("new_status"),
        outcome_json=BIND("new_outcome_json"),
        error_json=BIND("new_error_json"),
        finished_at_ms=BIND("new_finished_at_ms"),
        checksum=BIND("new_checksum"),
        **_NO_LEASE,
    )
)
_free = sa.update(effects).where(_is_held).values(**_NO_LEASE)
_remove = sa.delete(effects).where(_is_held)
_remove_session = sa.delete(effects).where(
    _c.session_id == BIND("of_session_id"), _c.session_id.is_not(None)
)
_remove_finished = sa.delete(effects).where(
    _c.finished_at_ms < BIND("cutoff_ms"), _c.finished_at_ms.is_not(None)
)


# Much sooner looked up than called for; a checksum stands before them.
_STATUSES = {each.value: each for each in EffectStatus}


def _values(row: EffectRow) -> dict[str, Any]:
    values: dict[str, Any] = {
        "scope_id": row.scope_id,
        "replay_key": row.replay_key,
        "session_id": row.session_id,
        "envelope_json": row.envelope_json,
        "status": row.status.value,
        "outcome_json": row.outcome_json,
        "error_json": row.error_json,
        "due_at_ms": row.due_at_ms,
        "created_at_ms": row.created_at_ms,
        "finished_at_ms": row.finished_at_ms,
    }
    values["checksum"] = row_checksum("effects", *values.values())
    return values


def _lease_from_row(row: Any) -> EffectLease | None:
    if row.lease_token is None:
        return None
    return EffectLease(
        owner_id=row.lease_owner_id,
        token=row.lease_token,
        expires_at_ms=row.lease_expires_at_ms,
    )


def _effect_from_row(row: Any) -> StoredEffect:
    key = f"{row.scope_id} {row.replay_key}"
    verify_row(_KIND, key, row.checksum, "effects", *row[: len(_CONTENT)])
    return StoredEffect(
        row=EffectRow(
            scope_id=row.scope_id,
            replay_key=row.replay_key,
            session_id=row.session_id,
            envelope_json=row.envelope_json,
            status=_STATUSES[row.status],
            outcome_json=row.outcome_json,
            error_json=row.error_json,
            due_at_ms=row.due_at_ms,
            created_at_ms=row.created_at_ms,
            finished_at_ms=row.finished_at_ms,
        ),
        lease=_lease_from_row(row),
    )


def _of(scope_id: str, replay_key: str) -> dict[str, Any]:
    return {"of_scope_id": scope_id, "of_replay_key": replay_key}


def _of_claim(claim: EffectClaim) -> dict[str, Any]:
    return {
        **_of(claim.row.scope_id, claim.row.replay_key),
        "of_token": claim.lease.token,
    }


SCAN = full_scan(effects, _columns, _effect_from_row)
# Only what is asked for is read: a status is looked for among the keys of a
# range, which are small, and no index finds it.
_list_keys = (
    sa.select(_c.scope_id, _c.replay_key, _c.status)
    .where(
        sa.tuple_(_c.scope_id, _c.replay_key)
        > sa.tuple_(
            BIND("first_scope_id", type_=sa.Text),
            BIND("after_replay_key", type_=sa.Text),
        ),
        _c.scope_id < BIND("end_scope_id"),
    )
    .order_by(_c.scope_id, _c.replay_key)
    .limit(BIND("page"))
)
_look_at = SCAN.statement.where(
    any_of(_c.scope_id, "scope_ids"), any_of(_c.replay_key, "replay_keys")
)


class EffectRepository:
    """
    Rows of `effects`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(self, scope_id: str, replay_key: str) -> StoredEffect | None:
        """
        Return an effect; None if nobody ever began it.
        """
        row = self._connection.execute(_find, _of(scope_id, replay_key)).one_or_none()
        return None if row is None else _effect_from_row(row)

    def hold(self, scope_id: str, replay_key: str) -> StoredEffect | None:
        """
        As `find`; nobody else changes the effect until the transaction ends.
        """
        row = self._connection.execute(_hold, _of(scope_id, replay_key)).one_or_none()
        return None if row is None else _effect_from_row(row)

    def ask_hold(self, claim: EffectClaim) -> Answer[object]:
        """
        Let nobody else change an effect until the transaction ends; it is so
        when the answer is there.
        """
        if not self._connection.locks_rows:
            # Writers wait for the whole database.
            return bool
        asked = self._connection.execute(
            _hold_lease, _of(claim.row.scope_id, claim.row.replay_key)
        )
        return asked.all

    def list_keys(
        self,
        *,
        first_scope_id: str,
        end_scope_id: str,
        after_replay_key: str,
        page: int,
    ) -> tuple[tuple[str, str, str], ...]:
        """
        Return up to *page* effects of a range of scopes, in the order of
        their keys: scope, replay key, status.

        Args:
            end_scope_id: The first scope that is not wanted any more.

            after_replay_key: In the first scope, only what is behind it; no
                replay key is empty.
        """
        rows = self._connection.execute(
            _list_keys,
            {
                "first_scope_id": first_scope_id,
                "end_scope_id": end_scope_id,
                "after_replay_key": after_replay_key,
                "page": page,
            },
        ).all()
        return tuple((row.scope_id, row.replay_key, row.status) for row in rows)

    def look_at(self, keys: Collection[tuple[str, str]]) -> tuple[Scanned, ...]:
        """
        Return the effects of some scopes and replay keys, in the order of
        their keys, damaged ones too: each decodes to a `StoredEffect`.
        """
        rows = self._connection.execute(
            _look_at,
            {
                "scope_ids": sorted({scope_id for scope_id, _ in keys}),
                "replay_keys": sorted({replay_key for _, replay_key in keys}),
            },
        ).all()
        return tuple(
            scanned(SCAN, row) for row in rows if (row.scope_id, row.replay_key) in keys
        )

    def find_lease(self, scope_id: str, replay_key: str) -> EffectLease | None:
        """
        Return who runs an effect, without reading what it is about.
        """
        row = self._connection.execute(
            _find_lease, _of(scope_id, replay_key)
        ).one_or_none()
        return None if row is None else _lease_from_row(row)

    def add(self, claim: EffectClaim) -> bool:
        """
        Insert an effect under its first lease, unless there is one of its
        key; tell whether it was inserted.
        """
        inserted = self._connection.execute(
            _add,
            {
                **_values(claim.row),
                "lease_owner_id": claim.lease.owner_id,
                "lease_token": claim.lease.token,
                "lease_expires_at_ms": claim.lease.expires_at_ms,
            },
        )
        return inserted.rowcount == 1

    def take_over(self, claim: EffectClaim, *, now_ms: int) -> bool:
        """
        Lease an effect nobody runs; tell whether it was one.
        """
        updated = self._connection.execute(
            _take_over,
            {
                **_of(claim.row.scope_id, claim.row.replay_key),
                "now_ms": now_ms,
                "new_owner_id": claim.lease.owner_id,
                "new_token": claim.lease.token,
                "new_expires_at_ms": claim.lease.expires_at_ms,
            },
        )
        return updated.rowcount == 1

    def renew(self, claim: EffectClaim, *, now_ms: int, expires_at_ms: int) -> bool:
        """
        Move the end of a live claim, never to an earlier one; tell whether it
        was live.
        """
        updated = self._connection.execute(
            _renew,
            {
                **_of_claim(claim),
                "now_ms": now_ms,
                "new_expires_at_ms": expires_at_ms,
            },
        )
        return updated.rowcount == 1

    def finish(self, claim: EffectClaim, finished: EffectRow, *, now_ms: int) -> bool:
        """
        Write the outcome of a live claim and end it; tell whether it was
        live.
        """
        updated = self._connection.execute(
            _finish,
            {
                **_of_claim(claim),
                "now_ms": now_ms,
                "new_status": finished.status.value,
                "new_outcome_json": finished.outcome_json,
                "new_error_json": finished.error_json,
                "new_finished_at_ms": finished.finished_at_ms,
                "new_checksum": _values(finished)["checksum"],
            },
        )
        return updated.rowcount == 1

    def free(self, claim: EffectClaim) -> None:
        """
        End a claim and keep the effect; nothing happens if somebody else has
        it by now.
        """
        self._connection.execute(_free, _of_claim(claim))

    def remove(self, claim: EffectClaim) -> None:
        """
        End a claim and forget the effect; nothing happens if somebody else
        has it by now.
        """
        self._connection.execute(_remove, _of_claim(claim))

    def remove_session(self, session_id: str) -> int:
        """
        Remove the effects of every scope of a session; return how many.
        """
        return self._connection.execute(
            _remove_session, {"of_session_id": session_id}
        ).rowcount

    def remove_finished(self, *, cutoff_ms: int) -> int:
        """
        Remove the effects that finished before *cutoff_ms*; return how many.
        """
        return self._connection.execute(
            _remove_finished, {"cutoff_ms": cutoff_ms}
        ).rowcount
