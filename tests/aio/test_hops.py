"""
An operation runs to its end or not at all, whatever happens to its task.
"""

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from lashstore import StoreClosedError
from lashstore.aio.hops import Hops, run_on
from lashstore.aio.threads import Threads


class Gate:
    """
    An operation that says when it began and ends when told to.
    """

    def __init__(self, result=7):
        self.began, self.may_end = threading.Event(), threading.Event()
        self.has_ended = False
        self.result = result

    def __call__(self):
        self.began.set()
        assert self.may_end.wait(10)
        self.has_ended = True
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


async def until_begun(gate):
    await asyncio.to_thread(gate.began.wait, 10)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


def one_thread():
    return Hops(Threads(1, "test"))


def test_result_and_error_come_back():
    """
    What the operation returns or raises is what the await does.
    """

    def fail():
        raise KeyError("x")

    async def main():
        hops = Hops()
        assert 3 == await hops.run(max, 1, 3)
        with pytest.raises(KeyError):
            await hops.run(fail)

    asyncio.run(main())


def test_cancelled_before_it_begins_it_never_runs():
    """
    An operation that waits for a thread is withdrawn.
    """
    ran = []

    async def main():
        hops, gate = one_thread(), Gate()
        first = asyncio.create_task(hops.run(gate))
        await until_begun(gate)
        second = asyncio.create_task(hops.run(ran.append, 1))
        await turns()
        second.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await second
        gate.may_end.set()
        assert 7 == await first
        assert not hasattr(cancelled.value, "__notes__")
        await hops.run(int)

    asyncio.run(main())

    assert [] == ran


@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_while_it_runs_it_ends_first(times):
    """
    However often it is cancelled, the task ends after the operation, and the
    error says that it was carried out.
    """

    async def main():
        hops, gate = Hops(), Gate()
        task = asyncio.create_task(hops.run(gate))
        await until_begun(gate)
        for _ in range(times):
            task.cancel()
            await turns()
        assert not task.done()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
        assert gate.has_ended
        assert cancelled.value.__notes__ == [
            "lashstore: the operation had begun, and was carried out"
        ]

    asyncio.run(main())


def test_failure_of_a_cancelled_operation_is_told():
    """
    The error of an operation whose task was cancelled is in the note.
    """

    async def main():
        hops, gate = Hops(), Gate(ValueError("no"))
        task = asyncio.create_task(hops.run(gate))
        await until_begun(gate)
        task.cancel()
        await turns()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
        assert cancelled.value.__notes__ == [
            "lashstore: the operation had begun, and failed: ValueError('no')"
        ]

    asyncio.run(main())


def test_timeout_waits_for_the_end():
    """
    `asyncio.timeout` raises its TimeoutError once the operation has ended.
    """

    async def main():
        hops, gate = Hops(), Gate()
        task = asyncio.create_task(hops.run(gate))
        await until_begun(gate)
        with pytest.raises(TimeoutError):
            asyncio.get_running_loop().call_later(0.05, gate.may_end.set)
            async with asyncio.timeout(0.01):
                await task
        assert gate.has_ended

    asyncio.run(main())


def test_unwanted_result_is_undone():
    """
    What an operation took, and nobody waits for, is given back.
    """
    undone = []

    async def main():
        gate = Gate("lease")
        threads = Threads(1, "test")
        task = asyncio.create_task(run_on(threads, gate, undo=undone.append))
        await until_begun(gate)
        task.cancel()
        await turns()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        threads.close_and_join()

    asyncio.run(main())

    assert ["lease"] == undone


def test_what_is_certain_runs_though_cancelled():
    """
    A clean-up is not withdrawn when its task is cancelled.
    """
    ran = []

    async def main():
        hops, gate = one_thread(), Gate()
        first = asyncio.create_task(hops.run(gate))
        await until_begun(gate)
        second = asyncio.create_task(hops.run_anyway(lambda: ran.append(1)))
        await turns()
        second.cancel()
        await turns()
        gate.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first

    asyncio.run(main())

    assert [1] == ran


def test_many_loops_share_one_store_of_threads():
    """
    Event loops in several threads use the same hops at once.
    """
    hops, results = Hops(), []

    async def main(number):
        for each in range(50):
            results.append(await hops.run(lambda: (number, each)))  # noqa: B023

    threads = [
        threading.Thread(target=lambda n=n: asyncio.run(main(n))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [(n, e) for n in range(6) for e in range(50)] == sorted(results)


def test_context_variables_reach_the_thread():
    """
    An operation, and a callback in it, see the task's context variables.
    """
    trace = contextvars.ContextVar("trace", default=None)

    async def main():
        trace.set("t1")
        return await Hops().run(trace.get)

    assert "t1" == asyncio.run(main())


def test_no_work_after_the_end():
    """
    Once closed, every use is a StoreClosedError, and closing again is none.
    """
    closed = []

    async def main():
        hops = Hops()
        await hops.close(lambda: closed.append(1))
        await hops.close(lambda: closed.append(2))
        with pytest.raises(StoreClosedError):
            await hops.run(int)

    asyncio.run(main())

    assert [1] == closed


def test_loop_that_is_gone_hinders_nobody():
    """
    A loop that was closed while an operation ran leaves the thread usable.
    """
    hops, gate = one_thread(), Gate()
    loop = asyncio.new_event_loop()
    task = loop.create_task(hops.run(gate))
    loop.run_until_complete(asyncio.wait_for(until_begun(gate), 10))
    task._log_destroy_pending = False
    loop.close()
    gate.may_end.set()

    assert 0 == asyncio.run(hops.run(int))
    assert gate.has_ended
    task.get_coro().close()


def test_threads_end(monkeypatch):
    """
    Idle threads end by themselves, and all of them when they are closed.
    """
    monkeypatch.setattr("lashstore.aio.threads._IDLE_S", 0.01)
    threads = Threads(4, "test-ending")

    async def main():
        hops = Hops(threads)
        await asyncio.gather(*(hops.run(int) for _ in range(20)))
        deadline = asyncio.get_running_loop().time() + 10
        while threads._workers and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.005)
        assert set() == threads._workers
        assert 0 == await hops.run(int)

    asyncio.run(main())
    threads.close_and_join()

    assert not [t for t in threading.enumerate() if t.name == "test-ending"]


def test_interpreter_waits_for_what_has_begun():
    """
    An operation that runs when the program ends is not cut off.
    """
    program = """
import asyncio, time
from lashstore.aio.hops import Hops

def work():
    time.sleep(0.2)
    print("done", flush=True)

loop = asyncio.new_event_loop()
task = loop.create_task(Hops().run(work))
loop.run_until_complete(asyncio.sleep(0.05))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True
    )

    assert "done\n" == ran.stdout
