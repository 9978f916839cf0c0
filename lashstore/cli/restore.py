"""
`lashstore restore`: make the files of a snapshot.
"""

from pathlib import Path

import click

from lashstore.tools.backups import list_snapshots
from lashstore.tools.backups import restore as restore_snapshot

from .operator import PATH, attachments_option, json_option, path_argument, show


@click.command()
@path_argument("backup_folder")
@click.argument("target", type=PATH, required=False)
@click.option("--snapshot", metavar="NAME", help="Which one; default: the latest.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="A file's name or a session's id; may be repeated. Default: all.",
)
@attachments_option
@click.option("--list", "is_list", is_flag=True, help="List the snapshots instead.")
@json_option
def restore(
    backup_folder: Path,
    target: Path | None,
    snapshot: str | None,
    only: tuple[str, ...],
    attachments: Path | None,
    *,
    is_list: bool,
    is_json: bool,
) -> None:
    r"""
    Make the files of a snapshot of BACKUP_FOLDER in the folder TARGET.

    Everything is verified first, and nothing is ever overwritten: to replace
    a damaged file, move it and its -wal and -shm files away. Exit code 0: all
    of it was restored; 1: it cannot be, and nothing was made; 2: the command
    was used wrongly.

    \b
    Examples:
      lashstore restore backup/ --list
      lashstore restore backup/ sessions/
      lashstore restore backup/ sessions/ --only chat --snapshot 000007-20261121T050208Z
    """
    if is_list:
        snapshots = list_snapshots(backup_folder)
        lines = [
            f"{found.name}: {len(found.files)} files, {len(found.attachments)} "
            "attachments"
            + (f", left out: {', '.join(found.left_out)}" if found.left_out else "")
            for found in snapshots
        ]
        show({"snapshots": list(snapshots)}, lines, is_json=is_json)
        return
    if target is None:
        msg = "Missing argument 'TARGET'."
        raise click.UsageError(msg)
    report = restore_snapshot(
        backup_folder,
        target,
        snapshot=snapshot,
        only=only or None,
        attachments=attachments,
    )
    line = (
        f"restored {len(report.files)} files and {report.attachment_count} "
        f"attachments of snapshot {report.snapshot} to {report.target}"
    )
    show(report, [line], is_json=is_json)
