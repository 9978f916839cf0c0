"""
Upgrading whatever an address means: files, or a server.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import sqlalchemy as sa

from lashstore.engines import Target

from .chain import CHAINS
from .files import database_files, inspect_file, upgrade_file
from .reports import DatabaseReport


def databases_at(target: Target) -> tuple[Target, ...]:
    """
    Return the databases of an address: those of a root, by name; a file or a
    server's schema is its own.

    Raises:
        StoreNotFoundError: It is a path, and there is nothing.
    """
    return (target,) if isinstance(target, sa.URL) else database_files(target)


def inspect_database(
    target: Target, *, is_thorough: bool = False, chains: Mapping[str, Path] = CHAINS
) -> DatabaseReport:
    """
    Tell what an upgrade would do; as `inspect_file` or `inspect_server`.
    """
    if isinstance(target, sa.URL):
        from .servers import inspect_server  # noqa: PLC0415, psycopg is optional

        return inspect_server(target, is_thorough=is_thorough, chains=chains)
    return inspect_file(target, is_thorough=is_thorough, chains=chains)


def upgrade_database(
    target: Target, *, chains: Mapping[str, Path] = CHAINS
) -> DatabaseReport:
    """
    Upgrade every component in one transaction; as `upgrade_file` or
    `upgrade_server`.
    """
    if isinstance(target, sa.URL):
        from .servers import upgrade_server  # noqa: PLC0415, psycopg is optional

        return upgrade_server(target, chains=chains)
    return upgrade_file(target, chains=chains)


def for_each_database(
    targets: tuple[Target, ...], work: Callable[[Target], DatabaseReport], *, jobs: int
) -> Iterator[DatabaseReport]:
    """
    Yield the report of every database as soon as it is there.

    One's failure hides no other. Left early, it waits for those at work and
    begins no other.

    Args:
        jobs: How many to work on at once; at least 1.
    """
    with ThreadPoolExecutor(jobs, thread_name_prefix="lashstore-db") as pool:
        running = [pool.submit(work, each) for each in targets]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for each in running:
                each.cancel()
