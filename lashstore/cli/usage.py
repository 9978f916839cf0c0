"""
`lashstore usage`: tokens by source and model.
"""

from collections.abc import Iterable
from pathlib import Path

import click

from lashstore.model.usage import TokenLedgerEntry, TokenUsage
from lashstore.tools.reading import sessions_at
from lashstore.tools.usage_reports import UsageReport, UsageTally

from .progress import show_count
from .reading import (
    complain,
    json_option,
    open_one,
    print_json,
    print_table,
    session_option,
    target_argument,
)

_COUNTERS = {
    "input": "right",
    "from cache": "right",
    "to cache": "right",
    "output": "right",
    "reasoning": "right",
    "total": "right",
}


@click.command()
@target_argument("target")
@session_option
@click.option(
    "--by-session",
    "by_session",
    is_flag=True,
    help="Add up each session by itself, too.",
)
@click.option("--prefix", metavar="TEXT", help="Only ids that begin with it.")
@json_option
def usage(
    target: Path | str,
    session_id: str | None,
    prefix: str | None,
    *,
    by_session: bool,
    is_json: bool,
) -> None:
    r"""
    Add up the tokens that the sessions of TARGET have booked, by source and
    model.

    TARGET is a folder of sessions, one file, or the address of a PostgreSQL
    database; with --session it is that session's alone. Reasoning is part of
    the output, and the total counts it once. It is only read, and hosts may go
    on writing; sealed sessions count. Exit code 0: done; 1: some session
    cannot be read (which is said), or the target cannot; 2: the command was
    used wrongly.

    \b
    Examples:
      lashstore usage sessions/
      lashstore usage sessions/ --session chat
      lashstore usage sessions/ --by-session --prefix user-17- --json
    """
    tally = UsageTally(keeps_sessions=by_session)
    if session_id is not None:
        with open_one(target, session_id) as reader:
            tally.add(reader)
    else:
        with show_count("sessions") as advance:
            for reader in sessions_at(target, prefix=prefix or "", on_error=tally.note):
                tally.add(reader)
                advance()
    report = tally.report()
    if is_json:
        print_json(report)
    else:
        _print(report, by_session=by_session)
    if report.unreadable:
        raise click.exceptions.Exit(1)


def _print(report: UsageReport, *, by_session: bool) -> None:
    if by_session:
        rows = [
            (each.session_id, *_counters(each.total))
            for each in sorted(report.sessions, key=lambda each: -each.total.total())
        ]
        print_table({"session": "left", **_COUNTERS}, rows)
        click.echo()
    print_table(
        {"source": "left", "model": "left", **_COUNTERS},
        [*_rows(report.entries), ("all", "", *_counters(report.total))],
    )
    for each in report.unreadable:
        complain(f"cannot be read: {each.place}: {each.error}")


def _rows(entries: Iterable[TokenLedgerEntry]) -> list[tuple[str, ...]]:
    return [
        (entry.source, entry.model or "-", *_counters(entry.usage)) for entry in entries
    ]


def _counters(usage: TokenUsage) -> tuple[str, ...]:
    counts = (
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.output_tokens,
        usage.reasoning_output_tokens,
        usage.total(),
    )
    return tuple(f"{count:,}" for count in counts)
