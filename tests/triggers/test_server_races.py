"""
What two hosts do at the same time on one server.
"""

import threading

import pytest
from postgres_server import server
from racing import Racers, counting_deadlocks, kinds

from lashstore import SessionScope, TriggerStore

from .conftest import QUICK, draft, emit, pairs, request, session


@pytest.fixture(name="host")
def _host(postgres_place):
    return postgres_place.open()


@pytest.fixture(name="racers")
def _racers():
    racers = Racers()
    yield racers
    racers.close()


def test_first_registrations_get_numbers_of_their_own(host, racers):
    """
    Also the very first ones, when there is no counter yet.
    """
    racers.hold("LOCK TABLE trigger_counters IN SHARE MODE")
    racers.start(*[lambda: host.register_subscription(draft()) for _ in range(3)])

    handles = sorted(each.handle for each in racers.release())
    assert ["trigger:1", "trigger:2", "trigger:3"] == handles


def test_a_client_key_registers_once(host, racers):
    """
    Whoever waited for a number finds what was registered meanwhile.
    """
    host.register_subscription(draft())
    racers.hold("SELECT 1 FROM trigger_counters FOR UPDATE")
    racers.start(
        *[lambda: host.register_subscription(draft(client_key="k")) for _ in range(3)]
    )

    one, two, three = racers.release()
    assert one == two == three
    assert 2 == len(host.list_subscriptions())


def test_an_occurrence_is_recorded_once(host, racers):
    """
    Equal ones are one, and another one with its key conflicts.
    """
    racers.hold("LOCK TABLE trigger_occurrences IN SHARE MODE")
    racers.start(
        lambda: host.record_occurrence(request()),
        lambda: host.record_occurrence(request()),
        lambda: host.record_occurrence(request(payload=7)),
    )

    answers = racers.release()
    # Any of them may come first; the others agree or conflict.
    stored = host.record_occurrence(request("k1", payload=_payload(answers)))
    conflicts = 1 if stored.payload == {"times": 1} else 2
    assert conflicts == kinds(answers).count("OccurrenceConflictError")
    assert [stored] * (3 - conflicts) == [
        each for each in answers if not isinstance(each, Exception)
    ]


def _payload(answers):
    return next(each.payload for each in answers if not isinstance(each, Exception))


def test_a_delivery_is_reserved_by_one_of_two_hosts(host, racers):
    """
    Each exactly once, whoever comes first.
    """
    for _ in range(3):
        host.register_subscription(draft())
    occurrence = host.record_occurrence(request())
    racers.hold("SELECT 1 FROM trigger_occurrences FOR NO KEY UPDATE")
    reserve = lambda: host.reserve_matching_deliveries(occurrence.occurrence_id)  # noqa: E731
    racers.start(reserve, reserve)

    assert [0, 3] == sorted(len(each) for each in racers.release())
    assert 3 == len(host.pending_deliveries())


def test_places_are_unique_and_committed_in_order(host, racers, postgres_place):
    """
    Two occurrences at once share no place, so that no page leaves one out.
    """
    host.register_subscription(draft())
    emit(host, "first")
    happened = [host.record_occurrence(request(key)) for key in ("k1", "k2")]
    racers.hold("SELECT 1 FROM trigger_counters WHERE name = 'delivery' FOR UPDATE")
    racers.start(
        *[
            lambda each=each: host.reserve_matching_deliveries(each.occurrence_id)
            for each in happened
        ]
    )

    assert [1, 1] == [len(each) for each in racers.release()]
    assert [(1,), (2,), (3,)] == postgres_place.sql(
        "SELECT seq FROM trigger_deliveries ORDER BY seq"
    )
    assert host.pending_deliveries(3)[:2] == host.pending_deliveries(2)


def test_the_first_acknowledgement_stands_in_a_race(host, racers, postgres_place):
    """
    The second one waits, and finds that all is said.
    """
    host.register_subscription(draft())
    occurrence, _ = emit(host)
    racers.hold("SELECT 1 FROM trigger_deliveries FOR UPDATE")
    racers.start(
        *[
            lambda error=error: host.acknowledge_delivery(
                occurrence.occurrence_id, "subscription:1", error=error
            )
            for error in ("a", "b")
        ]
    )

    assert [None, None] == racers.release()
    assert [("a",)] == postgres_place.sql("SELECT start_error FROM trigger_deliveries")


def test_a_subscription_is_cancelled_once(host, racers):
    """
    One call disabled it, the other one did not.
    """
    host.register_subscription(draft())
    racers.hold("SELECT 1 FROM trigger_subscriptions FOR UPDATE")
    cancel = lambda: host.cancel_subscription_by_id("subscription:1")  # noqa: E731
    racers.start(cancel, cancel)

    assert [False, True] == sorted(racers.release())


def test_a_cancelled_one_stays_cancelled_when_its_target_goes(host, racers):
    """
    Two changes of one subscription; neither writes the other one back.
    """
    host.register_subscription(draft(wake_target=SessionScope(session_id="s")))
    racers.hold("SELECT 1 FROM trigger_subscriptions FOR NO KEY UPDATE")
    racers.start(
        lambda: host.cancel_subscription_by_id("subscription:1"),
        lambda: host.delete_session_subscriptions("s"),
    )

    assert [True, 0] == racers.release()
    (found,) = host.list_subscriptions()
    assert (False, None) == (found.enabled, found.wake_target)


def test_a_subscription_does_not_go_before_its_delivery_refers_to_it(host, racers):
    """
    Its session is deleted while it is reserved: the deletion waits.
    """
    host.register_subscription(draft(registrant=session("s")))
    emit(host, "first")
    occurrence = host.record_occurrence(request())
    # The reservation has matched, and waits for its places.
    racers.hold("SELECT 1 FROM trigger_counters WHERE name = 'delivery' FOR UPDATE")
    racers.start(
        lambda: len(host.reserve_matching_deliveries(occurrence.occurrence_id)),
        lambda: host.delete_session_subscriptions("s"),
    )

    assert [1, 1] == racers.release()
    assert () == host.pending_deliveries()


def test_what_was_just_reserved_is_not_pruned(host, racers):
    """
    Nothing was pending when it was found, and something when it was held.
    """
    host.register_subscription(draft())
    emit(host, "first", source_key="none")
    occurrence = host.record_occurrence(request())
    host.register_subscription(draft(source_key="none"))
    emit(host, "counter", source_key="none")
    racers.hold("SELECT 1 FROM trigger_counters WHERE name = 'delivery' FOR UPDATE")
    racers.start(
        lambda: len(host.reserve_matching_deliveries(occurrence.occurrence_id)),
        lambda: host.prune_occurrences(2**63),
    )

    assert 1 == racers.release()[0]
    assert ("k1", "trigger:1") in pairs(host.pending_deliveries())


def test_deleting_and_reserving_never_deadlock(postgres_place, monkeypatch):
    """
    Both take subscriptions in one order.
    """
    hosts = [postgres_place.open(), postgres_place.open()]
    failures = []

    def work(number):
        try:
            for n in range(12):
                for _ in range(4):
                    hosts[number].register_subscription(
                        draft(
                            registrant=session(f"s{number}"),
                            wake_target=SessionScope(session_id=f"s{1 - number}"),
                        )
                    )
                emit(hosts[number], f"{number}-{n}")
                hosts[number].delete_session_subscriptions(f"s{number}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    with counting_deadlocks(monkeypatch) as deadlocks:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert [] == failures
    assert [] == deadlocks


def test_occurrences_of_others_do_not_wait(host, racers):
    """
    While one occurrence is held, another is recorded, reserved, acknowledged
    and pruned.
    """
    host.register_subscription(draft())
    emit(host, "held")
    racers.hold(
        "SELECT 1 FROM trigger_occurrences WHERE idempotency_key = 'held' FOR UPDATE"
    )
    with TriggerStore.open(server().url(), options=QUICK) as other:
        occurrence, reserved = emit(other, "free")
        assert 1 == len(reserved)
        other.acknowledge_delivery(occurrence.occurrence_id, "subscription:1")
    assert [] == racers.release()
