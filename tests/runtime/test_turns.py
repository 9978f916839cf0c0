"""
The turn runner and the worker loop, sync and async.
"""

import asyncio
import inspect
import threading

import msgspec
import pytest

from lashstore import (
    ActiveTurnIngress,
    ConstSelector,
    ExternalInput,
    HeadRevisionConflictError,
    HostOriginator,
    ManualClock,
    MergeNever,
    PendingTurnInputDraft,
    ProcessEventAppendRequest,
    ProcessEventSemanticsSpec,
    ProcessEventType,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    ProcessWakeSpec,
    QueuedWorkBatchDraft,
    RecoveryDisposition,
    SessionCommandPayload,
    SessionScope,
    SlotPolicy,
    Store,
    TurnInputClaimExpiredError,
    TurnInterruptedError,
    TurnRunner,
    Worker,
    aio,
    deliver_wakes,
    keep_session_lease,
)
from lashstore.aio import AsyncProcessRegistry, AsyncStore, AsyncTurnRunner, AsyncWorker
from lashstore.aio.hops import Hops

from .kit import FAST, QUICK, SLOW, commit_of, done, job, owner, say, until


def run_sync(store, function, *, timings=SLOW, turns=10):
    outcomes = []
    with keep_session_lease(store, owner(), timings=timings) as keeper:
        runner = TurnRunner(store, keeper, function, timings=timings)
        while len(outcomes) < turns and (outcome := runner.run_next()):
            outcomes.append(outcome)
    return outcomes


def run_async(store, function, *, timings=SLOW, turns=10):
    async def answer(turn):
        await asyncio.sleep(0)
        result = function(turn)
        return await result if inspect.isawaitable(result) else result

    async def main():
        twin, outcomes = AsyncStore(store, Hops()), []
        async with aio.keep_session_lease(twin, owner(), timings=timings) as keeper:
            runner = AsyncTurnRunner(twin, keeper, answer, timings=timings)
            while len(outcomes) < turns and (outcome := await runner.run_next()):
                outcomes.append(outcome)
        return outcomes

    return asyncio.run(main())


@pytest.fixture(name="run", params=[run_sync, run_async])
def _run(request):
    return request.param


@pytest.fixture(name="clock")
def _clock():
    return ManualClock(1_000)


@pytest.fixture(name="store")
def _store(place, clock):
    with Store.open(place, "chat", options=QUICK, clock=clock) as store:
        yield store


def nothing_waits(store):
    return () == store.list_queued_work() and () == store.list_pending_turn_inputs()


def test_nothing_waits(store, run):
    """
    Without work there is no turn.
    """
    assert [] == run(store, commit_of)


def test_inputs_and_work_of_a_turn(store, run):
    """
    A turn takes what waits, lands it as one commit, and is done with it.
    """
    store.enqueue_pending_turn_input(say("hello"))
    store.enqueue_pending_turn_input(say("there"))
    store.enqueue_queued_work(job("w1"))
    store.enqueue_queued_work(job("w2"))

    outcomes = run(store, commit_of)

    assert [["hello", "there", "w1"], ["w2"]] == done(store)
    assert [1, 2] == [each.result.head_revision for each in outcomes]
    assert nothing_waits(store)


def test_session_command_comes_alone(store, run):
    """
    A command at the head of the queue is a turn of its own.
    """
    seen = []
    store.enqueue_queued_work(
        QueuedWorkBatchDraft(payloads=(SessionCommandPayload(command={"do": 1}),))
    )
    store.enqueue_pending_turn_input(say("hello"))

    def note(turn):
        seen.append((len(turn.inputs), [b.work_class.value for b in turn.batches]))
        from lashstore import RuntimeCommit

        return RuntimeCommit(session_id="chat")

    run(store, note)

    assert [(0, ["session_command"]), (1, [])] == seen


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_failing_function_leaves_everything_waiting(store, error):
    """
    Whatever the function raises, nothing lands and all of it waits again, at
    once.
    """
    store.enqueue_pending_turn_input(say("hello"))
    store.enqueue_queued_work(job("w1"))

    def fail(turn):
        raise error

    with pytest.raises(error):
        run_sync(store, fail)

    assert [] == done(store)
    run_sync(store, commit_of)
    assert [["hello", "w1"]] == done(store)


def test_cancelled_async_turn_leaves_everything_waiting(store):
    """
    A task cancelled inside the function frees what the turn claimed.
    """
    store.enqueue_pending_turn_input(say("hello"))

    async def hang(turn):
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        run_async(store, hang)

    run_async(store, commit_of)
    assert [["hello"]] == done(store)


def test_interrupted_without_a_commit(store, run):
    """
    Nothing lands; the turn's inputs and those sent to it wait for the next.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def interrupt(turn):
        store.enqueue_pending_turn_input(to_turn(turn, "wait"))
        raise TurnInterruptedError

    (outcome,) = run(store, interrupt, turns=1)

    assert (None, True) == (outcome.result, outcome.is_interrupted)
    run(store, commit_of)
    assert [["hello", "wait"]] == done(store)


def test_turn_that_is_run_again_keeps_its_id(store, run):
    """
    It is named by what it began with, whatever has come since, so that its
    effects are replayed; another turn has another name.
    """
    ids = []

    def fail(turn):
        ids.append(turn.turn_id)
        store.enqueue_pending_turn_input(to_turn(turn, "sent to it"))
        raise KeyError

    def note(turn):
        ids.append(turn.turn_id)
        return commit_of(turn)

    store.enqueue_queued_work(job("w1"))
    with pytest.raises(KeyError):
        run(store, fail)
    store.enqueue_queued_work(job("w2"))
    run(store, note)

    assert [["sent to it", "w1"], ["w2"]] == done(store)
    assert ids[0] == ids[1] != ids[2]


def test_input_for_a_turn_that_has_ended(store, run):
    """
    It came too late for its turn, and waits for the next one.
    """
    turns = []

    def answer(turn):
        turns.append(turn)
        if len(turns) == 1:
            store.enqueue_pending_turn_input(say("b"))
        if len(turns) == 2:
            store.enqueue_pending_turn_input(to_turn(turns[0], "late"))
        return commit_of(turn)

    store.enqueue_pending_turn_input(say("a"))
    run(store, answer)

    assert [["a"], ["b"], ["late"]] == done(store)


def test_turn_about_an_id_that_is_used_again_is_another(store, run):
    """
    A host's own input id is free again once the input is vacuumed.
    """
    again = msgspec.structs.replace(say("hello"), input_id="mine")
    store.enqueue_pending_turn_input(again)
    run(store, commit_of)
    store.vacuum()
    store.enqueue_pending_turn_input(again)

    run(store, commit_of)

    assert [["hello"], ["hello"]] == done(store)


def to_turn(turn, text):
    return PendingTurnInputDraft(
        ingress=ActiveTurnIngress(turn_id=turn.turn_id), input=text
    )


def test_interrupted_with_a_commit(store, run):
    """
    What was done lands; what was sent to the turn and not taken waits.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def interrupt(turn):
        store.enqueue_pending_turn_input(to_turn(turn, "wait"))
        raise TurnInterruptedError(commit_of(turn))

    (outcome,) = run(store, interrupt, turns=1)

    assert (1, True) == (outcome.result.head_revision, outcome.is_interrupted)
    run(store, commit_of)
    assert [["hello"], ["wait"]] == done(store)


def test_inputs_that_come_while_it_runs(store):
    """
    The function takes what was sent to its turn, and the commit is done
    with it.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def take(turn):
        store.enqueue_pending_turn_input(to_turn(turn, "and"))
        assert ["and"] == [each.input for each in turn.take_inputs()]
        assert () == turn.take_inputs()
        turn.check()
        return commit_of(turn)

    run_sync(store, take)

    assert [["hello", "and"]] == done(store)
    assert nothing_waits(store)

    async def take_async(turn):
        store.enqueue_pending_turn_input(to_turn(turn, "more"))
        assert ["more"] == [each.input for each in await turn.take_inputs()]
        return commit_of(turn)

    store.enqueue_pending_turn_input(say("again"))
    run_async(store, take_async)

    assert ["again", "more"] == done(store)[1]


def test_claims_are_renewed_with_the_lease(store, clock, run):
    """
    A turn longer than its claims lands all the same.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def slow(turn):
        for _ in range(3):
            kept = turn.claims[0]
            lease, claim = turn._steps.keeper._kept, kept.lease.expires_at_ms
            before = lease.lease.expires_at_ms
            clock.advance(200)
            yield lambda: (  # noqa: B023
                kept.lease.expires_at_ms > claim  # noqa: B023
                and lease.lease.expires_at_ms > before  # noqa: B023
            )

    def sync(turn):
        for is_renewed in slow(turn):
            until(is_renewed, "renewals")
        return commit_of(turn)

    async def of_async(turn):
        for is_renewed in slow(turn):
            while not is_renewed():
                await asyncio.sleep(0.005)
        return commit_of(turn)

    run(store, sync if run is run_sync else of_async, timings=FAST)

    assert [["hello"]] == done(store)


def test_commit_past_the_lease_is_refused(store, run):
    """
    A head that moved under the turn is a conflict, and nothing is lost.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def meddled(turn):
        lease = turn._steps.keeper.lease()
        from lashstore import RuntimeCommit

        store.commit_runtime_state(
            RuntimeCommit(session_id="chat", session_execution_lease=lease.fence())
        )
        return commit_of(turn)

    with pytest.raises(HeadRevisionConflictError):
        run(store, meddled)

    run(store, commit_of)
    assert [["hello"]] == done(store)


def test_lost_claim_stops_the_turn(store, clock):
    """
    A claim that expired and was taken is loud, and nothing lands.
    """
    store.enqueue_pending_turn_input(say("hello"))

    def slow(turn):
        (kept,) = turn.claims
        kept.loss = TurnInputClaimExpiredError(session_id="chat", claim_id="c")
        turn.check()

    with pytest.raises(TurnInputClaimExpiredError):
        run_sync(store, slow)

    assert [] == done(store)


def test_lost_claim_ends_an_async_turn_only(store, clock):
    """
    On an event loop, too, a lost claim fails its turn; the lease goes on.
    """
    store.enqueue_pending_turn_input(say("hello"))

    async def main():
        twin, lost = AsyncStore(store, Hops()), []

        async def answer(turn):
            if not lost:
                lost.append(turn.claims[0])
                error = TurnInputClaimExpiredError(session_id="chat", claim_id="c")
                lost[0].loss = error
                await asyncio.sleep(0.1)
            return commit_of(turn)

        async with aio.keep_session_lease(twin, owner(), timings=FAST) as keeper:
            runner = AsyncTurnRunner(twin, keeper, answer)
            with pytest.raises(TurnInputClaimExpiredError):
                await runner.run_next()
            assert 1 == (await runner.run_next()).result.head_revision

    asyncio.run(main())

    assert [["hello"]] == done(store)


def woken(registry):
    registry.register_process(
        ProcessRegistration(
            id="p",
            input=ExternalInput(),
            disposition=RecoveryDisposition.EXTERNALLY_OWNED,
            provenance=ProcessProvenance(originator=HostOriginator()),
            event_types=(
                ProcessEventType(
                    name="done",
                    semantics=ProcessEventSemanticsSpec(
                        wake=ProcessWakeSpec(input=ConstSelector(value="wake up"))
                    ),
                ),
            ),
        )
    )


def wake(registry, session_id, key):
    registry.append_event(
        "p",
        ProcessEventAppendRequest(
            event_type="done",
            payload=None,
            replay_key=key,
            wake_target_scope=SessionScope(session_id=session_id),
        ),
    )


def test_wakes_are_delivered_once(store):
    """
    Each wake is enqueued for its session and acknowledged; those of unknown
    sessions stay, and hold up no others.
    """
    with ProcessRegistry.memory() as registry:
        woken(registry)
        for number in range(150):
            wake(registry, "gone", f"g{number}")
        wake(registry, "chat", "a")

        def find(session_id):
            return store if session_id == "chat" else None

        assert 1 == deliver_wakes(registry, find)
        assert 0 == deliver_wakes(registry, find)
        assert 150 == len(registry.pending_wake_deliveries(1000))
    (batch,) = store.list_queued_work()
    assert "wake up" == batch.items[0].payload.wake.input


def of_wake(turn):
    from lashstore import GraphAppend, RuntimeCommit, SessionNode

    did = [each.input for each in turn.inputs]
    did += [batch.items[0].payload.wake.input for batch in turn.batches]
    node = SessionNode(node_id=turn.turn_id, kind="event", payload={"did": did})
    return RuntimeCommit(session_id="chat", graph=GraphAppend(nodes=(node,)))


def test_worker_works_until_it_is_stopped(store):
    """
    The loop runs turns for inputs and wakes as they come, and gives the
    lease back between them.
    """
    stop = threading.Event()
    with ProcessRegistry.memory() as registry:
        woken(registry)
        worker = Worker(store, of_wake, registry=registry, timings=SLOW, poll_s=0.01)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(worker.run(stop)))
        thread.start()
        store.enqueue_pending_turn_input(say("hello"))
        until(lambda: [["hello"]] == done(store), "the first turn")
        wake(registry, "chat", "a")
        until(lambda: 2 == len(done(store)), "the second turn")
        stop.set()
        thread.join()

    assert [2] == answers
    assert [["hello"], ["wake up"]] == done(store)
    with keep_session_lease(store, owner("b")):
        pass


def test_async_worker(tmp_path):
    """
    The same on an event loop.
    """

    async def main():
        stop = asyncio.Event()
        async with (
            await AsyncStore.open(tmp_path / "c.db", "chat", options=QUICK) as store,
            await AsyncProcessRegistry.memory() as registry,
        ):
            woken(registry.sync)

            async def answer(turn):
                return of_wake(turn)

            worker = AsyncWorker(store, answer, registry=registry, poll_s=0.01)
            task = asyncio.create_task(worker.run(stop))
            await store.enqueue_pending_turn_input(say("hello"))
            while not done(store.sync):
                await asyncio.sleep(0.01)
            wake(registry.sync, "chat", "a")
            while len(done(store.sync)) < 2:
                await asyncio.sleep(0.01)
            stop.set()
            assert 2 == await task
            assert [["hello"], ["wake up"]] == done(store.sync)

    asyncio.run(main())


def run_worker(store, **limits):
    Worker(store, commit_of, timings=SLOW, **limits).run_waiting()


def run_async_worker(store, **limits):
    async def answer(turn):
        return commit_of(turn)

    async def main():
        twin = AsyncStore(store, Hops())
        await AsyncWorker(twin, answer, timings=SLOW, **limits).run_waiting()

    asyncio.run(main())


@pytest.mark.parametrize("work", [run_worker, run_async_worker])
def test_a_workers_turns_take_no_more_than_they_may(store, work):
    """
    So that a host may answer inputs one by one.
    """
    for text in ("a", "b"):
        store.enqueue_pending_turn_input(say(text))
        store.enqueue_queued_work(
            job(text.upper(), slot_policy=SlotPolicy.JOIN, merge_key=MergeNever())
        )

    work(store, max_inputs=1, max_batches=1)

    assert [["a", "A"], ["b", "B"]] == done(store)


def test_two_workers_share_one_queue(place):
    """
    Workers with handles of their own do every job once between them.
    """
    stop = threading.Event()
    with Store.open(place, "chat", options=QUICK) as store:
        for number in range(20):
            store.enqueue_queued_work(job(number, slot_policy=SlotPolicy.EXCLUSIVE))

        def work():
            with Store.open(place, "chat", options=QUICK) as mine:
                Worker(mine, commit_of, timings=SLOW, poll_s=0.01).run(stop)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: 20 == len(done(store)), "all jobs")
        stop.set()
        for thread in threads:
            thread.join()

        assert [[number] for number in range(20)] == done(store)
