"""
Deleting sessions, but none that a host is running: `lashstore rm`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from lashstore.connections import is_absent
from lashstore.engines import parse_target
from lashstore.engines.schema import component_versions
from lashstore.errors import LashStoreError, StoreNotFoundError
from lashstore.factory import SessionStoreFactory
from lashstore.files import remove_files
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record
from lashstore.session_places import is_session_file_name, session_file_name
from lashstore.tables import SESSION_COMPONENT

from .overviews import file_bytes
from .reading import SessionReader, open_session
from .session_reports import LeaseReport, find_lease


class Removal(Record, frozen=True, kw_only=True):
    """
    A session to delete. `refusal` says why not, None if nothing speaks
    against it; `session_id` is None of a file that does not tell its own.
    """

    session_id: str | None
    place: str
    head_revision: int = 0
    stored_bytes: int | None = None
    refusal: str | None = None


def plan_removal(
    target: str | Path, session_ids: Sequence[str] | None
) -> tuple[Removal, ...]:
    """
    Look at sessions before they are deleted; nothing is changed.

    Args:
        session_ids: None: that of the file *target*.

    Raises:
        StoreNotFoundError: There is no such session.
        StoreBusyError, BackendError: A server cannot be read.
    """
    wanted = [None] if session_ids is None else list(dict.fromkeys(session_ids))
    return tuple(_plan(target, session_id) for session_id in wanted)


def _plan(target: str | Path, session_id: str | None) -> Removal:
    try:
        with open_session(target, session_id) as reader:
            return _looked_at(reader)
    except StoreNotFoundError:
        raise
    except LashStoreError as error:
        # A file is a session's by its name, whatever is in it.
        path = _file_of(target, session_id)
        if path is None or is_absent(path) or not is_session_file_name(path.name):
            raise
        return Removal(
            session_id=session_id,
            place=str(path),
            stored_bytes=file_bytes(path),
            refusal=f"whether {path} is in use cannot be told: {error}",
        )


def _looked_at(reader: SessionReader) -> Removal:
    lease, position = reader.look_past_seal(
        lambda tx: (find_lease(tx), tx.overviews.find_position(tx.session_id))
    )
    others = set() if reader.path is None else {*reader.read(component_versions)}
    refusal = None
    if lease is not None and lease.is_held:
        refusal = _held(reader.session_id, lease)
    elif others - {SESSION_COMPONENT}:
        shared = ", ".join(sorted(others - {SESSION_COMPONENT}))
        refusal = f"{reader.place} holds more than a session: {shared}"
    return Removal(
        session_id=reader.session_id,
        place=reader.place,
        head_revision=0 if position is None else position.head_revision,
        stored_bytes=file_bytes(reader.path),
        refusal=refusal,
    )


def _held(session_id: str, lease: LeaseReport) -> str:
    assert lease.owner is not None  # noqa: S101, by somebody
    assert lease.expires_at_ms is not None  # noqa: S101, until then
    until = datetime.fromtimestamp(lease.expires_at_ms / 1000, tz=UTC)
    return (
        f"session {session_id!r} is being run by {lease.owner.owner_id!r} "
        f"(its lease is good until {until:%Y-%m-%d %H:%M:%SZ})"
    )


def _file_of(target: str | Path, session_id: str | None) -> Path | None:
    place = parse_target(target)
    if isinstance(place, sa.URL):
        return None
    return place if session_id is None else place / session_file_name(session_id)


def remove(target: str | Path, removal: Removal) -> None:
    """
    Delete a session for good, as `SessionStoreFactory.delete_session` does.
    Safe to retry.

    Raises:
        StoreBusyError: A writer did not finish in time.
        BackendError: A file could not be removed, or a server failed.
    """
    place = parse_target(target)
    if isinstance(place, Path) and not place.is_dir():
        remove_files(place, StoreOptions())
    elif removal.session_id is not None:
        with SessionStoreFactory(target) as factory:
            factory.delete_session(removal.session_id)
