"""
Progress of a replay on stderr: a bar on a terminal, lines elsewhere.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from lashstore.hosting.runner import RunEvents


@contextlib.contextmanager
def show_progress(turn_count: int, *, is_quiet: bool) -> Iterator[RunEvents]:
    """
    Show turns as they are committed while the block runs.
    """
    if is_quiet:
        yield RunEvents()
    elif sys.stderr.isatty():
        with _bar(turn_count) as events:
            yield events
    else:
        yield _Lines(turn_count)


class _Lines(RunEvents):
    def __init__(self, turn_count: int) -> None:
        self._turn_count = turn_count

    def on_wait(self, holder: str) -> None:
        click.echo(f"waiting for {holder}", err=True)

    def on_turns_done(self, count: int) -> None:
        click.echo(f"turn {count}/{self._turn_count}", err=True)


@contextlib.contextmanager
def _bar(turn_count: int) -> Iterator[RunEvents]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("turns", total=turn_count)

        class _Bar(RunEvents):
            def on_wait(self, holder: str) -> None:
                progress.console.print(f"waiting for {holder}", markup=False)

            def on_turns_done(self, count: int) -> None:
                progress.update(task, completed=count)

        yield _Bar()


@contextlib.contextmanager
def show_count(noun: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """
    Count on stderr while the block runs, on a terminal; nothing elsewhere.

    Args:
        noun: What is counted, in the plural.

        total: How many there will be; None: nobody knows.

    Returns:
        What to call at each.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    of = "" if total is None else f"/{total}"
    columns = (
        TextColumn(f"{{task.completed}}{of} {noun}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(noun, total=total)
        yield lambda: progress.advance(task)
