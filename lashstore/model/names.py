"""
Names that people choose: any text that is not blank.
"""

from lashstore.errors import InvalidArgumentError

from .record import require_text


def require_name(what: str, text: object) -> str:
    """
    Accept what `require_text` accepts, unless it is blank.

    Raises:
        InvalidArgumentError: It is none, or blank.
    """
    name = require_text(what, text)
    if not name.strip():
        msg = f"{what} must not be blank"
        raise InvalidArgumentError(msg)
    return name
