"""
What the reading commands share: naming what to read, paging, and printing for
people, pipes and programs.

Their one scheme: `lashstore COMMAND TARGET [--session ID]`. With `--json` a
command prints one JSON object; members ending in `_ms` are milliseconds since
the Unix epoch, those ending in `_bytes` are bytes, and a page of a list says
in `next_after` what to give to `--after` for the next one, null at the end.
"""

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from lashstore.codec import to_json
from lashstore.tools.reading import SessionReader, ids_beginning_with, open_session

from .operator import json_option, target_argument

__all__ = [
    "after_option",
    "complain",
    "complete_session",
    "json_option",
    "limit_option",
    "one_line",
    "open_one",
    "print_facts",
    "print_json",
    "print_table",
    "session_option",
    "shown_bytes",
    "shown_time",
    "target_argument",
]

_UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_COMPLETED = 100
# Of a table on a terminal: what stands between two columns.
_GAP = 3
_LEAST_WORDS = 12
# Between the parts of one emoji.
_JOINER = "\u200d"


def complete_session(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """
    Complete the id of a session of the TARGET that was typed before it.
    """
    # An option that lacks its value yet keeps click from parsing the rest.
    given = (ctx.params.get(name) for name in ("target", "source"))
    target = next(filter(None, (*given, *ctx.args)), None)
    # Whatever is wrong with the target is said when the command is run.
    try:
        found = (
            ids_beginning_with(target, incomplete, limit=_COMPLETED) if target else ()
        )
    except Exception:  # noqa: BLE001, a shell's prompt is no place for errors
        return []
    return [CompletionItem(session_id) for session_id in found]


session_option = click.option(
    "--session",
    "-s",
    "session_id",
    metavar="ID",
    shell_complete=complete_session,
    help="Id of the session, if TARGET has many.",
)


def open_one(
    target: Path | str, session_id: str | None
) -> AbstractContextManager[SessionReader]:
    """
    Open the session that a user has named.

    Raises:
        click.UsageError: TARGET has many, and none was named.
        As `lashstore.tools.reading.open_session`.
    """
    if session_id is None and (isinstance(target, str) or target.is_dir()):
        msg = "TARGET has many sessions: say which of them with --session"
        raise click.UsageError(msg)
    return open_session(target, session_id)


def limit_option(default: int) -> Callable[[Any], Any]:
    """
    Make the option for the length of a page.
    """
    return click.option(
        "--limit",
        type=click.IntRange(min=1, max=100_000),
        default=default,
        show_default=True,
        metavar="N",
        help="Show at most so many.",
    )


def after_option(what: str) -> Callable[[Any], Any]:
    """
    Make the option for where a page begins, behind one *what*.
    """
    return click.option(
        "--after",
        metavar=what.upper(),
        help=f"Go on behind this {what}: the page before ends by naming it.",
    )


def print_json(value: Any) -> None:
    """
    Print a record, or plain data, as one JSON object on one line.
    """
    click.echo(to_json(value))


def print_table(
    columns: Mapping[str, str],
    rows: Iterable[Sequence[str]],
    *,
    next_after: str | None = None,
) -> None:
    """
    Print rows of cells: as a table on a terminal; elsewhere as lines whose
    columns are aligned and never cut.

    Args:
        columns: Heading to "left", "right", or "words" for text to the left
            that a terminal may show the beginning of.

        next_after: What the next page begins behind; None: it is the last.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if not cells:
        click.echo("none")
    elif sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_plain(columns, cells)
    if next_after is not None:
        complain(f"there are more: go on with --after {_quoted(next_after)}")


def _print_rich(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = [max(map(_width, column)) for column in zip(columns, *rows, strict=True)]
    is_words = [side == "words" for side in columns.values()]
    used = sum(w for w, may_cut in zip(widths, is_words, strict=True) if not may_cut)
    free = max(_LEAST_WORDS, console.width - used - _GAP * len(widths))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, side in columns.items():
        justify: Any = "right" if side == "right" else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for row in rows:
        cells = [Text(cell) for cell in row]
        for cell, may_cut in zip(cells, is_words, strict=True):
            if may_cut:
                cell.truncate(free, overflow="ellipsis")
        table.add_row(*cells)
    console.print(table)


def _print_plain(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *rows]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            _padded(cell, width, side)
            for cell, width, side in zip(line, widths, columns.values(), strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _padded(cell: str, width: int, side: str) -> str:
    space = " " * (width - _width(cell))
    return space + cell if side == "right" else cell + space


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def print_facts(facts: Mapping[str, str]) -> None:
    """
    Print one fact a line, its name in front.
    """
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {one_line(value)}".rstrip())


def complain(message: str) -> None:
    """
    Say on stderr what is beside the answer.
    """
    click.echo(one_line(message), err=True)


def one_line(text: str) -> str:
    """
    Return a text without line ends and without what a terminal would obey:
    control and format characters, which a session's content may hold.
    """
    if text.isprintable():
        return text
    return "".join(map(_harmless, " ".join(text.split())))


def _harmless(character: str) -> str:
    if character.isprintable() or character == _JOINER:
        return character
    return character.encode("unicode_escape").decode()


def _quoted(text: str) -> str:
    return shlex.quote(one_line(text))


def shown_time(at_ms: int | None) -> str:
    """
    Return a time as text, in UTC; "-" for none.
    """
    if at_ms is None:
        return "-"
    try:
        at = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        # A deadline that never comes.
        return f"{at_ms} ms"
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def shown_bytes(count: int | None) -> str:
    """
    Return a size in the largest unit that it is one of; "-" for none.
    """
    if count is None:
        return "-"
    for unit, bytes_each in _UNITS:
        if count >= bytes_each:
            return f"{count / bytes_each:.1f} {unit}"
    return f"{count} bytes"
