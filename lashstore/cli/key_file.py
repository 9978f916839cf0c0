"""
The option by which operators give the keys of sealed sessions.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lashstore.ciphers import AesGcmCipher
from lashstore.errors import InvalidArgumentError


def _cipher_of(
    ctx: click.Context, param: click.Parameter, path: Path | None
) -> AesGcmCipher | None:
    if path is None:
        return None
    try:
        return AesGcmCipher.from_key_file(path)
    except InvalidArgumentError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    except ImportError as error:
        msg = (
            "reading sealed sessions needs cryptography: install lashstore[encryption]"
        )
        raise click.UsageError(msg, ctx) from error


def key_file_option(meaning: str) -> Callable[[Any], Any]:
    """
    Make the option `--key-file`, which gives a command a cipher.

    Keys are never on the command line, which every user of a machine can see.

    Args:
        meaning: What the command does with the keys, as a sentence.
    """
    return click.option(
        "--key-file",
        "cipher",
        type=click.Path(path_type=Path),
        callback=_cipher_of,
        envvar="LASHSTORE_KEY_FILE",
        metavar="FILE",
        help=f"Keys of sealed sessions, a line each: an id, a space, 32 bytes in "
        f"base64. {meaning} Default: the file that LASHSTORE_KEY_FILE names.",
    )
