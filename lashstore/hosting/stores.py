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
from lashstore.tables import EFFECT_COMPONENT, PROCESS_COMPONENT, TRIGGER_COMPONENT

from .roots import root_at

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


@contextlib.contextmanager
def open_stores(
    root: str | Path,
    *,
    options: StoreOptions = StoreOptions(),
    lease_ttl_ms: int = 30_000,
) -> Iterator[SharedStores]:
    """
    Open a root's stores, or make them.

    Args:
        root: A folder, or the address of a PostgreSQL database.

        lease_ttl_ms: The lane's; no effect is leased for longer.
    """
    place = root_at(root)
    effect_options = EffectReplayOptions(
        lease_timings=LeaseTimings.from_ttl(min(lease_ttl_ms, _EFFECT_TTL_MS)),
        store=options,
    )
    with (
        EffectHost.open(
            place.address_of(EFFECT_COMPONENT), options=effect_options
        ) as effects,
        ProcessRegistry.open(
            place.address_of(PROCESS_COMPONENT), options=options
        ) as processes,
        TriggerStore.open(
            place.address_of(TRIGGER_COMPONENT), options=options
        ) as triggers,
    ):
        yield SharedStores(effects=effects, processes=processes, triggers=triggers)
