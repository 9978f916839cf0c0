"""
`lashstore vacuum`: tombstones and finished turn inputs.
"""

from pathlib import Path

import click

from lashstore.tools.maintaining import VACUUM

from .maintenance import dry_run_option, run
from .reading import json_option, session_option, target_argument


@click.command()
@target_argument("target")
@session_option
@dry_run_option
@json_option
def vacuum(
    target: Path | str, session_id: str | None, *, is_dry_run: bool, is_json: bool
) -> None:
    r"""
    Remove tombstoned nodes of TARGET for good, except those that a live node
    names as its parent; and cancelled and completed turn inputs, which until
    then answer submissions that are sent again.

    TARGET is a session's file, a folder of sessions, or the address of a
    PostgreSQL database; without --session, all sessions are worked on. Hosts
    may go on: it works in small steps. Sealed sessions are left to hosts that
    have their cipher.

    It differs from `lashstore gc`, which removes blobs, and from
    `lashstore compact`, which removes nothing and writes a file anew without
    free pages while hosts wait. Exit code 0: done; 1: a session was left
    out, or cannot be worked on; 2: the command was used wrongly.

    \b
    Examples:
      lashstore vacuum sessions/ --dry-run
      lashstore vacuum chat.db
      lashstore vacuum 'postgresql+psycopg://host/database' --session chat --json
    """
    run(target, session_id, VACUUM, is_dry_run=is_dry_run, is_json=is_json)
