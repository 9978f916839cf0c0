"""
`lashstore effects`: recorded effects, by scope and state.
"""

from pathlib import Path
from typing import Any

import click

from lashstore.model.effects import EffectStatus
from lashstore.tables import EFFECT_COMPONENT
from lashstore.tools.effect_views import EffectsWanted, EffectView, list_effects
from lashstore.tools.reading import open_component

from .listing import CHARS, shown_hold, tell
from .reading import (
    after_option,
    json_option,
    limit_option,
    print_table,
    shown_bytes,
    shown_time,
    target_argument,
)
from .words import shortened

_COLUMNS = {
    "scope": "left",
    "replay key": "left",
    "kind": "left",
    "status": "left",
    "begun": "left",
    "finished": "left",
    "outcome": "left",
    "claim": "left",
}


@click.command()
@target_argument("target")
@click.option("--session", "-s", "session_id", metavar="ID", help="Of this session.")
@click.option("--process", "process_id", metavar="ID", help="Of this process.")
@click.option(
    "--status",
    type=click.Choice([str(each) for each in EffectStatus]),
    help="Only those that stand so.",
)
@click.option(
    "--content",
    "has_content",
    is_flag=True,
    help="With --json: commands and outcomes too, which may be large.",
)
@limit_option(50)
@after_option("place")
@json_option
def effects(
    target: Path | str,
    session_id: str | None,
    process_id: str | None,
    status: str | None,
    limit: int,
    after: str | None,
    *,
    has_content: bool,
    is_json: bool,
) -> None:
    r"""
    List recorded effects by their scope and replay key: which are under way
    and by whom they are claimed, which failed and why.

    TARGET is the file of the effects, a folder with an effects.db, or the
    address of a PostgreSQL database. Nothing is created or written, and hosts
    may go on. With --status, a page may be short and there be more all the
    same: it ends by saying so. Exit code 0: all rows are sound; 1: one is
    damaged, or they cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore effects sessions/ --session chat
      lashstore effects effects.db --status failed
      lashstore effects sessions/ --process proc-7 --json --content
      lashstore effects 'postgresql+psycopg://host/database' --status in_progress
    """
    if has_content and not is_json:
        msg = "--content needs --json"
        raise click.UsageError(msg)
    if session_id is not None and process_id is not None:
        msg = "--session and --process do not go together"
        raise click.UsageError(msg)
    wanted = EffectsWanted(
        session_id=session_id,
        process_id=process_id,
        status=None if status is None else EffectStatus(status),
    )
    with open_component(target, EFFECT_COMPONENT) as reader:
        page = list_effects(
            reader, wanted, after=after, limit=limit, has_content=has_content
        )
    if not is_json:
        print_table(_COLUMNS, map(_cells, page.effects), next_after=page.next_after)
    tell(page, is_json=is_json)


def _cells(each: EffectView) -> tuple[str, ...]:
    return (
        _scope(each.scope),
        each.replay_key,
        each.kind,
        each.status,
        shown_time(each.created_at_ms),
        _end(each),
        _outcome(each),
        shown_hold(each.lease),
    )


def _scope(scope: Any) -> str:
    ids = (f"{value}" for name, value in scope.items() if name != "type")
    return " ".join((scope["type"], *ids))


def _end(each: EffectView) -> str:
    if each.finished_at_ms is None and each.due_at_ms is not None:
        return f"due {shown_time(each.due_at_ms)}"
    return shown_time(each.finished_at_ms)


def _outcome(each: EffectView) -> str:
    if each.error is not None:
        return shortened(f"{each.error.code}: {each.error.message}", CHARS)
    return shown_bytes(each.outcome_bytes)
