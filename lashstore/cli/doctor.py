"""
`lashstore doctor`: what is going to hurt.
"""

from pathlib import Path

import click

from lashstore.tools.diagnosis import Health
from lashstore.tools.doctoring import doctor as examine

from .operator import json_option, show, target_argument


@click.command()
@target_argument("target")
@json_option
def doctor(target: Path | str, *, is_json: bool) -> None:
    r"""
    Look at TARGET, a database file or a folder of them, and what it is on; or
    at the address of a PostgreSQL database.

    SQLite's version, the file system, free space, journals, free pages,
    schema versions, stale leases and clocks; nothing is changed, and rows are
    not verified (see `lashstore verify`). Exit code 0: all is well; 1: there
    are warnings or problems; 2: the command was used wrongly.

    \b
    Examples:
      lashstore doctor sessions/
      lashstore doctor chat.db --json
    """
    report = examine(target)
    lines = []
    for found in report.diagnoses:
        place = f" {found.path}" if found.path else ""
        lines.append(f"{found.health.upper():8}{found.topic}{place}: {found.what}")
        if found.command:
            lines.append(f"        run: {found.command}")
    show(report, [*lines, f"all in all: {report.health}"], is_json=is_json)
    if report.health is not Health.OK:
        raise click.exceptions.Exit(1)
