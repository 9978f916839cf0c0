"""
`AsyncStore`: the loop stays free, and cancelling leaves nothing open.
"""

import asyncio
import threading
import time

import pytest

from lashstore import (
    InvalidArgumentError,
    ManualClock,
    Store,
    StoreBusyError,
    StoreClosedError,
    StoreOptions,
)
from lashstore.aio import AsyncSessionStoreFactory, AsyncStore

from .kit import QUICK, in_loops, land, leased, turn, until, write_lock_held


def opened(path, **members):
    return AsyncStore.open(path, "chat", options=QUICK, **members)


def test_commit_and_read(tmp_path):
    """
    What is committed is read back, also by a sync store.
    """

    async def main():
        async with await opened(tmp_path / "chat.db") as store:
            assert "chat" == store.session_id
            assert await store.load_session() is None
            assert 1 == (await land(store)).head_revision

    asyncio.run(main())

    with Store.open(tmp_path / "chat.db", "chat") as store:
        assert 1 == store.load_session().head_revision


def test_loop_is_free_while_a_lock_is_waited_for(tmp_path):
    """
    The event loop runs other tasks while a commit waits for another host.
    """

    async def main():
        async with await opened(tmp_path / "chat.db") as store:
            fence = await leased(store)
            with write_lock_held(tmp_path / "chat.db"):
                commit = asyncio.create_task(store.commit_runtime_state(turn(fence)))
                longest = 0.0
                for _ in range(20):
                    before = time.monotonic()
                    await asyncio.sleep(0.005)
                    longest = max(longest, time.monotonic() - before)
                assert not commit.done()
            assert 1 == (await commit).head_revision
            return longest

    assert asyncio.run(main()) < 1.0


def test_cancelled_commit_has_landed_when_the_error_comes(tmp_path):
    """
    Cancelled while it waits for the lock, a commit lands, and only then does
    CancelledError come; no transaction stays open.
    """

    async def main():
        async with await opened(tmp_path / "chat.db") as store:
            fence = await leased(store)
            with write_lock_held(tmp_path / "chat.db"):
                commit = asyncio.create_task(store.commit_runtime_state(turn(fence)))
                await until(lambda: is_waiting(store), "the commit to wait")
                commit.cancel()
                await asyncio.sleep(0.01)
                assert not commit.done()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await commit
            assert "was carried out" in cancelled.value.__notes__[0]
            assert 1 == (await store.load_session_head_meta()).head_revision
            # Nobody holds the lock: another host writes at once.
            with Store.open(
                tmp_path / "chat.db", "chat", options=StoreOptions(busy_timeout_ms=1)
            ) as other:
                other.put_blob(b"x")

    asyncio.run(main())


def is_waiting(store):
    # Its thread is inside of the database's own lock.
    database = store.sync._source
    return database._write_lock._is_owned() or not _try(database._write_lock)


def _try(lock):
    if lock.acquire(blocking=False):
        lock.release()
        return True
    return False


@pytest.mark.parametrize("seed", range(5))
def test_cancelled_anywhere_it_is_all_or_nothing(tmp_path, seed):
    """
    Commits cancelled at many moments have landed whole or not at all, as
    their notes say.
    """

    async def main():
        async with await opened(tmp_path / "chat.db") as store:
            landed, fence = 0, await leased(store)
            for number in range(20):
                task = asyncio.create_task(
                    store.commit_runtime_state(turn(fence, number))
                )
                for _ in range((number * (seed + 1)) % 9):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                    landed += 1
                except asyncio.CancelledError as error:
                    landed += hasattr(error, "__notes__")
            head = await store.load_session_head_meta()
            assert landed == (head.head_revision if head else 0)
            session = await store.load_session()
            assert landed == (len(session.graph.nodes) if session else 0)

    asyncio.run(main())


def test_busy_and_timeout_tell_apart(tmp_path):
    """
    A lock that is not had is a StoreBusyError; the caller's timeout a
    TimeoutError, after the operation has ended.
    """
    options = StoreOptions(busy_timeout_ms=30)

    async def main():
        async with await AsyncStore.open(
            tmp_path / "chat.db", "chat", options=options
        ) as store:
            fence = await leased(store)
            with write_lock_held(tmp_path / "chat.db"):
                with pytest.raises(StoreBusyError):
                    await store.commit_runtime_state(turn(fence))
                with pytest.raises(TimeoutError) as timeout:
                    async with asyncio.timeout(0.005):
                        await store.commit_runtime_state(turn(fence))
                notes = timeout.value.__cause__.__notes__
                assert "StoreBusyError" in notes[0]
            assert await store.load_session() is None

    asyncio.run(main())


@pytest.mark.parametrize("is_file", [True, False])
def test_transaction_commits_or_undoes(tmp_path, is_file):
    """
    Leaving the block commits; an exception, or a cancellation, undoes.
    """

    async def main():
        store = await (
            opened(tmp_path / "chat.db") if is_file else AsyncStore.memory("chat")
        )
        async with store:
            await land(store)
            async with store.transaction() as tx:
                assert 1 == await tx.run(mark)
            with pytest.raises(KeyError):
                async with store.transaction() as tx:
                    await tx.run(mark)
                    raise KeyError
            assert 1 == len((await store.load_session()).graph.nodes)
            entered, never = asyncio.Event(), asyncio.Event()

            async def cancelled():
                async with store.transaction() as tx:
                    await tx.run(lambda tx: tx.session_meta.find(tx.session_id))
                    entered.set()
                    await never.wait()

            task = asyncio.create_task(cancelled())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert 2 == (await land(store, 2)).head_revision
            with pytest.raises(InvalidArgumentError):
                await tx.run(mark)

    asyncio.run(main())


def mark(tx):
    return tx.heads.find(tx.session_id).head_revision


@pytest.mark.parametrize("is_file", [True, False])
def test_store_inside_its_own_transaction(tmp_path, is_file):
    """
    Inside, this task and its children read, and are refused at once when
    they write or begin another; other tasks wait.
    """

    async def main():
        store = await (
            opened(tmp_path / "chat.db") if is_file else AsyncStore.memory("chat")
        )
        async with store:
            await land(store)
            enter, entered = asyncio.Event(), asyncio.Event()

            async def other():
                await enter.wait()
                entered.set()
                return await land(store, 2)

            stranger = asyncio.create_task(other())
            async with store.transaction():
                assert 1 == (await store.load_session()).head_revision
                with pytest.raises(InvalidArgumentError):
                    await land(store, 3)
                with pytest.raises(InvalidArgumentError):
                    await asyncio.gather(store.put_blob(b"x"))
                with pytest.raises(InvalidArgumentError):
                    async with store.transaction():
                        pass
                enter.set()
                await entered.wait()
                assert not stranger.done()
            assert 2 == (await stranger).head_revision
            assert 3 == (await land(store, 3)).head_revision

    asyncio.run(main())


def test_two_stores_transactions_interleave(tmp_path):
    """
    A task may be inside transactions of two stores, each on its thread.
    """

    async def main():
        async with AsyncSessionStoreFactory(tmp_path) as factory:
            one, two = [await factory.create_store(name) for name in ("1", "2")]
            async with one.transaction() as tx1, two.transaction() as tx2:
                threads = [
                    await tx.run(lambda _: threading.get_ident()) for tx in (tx1, tx2)
                ]
                assert threads[0] != threads[1]
                assert ("1", "2") == (tx1.session_id, tx2.session_id)
            await one.put_blob(b"x")

    asyncio.run(main())


def test_run_in_transaction(tmp_path):
    """
    It commits what the function did, and undoes it after an exception.
    """

    async def main():
        async with await opened(tmp_path / "chat.db") as store:
            await land(store)
            assert 1 == await store.run_in_transaction(mark)

            def spoil(tx):
                tx.graph.tombstone(tx.session_id, ["n1"])
                raise KeyError

            with pytest.raises(KeyError):
                await store.run_in_transaction(spoil)
            assert 1 == len((await store.load_session()).graph.nodes)

    asyncio.run(main())


def test_many_loops_use_one_store(tmp_path):
    """
    A store serves event loops in several threads; every commit counts once.
    """
    store = asyncio.run(opened(tmp_path / "chat.db"))

    async def main(number):
        for each in range(10):
            await land(store, number * 10 + each)

    in_loops(4, main)

    async def finish():
        async with store:
            return (await store.load_session_head_meta()).head_revision

    assert 40 == asyncio.run(finish())


def test_cancelled_opening_closes_what_it_opened(tmp_path, monkeypatch):
    """
    A store that is opened for nobody is closed again.
    """
    began, may_end, stores = threading.Event(), threading.Event(), []
    genuine = Store.open.__func__

    def slow(cls, *args, **kwargs):
        began.set()
        assert may_end.wait(10)
        stores.append(genuine(cls, *args, **kwargs))
        return stores[0]

    monkeypatch.setattr(Store, "open", classmethod(slow))

    async def main():
        task = asyncio.create_task(opened(tmp_path / "chat.db"))
        await asyncio.to_thread(began.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    with pytest.raises(StoreClosedError):
        stores[0].load_session()


def test_closed_store(tmp_path):
    """
    Closing twice is no error; every use afterwards is one.
    """

    async def main():
        store = await opened(tmp_path / "chat.db")
        await store.close()
        await store.close()
        with pytest.raises(StoreClosedError):
            await store.load_session()

    asyncio.run(main())


def test_listing_pages_and_errors_in_order(tmp_path, monkeypatch):
    """
    A listing longer than a page comes whole and in order, damaged sessions
    told in their place, on the loop's thread.
    """
    monkeypatch.setattr("lashstore.aio.factory._PAGE", 4)

    async def main():
        loop_thread, seen = threading.get_ident(), []
        async with AsyncSessionStoreFactory(
            tmp_path, options=QUICK, clock=ManualClock(1_000)
        ) as factory:
            for number in range(10):
                store = await factory.create_store(f"s{number}")
                await store.close()
            damaged = await factory.path_for_session("s6")
        damaged.write_bytes(b"nothing of ours" * 100)

        def on_error(path, error):
            assert threading.get_ident() == loop_thread
            seen.append(path.name[:2])

        async with AsyncSessionStoreFactory(tmp_path, options=QUICK) as factory:
            async for info in factory.list_sessions(on_error=on_error):
                seen.append(info.session_id)
            told = []
            with pytest.raises(Exception, match="not a lashstore database"):
                async for info in factory.list_sessions():
                    told.append(info.session_id)
        assert [f"s{number}" for number in range(10)] == seen
        assert [f"s{number}" for number in range(6)] == told

    asyncio.run(main())


def test_copy_head_between_async_stores():
    """
    A head is taken over from another async store.
    """

    async def main():
        async with (
            await AsyncStore.memory("chat") as source,
            await AsyncStore.memory("copy") as target,
        ):
            await land(source)
            assert 1 == (await target.copy_head_from(source)).head_revision

    asyncio.run(main())
