"""
What the pages of rows share that operators look at.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from lashstore.errors import InvalidArgumentError, LashStoreError
from lashstore.model.leases import LeaseOwnerIdentity, LocalProcessLiveness, is_live
from lashstore.model.record import Record
from lashstore.repos._scan import Scanned

from .scanning import reason_of

T = TypeVar("T")


class Damaged(Record, frozen=True, kw_only=True):
    """
    A row that does not verify: where it is, and what is wrong with it.
    """

    table: str
    key: str
    error: str


class HoldView(Record, frozen=True, kw_only=True):
    """
    A claim or lease, without the token that proves it; `is_live` by the
    clock of the database. `host_id` None: its death cannot be proven.
    """

    owner_id: str
    incarnation_id: str | None
    host_id: str | None
    claim_id: str | None
    claimed_at_ms: int | None
    expires_at_ms: int
    is_live: bool


def view_of_hold(
    owner: LeaseOwnerIdentity,
    *,
    claim_id: str | None,
    claimed_at_ms: int,
    expires_at_ms: int,
    now_ms: int,
) -> HoldView:
    """
    Return what may be shown of a hold.
    """
    liveness = owner.liveness
    return HoldView(
        owner_id=owner.owner_id,
        incarnation_id=owner.incarnation_id,
        host_id=liveness.host_id
        if isinstance(liveness, LocalProcessLiveness)
        else None,
        claim_id=claim_id,
        claimed_at_ms=claimed_at_ms,
        expires_at_ms=expires_at_ms,
        is_live=is_live(expires_at_ms, now_ms),
    )


def sift(
    table: str,
    rows: Iterable[Scanned],
    view: Callable[[Scanned], T],
    damaged: list[Damaged],
) -> list[T]:
    """
    Return the views of the rows that verify, and note the others.
    """
    views = []
    for scanned in rows:
        error = scanned.error
        if error is None:
            try:
                views.append(view(scanned))
            except (LashStoreError, ValueError, TypeError) as caught:
                error = caught
        if error is not None:
            damaged.append(
                Damaged(table=table, key=scanned.key, error=reason_of(error))
            )
    return views


def cut(rows: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """
    Return a page of what was read with one row more, and whether more follow.
    """
    return rows[:limit], len(rows) > limit


def place_after(after: str | None, *, otherwise: int) -> int:
    """
    Return the number that a page begins behind.

    Raises:
        InvalidArgumentError: It is none.
    """
    if after is None:
        return otherwise
    if not after.isascii() or not after.isdecimal() or int(after) >= 2**63:
        msg = f"{after!r} is no number of a row: give what the page before named"
        raise InvalidArgumentError(msg)
    return int(after)


def as_json(value: Any) -> Any:
    """
    Return a record as plain data.
    """
    return msgspec.to_builtins(value, builtin_types=(bytes,))
