"""
SIGKILL in the middle of commits: what was acknowledged is there.
"""

import random
import time

import pytest

from lashstore import ActivePath, StoreOptions

from . import workers
from .crowd import start
from .places import FilePlace, ServerPlace


def _told(pipe, last):
    """
    Return the last revision the process acknowledged before it died.
    """
    try:
        while True:
            last = pipe.recv()
    except EOFError:
        return last


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (FilePlace, StoreOptions()),
        (FilePlace, workers.TINY_WAL),
        (ServerPlace, StoreOptions()),
    ],
    ids=["full", "tiny-wal", "server"],
)
def test_killed_writer_loses_nothing(kind, options, tmp_path):
    """
    Killed at random moments, the session has every told revision.
    """
    place = kind(tmp_path)
    path = place.database("killed")
    dice = random.Random(2)
    told = 0
    for turn in range(place.kills):
        process, pipe = start(workers.commit_and_tell, path, f"run-{turn}", options)
        assert pipe.poll(60)
        time.sleep(dice.random() * 0.15)
        process.kill()
        process.join(60)
        told = _told(pipe, told)

        with workers.open_session(path, options) as store:
            read = store.load_session()
            trunk = store.load_session(ActivePath())
        assert told <= read.head_revision <= told + 1
        told = read.head_revision
        expected = [f"r{n}-{part}" for n in range(1, told + 1) for part in "ab"]
        assert [node.node_id for node in read.graph.nodes] == expected
        assert trunk.graph.nodes == read.graph.nodes
        assert read.checkpoint.turn_state == {"turn_index": told}
        place.check(path)
        assert place.count(path, "session_turn_commits") == told
    assert told >= place.kills
    place.close()
