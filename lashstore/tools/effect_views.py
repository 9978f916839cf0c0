"""
Effects to look at: what was begun in which scope, and what came of it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from lashstore.codec import encode_json
from lashstore.errors import InvalidArgumentError
from lashstore.model.effects import (
    EffectFailureRecord,
    EffectStatus,
    StoredEffect,
    scope_from_key,
)
from lashstore.model.leases import is_live
from lashstore.model.record import Json, Record, require_text
from lashstore.repos.effects import EffectRepository

from .pages import Damaged, HoldView, as_json, sift
from .reading import ComponentReader
from .scanning import lenient

# Keys looked through at a time, and in all before a page ends: with a status
# that few effects have, a page may then be short and the next one go on.
_KEYS = 1_000
_MOST_KEYS = 20_000
# Behind every text: the last of all characters.
_END = "\U0010ffff"


class EffectView(Record, frozen=True, kw_only=True):
    """
    An effect. `command` and `outcome` are None unless content was asked for;
    `outcome_bytes` None: there is no outcome.
    """

    scope: Json
    replay_key: str
    kind: str
    effect_id: str
    status: str
    lease: HoldView | None
    due_at_ms: int | None
    created_at_ms: int
    finished_at_ms: int | None
    error: EffectFailureRecord | None
    command_bytes: int
    outcome_bytes: int | None
    command: Json
    outcome: Json


class EffectPage(Record, frozen=True, kw_only=True):
    """
    Effects by scope and replay key, and the damaged ones among them.

    A page may be shorter than its limit with more to come, where a status was
    asked for that few have.
    """

    place: str
    now_ms: int
    effects: tuple[EffectView, ...]
    damaged: tuple[Damaged, ...]
    next_after: str | None


class EffectsWanted(Record, frozen=True, kw_only=True):
    """
    Which effects a list shows; None restricts nothing.

    `session_id`: of the session's turns, drains and deletion. `process_id`:
    of a process. At most one of the two.
    """

    session_id: str | None = None
    process_id: str | None = None
    status: EffectStatus | None = None


class _Range(NamedTuple):
    first: str
    end: str


class _Key(NamedTuple):
    scope_id: str
    replay_key: str


def list_effects(
    reader: ComponentReader,
    wanted: EffectsWanted,
    *,
    after: str | None,
    limit: int,
    has_content: bool,
) -> EffectPage:
    """
    Return a page of effects.

    Args:
        after: `next_after` of the page before; None: from the first on.

        has_content: With commands and outcomes, which may be large.

    Raises:
        InvalidArgumentError: *after* names no effect, or a session and a
            process were asked for.
        StoreNotFoundError, StoreBusyError, BackendError: They cannot be read.
    """
    ranges = _ranges(wanted)
    begin = None if after is None else _key_from(after)

    def look(connection: sa.Connection) -> EffectPage:
        lenient(connection)
        now_ms, rows = reader.clock.now_ms(), EffectRepository(connection)
        keys, last = _find_keys(rows, ranges, begin, wanted.status, limit)
        damaged: list[Damaged] = []
        found = rows.look_at(frozenset(keys)) if keys else ()
        views = sift(
            "effects",
            found,
            lambda each: _effect_view(each.value, now_ms, has_content=has_content),
            damaged,
        )
        return EffectPage(
            place=reader.place,
            now_ms=now_ms,
            effects=tuple(views),
            damaged=tuple(damaged),
            next_after=None if last is None else _text_of(last),
        )

    return reader.read(look)


def _find_keys(
    rows: EffectRepository,
    ranges: list[_Range],
    begin: _Key | None,
    status: EffectStatus | None,
    limit: int,
) -> tuple[list[_Key], _Key | None]:
    """
    Return the keys of a page, and the one that the next begins behind.
    """
    found: list[_Key] = []
    last: _Key | None = None
    # What has no status asked for is found as it comes.
    page = limit + 1 if status is None else _KEYS
    for count, (key, stands) in enumerate(_walk(rows, ranges, begin, page)):
        if len(found) == limit or count == _MOST_KEYS:
            return found, last
        last = key
        if status is None or stands == status:
            found.append(key)
    return found, None


def _walk(
    rows: EffectRepository, ranges: list[_Range], begin: _Key | None, page: int
) -> Iterator[tuple[_Key, str]]:
    for first, end in ranges:
        after = _Key(first, "")
        if begin is not None and begin.scope_id >= end:
            continue
        if begin is not None and begin.scope_id >= first:
            after = begin
        while keys := rows.list_keys(
            first_scope_id=after.scope_id,
            end_scope_id=end,
            after_replay_key=after.replay_key,
            page=page,
        ):
            for scope_id, replay_key, status in keys:
                after = _Key(scope_id, replay_key)
                yield after, status
            if len(keys) < page:
                break


def _ranges(wanted: EffectsWanted) -> list[_Range]:
    if wanted.session_id is not None and wanted.process_id is not None:
        msg = "ask for the effects of a session or of a process, not for both"
        raise InvalidArgumentError(msg)
    if wanted.session_id is not None:
        require_text("session_id", wanted.session_id)
        kinds = ("queue_drain", "session_delete", "turn")
        return [_range_of(kind, wanted.session_id) for kind in kinds]
    if wanted.process_id is not None:
        require_text("process_id", wanted.process_id)
        return [_range_of("process", wanted.process_id)]
    return [_Range("", _END)]


def _range_of(kind: str, name: str) -> _Range:
    # A scope's key is its kind and ids as a JSON array: behind the first two
    # comes ',' or ']', and '^' is the character behind ']'.
    start = encode_json([kind, name], "the scope")[:-1]
    return _Range(f"{start},", f"{start}^")


def _text_of(key: _Key) -> str:
    try:
        ids = msgspec.json.decode(key.scope_id, type=list[str])
    except (msgspec.MsgspecError, ValueError):
        # Of a damaged row.
        ids = [key.scope_id]
    return encode_json([*ids, key.replay_key], "the place")


def _key_from(text: str) -> _Key:
    try:
        *ids, replay_key = msgspec.json.decode(text, type=list[str])
    except (msgspec.MsgspecError, ValueError) as error:
        msg = f"{text!r} is no effect: give what the page before named"
        raise InvalidArgumentError(msg) from error
    scope_id = ids[0] if len(ids) == 1 else encode_json(ids, "the place")
    return _Key(scope_id, replay_key)


def _effect_view(stored: StoredEffect, now_ms: int, *, has_content: bool) -> EffectView:
    row = stored.row
    envelope: Any = msgspec.json.decode(row.envelope_json)
    return EffectView(
        scope=as_json(scope_from_key(row.scope_id)),
        replay_key=row.replay_key,
        kind=envelope["kind"],
        effect_id=envelope["effect_id"],
        status=row.status,
        lease=_lease_view(stored, now_ms),
        due_at_ms=row.due_at_ms,
        created_at_ms=row.created_at_ms,
        finished_at_ms=row.finished_at_ms,
        error=None
        if row.error_json is None
        else msgspec.json.decode(row.error_json, type=EffectFailureRecord),
        command_bytes=len(encode_json(envelope["command"], "the command").encode()),
        outcome_bytes=None
        if row.outcome_json is None
        else len(row.outcome_json.encode()),
        command=envelope["command"] if has_content else None,
        outcome=msgspec.json.decode(row.outcome_json)
        if has_content and row.outcome_json is not None
        else None,
    )


def _lease_view(stored: StoredEffect, now_ms: int) -> HoldView | None:
    lease = stored.lease
    if lease is None:
        return None
    return HoldView(
        owner_id=lease.owner_id,
        incarnation_id=None,
        host_id=None,
        claim_id=None,
        claimed_at_ms=None,
        expires_at_ms=lease.expires_at_ms,
        is_live=is_live(lease.expires_at_ms, now_ms),
    )
