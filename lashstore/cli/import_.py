"""
`lashstore import`: a session from an archive.
"""

from pathlib import Path

import click

from lashstore.ciphers import ContentCipher
from lashstore.model.options import StoreOptions
from lashstore.tools.archives import import_session

from .key_file import key_file_option
from .operator import (
    attachments_option,
    json_option,
    path_argument,
    show,
    target_argument,
)


@click.command(name="import")
@path_argument("archive")
@target_argument("target")
@attachments_option
@key_file_option("With them content is verified, too; it stays sealed.")
@json_option
def import_(
    archive: Path,
    target: Path | str,
    attachments: Path | None,
    cipher: ContentCipher | None,
    *,
    is_json: bool,
) -> None:
    r"""
    Make the session of ARCHIVE at TARGET.

    TARGET is a file to make; a folder, in which the file gets the name that a
    factory looks for; or the address of a PostgreSQL database. The archive and
    what comes out of it are verified, and nothing is overwritten.
    Exit code 0: the session is there; 1: it cannot be made, and nothing was;
    2: the command was used wrongly.

    \b
    Examples:
      lashstore import chat.lash sessions/
      lashstore import chat.lash copy.db --attachments attachments/
    """
    report = import_session(
        archive,
        target,
        attachments=attachments,
        options=StoreOptions(cipher=cipher),
    )
    line = (
        f"imported session {report.session_id!r} to {report.path}: "
        f"{report.row_count} rows, {report.attachment_count} attachments"
    )
    show(report, [line], is_json=is_json)
