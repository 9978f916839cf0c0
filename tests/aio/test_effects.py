"""
Effects whose executors are coroutines.
"""

import asyncio
import threading

import pytest

from lashstore import (
    EffectCancelledError,
    EffectEnvelope,
    EffectFailure,
    EffectHost,
    EffectLeaseLostError,
    EffectReplayMissingError,
    EffectReplayOptions,
    InvalidArgumentError,
    LeaseTimings,
    ManualClock,
    TurnScope,
)
from lashstore.aio import AsyncEffectHost

from .kit import NOW_MS, QUICK, until

TURN = TurnScope(session_id="chat", turn_id="7")
ASK = EffectEnvelope(kind="llm_call", effect_id="e", replay_key="k", command={"q": 1})


def options(ttl_ms=30_000):
    return EffectReplayOptions(lease_timings=LeaseTimings.from_ttl(ttl_ms), store=QUICK)


def with_host(path, main, clock=None, ttl_ms=30_000):
    async def run():
        async with await AsyncEffectHost.open(
            path, options=options(ttl_ms), clock=clock
        ) as host:
            await main(host, host.scoped(TURN))

    asyncio.run(run())


class Work:
    def __init__(self, outcome=1):
        self.runs, self.outcome = 0, outcome

    async def __call__(self, *_):
        self.runs += 1
        await asyncio.sleep(0)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def test_outcome_is_recorded_and_replayed(tmp_path):
    """
    A coroutine runs once; a sync host replays the same record.
    """
    work = Work({"a": [1]})

    async def main(host, turn):
        for _ in range(3):
            assert {"a": [1]} == await turn.execute_effect(ASK, work)
        assert "x" == await turn.step("s", Work("x"), input=2)

    with_host(tmp_path / "e.db", main)

    assert 1 == work.runs
    with EffectHost.open(tmp_path / "e.db") as host:
        assert {"a": [1]} == host.scoped(TURN).execute_effect(ASK, lambda _: 9)


def test_failure_is_recorded(tmp_path):
    """
    An EffectFailure is replayed; any other exception lets it run again.
    """
    failing, broken = Work(EffectFailure("no", "really")), Work(KeyError("x"))

    async def main(host, turn):
        for _ in range(2):
            with pytest.raises(EffectFailure):
                await turn.execute_effect(ASK, failing)
        for _ in range(2):
            with pytest.raises(KeyError):
                await turn.step("s", broken)

    with_host(tmp_path / "e.db", main)

    assert (1, 2) == (failing.runs, broken.runs)


def test_cancelled_executor_frees_the_claim(tmp_path):
    """
    A task cancelled in its executor leaves the effect to the next, at once.
    """

    async def main(host, turn):
        began = asyncio.Event()

        async def forever(_):
            began.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(turn.execute_effect(ASK, forever))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 5 == await turn.execute_effect(ASK, Work(5), timeout_s=0)

    with_host(tmp_path / "e.db", main)


@pytest.mark.parametrize("steps", range(12))
def test_cancelled_anywhere_it_is_recorded_or_free(tmp_path, steps):
    """
    Cancelled at any moment, an effect is recorded, or may run at once.
    """

    async def main(host, turn):
        work = Work(5)
        task = asyncio.create_task(turn.execute_effect(ASK, work))
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        again = Work(5)
        assert 5 == await turn.execute_effect(ASK, again, timeout_s=0)
        assert 1 <= work.runs + again.runs <= 2

    with_host(tmp_path / "e.db", main)


def test_renewed_beside_the_work(tmp_path):
    """
    Work longer than the lease keeps it, since a task renews beside it.
    """
    clock = ManualClock(NOW_MS)

    async def main(host, turn):
        async def slow(_):
            with EffectHost.open(tmp_path / "e.db", clock=clock) as other:
                lease = other._journal._database
                for _ in range(3):
                    before = expires(lease)
                    clock.advance(20)
                    await until(lambda: expires(lease) > before, "a renewal")
            return "done"

        assert "done" == await turn.execute_effect(ASK, slow)

    with_host(tmp_path / "e.db", main, clock, ttl_ms=30)


def expires(database):
    import sqlalchemy as sa

    return database.read(
        lambda c: c.execute(sa.text("SELECT * FROM effects")).mappings().one()
    )["lease_expires_at_ms"]


def test_lost_claim_is_loud_and_records_nothing(tmp_path):
    """
    Once the lease has lapsed, the outcome is not recorded.
    """
    clock = ManualClock(NOW_MS)

    async def main(host, turn):
        async def late(_):
            clock.advance(31_000)
            return 1

        with pytest.raises(EffectLeaseLostError):
            await turn.execute_effect(ASK, late)
        assert 2 == await turn.execute_effect(ASK, Work(2))

    with_host(tmp_path / "e.db", main, clock)


def test_one_runs_and_the_others_wait(tmp_path):
    """
    Many tasks ask for one effect; it runs once, and all get its outcome.
    """
    work = Work(4)

    async def main(host, turn):
        answers = await asyncio.gather(
            *(turn.execute_effect(ASK, work) for _ in range(30))
        )
        assert [4] * 30 == answers

    with_host(tmp_path / "e.db", main)

    assert 1 == work.runs


def test_waiting_for_a_claim_ends(tmp_path):
    """
    A timeout and a cancel event of either kind end the wait for a claim.
    """

    async def main(host, turn):
        began, may_end = asyncio.Event(), asyncio.Event()

        async def slow(_):
            began.set()
            await may_end.wait()
            return 1

        task = asyncio.create_task(turn.execute_effect(ASK, slow))
        await began.wait()
        with pytest.raises(TimeoutError):
            await turn.execute_effect(ASK, slow, timeout_s=0.03)
        for cancel in (threading.Event(), asyncio.Event()):
            cancel.set()
            with pytest.raises(EffectCancelledError):
                await turn.execute_effect(ASK, slow, cancel=cancel)
        may_end.set()
        assert 1 == await task

    with_host(tmp_path / "e.db", main)


def test_own_executor_cannot_wait_for_itself(tmp_path):
    """
    Asking for an effect inside its own executor, or a task of it, is refused.
    """

    async def main(host, turn):
        async def nested(_):
            return await asyncio.gather(turn.execute_effect(ASK, nested))

        with pytest.raises(InvalidArgumentError):
            await turn.execute_effect(ASK, nested)

    with_host(tmp_path / "e.db", main)


@pytest.mark.parametrize("executor", [None, lambda _: 1])
def test_executor_must_be_awaitable(tmp_path, executor):
    """
    What is no coroutine function is refused, and leaves the effect free.
    """

    async def main(host, turn):
        with pytest.raises(InvalidArgumentError):
            await turn.execute_effect(ASK, executor)
        assert 1 == await turn.execute_effect(ASK, Work(), timeout_s=0)

    with_host(tmp_path / "e.db", main)


def test_outcome_that_is_no_json(tmp_path):
    """
    It is refused, and leaves the effect free.
    """

    async def main(host, turn):
        with pytest.raises(InvalidArgumentError):
            await turn.execute_effect(ASK, Work(object()))
        assert 1 == await turn.execute_effect(ASK, Work(), timeout_s=0)

    with_host(tmp_path / "e.db", main)


def test_timer_goes_by_the_clock(tmp_path):
    """
    A timer ends when the clock says so, and stays due when it was.
    """
    clock = ManualClock(NOW_MS)

    async def main(host, turn):
        cancel = asyncio.Event()
        timer = asyncio.create_task(turn.sleep("t", 20_000, cancel=cancel))
        await asyncio.sleep(0.02)
        cancel.set()
        with pytest.raises(EffectCancelledError):
            await timer
        clock.advance(20_000)
        assert await turn.sleep("t", 20_000) is None
        assert await turn.sleep("t", 20_000) is None

    with_host(tmp_path / "e.db", main, clock)


def test_strict_replay(tmp_path):
    """
    Strict replay runs nothing.
    """

    async def main(host, turn):
        host.start_replay()
        with pytest.raises(EffectReplayMissingError):
            await turn.execute_effect(ASK, Work())
        assert 0 == await host.prune(2**63 - 1)

    with_host(tmp_path / "e.db", main)
