"""
`lashstore gc`: blobs that nobody needs.
"""

from pathlib import Path

import click

from lashstore.tools.maintaining import GC

from .maintenance import dry_run_option, run
from .reading import json_option, session_option, target_argument


@click.command()
@target_argument("target")
@session_option
@dry_run_option
@json_option
def gc(
    target: Path | str, session_id: str | None, *, is_dry_run: bool, is_json: bool
) -> None:
    r"""
    Remove the blobs of TARGET that neither a session's head nor an artifact
    leads to. Earlier checkpoints, which retention would keep for a while, are
    among them.

    TARGET is a session's file, a folder of sessions, or the address of a
    PostgreSQL database; without --session, all sessions are worked on. Hosts
    may go on: it works in small steps, and what a commit names meanwhile
    stays. Sealed sessions are left to hosts that have their cipher.

    It differs from `lashstore vacuum`, which removes tombstoned nodes and
    finished turn inputs, and from `lashstore compact`, which removes nothing
    and writes a file anew without free pages while hosts wait. Exit code 0:
    done; 1: a session was left out, or cannot be worked on; 2: the command was
    used wrongly.

    \b
    Examples:
      lashstore gc sessions/ --dry-run
      lashstore gc sessions/ --session chat
      lashstore gc 'postgresql+psycopg://host/database' --json
    """
    run(target, session_id, GC, is_dry_run=is_dry_run, is_json=is_json)
