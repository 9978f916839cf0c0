"""
Addresses of PostgreSQL databases.
"""

import sqlalchemy as sa

from lashstore.errors import InvalidArgumentError

# What an address says to us, and not to the driver.
OWN_OPTIONS = ("schema", "pool_size")

_POOL_SIZE = 16
_MAX_NAME_BYTES = 63


def parse_url(target: str) -> sa.URL:
    """
    Read the address of a PostgreSQL database.

    Raises:
        InvalidArgumentError: It is none, or one of another engine.
    """
    try:
        url = sa.make_url(target)
    except sa.exc.ArgumentError as error:
        msg = f"this is no database URL: {error}"
        raise InvalidArgumentError(msg) from error
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        msg = (
            f"{url.drivername!r} is no engine of lashstore: give a path, or "
            "postgresql+psycopg://user@host/database"
        )
        raise InvalidArgumentError(msg)
    _check_schema(url.query.get("schema", "public"))
    return url


def _check_schema(name: str | tuple[str, ...]) -> None:
    # A longer name would be cut by the server, and a pg_ one refused.
    if (
        not isinstance(name, str)
        or not 1 <= len(name.encode()) <= _MAX_NAME_BYTES
        or name.startswith("pg_")
    ):
        msg = (
            f"schema must be one name of at most {_MAX_NAME_BYTES} bytes that "
            f"does not begin with 'pg_', not {name!r}"
        )
        raise InvalidArgumentError(msg)


def pool_size(url: sa.URL) -> int:
    """
    Return how many connections a process may have.

    Raises:
        InvalidArgumentError: The address says it in no number.
    """
    given = str(url.query.get("pool_size", _POOL_SIZE))
    if not given.isdecimal() or int(given) < 1:
        msg = f"pool_size must be a number from 1 up, not {given!r}"
        raise InvalidArgumentError(msg)
    return int(given)
