"""
`lashstore verify`: check files, and repair what is safe.
"""

from pathlib import Path

import click

from lashstore.ciphers import ContentCipher
from lashstore.model.options import StoreOptions
from lashstore.tools.findings import VerifyReport
from lashstore.tools.repairing import repair
from lashstore.tools.verifying import verify as verify_target

from .key_file import key_file_option
from .operator import (
    PATH,
    attachments_option,
    finding_lines,
    json_option,
    show,
    target_argument,
)


@click.command()
@target_argument("target")
@attachments_option
@click.option(
    "--repair",
    "is_repair",
    is_flag=True,
    help="Mend what verified rows prove, after copying each file that needs it.",
)
@click.option(
    "--backup-folder",
    type=PATH,
    metavar="FOLDER",
    help="Where --repair puts the copies; default: beside each file.",
)
@key_file_option("With them content is checked, too.")
@json_option
def verify(
    target: Path | str,
    attachments: Path | None,
    backup_folder: Path | None,
    cipher: ContentCipher | None,
    *,
    is_repair: bool,
    is_json: bool,
) -> None:
    r"""
    Check every row of TARGET, a database file, a folder of them, or the
    address of a PostgreSQL database.

    It is only read, and hosts may go on writing. Exit code 0: nothing is
    wrong; 1: something is, and each finding says where, what and what to do;
    2: the command was used wrongly.

    Without its key the content of a sealed session stays unopened, which is
    said and is no finding.

    \b
    Examples:
      lashstore verify sessions/
      lashstore verify sessions/ --attachments attachments/ --json
      lashstore verify chat.db --repair
      lashstore verify 'postgresql+psycopg://host/database?schema=lash'
    """
    if backup_folder is not None and not is_repair:
        msg = "--backup-folder needs --repair"
        raise click.UsageError(msg)
    if is_repair and isinstance(target, str):
        msg = "--repair works on files; a server's database is restored instead"
        raise click.UsageError(msg)
    if is_repair:
        mended = repair(
            target, backup_folder=backup_folder, options=StoreOptions(cipher=cipher)
        )
        lines = [
            f"copied {file} to {copy}" for file, copy in mended.backups.items()
        ] + [
            f"repaired {found.path} [{found.table} {found.key}]: {found.what}"
            for found in mended.repaired
        ]
        # With the attachments' findings, which no repair mends.
        after = verify_target(target, attachments=attachments, cipher=cipher)
        show(mended, [*lines, *_lines(after)], is_json=is_json)
    else:
        after = verify_target(target, attachments=attachments, cipher=cipher)
        show(after, _lines(after), is_json=is_json)
    if not after.is_sound:
        raise click.exceptions.Exit(1)


def _lines(report: VerifyReport) -> list[str]:
    count = len(report.findings)
    verdict = "nothing is wrong" if report.is_sound else f"{count} findings"
    return [
        *finding_lines(report.findings),
        *(
            f"session {session_id!r} is sealed: its content was not opened, only "
            "looked at for damage; give its key with --key-file"
            for session_id in report.unopened
        ),
        f"{len(report.files)} files, {sum(report.rows.values())} rows: {verdict}",
    ]
