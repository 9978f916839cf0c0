"""
`lashstore copy`: move sessions between folders and servers.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from lashstore.ciphers import ContentCipher
from lashstore.session_copies import CopyReport, SessionCopy, copy_sessions

from .folder import Root
from .key_file import key_file_option

_NOT_ALL_THERE = 1


@click.command()
@click.argument("source", type=Root(), metavar="SOURCE")
@click.argument("destination", type=Root(), metavar="DEST")
@click.option(
    "--session",
    "session_ids",
    multiple=True,
    metavar="ID",
    help="Copy this session; may be repeated. Default: all.",
)
@key_file_option("With them content is verified, too; it stays sealed.")
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def copy(
    source: str | Path,
    destination: str | Path,
    session_ids: tuple[str, ...],
    cipher: ContentCipher | None,
    *,
    is_json: bool,
    quiet: bool,
) -> None:
    """
    Copy sessions from SOURCE to DEST: folders, or PostgreSQL databases.

    A session arrives whole, read back and compared, or not at all. One that
    is at DEST already and equal is left alone, so that a copy that was broken
    off can be repeated; one that differs there is reported and left alone.
    Stop the hosts first: what they write meanwhile stays at SOURCE.

    Attachment bytes in a folder, processes, triggers and effects are not
    copied. Exit code 1: not every session is at DEST as it is at SOURCE.
    """
    with _progress(is_quiet=quiet) as on_session:
        report = copy_sessions(
            source,
            destination,
            session_ids=session_ids or None,
            on_session=on_session,
            cipher=cipher,
        )
    if is_json:
        click.echo(json.dumps(_as_json(report), ensure_ascii=False, indent=2))
    else:
        for line in _summary(report):
            click.echo(line)
    if not report.is_complete:
        raise click.exceptions.Exit(_NOT_ALL_THERE)


def _as_json(report: CopyReport) -> dict[str, object]:
    return {
        "is_complete": report.is_complete,
        "sessions": [
            {
                "session_id": each.session_id,
                "outcome": each.outcome.value,
                "row_count": each.row_count,
                "reason": each.reason,
            }
            for each in report.sessions
        ],
    }


def _summary(report: CopyReport) -> Iterator[str]:
    for each in report.sessions:
        if not each.is_there:
            yield f"{each.outcome.value:<10}{_line(each)}"
    counts: dict[str, int] = {}
    for each in report.sessions:
        counts[each.outcome.value] = counts.get(each.outcome.value, 0) + 1
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    yield f"{len(report.sessions)} sessions{': ' if told else ''}{told}"


def _line(each: SessionCopy) -> str:
    reason = "" if each.reason is None else f": {' '.join(each.reason.split())}"
    return f"{each.session_id!r}{reason}"


@contextlib.contextmanager
def _progress(*, is_quiet: bool) -> Iterator[Callable[[SessionCopy], None]]:
    if is_quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as on_session:
            yield on_session
    else:
        yield lambda each: click.echo(f"{each.outcome.value} {_line(each)}", err=True)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[SessionCopy], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} sessions, {task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("copy", total=None, rows=0)
        rows = 0

        def on_session(each: SessionCopy) -> None:
            nonlocal rows
            rows += each.row_count
            progress.update(task, advance=1, rows=rows)

        yield on_session
