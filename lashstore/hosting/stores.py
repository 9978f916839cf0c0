"""
The stores a root's sessions share: effects, processes and triggers.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    LeaseTimings,
    ProcessRegistry,
    TriggerStore,
)
from lashstore.model.options import StoreOptions
from lashstore.model.record import Record

# Effects are taken over by expiry only. The session's lane already keeps two
# hosts apart, so all a long lease would do is hold up the run after a kill.
_EFFECT_TTL_MS = 300


class SharedStores(Record, frozen=True, kw_only=True):
    """
    The open stores.
    """

    effects: EffectHost
    processes: ProcessRegistry
    triggers: TriggerStore


def effects_path(root: Path) -> Path:
    """
    Return where a root's effects are journalled.
    """
    return root / "effects.db"


@contextlib.contextmanager
def open_stores(
    root: Path, *, options: StoreOptions = StoreOptions(), lease_ttl_ms: int = 30_000
) -> Iterator[SharedStores]:
    """
    Open a root's stores, or make them.

    Args:
        lease_ttl_ms: The lane's; no effect is leased for longer.
    """
    effect_options = EffectReplayOptions(
        lease_timings=LeaseTimings.from_ttl(min(lease_ttl_ms, _EFFECT_TTL_MS)),
        store=options,
    )
    with (
        EffectHost.open(effects_path(root), options=effect_options) as effects,
        ProcessRegistry.open(root / "processes.db", options=options) as processes,
        TriggerStore.open(root / "triggers.db", options=options) as triggers,
    ):
        yield SharedStores(effects=effects, processes=processes, triggers=triggers)
