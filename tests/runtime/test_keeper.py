"""
The lease keeper: renewed beside the work, lost loudly.
"""

import asyncio
import threading

import pytest

from lashstore import (
    ExternalInput,
    HostOriginator,
    LeaseHeldError,
    ManualClock,
    ProcessLeaseExpiredError,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    SessionExecutionLeaseExpiredError,
    Store,
    StoreBusyError,
    aio,
    keep_process_lease,
    keep_session_lease,
)
from lashstore.aio import AsyncStore

from .kit import FAST, SLOW, commit_of, owner, until


def stolen(store, clock, ttl_ms):
    """
    Let a lease expire, and have another host take it.
    """
    clock.advance(ttl_ms)
    return store.try_claim_session_execution_lease(owner("thief"), 10_000).lease


def expires_at(store):
    return store.transaction


def test_held_and_given_back():
    """
    Inside the block nobody else has the lease; after it anybody may.
    """
    with Store.memory("chat") as store:
        with keep_session_lease(store, owner(), timings=SLOW) as keeper:
            assert "a" == keeper.lease().owner.owner_id
            assert not keeper.is_lost
            with pytest.raises(LeaseHeldError) as held:
                with keep_session_lease(store, owner("b")):
                    pass
            assert "session 'chat' is being run by a" in str(held.value)
        with keep_session_lease(store, owner("b"), timings=SLOW) as keeper:
            assert 2 == keeper.lease().fencing_token


def test_renewed_beside_the_work():
    """
    Work that takes longer than the lease keeps it.
    """
    clock = ManualClock(1_000)
    with Store.memory("chat", clock=clock) as store:
        with keep_session_lease(store, owner(), timings=FAST) as keeper:
            for _ in range(5):
                before = keeper.lease().expires_at_ms
                clock.advance(200)
                until(lambda: keeper.lease().expires_at_ms > before, "a renewal")
            assert 1_000 + 5 * 200 + 300 == keeper.lease().expires_at_ms


def test_loss_is_loud_inside_and_at_the_end():
    """
    A lost lease raises when it is asked for, and at the end of work that
    never asked.
    """
    clock = ManualClock(1_000)
    with Store.memory("chat", clock=clock) as store:
        with pytest.raises(SessionExecutionLeaseExpiredError):
            with keep_session_lease(store, owner(), timings=FAST) as keeper:
                thief = stolen(store, clock, 300)
                until(lambda: keeper.is_lost, "the loss")
                with pytest.raises(SessionExecutionLeaseExpiredError):
                    keeper.lease()

        # What the loser gave back was not the thief's.
        assert store.renew_session_execution_lease(thief.fence(), 10_000)


def test_exception_of_the_work_comes_first():
    """
    The work's own exception leaves the block, whatever became of the lease.
    """
    clock = ManualClock(1_000)
    with Store.memory("chat", clock=clock) as store:
        with pytest.raises(KeyError):
            with keep_session_lease(store, owner(), timings=FAST) as keeper:
                stolen(store, clock, 300)
                until(lambda: keeper.is_lost, "the loss")
                raise KeyError


class Moody:
    """
    A store whose renewals fail for a while.
    """

    def __init__(self, store):
        self._store = store
        self.failures, self.error = 0, None
        self.failed = threading.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    def renew_session_execution_lease(self, fence, ttl_ms):
        if self.error is not None:
            self.failures += 1
            raise self.error
        return self._store.renew_session_execution_lease(fence, ttl_ms)


def test_passing_failures_are_no_loss():
    """
    A database that is busy for less than the lease lasts loses nothing.
    """
    clock = ManualClock(1_000)
    with Store.memory("chat", clock=clock) as store:
        moody = Moody(store)
        long = FAST.__class__(ttl_ms=60_000, renew_interval_ms=20)
        with keep_session_lease(moody, owner(), timings=long) as keeper:
            moody.error = StoreBusyError("busy")
            until(lambda: moody.failures >= 3, "failures")
            assert not keeper.is_lost
            moody.error = None
            before = keeper.lease().expires_at_ms
            clock.advance(100)
            until(lambda: keeper.lease().expires_at_ms > before, "a renewal")


def test_failures_for_as_long_as_the_lease_are_a_loss():
    """
    What could not be renewed in all its time counts as lost, though nobody
    took it, and says why.
    """
    with Store.memory("chat", clock=ManualClock(1_000)) as store:
        moody = Moody(store)
        with pytest.raises(SessionExecutionLeaseExpiredError) as lost:
            with keep_session_lease(moody, owner(), timings=FAST) as keeper:
                moody.error = StoreBusyError("busy")
                until(lambda: keeper.is_lost, "the loss")
        assert isinstance(lost.value.__cause__, StoreBusyError)


def test_release_by_the_last_commit_is_no_loss():
    """
    A commit that releases the lease ends the keeping quietly.
    """
    clock = ManualClock(1_000)

    class Nothing:
        turn_id, inputs, batches = "t", (), ()

    with Store.memory("chat", clock=clock) as store:
        with keep_session_lease(store, owner(), timings=FAST) as keeper:
            lease = keeper.lease()
            keeper.expect_release()
            store.commit_runtime_state(
                commit_of(Nothing).__class__(
                    session_id="chat",
                    session_execution_lease=lease.fence(),
                    release_session_execution_lease=lease.completion(),
                )
            )
            until(lambda: keeper.is_lost, "a renewal of what is released")


def test_waiting_for_another_holder():
    """
    A holder that lets go in time is waited for, and told of once.
    """
    told = []
    with Store.memory("chat") as store:
        other = store.try_claim_session_execution_lease(owner("b"), 60_000).lease

        def on_wait(holder):
            told.append(holder.owner_id)
            store.release_session_execution_lease(other.completion())

        with keep_session_lease(
            store, owner(), timings=SLOW, wait_s=10, on_wait=on_wait
        ) as keeper:
            assert "a" == keeper.lease().owner.owner_id

    assert ["b"] == told


def registered(registry):
    registry.register_process(
        ProcessRegistration(
            id="p",
            input=ExternalInput(),
            disposition=RecoveryDisposition.EXTERNALLY_OWNED,
            provenance=ProcessProvenance(originator=HostOriginator()),
        )
    )
    return registry


def test_process_lease():
    """
    A process's lease is kept and lost in the same way.
    """
    clock = ManualClock(1_000)
    with registered(ProcessRegistry.memory(clock=clock)) as registry:
        with keep_process_lease(registry, "p", owner(), timings=FAST) as keeper:
            assert registry.get_process_lease("p") == keeper.lease()
            with pytest.raises(LeaseHeldError, match="process 'p'"):
                with keep_process_lease(registry, "p", owner("b")):
                    pass
        assert registry.get_process_lease("p") is None
        with pytest.raises(ProcessLeaseExpiredError):
            with keep_process_lease(registry, "p", owner(), timings=FAST) as keeper:
                clock.advance(300)
                registry.claim_process_lease("p", owner("thief"), 10_000)
                until(lambda: keeper.is_lost, "the loss")


def test_async_loss_cancels_the_block():
    """
    On an event loop a lost lease interrupts whatever is awaited.
    """
    clock = ManualClock(1_000)

    async def main():
        async with await AsyncStore.memory("chat", clock=clock) as store:
            with pytest.raises(SessionExecutionLeaseExpiredError):
                async with aio.keep_session_lease(store, owner(), timings=FAST):
                    await asyncio.to_thread(stolen, store.sync, clock, 300)
                    await asyncio.Event().wait()
            assert 0 == asyncio.current_task().cancelling()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_async_keeper_renews_and_gives_back():
    """
    A task renews the lease; the end of the block releases it.
    """
    clock = ManualClock(1_000)

    async def main():
        async with await AsyncStore.memory("chat", clock=clock) as store:
            async with aio.keep_session_lease(store, owner(), timings=FAST) as keeper:
                for _ in range(3):
                    before = keeper.lease().expires_at_ms
                    clock.advance(200)
                    while keeper.lease().expires_at_ms == before:
                        await asyncio.sleep(0.005)
                with pytest.raises(LeaseHeldError):
                    async with aio.keep_session_lease(store, owner("b")):
                        pass
            async with aio.keep_session_lease(store, owner("b")) as keeper:
                assert 2 == keeper.lease().fencing_token

    asyncio.run(main())


def test_async_cancellation_from_outside_stays_one():
    """
    A cancelled task gives the lease back and ends as cancelled.
    """

    async def main():
        async with await AsyncStore.memory("chat") as store:
            entered = asyncio.Event()

            async def work():
                async with aio.keep_session_lease(store, owner(), timings=SLOW):
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with aio.keep_session_lease(store, owner("b"), timings=SLOW):
                pass

    asyncio.run(main())
