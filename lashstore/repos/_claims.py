"""
The claim columns, which batches and turn inputs share.
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from lashstore.codec import encode_record, stored_decoder
from lashstore.model.claims import ClaimGrant, ClaimHold, death_host
from lashstore.model.leases import LeaseOwnerIdentity
from lashstore.model.record import Record

from ._dialect import BIND, any_of
from ._run import Runner

CLAIM_COLUMNS = (
    "claim_id",
    "claim_token",
    "claim_owner_json",
    "claim_fencing_token",
    "claimed_at_ms",
    "claim_expires_at_ms",
)
NO_CLAIM: dict[str, Any] = dict.fromkeys(
    (
        "claim_id",
        "claim_token",
        "claim_owner_json",
        "claim_host_id",
        "claimed_at_ms",
        "claim_expires_at_ms",
    )
)
# The same for an UPDATE, as constants of the statement.
CLEARED_CLAIM: dict[str, Any] = dict.fromkeys(NO_CLAIM, sa.null())
_MAX_PAGE = 64


def is_unclaimed(table: sa.Table) -> sa.ColumnElement[bool]:
    """
    No claim on the row is live at `:now_ms`.
    """
    expires = table.c.claim_expires_at_ms
    return expires.is_(None) | (expires <= BIND("now_ms"))


def may_be_claimable(table: sa.Table) -> sa.ColumnElement[bool]:
    """
    The row is unclaimed, or its holder's death could be proven on `:host_id`.
    """
    return is_unclaimed(table) | (table.c.claim_host_id == BIND("host_id"))


def is_of_claim(table: sa.Table) -> sa.ColumnElement[bool]:
    """
    The row belongs to the claim `:of_claim_id` with token `:of_token`.
    """
    return (
        (table.c.session_id == BIND("of_session_id"))
        & (table.c.claim_id == BIND("of_claim_id"))
        & (table.c.claim_token == BIND("of_token"))
    )


def of_claim(session_id: str, claim_id: str, token: str) -> dict[str, Any]:
    """
    Return the parameters of `is_of_claim`.
    """
    return {"of_session_id": session_id, "of_claim_id": claim_id, "of_token": token}


def grant_statement(table: sa.Table, key: sa.Column[Any], **values: Any) -> sa.Update:
    """
    Write a grant over the rows whose keys are bound as `:keys`.
    """
    return (
        sa.update(table)
        .where(table.c.session_id == BIND("of_session_id"), any_of(key, "keys"))
        .values(
            claim_id=BIND("new_claim_id"),
            claim_token=BIND("new_token"),
            claim_owner_json=BIND("new_owner_json"),
            claim_host_id=BIND("new_host_id"),
            claimed_at_ms=BIND("new_claimed_at_ms"),
            claim_expires_at_ms=BIND("new_expires_at_ms"),
            claim_fencing_token=table.c.claim_fencing_token + sa.literal_column("1"),
            **values,
        )
    )


def grant_values(session_id: str, grant: ClaimGrant, keys: list[str]) -> dict[str, Any]:
    """
    Return the parameters of `grant_statement`.
    """
    return {
        "of_session_id": session_id,
        "keys": keys,
        "new_claim_id": grant.claim_id,
        "new_token": grant.token,
        "new_owner_json": encode_record(grant.owner, "the owner"),
        "new_host_id": death_host(grant.owner),
        "new_claimed_at_ms": grant.claimed_at_ms,
        "new_expires_at_ms": grant.expires_at_ms,
    }


def renew_statement(table: sa.Table, key: sa.Column[Any]) -> Any:
    """
    Move the end of a claim's rows to `:new_expires_at_ms`, never to an
    earlier one, while the claim is live at `:now_ms`; return the keys.
    """
    expires = table.c.claim_expires_at_ms
    later = sa.case(
        (expires > BIND("new_expires_at_ms"), expires),
        else_=BIND("new_expires_at_ms", type_=sa.BigInteger),
    )
    return (
        sa.update(table)
        .where(is_of_claim(table), expires > BIND("now_ms"))
        .values(claim_expires_at_ms=later)
        .returning(key.label("key"), expires)
    )


class RenewedClaim(Record, frozen=True, kw_only=True):
    """
    The keys a renewal reached, and the end they have now.
    """

    keys: frozenset[str]
    expires_at_ms: int


def renew(
    connection: Runner,
    statement: Any,
    claim: dict[str, Any],
    *,
    now_ms: int,
    expires_at_ms: int,
) -> RenewedClaim:
    """
    Run a `renew_statement` for the claim of `of_claim`.
    """
    rows = connection.execute(
        statement,
        {**claim, "now_ms": now_ms, "new_expires_at_ms": expires_at_ms},
    ).all()
    return RenewedClaim(
        keys=frozenset(row.key for row in rows),
        expires_at_ms=max((row.claim_expires_at_ms for row in rows), default=0),
    )


def hold_from_row(record_kind: str, key: str, row: Any) -> ClaimHold | None:
    """
    Return the claim on a row; None if there is none.
    """
    if row.claim_id is None:
        return None
    owner: LeaseOwnerIdentity = stored_decoder(LeaseOwnerIdentity, record_kind)(
        row.claim_owner_json, key
    )
    return ClaimHold(
        claim_id=row.claim_id,
        token=row.claim_token,
        owner=owner,
        claimed_at_ms=row.claimed_at_ms,
        expires_at_ms=row.claim_expires_at_ms,
    )


class HeldRow(Record, frozen=True, kw_only=True):
    """
    What a row says to who cannot open its content.
    """

    hold: ClaimHold | None


def page_through(
    list_page: Callable[[int, int], list[Any]], first_page: int
) -> Iterator[Any]:
    """
    Yield rows in the order of `enqueue_seq`, a page at a time.

    Args:
        list_page: Returns up to a number of rows after a sequence number.

        first_page: Rows of the first page; later ones are larger, so that
            taking one row costs one row and taking many costs few pages.
    """
    after_seq, limit = 0, max(1, min(first_page, _MAX_PAGE))
    while True:
        rows = list_page(after_seq, limit)
        yield from rows
        if len(rows) < limit:
            return
        after_seq, limit = rows[-1].enqueue_seq, min(4 * limit, _MAX_PAGE)
