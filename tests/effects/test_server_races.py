"""
What two hosts do at the same time on one server.
"""

import pytest
from racing import Racers, kinds

from lashstore.model.effects import (
    EffectBusy,
    EffectClaim,
    EffectFinished,
    EffectFree,
    prepare_effect,
    scope_key,
)

from .conftest import TURN
from .test_claims import CALL

EFFECT = prepare_effect(scope_key(TURN), TURN.session_id, CALL)
UNSEEN = EffectFree(stored=None)


@pytest.fixture(name="journals")
def _journals(postgres_place):
    return [postgres_place.open()._journal for _ in range(2)]


@pytest.fixture(name="racers")
def _racers():
    racers = Racers()
    yield racers
    racers.close()


HOLD = "SELECT 1 FROM effects FOR UPDATE"


def test_a_new_effect_is_claimed_by_one(journals, racers):
    """
    Both saw nothing; one inserts, the other one finds it busy.
    """
    racers.hold("LOCK TABLE effects IN SHARE MODE")
    racers.start(*[lambda j=j: j.claim(EFFECT, UNSEEN) for j in journals])

    assert ["EffectBusy", "EffectClaim"] == kinds(racers.release())


def test_an_expired_claim_is_taken_over_by_one(journals, racers, clock):
    """
    Both saw it expired; whoever waited sees the new claim.
    """
    journals[0].claim(EFFECT, UNSEEN)
    clock.advance(60_000)
    seen = journals[0].look_up(EFFECT)
    assert isinstance(seen, EffectFree)
    racers.hold(HOLD)
    racers.start(*[lambda j=j: j.claim(EFFECT, seen) for j in journals])

    answers = racers.release()
    assert ["EffectBusy", "EffectClaim"] == kinds(answers)
    (claim,) = [each for each in answers if isinstance(each, EffectClaim)]
    (busy,) = [each for each in answers if isinstance(each, EffectBusy)]
    assert claim.lease.token == busy.token


def test_what_was_finished_meanwhile_is_not_claimed(journals, racers):
    """
    The outcome came while the other one waited for the row.
    """
    claim = journals[0].claim(EFFECT, UNSEEN)
    racers.hold(HOLD)
    racers.start(
        lambda: journals[0].record_outcome(claim, "1"),
        lambda: journals[1].claim(EFFECT, UNSEEN),
    )

    recorded, found = sorted(racers.release(), key=lambda each: each is not None)
    assert recorded is None
    assert isinstance(found, EffectFinished)
    assert "1" == found.row.outcome_json


def test_a_lease_that_expired_while_waiting_is_lost(journals, racers, clock):
    """
    The time is asked for behind the lock: neither renewed nor recorded.
    """
    claim = journals[0].claim(EFFECT, UNSEEN)
    racers.hold(HOLD)
    racers.start(
        lambda: journals[0].renew(claim),
        lambda: journals[0].record_outcome(claim, "1"),
    )
    clock.advance(60_000)

    assert ["EffectLeaseLostError", "bool"] == kinds(racers.release())
    assert isinstance(journals[1].look_up(EFFECT), EffectFree)


def test_a_freed_effect_is_begun_anew(journals, racers):
    """
    It is removed while the other one waits to see it: then it is his.
    """
    first = journals[0].claim(EFFECT, UNSEEN)
    racers.hold(HOLD)
    racers.start(
        lambda: journals[0].free(first), lambda: journals[1].claim(EFFECT, UNSEEN)
    )

    freed, claim = sorted(racers.release(), key=lambda each: each is not None)
    assert freed is None
    assert isinstance(claim, EffectClaim)
    assert journals[1].renew(claim)


def test_a_deleted_session_loses_the_claim_under_way(journals, racers):
    """
    A claim that was there goes with its session, and its outcome with it.
    """
    claim = journals[0].claim(EFFECT, UNSEEN)
    racers.hold(HOLD)
    racers.start(
        lambda: journals[1].remove_session("chat"),
        lambda: journals[0].record_outcome(claim, "1"),
    )

    assert ["EffectLeaseLostError", "int"] == kinds(racers.release())
    assert EffectFree(stored=None) == journals[0].look_up(EFFECT)


def test_effects_do_not_wait_for_each_other(journals, racers):
    """
    While one row is held, others are claimed, renewed, finished and removed.
    """
    journals[0].claim(EFFECT, UNSEEN)
    racers.hold(HOLD)
    other = prepare_effect("scope", "other", CALL)
    claim = journals[1].claim(other, UNSEEN)
    assert journals[1].renew(claim)
    journals[1].record_outcome(claim, "1")
    assert isinstance(journals[1].look_up(other), EffectFinished)
    assert 1 == journals[1].remove_session("other")
    assert [] == racers.release()
