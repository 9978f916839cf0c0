"""
Replays of real transcripts, killed at random moments: they end in the session
an unbroken run makes, and every stop on the way is a prefix of it.

Moments come from a timer in another process; the replay does not choose them.
Seeds are printed, and taken from LASHSTORE_CRASH_SEED where it is set; the
machine's speed still decides what a moment hits.
"""

import math
import os
import random
import time
from pathlib import Path

import pytest

from lashstore import SessionStoreFactory
from lashstore.hosting.background import is_woken
from lashstore.hosting.kills import ReplayChild, count_pauses
from lashstore.hosting.picture import differences, take_picture
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import RunEvents, run_plan
from lashstore.hosting.transcript import read_transcript

from .shared import Witness, read_process

TRANSCRIPTS = Path(__file__, "../../../../shared/data/trajectories").resolve()
SHORT_COUNT, KILL_COUNT = 8, 20
# What an average turn of a slowed replay sleeps in all: about as long as it
# works, so that kills hit the store's calls as often as the gaps between them.
TURN_S = 0.015
# A child's work takes longer than the same work here: its caches are cold, and
# every pause lasts a little longer than it should.
CHILD_SLOWNESS = 2
# The share of kills that hit a child while it starts.
STARTUP_SHARE = 0.2
SESSION = "killed"

NAMES = (
    "function_calling_simple",
    "humanevalfix_0",
    "marshmallow_1867_cursors_window",
    "marshmallow_1867_default",
    "marshmallow_1867_function_calling",
    "marshmallow_1867_function_calling_replace",
    "marshmallow_1867_window100",
    "marshmallow_1867_xml_cursors_window",
    "marshmallow_1867_xml_window100",
    "test_repo_i1",
)
# One whose tool outputs are user messages, one with tool calls.
DEFAULT_NAMES = ("marshmallow_1867_default", "marshmallow_1867_function_calling")


class Unbroken(RunEvents):
    """
    A run that is never killed, and the session at each of its revisions.
    """

    def __init__(self, plan, root):
        self.states = {}
        self.turns_s = []
        self.root = root
        self._since = 0.0
        run_plan(plan, root, SESSION, events=self)
        self.picture = take_picture(plan, root, SESSION)
        self.process = read_process(plan, root, SESSION)

    def hashes(self, picture):
        """
        Return the hashes of a session's commits, the same for the same session
        id; but a commit that completes a wake counts the batch's random id.
        """
        return [
            stored.turn_commit_hash
            for stored in picture.turns
            if not is_woken(stored.result.head_revision - 1)
        ]

    def on_turns_done(self, count):
        """
        Keep the session as it is now, and how long its last turn took.
        """
        if count > 0:
            self.turns_s.append(time.monotonic() - self._since)
        self.states[count] = read_state(self.root)
        self._since = time.monotonic()


def read_state(root):
    """
    Open the session for writing, and read all a revision consists of.
    """
    with SessionStoreFactory(root) as factory:
        store = factory.open_existing_store(SESSION)
        if store is None:
            return None, ()
        with store:
            return store.load_session(), store.load_usage_deltas()


def check_prefix(unbroken, root):
    """
    Compare a killed session with the unbroken one at the same revision.

    Returns:
        The revision.
    """
    session, usage = read_state(root)
    revision = 0 if session is None else session.head_revision

    assert unbroken.states[revision] == (session, usage)
    return revision


def check_nothing_is_left(root):
    """
    Check that no dead run left inputs, intents or a lease behind.
    """
    with (
        SessionStoreFactory(root) as factory,
        factory.open_existing_store(SESSION) as store,
    ):
        assert () == store.list_pending_turn_inputs()
        assert () == store.list_uncommitted_attachments(2**63)
        with store.transaction() as records:
            assert None is records.execution_leases.find(SESSION).lease


def attachment_files(root):
    """
    Read the attachment store's folder, whatever lies there.

    A kill may leave an unfinished file under a name that is nobody's.
    """
    folder = root / "attachments"
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".tmp"
    }


class Killer:
    """
    Draws the moments at which children die.

    Some count from a child's start, most from when it runs turns. Those lives
    are exponential: long ones happen, so that no turn is too long to pass,
    and most are short, so that one session takes all the kills.
    """

    def __init__(self, plan, seed, work_s, kill_count):
        pauses = count_pauses(plan)
        self._rng = random.Random(seed)
        self._startup_s = 0.2
        self.pause_s = TURN_S * len(pauses) / sum(pauses)
        turns_s = [
            count * self.pause_s + CHILD_SLOWNESS * turn_s
            for count, turn_s in zip(pauses, work_s, strict=True)
        ]
        self._mean_life_s = mean_life_s(turns_s, kill_count * (1 - STARTUP_SHARE))

    def kill(self, child):
        """
        Kill a child; return whether it was still there, and how it was hit.
        """
        if self._rng.random() < STARTUP_SHARE:
            # Before that it imports modules, and nothing can break.
            delay_s = self._rng.uniform(0.6 * self._startup_s, self._startup_s)
            return child.kill_after(delay_s), f"start+{delay_s:.3f}"
        self._startup_s = child.wait_until_ready()
        delay_s = self._rng.expovariate(1 / self._mean_life_s)
        return child.kill_after(delay_s), f"ready+{delay_s:.3f}"


def mean_life_s(turns_s, kill_count):
    """
    Return how long an exponential life must be on average for about so many
    kills until all turns are done.

    A turn of length t is finished by a life with probability exp(-t / mean),
    so exp(t / mean) - 1 lives end in it before one does not.
    """
    shortest, longest = 0.05 * max(turns_s), 1000.0
    for _ in range(60):
        mean = (shortest + longest) / 2
        if sum(math.expm1(turn_s / mean) for turn_s in turns_s) > kill_count:
            shortest = mean
        else:
            longest = mean
    return longest


def run_round(unbroken, plan, transcript, root, killer, kills_left):
    """
    Replay one session to its end under at most so many kills.

    Returns:
        How many kills hit it.
    """
    hits = []
    witness = Witness(plan, root, SESSION)
    for _ in range(kills_left):
        child = ReplayChild(transcript, root, SESSION, pause_s=killer.pause_s)
        was_hit, moment = killer.kill(child)
        if not was_hit:
            break
        hits.append(f"{moment}→{check_prefix(unbroken, root)}")
        witness.look()
    else:
        ReplayChild(transcript, root, SESSION, pause_s=0).finish()
    print(f"  {len(hits)} kills, each with the revision it left: {' '.join(hits)}")

    picture = take_picture(plan, root, SESSION)
    assert [] == list(differences(picture, unbroken.picture))
    assert unbroken.hashes(picture) == unbroken.hashes(unbroken.picture)
    assert len(plan.turns) == len(picture.turns) == picture.session.head_revision
    assert plan.messages == picture.messages()
    check_nothing_is_left(root)
    cut_off = witness.check_end(len(hits))
    print(f"  {cut_off} tools were cut off before their outcome was recorded")
    assert unbroken.process == read_process(plan, root, SESSION)
    return len(hits)


def kill_and_compare(name, places, seed, kill_count):
    """
    Kill replays of a transcript until enough kills have hit.
    """
    transcript = TRANSCRIPTS / f"{name}.json"
    if not transcript.exists():
        pytest.skip(f"the shared data is not there: {transcript}")
    print(f"{name}: LASHSTORE_CRASH_SEED={seed}")
    plan = build_plan(read_transcript(transcript))
    unbroken = Unbroken(plan, places.place("unbroken"))
    killer = Killer(plan, seed, unbroken.turns_s, kill_count)
    hit_count = round_count = 0
    while hit_count < kill_count:
        round_count += 1
        root = places.place(f"round-{round_count}")
        hit_count += run_round(
            unbroken, plan, transcript, root, killer, kill_count - hit_count
        )
        if places.has_files:
            assert attachment_files(unbroken.root) == attachment_files(root)
    print(f"  {hit_count} kills in {round_count} sessions")


@pytest.fixture(name="seed")
def _seed():
    given = os.environ.get("LASHSTORE_CRASH_SEED")
    return random.SystemRandom().randrange(10**9) if given is None else int(given)


@pytest.mark.parametrize("name", DEFAULT_NAMES)
def test_killed_replay_equals_unbroken(name, places, seed):
    """
    Kills at random moments change nothing.
    """
    kill_and_compare(name, places, seed, SHORT_COUNT)


@pytest.mark.campaign
@pytest.mark.parametrize("name", NAMES)
def test_campaign(name, places, seed):
    """
    Twenty kills of every transcript change nothing.
    """
    kill_and_compare(name, places, seed, KILL_COUNT)
