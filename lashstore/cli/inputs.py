"""
`lashstore inputs`: what users said that waits for a turn.
"""

from pathlib import Path

import click

from lashstore.tools.waiting_work import InputView, list_inputs

from .listing import shown_hold, shown_json, tell
from .reading import (
    after_option,
    json_option,
    limit_option,
    open_one,
    print_table,
    session_option,
    shown_time,
    target_argument,
)

_COLUMNS = {
    "seq": "right",
    "input": "left",
    "state": "left",
    "turn": "left",
    "enqueued": "left",
    "content": "words",
    "claim": "left",
}


@click.command()
@target_argument("target")
@session_option
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="Show cancelled and completed ones too, the latest first.",
)
@limit_option(50)
@after_option("seq")
@json_option
def inputs(
    target: Path | str,
    session_id: str | None,
    limit: int,
    after: str | None,
    *,
    is_all: bool,
    is_json: bool,
) -> None:
    r"""
    List the turn inputs of a session that may still be used, in the order in
    which they are claimed.

    TARGET is the session's file; or a folder of sessions or the address of a
    PostgreSQL database, and then --session says which. Nothing is created or
    written, and hosts may go on.

    An input is "pending_active" for a running turn, "deferred_next_turn",
    "accepted" into a turn, "cancelled" or "completed"; the last two stay until
    `lashstore vacuum`. Exit code 0: all rows are sound; 1: one is damaged, or
    the session cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore inputs sessions/ --session chat
      lashstore inputs chat.db --all --limit 10
      lashstore inputs 'postgresql+psycopg://host/database' -s chat --json
    """
    with open_one(target, session_id) as reader:
        page = list_inputs(reader, is_all=is_all, after=after, limit=limit)
    if not is_json:
        cells = (_cells(each, is_sealed=page.is_sealed) for each in page.inputs)
        print_table(_COLUMNS, cells, next_after=page.next_after)
    tell(page, is_json=is_json)


def _cells(each: InputView, *, is_sealed: bool) -> tuple[str, ...]:
    boundary = f" from {each.min_boundary}" if each.min_boundary else ""
    return (
        str(each.enqueue_seq),
        each.input_id,
        each.state,
        f"{each.turn_id}{boundary}" if each.turn_id is not None else "next",
        shown_time(each.enqueued_at_ms),
        "(sealed)" if is_sealed else shown_json(each.input),
        shown_hold(each.claim),
    )
