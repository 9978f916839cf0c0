"""
Waiting, in real time.
"""

import math
import threading
import time

import pytest

from lashstore import (
    InvalidArgumentError,
    StoreClosedError,
    SuccessOutput,
    UnknownProcessError,
)

from .kit import NOW_MS, event, registration

# Far beyond what a wake-up takes, far below what a hanging test costs.
LONG_S = 20


def test_an_end_that_is_there_is_returned_at_once(known):
    """
    Even with no time to wait.
    """
    known.complete_process("p", SuccessOutput(value=1))

    assert SuccessOutput(value=1) == known.await_terminal("p", timeout_s=0)


def test_an_end_that_comes_wakes_who_waits(known, later):
    """
    Within this registry at once, long before anyone looks again.
    """
    later(lambda: known.complete_process("p", SuccessOutput(value=1)))

    assert SuccessOutput(value=1) == known.await_terminal("p", timeout_s=LONG_S)


def test_other_events_do_not_end_the_wait(known, later):
    """
    Changes of the process and of others are looked at and passed.
    """
    known.register_process(registration("q"))
    later(lambda: known.append_event("p", event()), 0.01)
    later(lambda: known.complete_process("q", SuccessOutput(value=2)), 0.02)
    later(lambda: known.append_event("p", event("producer.done", 3, "k")), 0.04)

    assert SuccessOutput(value=3) == known.await_terminal("p", timeout_s=LONG_S)


def test_what_another_handle_writes_is_seen(shared_place, later):
    """
    Somebody tells, or the waiter looks again.
    """
    ours, theirs = shared_place.open(), shared_place.open()
    ours.register_process(registration("p"))
    later(lambda: theirs.append_event("p", event(payload="hi")))
    later(lambda: theirs.complete_process("p", SuccessOutput(value=1)), 0.1)

    found = ours.await_event("p", "producer.plain", 0, timeout_s=LONG_S)
    assert "hi" == found.payload
    assert SuccessOutput(value=1) == ours.await_terminal("p", timeout_s=LONG_S)


def test_time_runs_out_for_real(known, clock):
    """
    Whatever the clock says, and without a change to the process.
    """
    clock.advance(10**9)
    begun = time.monotonic()

    with pytest.raises(TimeoutError):
        known.await_terminal("p", timeout_s=0.1)
    with pytest.raises(TimeoutError):
        known.await_event("p", "producer.plain", 0, timeout_s=0.1)
    with pytest.raises(TimeoutError):
        known.await_event("p", "producer.plain", 0, timeout_s=0)

    assert 0.2 <= time.monotonic() - begun < LONG_S
    assert NOW_MS == known.get_process("p").updated_at_ms


def test_an_event_is_the_first_of_its_type_behind_a_cursor(known, later):
    """
    History answers at once; else the next one does.
    """
    for event_type in ("signal.ready", "producer.plain", "signal.ready"):
        known.append_event("p", event(event_type))

    assert [1, 3, 3] == [
        known.await_event("p", "signal.ready", after, timeout_s=0).sequence
        for after in (0, 1, 2)
    ]
    later(lambda: known.append_event("p", event("signal.ready", 5)))
    found = known.await_event("p", "signal.ready", 3, timeout_s=LONG_S)
    assert (4, 5) == (found.sequence, found.payload)


def test_events_come_after_the_end_too(known, later):
    """
    An ended process may still tell something.
    """
    known.complete_process("p", SuccessOutput(value=1))
    later(lambda: known.append_event("p", event()))

    assert 2 == known.await_event("p", "producer.plain", 0, timeout_s=LONG_S).sequence


def test_nobody_waits_for_what_is_unknown(registry):
    """
    Not known, or not any more.
    """
    with pytest.raises(UnknownProcessError):
        registry.await_terminal("x")
    with pytest.raises(UnknownProcessError):
        registry.await_event("x", "a", 0)


def test_a_process_may_be_forgotten_while_somebody_waits(known, later):
    """
    The wait ends with the error a new one would get.
    """
    known.complete_process("p", SuccessOutput(value=1))
    later(lambda: known.prune_terminal_processes(2**63))

    with pytest.raises(UnknownProcessError):
        known.await_event("p", "producer.plain", 0, timeout_s=LONG_S)


def test_closing_ends_every_wait(known, later):
    """
    A waiter does not keep a closed registry.
    """
    later(known.close)

    with pytest.raises(StoreClosedError):
        known.await_terminal("p", timeout_s=LONG_S)


def test_many_may_wait_for_one(known):
    """
    All are woken, and nothing of them stays behind.
    """
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(known.await_terminal("p", timeout_s=LONG_S))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    known.complete_process("p", SuccessOutput(value=1))
    for thread in threads:
        thread.join()

    assert [SuccessOutput(value=1)] * 8 == found
    assert not known._changes._waiters


@pytest.mark.parametrize("timeout_s", [-1, math.nan, "1", True])
def test_a_timeout_is_a_number_of_seconds(known, timeout_s):
    """
    Anything else is refused at once.
    """
    with pytest.raises(InvalidArgumentError):
        known.await_terminal("p", timeout_s=timeout_s)
    with pytest.raises(InvalidArgumentError):
        known.await_event("p", "a", 0, timeout_s=timeout_s)
    with pytest.raises(InvalidArgumentError):
        known.await_event("p", "a", -1)


def test_an_endless_timeout_is_none(known):
    """
    Infinity waits as long as None does.
    """
    known.complete_process("p", SuccessOutput(value=1))

    assert known.await_terminal("p", timeout_s=math.inf)
