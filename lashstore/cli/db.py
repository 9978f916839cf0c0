"""
`lashstore db`: upgrade databases, and tell which need it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from lashstore.engines import Target, parse_target
from lashstore.errors import InvalidArgumentError
from lashstore.migrations.reports import DatabaseReport, Outcome
from lashstore.migrations.targets import (
    databases_at,
    for_each_database,
    inspect_database,
    upgrade_database,
)
from lashstore.migrations.upgrade import Step

_JOBS = min(8, os.cpu_count() or 1)
_GOOD = (Outcome.CURRENT, Outcome.UPGRADED)


class _Target(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    name = "target"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Target:
        if isinstance(value, str) and "://" in value:
            try:
                return parse_target(value)
            except InvalidArgumentError as error:
                self.fail(str(error), param, ctx)
        return Path(value)


_target = click.argument("target", type=_Target())
_jobs = click.option(
    "--jobs",
    type=click.IntRange(min=1, max=64),
    default=_JOBS,
    show_default=True,
    help="How many files to work on at once.",
)
_as_json = click.option(
    "--json", "is_json", is_flag=True, help="Print one JSON object a database."
)


@click.group()
def db() -> None:
    """
    Upgrade databases, and tell which need it.

    TARGET is a database file, a folder with many (a root of sessions), or the
    address of a PostgreSQL database. Opening a store never upgrades it.
    """


@db.command()
@_target
@click.option("--plan", "is_plan", is_flag=True, help="Only show what would be done.")
@_jobs
@_as_json
def upgrade(target: Target, jobs: int, *, is_plan: bool, is_json: bool) -> None:
    """
    Bring databases to the schema of this lashstore.

    Stop the hosts that use them first. Each database is upgraded in one
    transaction: killed at any moment, it is as it was or as it is to be, and
    running the command again goes on with the rest. One that fails is left as
    it was, and hides no other; the exit code is 1 then. On a server, the role
    must own the tables.

    For instance:

    \b
    lashstore db upgrade --plan sessions
    lashstore db upgrade sessions --jobs 4
    lashstore db upgrade chat.db
    lashstore db upgrade 'postgresql+psycopg://owner@db/agents?schema=lashstore'
    """  # noqa: D301, click reads it
    work: Callable[[Target], DatabaseReport] = (
        inspect_database if is_plan else upgrade_database
    )
    reports = _run(target, work, jobs=jobs, verb="planned" if is_plan else "upgraded")
    good = (*_GOOD, Outcome.OUTDATED) if is_plan else _GOOD
    shown = [each for each in reports if is_json or each.outcome != Outcome.CURRENT]
    _finish(reports, shown, is_json=is_json, is_good=lambda each: each.outcome in good)


@db.command()
@_target
@_jobs
@_as_json
def current(target: Target, jobs: int, *, is_json: bool) -> None:
    """
    Show the schema versions of databases; nothing is written.

    For instance:

    \b
    lashstore db current sessions --json
    """  # noqa: D301, click reads it
    reports = _run(target, inspect_database, jobs=jobs, verb="read")
    _finish(
        reports,
        reports,
        is_json=is_json,
        is_good=lambda each: each.outcome != Outcome.FAILED,
    )


@db.command()
@_target
@_jobs
@_as_json
def check(target: Target, jobs: int, *, is_json: bool) -> None:
    """
    Tell whether databases have the schema of this lashstore, to the last
    constraint; nothing is written. The exit code is 1 if one has not. On a
    server, the role must be allowed temporary tables, which it is by default.

    For instance:

    \b
    lashstore db check sessions && start-the-hosts
    """  # noqa: D301, click reads it
    thorough = partial(inspect_database, is_thorough=True)
    reports = _run(target, thorough, jobs=jobs, verb="checked")
    shown = [each for each in reports if is_json or each.outcome != Outcome.CURRENT]
    _finish(reports, shown, is_json=is_json, is_good=lambda each: each.outcome in _GOOD)


def _run(
    target: Target, work: Callable[[Target], DatabaseReport], *, jobs: int, verb: str
) -> list[DatabaseReport]:
    targets = databases_at(target)
    with _progress(len(targets), verb) as advance:
        reports = []
        for report in for_each_database(targets, work, jobs=jobs):
            reports.append(report)
            advance()
    return sorted(reports, key=lambda each: each.database)


@contextmanager
def _progress(count: int, verb: str) -> Iterator[Callable[[], None]]:
    if count < 2 or not sys.stderr.isatty():  # noqa: PLR2004, one needs no bar
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"databases {verb}", total=count)
        yield lambda: progress.advance(task)


def _finish(
    reports: Sequence[DatabaseReport],
    shown: Sequence[DatabaseReport],
    *,
    is_json: bool,
    is_good: Callable[[DatabaseReport], bool],
) -> None:
    for report in shown:
        click.echo(
            json.dumps(msgspec.to_builtins(report)) if is_json else _text(report)
        )
    if not is_json:
        click.echo(_summary(reports))
    if not all(is_good(each) for each in reports):
        sys.exit(1)


def _text(report: DatabaseReport) -> str:
    versions = ", ".join(f"{name} {at}" for name, at in sorted(report.versions.items()))
    lines = [f"{report.database}: {report.outcome}{versions and f' ({versions})'}"]
    lines += [f"    {_step(step)}" for step in report.steps]
    lines += [f"    {problem}" for problem in report.problems]
    return "\n".join(lines)


def _step(step: Step) -> str:
    return f"{step.component} {step.from_version} -> {step.to_version}: {step.title}"


def _summary(reports: Sequence[DatabaseReport]) -> str:
    counts = {
        outcome: sum(each.outcome == outcome for each in reports) for outcome in Outcome
    }
    parts = [f"{count} {outcome}" for outcome, count in counts.items() if count]
    noun = "database" if len(reports) == 1 else "databases"
    return f"{len(reports)} {noun}" + (f": {', '.join(parts)}" if parts else "")
