"""
`lashstore export`: a session as one portable archive.
"""

from pathlib import Path

import click

from lashstore.ciphers import ContentCipher
from lashstore.tools.archives import export_session

from .key_file import key_file_option
from .operator import (
    attachments_option,
    json_option,
    path_argument,
    show,
    target_argument,
)


@click.command()
@target_argument("source")
@path_argument("archive")
@click.option("--session", "session_id", help="Id of the session, if SOURCE has many.")
@attachments_option
@key_file_option("With them content is verified, too; it stays sealed.")
@json_option
def export(
    source: Path | str,
    archive: Path,
    session_id: str | None,
    attachments: Path | None,
    cipher: ContentCipher | None,
    *,
    is_json: bool,
) -> None:
    r"""
    Write a session of SOURCE as ARCHIVE.

    SOURCE is its file, a folder of sessions, or the address of a PostgreSQL
    database.

    The session is verified, and hosts may go on writing. The same state gives
    the same bytes. Exit code 0: the archive is whole; 1: it cannot be made;
    2: the command was used wrongly.

    \b
    Examples:
      lashstore export chat.db chat.lash
      lashstore export sessions/ chat.lash --session chat --attachments attachments/
    """
    if session_id is None and (isinstance(source, str) or source.is_dir()):
        msg = "SOURCE has many sessions: say which of them with --session"
        raise click.UsageError(msg)
    report = export_session(
        source,
        archive,
        session_id=session_id,
        attachments=attachments,
        cipher=cipher,
    )
    line = (
        f"exported session {report.session_id!r} to {report.path}: "
        f"{report.row_count} rows, {report.attachment_count} attachments"
    )
    show(report, [line], is_json=is_json)
