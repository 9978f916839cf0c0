"""
What `lashstore gc` and `lashstore vacuum` share.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lashstore.tools.maintaining import (
    MaintainedSession,
    Maintenance,
    MaintenanceReport,
    OnSession,
    maintain,
)

from .reading import complain, one_line, print_json, shown_bytes

dry_run_option = click.option(
    "--dry-run",
    "is_dry_run",
    is_flag=True,
    help="Only tell what would go, and how many bytes; nothing is changed.",
)
_NOUNS = {"blobs": "blob", "nodes": "tombstone", "turn_inputs": "turn input"}


def run(
    target: Path | str,
    session_id: str | None,
    kind: Maintenance,
    *,
    is_dry_run: bool,
    is_json: bool,
) -> None:
    """
    Run a kind of maintenance, or tell what it would remove; end with exit
    code 1 if a session was left out.
    """
    with _progress() as on_session:
        report = maintain(
            target,
            kind,
            session_id=session_id,
            is_dry_run=is_dry_run,
            on_session=on_session,
        )
    if is_json:
        print_json(report)
    else:
        for line in _lines(report):
            click.echo(one_line(line))
    for each in report.left_out:
        complain(f"LEFT OUT {each.place}: {each.error}")
    if report.left_out:
        raise click.exceptions.Exit(1)


def _lines(report: MaintenanceReport) -> Iterator[str]:
    for session in report.sessions:
        if not any(each.row_count for each in session.removable.values()):
            # Many have nothing to remove; the last line counts them.
            continue
        if report.is_dry_run:
            yield f"{session.session_id}: would remove {_removable(session)}"
        else:
            yield f"{session.session_id}: removed {_removed(session)}"
    count = len(report.sessions)
    verb = "would go from" if report.is_dry_run else "went from"
    found = _added(report, lambda each: each.row_count)
    gone = (
        _added(report, lambda each: each.content_bytes) if report.is_dry_run else None
    )
    if not report.is_dry_run:
        found = sum(sum(each.removed.values()) for each in report.sessions)
    size = "" if gone is None else f", {shown_bytes(gone)}"
    yield f"{found:,} rows{size} {verb} {count:,} session{'' if count == 1 else 's'}"


def _added(report: MaintenanceReport, of: Callable[[Any], int]) -> int:
    return sum(of(size) for each in report.sessions for size in each.removable.values())


def _removable(session: MaintainedSession) -> str:
    parts = (
        f"{_counted(size.row_count, name)} ({shown_bytes(size.content_bytes)})"
        for name, size in session.removable.items()
    )
    return ", ".join(parts)


def _removed(session: MaintainedSession) -> str:
    told = ", ".join(_counted(count, name) for name, count in session.removed.items())
    before, after = session.bytes_before, session.bytes_after
    if before is None or after is None:
        return told
    return f"{told}; {shown_bytes(before)} on disk before, {shown_bytes(after)} now"


def _counted(count: int, name: str) -> str:
    return f"{count:,} {_NOUNS[name]}{'' if count == 1 else 's'}"


@contextmanager
def _progress() -> Iterator[OnSession]:
    if not sys.stderr.isatty():
        yield lambda _session_id, _count: lambda _removed: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn())
    console = Console(stderr=True)
    shown = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    with shown as progress:
        task = progress.add_task("", total=None)

        def on_session(session_id: str, count: int) -> Callable[[int], None]:
            name = one_line(session_id).replace("[", r"\[")
            progress.reset(task, description=name, total=count)
            return lambda removed: progress.advance(task, removed)

        yield on_session
