"""
What changed between two values of plain data.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from .record import Json, Record


class Change(StrEnum):
    """
    What happened to a member.
    """

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class ValueChange(Record, frozen=True, kw_only=True, omit_defaults=True):
    """
    One member that differs; `path` is its JSON Pointer (RFC 6901), "" for the
    whole value. `before` is absent for what was added, `after` for what was
    removed.
    """

    path: str
    change: Change
    before: Json | msgspec.UnsetType = msgspec.UNSET
    after: Json | msgspec.UnsetType = msgspec.UNSET


def value_changes(before: Json, after: Json) -> tuple[ValueChange, ...]:
    """
    Compare two values: objects member by member however deep, everything else
    as a whole.

    Returns:
        What differs, in the order of the paths; empty if the values are equal.
    """
    return tuple(sorted(_changes("", before, after), key=lambda found: found.path))


def _changes(path: str, before: Json, after: Json) -> Iterator[ValueChange]:
    pending: list[tuple[str, Any, Any]] = [(path, before, after)]
    while pending:
        at, old, new = pending.pop()
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _one_sided(at, old, new)
            pending += [
                (_member(at, key), old[key], new[key]) for key in old if key in new
            ]
        elif not _is_same(old, new):
            yield ValueChange(path=at, change=Change.CHANGED, before=old, after=new)


def _one_sided(at: str, old: Any, new: Any) -> Iterator[ValueChange]:
    for key in old.keys() - new.keys():
        yield ValueChange(path=_member(at, key), change=Change.REMOVED, before=old[key])
    for key in new.keys() - old.keys():
        yield ValueChange(path=_member(at, key), change=Change.ADDED, after=new[key])


def _member(path: str, key: str) -> str:
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def _is_same(old: Any, new: Any) -> bool:
    # True is 1 and 1.0 in Python, but not in JSON.
    return type(old) is type(new) and bool(old == new)
