"""
What `lashstore.aio` adds to the sync call and one thread hop.

    python -m benchmarks.aio_cases

Every round times, one after the other: the sync call, an empty hop
(`loop.run_in_executor`), and the async call. The figure is the median of
async / (sync + hop) over the rounds; the aim is at most 1.20.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lashstore import (
    EffectEnvelope,
    EffectHost,
    GraphAppend,
    LeaseOwnerIdentity,
    RuntimeCommit,
    SessionNode,
    Store,
    StoreOptions,
    Synchronous,
    TurnScope,
)
from lashstore.aio import AsyncEffectHost, AsyncStore

_OPTIONS = StoreOptions(synchronous=Synchronous.NORMAL)
_OWNER = LeaseOwnerIdentity.opaque("runner", "1")
_ROUNDS, _CALLS = 60, 20


def _commits(fence):
    count = 0
    while True:
        count += 1
        node = SessionNode(
            node_id=f"n{count}", payload={"role": "user", "content": "hello" * 20}
        )
        yield RuntimeCommit(
            session_id="chat",
            session_execution_lease=fence,
            graph=GraphAppend(nodes=(node,)),
        )


async def _measure(
    name: str,
    sync_call: Callable[[], object],
    async_call: Callable[[], Awaitable[object]],
) -> None:
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    ratios, sync_us, hop_us, async_us = [], [], [], []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for _ in range(_CALLS):
            sync_call()
        after_sync = time.perf_counter()
        for _ in range(_CALLS):
            await loop.run_in_executor(pool, int)
        after_hop = time.perf_counter()
        for _ in range(_CALLS):
            await async_call()
        after = time.perf_counter()
        ratios.append((after - after_hop) / (after_hop - begun))
        sync_us.append((after_sync - begun) / _CALLS * 1e6)
        hop_us.append((after_hop - after_sync) / _CALLS * 1e6)
        async_us.append((after - after_hop) / _CALLS * 1e6)
    pool.shutdown()
    print(
        f"{name:<28} sync {statistics.median(sync_us):7.1f} µs   "
        f"hop {statistics.median(hop_us):6.1f} µs   "
        f"async {statistics.median(async_us):7.1f} µs   "
        f"ratio {statistics.median(ratios):.2f}"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sync = Store.open(root / "sync.db", "chat", options=_OPTIONS)
        twin = await AsyncStore.open(root / "async.db", "chat", options=_OPTIONS)
        commits = {}
        for store in (sync, twin.sync):
            lease = store.try_claim_session_execution_lease(_OWNER, 10**12).lease
            commits[store] = _commits(lease.fence())
        await _measure(
            "commit_runtime_state",
            lambda: sync.commit_runtime_state(next(commits[sync])),
            lambda: twin.commit_runtime_state(next(commits[twin.sync])),
        )
        await _measure(
            "load_session_head_meta",
            sync.load_session_head_meta,
            twin.load_session_head_meta,
        )
        await _measure(
            "try_claim (re-entry)",
            lambda: sync.try_claim_session_execution_lease(_OWNER, 10**12),
            lambda: twin.try_claim_session_execution_lease(_OWNER, 10**12),
        )
        await _measure(
            "load_session (1200 nodes)", sync.load_session, twin.load_session
        )
        await _effects(root)
        sync.close()
        await twin.close()


async def _effects(root: Path) -> None:
    scope = TurnScope(session_id="chat", turn_id="1")
    host = EffectHost.open(root / "effects.db")
    twin = await AsyncEffectHost.open(root / "async-effects.db")
    envelope = EffectEnvelope(kind="tool", effect_id="e", replay_key="k")

    async def work(_: EffectEnvelope) -> int:
        return 1

    host.scoped(scope).execute_effect(envelope, lambda _: 1)
    await twin.scoped(scope).execute_effect(envelope, work)
    await _measure(
        "execute_effect (replay)",
        lambda: host.scoped(scope).execute_effect(envelope, lambda _: 1),
        lambda: twin.scoped(scope).execute_effect(envelope, work),
    )
    host.close()
    await twin.close()


if __name__ == "__main__":
    asyncio.run(main())
