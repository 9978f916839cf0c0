"""
The calls that hosts make, by name; see `session_calls`, `work_calls` and
`deployment_calls`, which register them.
"""

from collections.abc import Callable

from .host import Call, Host

Maker = Callable[[Host], Call | None]

CALLS: dict[str, Maker] = {}


def call(maker: Maker) -> Maker:
    """
    Register what makes a call, under its name.
    """
    CALLS[maker.__name__] = maker
    return maker
