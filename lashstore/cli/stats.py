"""
`lashstore stats`: what takes the space.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lashstore.repos.sizes import Growth
from lashstore.tools.sizes import FileSize, Measure, SizeReport, measure

from .reading import (
    complain,
    json_option,
    print_facts,
    print_json,
    print_table,
    session_option,
    shown_bytes,
    shown_time,
    target_argument,
)

_LARGEST = 10
_FILES = {
    "file": "left",
    "session": "left",
    "size": "right",
    "wal": "right",
    "free": "right",
}
_TABLES = {"table": "left", "rows": "right", "size": "right", "of it indexes": "right"}
_BLOBS = {
    "kind": "left",
    "stored": "left",
    "blobs": "right",
    "content": "right",
    "takes": "right",
    "ratio": "right",
}
_KEPT = {"kept for": "left", "blobs": "right", "content": "right", "takes": "right"}
_PURPOSES = {
    "head": "the head's checkpoint",
    "earlier": "earlier checkpoints (retention)",
    "base": "bases of differences only",
    "other": "artifacts and others",
}


@click.command()
@target_argument("target")
@session_option
@json_option
def stats(target: Path | str, session_id: str | None, *, is_json: bool) -> None:
    r"""
    Tell what takes the space of TARGET: files with their free pages and WAL,
    bytes by table, blobs by kind and how well they are compressed, what
    retention keeps, and what commits added of late.

    TARGET is a file of any component, a folder of them, or the address of a
    PostgreSQL database. Sizes by table are whole pages, from SQLite's dbstat or
    by the server's own account, whose rows are estimates; where there is
    no dbstat, and for one session of a server, the lengths of all values
    are added up instead. Files are read whole; nothing is created or
    written, and hosts may go on.

    What to do about it: `lashstore gc` and `lashstore vacuum` remove what nobody
    needs, `lashstore compact` gives free pages back to the disk. Exit code 0:
    done; 1: something cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore stats sessions/
      lashstore stats chat.db --json
      lashstore stats 'postgresql+psycopg://host/database' --session chat
    """
    with _progress() as on_file:
        report = measure(target, session_id, on_file=on_file)
    if is_json:
        print_json(report)
    else:
        _print(report)
    for each in report.unreadable:
        complain(f"UNREADABLE {each.place}: {each.error}")
    if report.unreadable:
        raise click.exceptions.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("files")
        yield lambda done, count: progress.update(task, completed=done, total=count)


def _print(report: SizeReport) -> None:
    print_facts(dict(_totals(report)))
    if report.files:
        click.echo()
        largest = sorted(report.files, key=_taken, reverse=True)[:_LARGEST]
        print_table(_FILES, map(_file, largest))
        if len(report.files) > _LARGEST:
            click.echo(f"and {len(report.files) - _LARGEST} smaller files")
    click.echo()
    tables = sorted(report.tables, key=lambda each: -each.total_bytes)
    rows = (
        (
            each.table,
            f"{each.row_count:,}",
            shown_bytes(each.total_bytes),
            shown_bytes(each.index_bytes),
        )
        for each in tables
        if each.row_count or each.total_bytes
    )
    print_table(_TABLES, rows)
    if report.blobs:
        _print_blobs(report)


def _print_blobs(report: SizeReport) -> None:
    click.echo()
    forms = {
        each: "as a difference" if each.is_difference else _form(each.compression)
        for each in report.blobs
    }
    blobs = (
        (
            each.kind,
            form,
            f"{each.blob_count:,}",
            shown_bytes(each.raw_bytes),
            shown_bytes(each.stored_bytes),
            _ratio(each.raw_bytes, each.stored_bytes),
        )
        for each, form in forms.items()
    )
    print_table(_BLOBS, blobs)
    click.echo()
    kept = (
        (
            _PURPOSES[each.purpose],
            f"{each.blob_count:,}",
            shown_bytes(each.raw_bytes),
            shown_bytes(each.stored_bytes),
        )
        for each in report.kept
    )
    print_table(_KEPT, kept)


def _form(compression: str) -> str:
    return "as it is" if compression == "none" else "compressed"


def _ratio(raw: int, stored: int) -> str:
    return f"{raw / stored:.1f}" if stored else "-"


def _taken(file: FileSize) -> int:
    return file.file_bytes + file.wal_bytes


def _file(file: FileSize) -> tuple[str, ...]:
    sealed = " (sealed)" if file.is_sealed else ""
    return (
        Path(file.path).name,
        "-" if file.session_id is None else f"{file.session_id}{sealed}",
        shown_bytes(file.file_bytes),
        shown_bytes(file.wal_bytes),
        shown_bytes(file.free_bytes),
    )


def _totals(report: SizeReport) -> Iterator[tuple[str, str]]:
    yield "target", report.target
    if report.session_id is not None:
        yield "session", report.session_id
    if report.files:
        yield "files", f"{len(report.files):,}"
        taken = sum(map(_taken, report.files))
        wal = sum(each.wal_bytes for each in report.files)
        free = sum(each.free_bytes for each in report.files)
        yield (
            "on disk",
            f"{shown_bytes(taken)}: WAL {shown_bytes(wal)}, free {shown_bytes(free)}",
        )
    yield "in tables", shown_bytes(sum(each.total_bytes for each in report.tables))
    yield "measured by", ", ".join(report.measures)
    if Measure.SERVER in report.measures:
        yield "rows", "estimates of the server"
    if report.growth is not None:
        yield from _growth(report.growth)


def _growth(growth: Growth) -> Iterator[tuple[str, str]]:
    between = f"{shown_time(growth.first_at_ms)} to {shown_time(growth.last_at_ms)}"
    yield "last commits", f"{growth.commit_count}, {between}"
    nodes = growth.node_bytes // growth.commit_count
    yield "nodes a commit", shown_bytes(nodes)
    if growth.checkpoint_commit_count:
        stored = growth.checkpoint_bytes // growth.checkpoint_commit_count
        raw = growth.checkpoint_raw_bytes // growth.checkpoint_commit_count
        yield (
            "checkpoints a commit",
            f"about {shown_bytes(stored)}, of {shown_bytes(raw)} before compression",
        )
