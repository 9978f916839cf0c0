"""
Waiting for processes: woken at once, and no thread held meanwhile.
"""

import asyncio

import pytest

from lashstore import (
    ExternalInput,
    HostOriginator,
    InvalidArgumentError,
    ProcessEventAppendRequest,
    ProcessEventType,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    StoreClosedError,
    SuccessOutput,
    UnknownProcessError,
)
from lashstore.aio import AsyncProcessRegistry, AsyncTriggerStore
from lashstore.processes import awaiting

LINE = ProcessEventType(name="line")


def registration(process_id):
    return ProcessRegistration(
        id=process_id,
        input=ExternalInput(),
        disposition=RecoveryDisposition.EXTERNALLY_OWNED,
        provenance=ProcessProvenance(originator=HostOriginator()),
        event_types=(LINE,),
    )


def line(number):
    return ProcessEventAppendRequest(event_type="line", payload=number)


def with_registry(main):
    async def run():
        async with await AsyncProcessRegistry.memory() as registry:
            await registry.register_process(registration("p"))
            await main(registry)

    asyncio.run(run())


def test_waiters_are_woken():
    """
    Many tasks wait for one process, and all hear its end.
    """

    async def main(registry):
        waiters = [
            asyncio.create_task(registry.await_terminal("p", timeout_s=30))
            for _ in range(100)
        ]
        event = asyncio.create_task(registry.await_event("p", "line", 0))
        await asyncio.sleep(0.05)
        await registry.append_event("p", line(1))
        assert 1 == (await event).payload
        await registry.complete_process("p", SuccessOutput(value=7))
        assert [7] * 100 == [each.value for each in await asyncio.gather(*waiters)]

    with_registry(main)


def test_another_host_of_a_server_wakes_at_once(postgres, monkeypatch):
    """
    A message of another pool ends the wait of tasks that would not look by
    themselves, and looks are rarer while messages are heard.
    """
    monkeypatch.setattr(awaiting, "_FIRST_PAUSE_S", 300)
    monkeypatch.setattr(awaiting, "_LONGEST_PAUSE_HEARING_S", 300)
    heard = postgres.url(application_name="aio-waiting")

    async def main():
        async with (
            await AsyncProcessRegistry.open(heard) as registry,
            await AsyncProcessRegistry.open(postgres.url()) as other,
        ):
            await registry.register_process(registration("p"))
            waiters = [
                asyncio.create_task(registry.await_terminal("p")) for _ in range(20)
            ]
            event = asyncio.create_task(registry.await_event("p", "line", 0))
            while not registry.sync._changes.hears_others:
                await asyncio.sleep(0.005)
            await other.append_event("p", line(1))
            assert 1 == (await event).payload
            await other.complete_process("p", SuccessOutput(value=7))
            assert [7] * 20 == [each.value for each in await asyncio.gather(*waiters)]

    try:
        asyncio.run(asyncio.wait_for(main(), 60))
    finally:
        postgres.clear()


def test_looks_are_rarer_while_messages_are_heard():
    """
    The pause doubles up to a quarter of a second, or to two where others
    tell; a change begins it anew.
    """
    question = awaiting.ask_for_end("p", None)
    for _ in range(9):
        question.was_told(False, hears_others=False)
    assert 0.25 == question.pause_s()
    for _ in range(9):
        question.was_told(False, hears_others=True)
    assert 2.0 == question.pause_s()
    question.was_told(True, hears_others=True)
    assert 0.025 == question.pause_s()


def test_another_registry_is_heard_too(tmp_path):
    """
    What another host writes to the file ends the wait as well.
    """

    async def main():
        async with await AsyncProcessRegistry.open(tmp_path / "p.db") as registry:
            await registry.register_process(registration("p"))
            waiter = asyncio.create_task(registry.await_terminal("p", timeout_s=30))
            await asyncio.sleep(0.03)
            with ProcessRegistry.open(tmp_path / "p.db") as other:
                other.complete_process("p", SuccessOutput(value=8))
            assert 8 == (await waiter).value

    asyncio.run(main())


def test_wait_ends_in_time_or_is_cancelled():
    """
    A timeout is a TimeoutError, and a cancelled wait ends at once.
    """

    async def main(registry):
        with pytest.raises(TimeoutError):
            await registry.await_terminal("p", timeout_s=0)
        with pytest.raises(TimeoutError):
            await registry.await_event("p", "line", 0, timeout_s=0.03)
        waiter = asyncio.create_task(registry.await_terminal("p"))
        await asyncio.sleep(0.03)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    with_registry(main)


def test_wrong_questions():
    """
    What the sync registry refuses, the async one does.
    """

    async def main(registry):
        with pytest.raises(UnknownProcessError):
            await registry.await_terminal("q")
        with pytest.raises(InvalidArgumentError):
            await registry.await_event("p", "line", -1)
        with pytest.raises(InvalidArgumentError):
            await registry.await_terminal("p", timeout_s=-1)

    with_registry(main)


def test_closing_ends_waits():
    """
    Whoever waits in a registry that is closed gets a StoreClosedError.
    """

    async def main(registry):
        waiter = asyncio.create_task(registry.await_terminal("p"))
        await asyncio.sleep(0.03)
        await registry.close()
        with pytest.raises(StoreClosedError):
            await waiter

    with_registry(main)


def test_trigger_store_opens_and_closes(tmp_path):
    """
    The trigger store's twins reach their file.
    """

    async def main():
        async with await AsyncTriggerStore.open(tmp_path / "t.db") as store:
            assert () == await store.list_subscriptions()
        with pytest.raises(StoreClosedError):
            await store.list_subscriptions()
        async with await AsyncTriggerStore.memory() as store:
            assert 0 == await store.prune_occurrences(10)

    asyncio.run(main())
