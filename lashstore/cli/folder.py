"""
Options that name a folder of sessions.
"""

from pathlib import Path

import click

# The folder need not exist yet.
FOLDER = click.Path(file_okay=False, path_type=Path)


def refuse_url(
    _ctx: click.Context, _param: click.Parameter, folder: Path | None
) -> Path | None:
    """
    Refuse a URL, which would quietly become a folder of that name.

    Raises:
        click.BadParameter: It is one.
    """
    # A path holds no empty parts, so "://" is left as ":/" in it.
    if folder is not None and ":/" in str(folder):
        msg = f"{str(folder)!r} is a URL, not a folder"
        raise click.BadParameter(msg)
    return folder
