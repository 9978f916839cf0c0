"""
What the operator's commands share: arguments, and how reports are printed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lashstore.codec import to_json

from .folder import Root, refuse_url

PATH = click.Path(path_type=Path)

json_option: Callable[[Any], Any] = click.option(
    "--json", "is_json", is_flag=True, help="Print one JSON object instead of text."
)
attachments_option: Callable[[Any], Any] = click.option(
    "--attachments",
    type=PATH,
    callback=refuse_url,
    metavar="FOLDER",
    help="Folder of the attachments' bytes; without it they are left alone.",
)


def path_argument(name: str) -> Callable[[Any], Any]:
    """
    Make an argument that is a path and no URL.
    """
    return click.argument(name, type=PATH, callback=refuse_url)


def target_argument(name: str) -> Callable[[Any], Any]:
    """
    Make an argument that is a file, a folder or the address of a PostgreSQL
    database.
    """
    return click.argument(name, type=Root(file_okay=True))


def show(report: Any, lines: list[str], *, is_json: bool) -> None:
    """
    Print a report, as JSON or as text.
    """
    if is_json:
        click.echo(to_json(report))
    for line in () if is_json else lines:
        click.echo(line)


def finding_lines(findings: Any) -> list[str]:
    """
    Say each finding in two lines: what it is, and what to do.
    """
    lines = []
    for finding in findings:
        place = " ".join(part for part in (finding.table, finding.key) if part)
        lines.append(
            f"{finding.severity.upper()} {finding.path}"
            + (f" [{place}]" if place else "")
            + f": {finding.what} ({finding.kind})"
        )
        lines.append(f"  -> {finding.remedy}")
    return lines
