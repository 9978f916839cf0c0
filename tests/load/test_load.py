"""
The short form of `make load-postgres`, and of `make scale-postgres`.
"""

from collections import Counter

import pytest

from .campaign import describe, run
from .history import check
from .scale import commit_for, measure_beside_held


@pytest.fixture(name="url")
def _url(postgres):
    yield postgres.url("load")
    postgres.drop("load")


def test_killed_hosts_lose_and_double_nothing(url, tmp_path):
    """
    Hosts share sessions, are killed and restarted; what was acknowledged is
    there, once, and no two held a session at once.
    """
    result = run(
        url, tmp_path, hosts=3, sessions=12, seconds=8, kill_every_s=1.5, seed=1
    )

    print("\n".join(describe(result)))
    assert [] == result.complaints
    assert result.kill_count > 1
    assert result.takeover_count > 0
    assert {"input", "batch", "lease", "ran", "effect", "commit"} <= set(result.counts)


def test_the_check_sees_what_is_wrong(url, tmp_path):
    """
    A lost commit, a lost input, a second holder and a second outcome are all
    told apart from what is right.
    """
    run(url, tmp_path, hosts=1, sessions=2, seconds=3, kill_every_s=9, seed=1)
    journal = [
        {"kind": "commit", "turn_id": "none", "revision": 1},
        {"kind": "input", "id": "none"},
        {"kind": "lease", "fence": 1},
        {"kind": "effect", "step": "step-1", "outcome": "other", "at": 0},
        {"kind": "ran", "step": "step-1", "at": 1},
    ]
    wrong = [{"session": "session-0", "owner": "nobody", **each} for each in journal]

    complaints = check(url, wrong)

    assert Counter(
        ["is lost or moved", "is lost", "was", "outcomes", "ran again"]
    ) == Counter(
        word
        for each in complaints
        for word in ("is lost or moved", "outcomes", "ran again", "is lost", "was")
        if word in each and not (word == "is lost" and "moved" in each)
        if not (word == "was" and "ran again" in each)
    )


def test_a_held_session_holds_up_no_other(url):
    """
    Its row is locked for as long as the other one works.
    """
    rate, _, _ = measure_beside_held(url, 0.5)

    assert rate > 0
    assert commit_for(url, 0.1, lambda: None)
