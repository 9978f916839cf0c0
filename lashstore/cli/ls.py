"""
`lashstore ls`: the sessions of a target.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lashstore.clock import SystemClock
from lashstore.tools.overviews import SessionFilter, SessionOverview, list_overviews

from .reading import (
    after_option,
    complain,
    json_option,
    limit_option,
    print_json,
    print_table,
    shown_bytes,
    shown_time,
    target_argument,
)
from .words import shortened

_COLUMNS = {
    "session": "left",
    "revision": "right",
    "nodes": "right",
    "changed": "left",
    "size": "right",
    "first message": "words",
}
_AGO = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_WORDS = 60


class _Since(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        ago = _AGO.fullmatch(str(value))
        if ago:
            return SystemClock().now_ms() - int(ago[1]) * _SECONDS[ago[2]] * 1000
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is neither a time, as 2026-11-20 or "
                "2026-11-20T08:30:00Z, nor how long ago, as 90m, 12h or 3d",
                param,
                ctx,
            )
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command()
@target_argument("target")
@click.option("--prefix", metavar="TEXT", help="Only ids that begin with it.")
@click.option("--parent", metavar="ID", help="Only children of this session.")
@click.option(
    "--roots/--children",
    "is_root",
    default=None,
    help="Only sessions without, or with, a parent.",
)
@click.option("--model", metavar="NAME", help="Only sessions of this model.")
@click.option(
    "--since",
    type=_Since(),
    metavar="WHEN",
    help="Only those changed since: a time in UTC, or how long ago (90m, 12h, 3d).",
)
@limit_option(100)
@after_option("id")
@json_option
def ls(
    target: Path | str,
    prefix: str | None,
    parent: str | None,
    model: str | None,
    since: int | None,
    limit: int,
    after: str | None,
    *,
    is_root: bool | None,
    is_json: bool,
) -> None:
    r"""
    List the sessions of TARGET, a folder of session files, one file, or the
    address of a PostgreSQL database.

    It is only read, and hosts may go on writing. The order is that of file
    names in a folder and of ids on a server. Of a sealed session only what is
    no content is shown. Exit code 0: done; 1: some session cannot be read
    (which is said), or the target cannot; 2: the command was used wrongly.

    \b
    Examples:
      lashstore ls sessions/
      lashstore ls sessions/ --prefix user-17- --since 3d
      lashstore ls sessions/ --parent planner --limit 20 --json
      lashstore ls 'postgresql+psycopg://host/database?schema=lash'
    """
    wanted = SessionFilter(
        prefix=prefix,
        parent=parent,
        model=model,
        is_root=is_root,
        changed_since_ms=since,
    )
    page = list_overviews(target, wanted=wanted, after=after, limit=limit)
    if is_json:
        print_json(page)
    else:
        print_table(_COLUMNS, map(_row, page.sessions), next_after=page.next_after)
        for each in page.unreadable:
            complain(f"cannot be read: {each.place}: {each.error}")
    if page.unreadable:
        raise click.exceptions.Exit(1)


def _row(found: SessionOverview) -> tuple[str, ...]:
    words = "(sealed)" if found.is_sealed else found.first_user_message or "-"
    return (
        found.session_id,
        str(found.head_revision),
        str(found.node_count),
        shown_time(found.changed_at_ms),
        shown_bytes(found.stored_bytes),
        shortened(words, _WORDS),
    )
