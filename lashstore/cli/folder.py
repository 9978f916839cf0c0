"""
Options that name where sessions are.
"""

from pathlib import Path
from typing import Any

import click

from lashstore.errors import InvalidArgumentError

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


class Root(click.Path):
    """
    A folder, which need not exist yet, or the address of a PostgreSQL
    database.
    """

    name = "root"

    def __init__(self, *, file_okay: bool = False) -> None:
        """
        Args:
            file_okay: A file is one, too.
        """
        super().__init__(file_okay=file_okay, path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """
        Return the folder as a path, or the address as it is.

        Raises:
            click.BadParameter: It is a file, or an address of something else.
        """
        if not isinstance(value, str) or "://" not in value:
            return super().convert(value, param, ctx)
        from lashstore.engines import parse_target

        try:
            parse_target(value)
        except InvalidArgumentError as error:
            self.fail(str(error), param, ctx)
        return value
