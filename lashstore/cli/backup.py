"""
`lashstore backup`: add a snapshot to a backup.
"""

from pathlib import Path

import click

from lashstore.tools.backups import backup as back_up

from .operator import (
    attachments_option,
    finding_lines,
    json_option,
    path_argument,
    show,
)


@click.command()
@path_argument("target")
@path_argument("backup_folder")
@attachments_option
@json_option
def backup(
    target: Path, backup_folder: Path, attachments: Path | None, *, is_json: bool
) -> None:
    r"""
    Add a snapshot of TARGET, a database file or a folder of them, to
    BACKUP_FOLDER.

    Hosts may go on writing. Each file is verified; one that does not verify
    is left out. What the backup has is not stored again. Exit code 0: all of
    it is in the snapshot; 1: something was left out; 2: the command was used
    wrongly.

    \b
    Examples:
      lashstore backup sessions/ /mnt/backup/lashstore
      lashstore backup sessions/ backup/ --attachments attachments/
    """
    report = back_up(target, backup_folder, attachments=attachments)
    line = (
        f"snapshot {report.snapshot}: {len(report.files)} files, "
        f"{report.attachment_count} attachments, {report.byte_count:,} bytes, of "
        f"which {report.new_byte_count:,} were new (compressed)"
    )
    sealed = [
        f"session {session_id!r} is sealed: it is in the backup as it is, and opens "
        "with its key only"
        for session_id in report.unopened
    ]
    show(report, [*finding_lines(report.findings), *sealed, line], is_json=is_json)
    if report.findings:
        raise click.exceptions.Exit(1)
