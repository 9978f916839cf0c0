"""
`lashstore queue`: work that waits for a session.
"""

from pathlib import Path
from typing import Any

import click

from lashstore.tools.waiting_work import BatchView, list_queue

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
    "batch": "left",
    "class": "left",
    "state": "left",
    "available": "left",
    "items": "right",
    "first item": "words",
    "claim": "left",
}


@click.command()
@target_argument("target")
@session_option
@limit_option(50)
@after_option("seq")
@json_option
def queue(
    target: Path | str,
    session_id: str | None,
    limit: int,
    after: str | None,
    *,
    is_json: bool,
) -> None:
    r"""
    List the queued work of a session, in the order in which it is claimed.

    TARGET is the session's file; or a folder of sessions or the address of a
    PostgreSQL database, and then --session says which. Nothing is created or
    written, and hosts may go on.

    A batch is "ready", "waiting" for its time, "claimed", or "claim_expired",
    which is ready again. Completed and cancelled work is not kept. With
    --json, all items are there as they were enqueued. Exit code 0: all rows
    are sound; 1: one is damaged, or the session cannot be read; 2: the
    command was used wrongly.

    \b
    Examples:
      lashstore queue sessions/ --session chat
      lashstore queue chat.db --limit 10 --after 120
      lashstore queue 'postgresql+psycopg://host/database' -s chat --json
    """
    with open_one(target, session_id) as reader:
        page = list_queue(reader, after=after, limit=limit)
    if not is_json:
        print_table(_COLUMNS, map(_cells, page.batches), next_after=page.next_after)
    tell(page, is_json=is_json)


def _cells(batch: BatchView) -> tuple[str, ...]:
    return (
        str(batch.enqueue_seq),
        batch.batch_id,
        batch.work_class,
        batch.state,
        shown_time(batch.available_at_ms) if batch.available_at_ms else "at once",
        "-" if batch.items is None else str(len(batch.items)),
        _first_item(batch.items),
        shown_hold(batch.claim),
    )


def _first_item(items: Any) -> str:
    if items is None:
        return "(sealed)"
    payload = items[0]["payload"]
    content = next(payload[n] for n in ("wake", "command", "body") if n in payload)
    return f"{payload['type']} {shown_json(content)}"
