"""
What `doctor` sees inside a database, of a file or a server.
"""

import shlex
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from lashstore.engines.schema import component_versions
from lashstore.errors import CorruptRecordError
from lashstore.repos._times import EXPIRIES, PAST, expired, later_than
from lashstore.repos.sessions import SessionRepository
from lashstore.store.sealing import sealing_key_id
from lashstore.tables import SCHEMA_VERSIONS, SESSION_COMPONENT

from .diagnosis import Chart, Health

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS


def look_at_versions(
    chart: Chart, connection: sa.Connection, place: Path | str
) -> dict[str, str | None]:
    """
    Note each component's schema version; return them.
    """
    versions = component_versions(connection)
    for component, version in versions.items():
        expected = SCHEMA_VERSIONS[component]
        is_current = version == expected
        chart.add(
            "schema",
            Health.OK if is_current else Health.PROBLEM,
            f"the {component} schema is version {version or 'unknown'}"
            + ("" if is_current else f", this lashstore needs {expected}"),
            path=place,
            command=None
            if is_current
            else f"lashstore db upgrade {shlex.quote(str(place))}",
        )
    return versions


def look_at_seals(
    chart: Chart,
    connection: sa.Connection,
    place: Path | str,
    versions: dict[str, str | None],
) -> None:
    """
    Note how many sessions are sealed, and by which keys.
    """
    if versions.get(SESSION_COMPONENT) != SCHEMA_VERSIONS[SESSION_COMPONENT]:
        return
    keys: Counter[str] = Counter()
    damaged = []
    for identity in SessionRepository(connection).list_sealed():
        try:
            keys[sealing_key_id(identity) or ""] += 1
        except CorruptRecordError:
            damaged.append(identity.session_id)
    if damaged:
        chart.add(
            "seals",
            Health.PROBLEM,
            f"what tells the key of a sealed session is damaged: {damaged}",
            path=place,
            command=f"lashstore verify {shlex.quote(str(place))}",
        )
    if keys:
        told = ", ".join(f"{n} with key {key!r}" for key, n in sorted(keys.items()))
        chart.add(
            "seals",
            Health.OK,
            f"sealed sessions: {told}. Keep these keys as long as the files and "
            "their backups: nobody can read them without",
            path=place,
        )


def look_at_clock(
    chart: Chart,
    connection: sa.Connection,
    place: Path | str,
    now_ms: int,
    tables: set[str],
) -> None:
    """
    Note rows from the future, of *tables* that are there.
    """
    ahead = []
    for column in PAST:
        if column.table.name in tables:
            count, last_ms = later_than(connection, column, now_ms + _MINUTE_MS)
            if count:
                ahead.append(
                    f"{count} in {column.table.name}.{column.name}, up to "
                    f"{_time(last_ms)}"
                )
    if ahead:
        chart.add(
            "clock",
            Health.WARNING,
            "rows are from the future: the clock of some host was set back, or ran "
            f"ahead ({'; '.join(ahead)}). Leases and timers of that time end late",
            path=place,
            command="timedatectl status",
        )
    else:
        chart.add("clock", Health.OK, "no row is from the future", path=place)


def look_at_holds(
    chart: Chart,
    connection: sa.Connection,
    place: Path | str,
    now_ms: int,
    tables: set[str],
) -> None:
    """
    Note what is held too long, or ran out, of *tables* that are there.
    """
    stale, long = [], []
    for column in EXPIRIES:
        if column.table.name not in tables:
            continue
        count, first_ms = expired(connection, column, now_ms)
        if count:
            stale.append(
                f"{count} in {column.table.name}, the oldest since {_time(first_ms)}"
            )
        count, last_ms = later_than(connection, column, now_ms + _DAY_MS)
        if count:
            long.append(f"{count} in {column.table.name}, up to {_time(last_ms)}")
    if long:
        chart.add(
            "leases",
            Health.WARNING,
            f"somebody holds work for more than a day: {'; '.join(long)}. If that "
            "host is gone, nobody can take over before",
            path=place,
        )
    chart.add(
        "stale leases",
        Health.OK,
        f"holds that ran out: {'; '.join(stale)}. The next claim takes over"
        if stale
        else "nothing is held beyond its time",
        path=place,
    )


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"
