"""
The base of every value type, and the checks arguments pass before a store
touches its database.
"""

from typing import Any

import msgspec

from lashstore.codec import MAX_COUNTER
from lashstore.errors import InvalidArgumentError

Json = Any


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    Base of the value types: frozen, keyword-only, compared by value.
    """


def require_text(what: str, text: object) -> str:
    """
    Accept an id, key or name: any text without NUL and lone surrogates.

    PostgreSQL's text type holds neither, so both engines refuse them.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(text, str):
        msg = f"{what} must be text, not {type(text).__qualname__}"
        raise InvalidArgumentError(msg)
    if "\0" in text:
        msg = f"{what} must not contain NUL"
        raise InvalidArgumentError(msg)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            msg = f"{what} must not contain lone surrogates"
            raise InvalidArgumentError(msg) from error
    return text


def require_optional_text(what: str, text: object) -> str | None:
    """
    Accept None or what `require_text` accepts.
    """
    return None if text is None else require_text(what, text)


def require_counter(what: str, number: object) -> int:
    """
    Accept a whole number from 0 to 2**63-1.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(number, int) or isinstance(number, bool):
        msg = f"{what} must be a whole number, not {number!r}"
        raise InvalidArgumentError(msg)
    if not 0 <= number <= MAX_COUNTER:
        msg = f"{what} must be from 0 to 2**63-1, not {number}"
        raise InvalidArgumentError(msg)
    return number


def require_optional_counter(what: str, number: object) -> int | None:
    """
    Accept None or what `require_counter` accepts.
    """
    return None if number is None else require_counter(what, number)


def require_upper_bound(what: str, number: object) -> int:
    """
    Accept a counter; anything above the range means "everything".
    """
    if (
        isinstance(number, int)
        and not isinstance(number, bool)
        and number > MAX_COUNTER
    ):
        return MAX_COUNTER
    return require_counter(what, number)


def require_record(what: str, value: object, kinds: Any) -> None:
    """
    Refuse a value of another type than one of *kinds*.

    Raises:
        InvalidArgumentError: It is of another type.
    """
    if not isinstance(value, kinds):
        msg = f"{what} cannot be a {type(value).__qualname__}"
        raise InvalidArgumentError(msg)


def deadline_ms(now_ms: int, ttl_ms: int) -> int:
    """
    Return *now_ms* + *ttl_ms*, held at the largest storable time.
    """
    return min(now_ms + ttl_ms, MAX_COUNTER)
