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

from lashstore.migrations.files import (
    FileReport,
    Outcome,
    database_files,
    for_each_file,
    inspect_file,
    upgrade_file,
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
    ) -> Path:
        if "://" in str(value):
            self.fail(f"{value!r} is a URL, not a file or folder", param, ctx)
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
    "--json", "is_json", is_flag=True, help="Print one JSON object a file."
)


@click.group()
def db() -> None:
    """
    Upgrade databases, and tell which need it.

    TARGET is a database file, or a folder with many: a root of sessions.
    Opening a store never upgrades it.
    """


@db.command()
@_target
@click.option("--plan", "is_plan", is_flag=True, help="Only show what would be done.")
@_jobs
@_as_json
def upgrade(target: Path, jobs: int, *, is_plan: bool, is_json: bool) -> None:
    """
    Bring databases to the schema of this lashstore.

    Stop the hosts that use them first. Each file is upgraded in one
    transaction: killed at any moment, it is as it was or as it is to be, and
    running the command again goes on with the rest. A file that fails is left
    as it was, and hides no other; the exit code is 1 then.

    For instance:

    \b
    lashstore db upgrade --plan sessions
    lashstore db upgrade sessions --jobs 4
    lashstore db upgrade chat.db
    """  # noqa: D301, click reads it
    work: Callable[[Path], FileReport] = inspect_file if is_plan else upgrade_file
    reports = _run(target, work, jobs=jobs, verb="planned" if is_plan else "upgraded")
    good = (*_GOOD, Outcome.OUTDATED) if is_plan else _GOOD
    shown = [each for each in reports if is_json or each.outcome != Outcome.CURRENT]
    _finish(reports, shown, is_json=is_json, is_good=lambda each: each.outcome in good)


@db.command()
@_target
@_jobs
@_as_json
def current(target: Path, jobs: int, *, is_json: bool) -> None:
    """
    Show the schema versions of databases; nothing is written.

    For instance:

    \b
    lashstore db current sessions --json
    """  # noqa: D301, click reads it
    reports = _run(target, inspect_file, jobs=jobs, verb="read")
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
def check(target: Path, jobs: int, *, is_json: bool) -> None:
    """
    Tell whether databases have the schema of this lashstore, to the last
    constraint; nothing is written. The exit code is 1 if one has not.

    For instance:

    \b
    lashstore db check sessions && start-the-hosts
    """  # noqa: D301, click reads it
    thorough = partial(inspect_file, is_thorough=True)
    reports = _run(target, thorough, jobs=jobs, verb="checked")
    shown = [each for each in reports if is_json or each.outcome != Outcome.CURRENT]
    _finish(reports, shown, is_json=is_json, is_good=lambda each: each.outcome in _GOOD)


def _run(
    target: Path, work: Callable[[Path], FileReport], *, jobs: int, verb: str
) -> list[FileReport]:
    paths = database_files(target)
    with _progress(len(paths), verb) as advance:
        reports = []
        for report in for_each_file(paths, work, jobs=jobs):
            reports.append(report)
            advance()
    return sorted(reports, key=lambda each: each.path)


@contextmanager
def _progress(count: int, verb: str) -> Iterator[Callable[[], None]]:
    if count < 2 or not sys.stderr.isatty():  # noqa: PLR2004, one needs no bar
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"files {verb}", total=count)
        yield lambda: progress.advance(task)


def _finish(
    reports: Sequence[FileReport],
    shown: Sequence[FileReport],
    *,
    is_json: bool,
    is_good: Callable[[FileReport], bool],
) -> None:
    for report in shown:
        click.echo(
            json.dumps(msgspec.to_builtins(report)) if is_json else _text(report)
        )
    if not is_json:
        click.echo(_summary(reports))
    if not all(is_good(each) for each in reports):
        sys.exit(1)


def _text(report: FileReport) -> str:
    versions = ", ".join(f"{name} {at}" for name, at in sorted(report.versions.items()))
    lines = [f"{report.path}: {report.outcome}{versions and f' ({versions})'}"]
    lines += [f"    {_step(step)}" for step in report.steps]
    lines += [f"    {problem}" for problem in report.problems]
    return "\n".join(lines)


def _step(step: Step) -> str:
    return f"{step.component} {step.from_version} -> {step.to_version}: {step.title}"


def _summary(reports: Sequence[FileReport]) -> str:
    counts = {
        outcome: sum(each.outcome == outcome for each in reports) for outcome in Outcome
    }
    parts = [f"{count} {outcome}" for outcome, count in counts.items() if count]
    noun = "database" if len(reports) == 1 else "databases"
    return f"{len(reports)} {noun}" + (f": {', '.join(parts)}" if parts else "")
