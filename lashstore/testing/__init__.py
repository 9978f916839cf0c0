"""
Help for tests of code that uses lashstore: short factories for what a
runtime commits, enqueues and leases; fixtures for pytest; hosts that die; and
the contract, as tests for any backend (`lashstore.testing.contract`).

Names are imported when they are first used: pytest imports the fixtures'
module in every run wherever lashstore is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .deployments import Deployment as Deployment
    from .deployments import die as die
    from .factories import acquire_lease as acquire_lease
    from .factories import active_turn_draft as active_turn_draft
    from .factories import command_draft as command_draft
    from .factories import commit_nodes as commit_nodes
    from .factories import dead_owner as dead_owner
    from .factories import live_owner as live_owner
    from .factories import make_commit as make_commit
    from .factories import make_owner as make_owner
    from .factories import make_usage as make_usage
    from .factories import make_wake as make_wake
    from .factories import message_chain as message_chain
    from .factories import message_node as message_node
    from .factories import next_turn_draft as next_turn_draft
    from .factories import session_meta as session_meta
    from .factories import turn_work_draft as turn_work_draft

_HOMES = {
    "deployments": ("Deployment", "die"),
    "factories": (
        "acquire_lease",
        "active_turn_draft",
        "command_draft",
        "commit_nodes",
        "dead_owner",
        "live_owner",
        "make_commit",
        "make_owner",
        "make_usage",
        "make_wake",
        "message_chain",
        "message_node",
        "next_turn_draft",
        "session_meta",
        "turn_work_draft",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605, the type checker reads the imports


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
