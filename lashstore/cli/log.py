"""
`lashstore log`: a session's commits.
"""

from pathlib import Path

import click

from lashstore.tools.history import CommitEntry, list_commits

from .reading import (
    json_option,
    limit_option,
    open_one,
    print_json,
    print_table,
    session_option,
    shown_time,
    target_argument,
)

_COLUMNS = {
    "revision": "right",
    "committed": "left",
    "turn": "left",
    "nodes": "right",
    "input": "right",
    "cached": "right",
    "output": "right",
    "checkpoint": "left",
}
_REF_CHARS = 12


@click.command()
@target_argument("target")
@session_option
@limit_option(20)
@click.option(
    "--after",
    type=click.IntRange(min=1),
    metavar="REVISION",
    help="Go on behind this revision: the page before ends by naming it.",
)
@json_option
def log(
    target: Path | str,
    session_id: str | None,
    limit: int,
    after: int | None,
    *,
    is_json: bool,
) -> None:
    r"""
    List the commits of a session of TARGET, the latest first: revision, time,
    turn, nodes added, tokens booked, and whether the checkpoint is kept.

    TARGET is its file; or a folder of sessions or the address of a PostgreSQL
    database, and then --session says which. Of a commit without a stamp no
    more than its revision is stored, and for a while its time. It is only
    read, and hosts may go on writing. Exit code 0: done; 1: the session cannot
    be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore log sessions/ --session chat
      lashstore log chat.db --limit 100 --json
      lashstore log chat.db --after 120
    """
    with open_one(target, session_id) as reader:
        page = list_commits(reader, after=after, limit=limit)
    if is_json:
        print_json(page)
        return
    next_after = None if page.next_after is None else str(page.next_after)
    print_table(_COLUMNS, map(_row, page.commits), next_after=next_after)


def _row(entry: CommitEntry) -> tuple[str, ...]:
    usage = entry.usage
    if entry.turn_id is None or usage is None or entry.checkpoint_ref is None:
        known = (str(entry.head_revision), shown_time(entry.committed_at_ms))
        return (*known, "(no stamp)", *"-----")
    kept = "" if entry.is_checkpoint_kept else " (let go)"
    return (
        str(entry.head_revision),
        shown_time(entry.committed_at_ms),
        entry.turn_id,
        str(entry.node_count),
        f"{usage.input_tokens:,}",
        f"{usage.cache_read_input_tokens:,}",
        f"{usage.output_tokens:,}",
        entry.checkpoint_ref[:_REF_CHARS] + kept,
    )
