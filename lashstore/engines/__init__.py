"""
Databases by their address: a SQLite file, or a PostgreSQL server.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

from lashstore.errors import InvalidArgumentError
from lashstore.model.options import StoreOptions
from lashstore.model.record import require_text

from . import sqlite
from .base import Database, Notifications, Seed, Source, shown_url
from .pacing import Pace
from .sqlite import open_memory, open_readonly

if TYPE_CHECKING:
    from .postgres import ServerDatabase

__all__ = [
    "Database",
    "Notifications",
    "Pace",
    "Source",
    "Target",
    "file_target",
    "open_any_server",
    "open_database",
    "open_memory",
    "open_readonly",
    "open_server",
    "parse_target",
    "shown_url",
]

Target: TypeAlias = Path | sa.URL


def parse_target(target: str | Path) -> Target:
    """
    Tell what an address means: a file or folder, or a server.

    Raises:
        InvalidArgumentError: It is neither, or psycopg is not installed.
    """
    if not isinstance(target, str) or "://" not in target:
        return Path(require_text("the path", str(target))).absolute()
    try:
        from .postgres import parse_url  # noqa: PLC0415, an optional dependency
    except ModuleNotFoundError as error:
        msg = "PostgreSQL needs psycopg: pip install 'lashstore[postgres]'"
        raise InvalidArgumentError(msg) from error
    return parse_url(require_text("the address", target))


def file_target(target: str | Path) -> Path:
    """
    As `parse_target`, for what only a file can do.

    Raises:
        InvalidArgumentError: It is the address of a server.
    """
    parsed = parse_target(target)
    if isinstance(parsed, sa.URL):
        msg = f"{shown_url(parsed)} is no path: this works on SQLite files only"
        raise InvalidArgumentError(msg)
    return parsed


def open_server(url: sa.URL, component: str, options: StoreOptions) -> "ServerDatabase":
    """
    Open a PostgreSQL database; see `lashstore.engines.postgres.open_server`.
    """
    from . import postgres  # noqa: PLC0415, an optional dependency

    return postgres.open_server(url, component, options)


def open_any_server(url: sa.URL) -> "ServerDatabase":
    """
    Open a PostgreSQL database, whatever is in it; nothing is made.
    """
    from . import postgres  # noqa: PLC0415, an optional dependency

    return postgres.open_any_version(url, StoreOptions())


def open_database(
    target: Target, component: str, options: StoreOptions, *, seed: Seed = None
) -> Database:
    """
    Open a database, or make it, with the tables of *component* in it.

    Args:
        seed: Called in the transaction that makes a new file; a server's
            database is not made here.

    Raises:
        As `open_database` of the engine's module.
    """
    if isinstance(target, sa.URL):
        return open_server(target, component, options)
    return sqlite.open_database(target, component, options, seed=seed)
