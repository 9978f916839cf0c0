"""
`lashstore compact`: space back to the disk.
"""

from pathlib import Path

import click

from lashstore.tools.compacting import compact as compact_target

from .operator import json_option, path_argument, show


@click.command()
@path_argument("target")
@json_option
def compact(target: Path, *, is_json: bool) -> None:
    r"""
    Write TARGET, a database file or a folder of them, anew without its free
    pages, and empty its WAL.

    It removes no row: that is what `lashstore gc` (blobs nobody needs) and
    `lashstore vacuum` (tombstones and finished turn inputs) do, which give back
    what they freed while hosts work. Hosts wait meanwhile, and it needs twice the file's size on the disk. Exit
    code 0: done; 1: it cannot be done; 2: the command was used wrongly.

    \b
    Example:
      lashstore compact sessions/
    """
    report = compact_target(target)
    line = (
        f"{len(report.files)} files: {report.bytes_before:,} bytes before, "
        f"{report.bytes_after:,} bytes now"
    )
    show(report, [line], is_json=is_json)
