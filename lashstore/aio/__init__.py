"""
Lashstore for event loops: the sync stores' methods, awaited.

Each operation runs whole on a worker thread, one hop an operation, and the
loop never waits for the database. A cancelled await leaves an operation
carried out or not begun, never halfway and never unknown. Values, options
and errors are those of `lashstore`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .effects import AsyncEffectController as AsyncEffectController
    from .effects import AsyncEffectHost as AsyncEffectHost
    from .factory import AsyncSessionStoreFactory as AsyncSessionStoreFactory
    from .processes import AsyncProcessRegistry as AsyncProcessRegistry
    from .runtime import AsyncTurn as AsyncTurn
    from .runtime import AsyncTurnRunner as AsyncTurnRunner
    from .runtime import AsyncWorker as AsyncWorker
    from .runtime import keep_process_lease as keep_process_lease
    from .runtime import keep_session_lease as keep_session_lease
    from .store import AsyncStore as AsyncStore
    from .transaction import AsyncSessionTransaction as AsyncSessionTransaction
    from .triggers import AsyncTriggerStore as AsyncTriggerStore

_HOME_OF = {
    "AsyncEffectController": "effects",
    "AsyncEffectHost": "effects",
    "AsyncProcessRegistry": "processes",
    "AsyncSessionStoreFactory": "factory",
    "AsyncSessionTransaction": "transaction",
    "AsyncStore": "store",
    "AsyncTriggerStore": "triggers",
    "AsyncTurn": "runtime",
    "AsyncTurnRunner": "runtime",
    "AsyncWorker": "runtime",
    "keep_process_lease": "runtime",
    "keep_session_lease": "runtime",
}

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
