"""
Who runs an effect: claims, waiting, renewal, expiry and timers.
"""

import threading
import time

import pytest

from lashstore import (
    BackendError,
    EffectCancelledError,
    EffectEnvelope,
    EffectFailure,
    EffectHost,
    EffectLeaseLostError,
    InvalidArgumentError,
    StoreBusyError,
    StoreClosedError,
    SystemClock,
)

from .conftest import TURN, Work, options

CALL = EffectEnvelope(kind="tool_attempt", effect_id="c", replay_key="c")
TIMER = EffectEnvelope(
    kind="sleep", effect_id="t", replay_key="sleep:t", command={"duration_ms": 60_000}
)


class Running:
    """
    An effect that runs on another thread until it is told to end.
    """

    def __init__(self, controller, envelope=CALL):
        self.started, self.may_end = threading.Event(), threading.Event()
        self.outcome = None
        self._thread = threading.Thread(target=self._run, args=(controller, envelope))
        self._thread.start()
        assert self.started.wait(10)

    def _run(self, controller, envelope):
        def work(_):
            self.started.set()
            assert self.may_end.wait(20)
            return "theirs"

        try:
            self.outcome = controller.execute_effect(envelope, work)
        except BaseException as error:
            self.outcome = error

    def end(self):
        self.may_end.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.outcome


def test_a_second_caller_waits_and_replays(backend, host):
    """
    It never runs the work itself, and is woken by the outcome.
    """
    running = Running(host.scoped(TURN))
    work = Work("mine")
    answers = []
    waiter = threading.Thread(
        target=lambda: answers.append(host.scoped(TURN).execute_effect(CALL, work))
    )
    waiter.start()
    time.sleep(0.06)
    assert waiter.is_alive()

    assert "theirs" == running.end()
    waiter.join(10)

    assert ["theirs"] == answers
    assert 0 == work.runs


def test_many_threads_run_a_step_once(backend, host):
    """
    Eight callers at once, on two hosts where that can be: one run.
    """
    hosts = [host, backend.open()]
    work = Work("once")
    barrier = threading.Barrier(8)
    answers = []

    def call(number):
        barrier.wait(10)
        answers.append(hosts[number % 2].scoped(TURN).step("s", work))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert ["once"] * 8 == answers
    assert 1 == work.runs


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_a_timeout_ends_waiting_for_a_claim(host, timeout_s):
    """
    TimeoutError after the real time; the running effect is not touched.
    """
    running = Running(host.scoped(TURN))
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        host.scoped(TURN).execute_effect(CALL, Work("mine"), timeout_s=timeout_s)

    assert timeout_s <= time.monotonic() - began < timeout_s + 5
    assert "theirs" == running.end()


def test_cancel_ends_waiting_for_a_claim(host, later):
    """
    EffectCancelledError; the running effect is not touched.
    """
    running = Running(host.scoped(TURN))
    cancel = threading.Event()
    later(cancel.set, 0.05)

    with pytest.raises(EffectCancelledError) as raised:
        host.scoped(TURN).execute_effect(CALL, Work("mine"), cancel=cancel)

    assert "c" == raised.value.replay_key
    assert "theirs" == running.end()


def test_neither_ends_a_running_executor_or_a_replay(host):
    """
    They end waiting only, and there is nothing to wait for.
    """
    turn, cancel = host.scoped(TURN), threading.Event()
    cancel.set()

    assert 1 == turn.execute_effect(CALL, Work(1), timeout_s=0, cancel=cancel)
    assert 1 == turn.execute_effect(CALL, Work(2), timeout_s=0, cancel=cancel)


def test_an_effect_cannot_wait_for_itself(host):
    """
    Asked for by its own executor it would wait for ever.
    """
    turn = host.scoped(TURN)

    def run(_):
        with pytest.raises(InvalidArgumentError, match="wait for itself"):
            turn.execute_effect(CALL, Work("inner"))
        return "outer"

    assert "outer" == turn.execute_effect(CALL, run)


def test_an_expired_claim_is_taken_over_and_its_owner_records_nothing(shared, clock):
    """
    Two owners, one outcome: the second one's.
    """
    host, other = shared.open(), shared.open()

    def run(_):
        clock.advance(29_999)
        with pytest.raises(TimeoutError):
            other.scoped(TURN).execute_effect(CALL, Work("early"), timeout_s=0)
        clock.advance(1)
        answer = []
        thread = threading.Thread(
            target=lambda: answer.append(
                other.scoped(TURN).execute_effect(CALL, Work("second"))
            )
        )
        thread.start()
        thread.join(10)
        assert ["second"] == answer
        return "first"

    with pytest.raises(EffectLeaseLostError) as raised:
        host.scoped(TURN).execute_effect(CALL, run)

    assert (host.scoped(TURN).scope_id, "c") == (
        raised.value.scope_id,
        raised.value.replay_key,
    )
    assert "second" == host.scoped(TURN).execute_effect(CALL, Work("third"))


@pytest.mark.parametrize("outcome", ["late", EffectFailure("c", "m")])
def test_a_lapsed_claim_records_nothing_even_if_nobody_took_it(host, clock, outcome):
    """
    The lease is what allows recording, failures included.
    """
    turn = host.scoped(TURN)

    def run(_):
        clock.advance(30_000)
        return Work(outcome)()

    with pytest.raises(EffectLeaseLostError):
        turn.execute_effect(CALL, run)

    assert "again" == turn.execute_effect(CALL, Work("again"))


def test_an_exception_after_the_claim_was_lost_frees_nobody_elses(backend, host, clock):
    """
    Freeing needs the token: the new owner keeps its claim.
    """
    other = backend.open()

    def run(_):
        clock.advance(30_000)
        run.second = Running(other.scoped(TURN))
        raise ValueError

    with pytest.raises(ValueError):
        host.scoped(TURN).execute_effect(CALL, run)

    with pytest.raises(TimeoutError):
        host.scoped(TURN).execute_effect(CALL, Work("third"), timeout_s=0)
    assert "theirs" == run.second.end()


def test_deleting_the_session_loses_the_claim(host):
    """
    What was deleted is not recorded afterwards.
    """
    running = Running(host.scoped(TURN))

    assert 1 == host.delete_session("chat")
    assert isinstance(running.end(), EffectLeaseLostError)
    assert "new" == host.scoped(TURN).execute_effect(CALL, Work("new"))


def open_real(path, *, ttl_ms, busy_timeout_ms=15_000):
    return EffectHost.open(
        path,
        options=options(ttl_ms, busy_timeout_ms=busy_timeout_ms),
        clock=SystemClock(),
    )


def test_renewal_runs_beside_blocking_work(tmp_path):
    """
    Work three leases long keeps its claim, and another host waits for it.
    """
    path = tmp_path / "effects.db"
    with open_real(path, ttl_ms=300) as host, open_real(path, ttl_ms=300) as other:
        running = Running(host.scoped(TURN))
        with pytest.raises(TimeoutError):
            other.scoped(TURN).execute_effect(CALL, Work("mine"), timeout_s=0.9)

        assert "theirs" == running.end()
        assert "theirs" == other.scoped(TURN).execute_effect(CALL, Work("mine"))


def test_renewal_survives_a_locked_database(shared):
    """
    Renewals that fail are tried again; the claim lives on.
    """
    with open_real(shared.address, ttl_ms=1_500, busy_timeout_ms=20) as host:
        running = Running(host.scoped(TURN))
        blocker = shared.blocker()
        blocker.execute(shared.lock)
        time.sleep(0.9)
        blocker.execute("COMMIT")
        time.sleep(1.2)
        blocker.close()

        assert "theirs" == running.end()


def test_recording_waits_for_a_locked_database(shared, later):
    """
    An outcome is not thrown away because somebody else is writing.
    """
    with open_real(shared.address, ttl_ms=3_000, busy_timeout_ms=20) as host:
        running = Running(host.scoped(TURN))
        blocker = shared.blocker()
        blocker.execute(shared.lock)
        done = later(lambda: blocker.execute("COMMIT"), 0.4)

        assert "theirs" == running.end()
        done.join()
        assert "theirs" == host.scoped(TURN).execute_effect(CALL, Work("mine"))
        blocker.close()


def test_a_lease_that_really_lapses_is_lost(shared):
    """
    Locked out for longer than the lease lives, nothing is recorded.
    """
    with open_real(shared.address, ttl_ms=300, busy_timeout_ms=20) as host:
        running = Running(host.scoped(TURN))
        blocker = shared.blocker()
        blocker.execute(shared.lock)
        time.sleep(0.5)
        blocker.execute("COMMIT")
        blocker.close()

        assert isinstance(running.end(), EffectLeaseLostError)
        assert "again" == host.scoped(TURN).execute_effect(CALL, Work("again"))


def test_a_claim_that_cannot_be_freed_is_noted_on_the_exception(shared):
    """
    The executor's own exception still propagates; the claim expires.
    """
    with open_real(shared.address, ttl_ms=300, busy_timeout_ms=20) as host:
        blocker = shared.blocker()

        def run(_):
            blocker.execute(shared.lock)
            raise ValueError

        with pytest.raises(ValueError) as raised:
            host.scoped(TURN).execute_effect(CALL, run)
        with pytest.raises(StoreBusyError):
            host.prune(0)
        blocker.close()

        assert "could not be freed" in raised.value.__notes__[0]
        assert "again" == host.scoped(TURN).execute_effect(CALL, Work("again"))


def test_the_renewal_thread_ends_when_idle_and_comes_back(tmp_path):
    """
    No thread outlives its use, and closing ends one at work.
    """

    def threads():
        return [t for t in threading.enumerate() if "renewal" in t.name]

    host = open_real(tmp_path / "effects.db", ttl_ms=150)
    for number in range(2):
        host.scoped(TURN).step(f"s{number}", lambda: 1)
        assert 1 == len(threads())
        deadline = time.monotonic() + 5
        while threads() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [] == threads()
    host.scoped(TURN).step("s3", lambda: 1)
    host.close()

    assert [] == threads()


def test_a_timer_waits_until_it_is_due(host, clock, later):
    """
    Waiting is real, deciding is the clock's, and the outcome is None; that
    the clock jumps over a whole lease, as after a machine slept, is no harm.
    """
    turn, work = host.scoped(TURN), Work("never")
    later(lambda: clock.advance(59_999), 0.05)
    later(lambda: clock.advance(1), 0.15)
    began = time.monotonic()

    assert turn.execute_effect(TIMER, work) is None
    assert time.monotonic() - began >= 0.14
    assert turn.execute_effect(TIMER, work, timeout_s=0) is None
    assert 0 == work.runs


def test_a_timer_of_a_deleted_session_does_not_start_anew(host, clock, later):
    """
    Its claim is lost, like that of any effect under way.
    """
    later(lambda: host.delete_session("chat"), 0.05)
    later(lambda: clock.advance(60_000), 0.1)

    with pytest.raises(EffectLeaseLostError):
        host.scoped(TURN).sleep("t", 60_000)

    assert 0 == host.delete_session("chat")


def test_a_short_timer_just_waits(tmp_path):
    """
    By the host's clock it takes its time, and none when replayed.
    """
    with open_real(tmp_path / "effects.db", ttl_ms=3_000) as host:
        turn = host.scoped(TURN)
        began = time.monotonic()
        assert turn.sleep("nap", 120) is None
        assert time.monotonic() - began >= 0.11
        began = time.monotonic()
        for _ in range(20):
            turn.sleep("nap", 120)
        turn.sleep("none", 0)
        assert time.monotonic() - began < 20 * 0.12


def test_a_timer_that_was_cancelled_stays_due_when_it_was(backend, host, clock):
    """
    Not from the beginning: also after a restart.
    """
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(EffectCancelledError):
        host.scoped(TURN).sleep("t", 60_000, cancel=cancel)
    clock.advance(59_999)
    with pytest.raises(TimeoutError):
        host.scoped(TURN).execute_effect(TIMER, Work(1), timeout_s=0.03)
    host = backend.reopen(host)
    with pytest.raises(TimeoutError):
        host.scoped(TURN).execute_effect(TIMER, Work(1), timeout_s=0)
    clock.advance(1)

    assert host.scoped(TURN).execute_effect(TIMER, Work(1), timeout_s=0) is None


def test_a_timer_is_cancelled_while_it_waits(host, later):
    """
    Within real moments, however long it is.
    """
    cancel = threading.Event()
    later(cancel.set, 0.05)
    began = time.monotonic()

    with pytest.raises(EffectCancelledError):
        host.scoped(TURN).sleep("t", 10**12, cancel=cancel)

    assert time.monotonic() - began < 5


def test_closing_the_host_ends_its_timers(backend, host, later):
    """
    Nobody sleeps on for a host that is gone.
    """
    later(host.close, 0.05)

    with pytest.raises(StoreClosedError):
        host.scoped(TURN).sleep("t", 10**9)


def test_a_database_error_while_recording_frees_the_claim(host, monkeypatch):
    """
    BackendError is no failure of the effect's: it is recorded nowhere.
    """
    from lashstore.repos.effects import EffectRepository

    def broken(*_, **__):
        msg = "disk full"
        raise BackendError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(EffectRepository, "finish", broken)
        with pytest.raises(BackendError):
            host.scoped(TURN).execute_effect(CALL, Work("lost"))

    assert "again" == host.scoped(TURN).execute_effect(CALL, Work("again"))


def test_renewal_survives_any_database_error(tmp_path, monkeypatch):
    """
    A failing renewal is tried again well before the lease is over.
    """
    from lashstore.repos.effects import EffectRepository

    renew, failed = EffectRepository.renew, []

    def flaky(self, *arguments, **named):
        if len(failed) < 3:
            failed.append(1)
            msg = "passing trouble"
            raise BackendError(msg)
        return renew(self, *arguments, **named)

    monkeypatch.setattr(EffectRepository, "renew", flaky)
    with open_real(tmp_path / "effects.db", ttl_ms=900) as host:
        running = Running(host.scoped(TURN))
        time.sleep(1.5)

        assert "theirs" == running.end()
    assert 3 == len(failed)


def test_an_endless_timer_can_be_recorded(host):
    """
    A due time beyond the range is held at its end.
    """
    with pytest.raises(TimeoutError):
        host.scoped(TURN).execute_effect(
            EffectEnvelope(
                kind="sleep",
                effect_id="t",
                replay_key="t",
                command={"duration_ms": 2**63 - 1},
            ),
            Work(1),
            timeout_s=0,
        )


def test_a_timer_taken_over_keeps_its_due_time(shared, clock):
    """
    The second host waits for what is left.
    """
    first, second = shared.open(), shared.open()
    sleeper = threading.Thread(target=lambda: first.scoped(TURN).sleep("t", 60_000))
    sleeper.start()
    deadline = time.monotonic() + 10
    while not shared.sql("SELECT 1 FROM effects") and time.monotonic() < deadline:
        time.sleep(0.005)
    clock.advance(40_000)
    with pytest.raises(TimeoutError):
        second.scoped(TURN).execute_effect(TIMER, Work(1), timeout_s=0.05)
    clock.advance(20_000)

    assert second.scoped(TURN).execute_effect(TIMER, Work(1), timeout_s=5) is None
    sleeper.join(10)
    assert not sleeper.is_alive()


def test_a_due_time_ahead_of_the_clock_is_waited_for_on_replay(host, clock):
    """
    A timer ended by a host whose clock was ahead is still not early.
    """
    turn = host.scoped(TURN)
    turn.sleep("t", 0)
    clock.advance(-5_000)

    cancel = threading.Event()
    cancel.set()
    with pytest.raises(EffectCancelledError):
        turn.sleep("t", 0, cancel=cancel)
    clock.advance(5_000)
    turn.sleep("t", 0)
