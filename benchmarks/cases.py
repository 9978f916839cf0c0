"""
Every comparison with the floors: what it is called, its durability, how many
rounds of the run it gets, and its goal.
"""

from dataclasses import dataclass
from typing import Any

from lashstore import Synchronous

from .deployment_cases import (
    AppendEvent,
    AppendEventToLongLog,
    ClaimProcess,
    ReplayStep,
    ReserveDelivery,
    RunStep,
    RunStepInLongJournal,
)
from .opening_cases import CreateSession, OpenCold, OpenWarm
from .queue_cases import (
    ClaimAndComplete,
    ClaimAndCompleteInput,
    EnqueueBatch,
    EnqueueInput,
    at_ten_thousand,
)
from .runner import AgainstItself
from .session_cases import (
    ChangeLargeState,
    CheckFreshness,
    CommitAtHundred,
    CommitAtTwentyThousand,
    CommitTurn,
    GrowGraph,
    GrowState,
    KeepLargeState,
    LoadActivePath,
    LoadThousandNodes,
)
from .transcript_cases import CommitTranscripts

FULL, NORMAL = Synchronous.FULL, Synchronous.NORMAL


@dataclass(frozen=True)
class Entry:
    """
    One comparison.

    `share`: of the run's rounds. `limit`: the ratio that is the goal;
    `limit_us`: the time that is; None: there is none.
    """

    name: str
    kind: Any
    synchronous: Synchronous
    share: float
    limit: float | None = None
    limit_us: float | None = None
    against: str = "floor"

    def goal(self):
        """
        Return the goal as the results hold it.
        """
        return {"limit": self.limit, "limit_us": self.limit_us}


def _both(name, kind, share, limit):
    return [
        Entry(f"{name}, {each.upper()}", kind, each, share, limit)
        for each in (FULL, NORMAL)
    ]


def _sizes(name, kind):
    """
    Compare few waiting with many, by the floor and with each other.
    """
    large = at_ten_thousand(kind)
    return [
        *_both(f"{name}, 10 waiting", kind, 1.0, 1.4),
        Entry(f"{name}, 10,000 waiting, NORMAL", large, NORMAL, 1.0, 1.4),
        Entry(
            f"{name}, 10,000 waiting against 10",
            AgainstItself(large, kind),
            *(NORMAL, 1.0, 1.1),
            against="itself",
        ),
    ]


CASES = [
    *_both("commit of a 20 KB turn", CommitTurn, 1.0, 1.3),
    *_both("1 MB state unchanged, stamped", KeepLargeState, 0.4, 1.3),
    Entry("1 MB state, 1 % changed a turn, FULL", ChangeLargeState, FULL, 1.0),
    Entry("growth to 1 MB in 500 turns, as nodes, FULL", GrowGraph, FULL, 1.0),
    Entry("growth to 1 MB in 500 turns, as state, FULL", GrowState, FULL, 1.0),
    Entry(
        "commit at 20,000 nodes against 100, FULL",
        AgainstItself(CommitAtTwentyThousand, CommitAtHundred),
        *(FULL, 1.0, 1.1),
        against="itself",
    ),
    Entry("load of 1,000 nodes", LoadThousandNodes, NORMAL, 0.4, 1.3),
    Entry("active path of 1,000 nodes", LoadActivePath, NORMAL, 0.4, 1.3),
    Entry("head probe", CheckFreshness, NORMAL, 2.0, 1.3, limit_us=100),
    *_sizes("enqueue of a batch", EnqueueBatch),
    *_sizes("claim and completion", ClaimAndComplete),
    *_sizes("enqueue of an input", EnqueueInput),
    *_sizes("claim and completion of an input", ClaimAndCompleteInput),
    *_both("event append", AppendEvent, 1.0, 1.4),
    Entry("event append behind 10,000, NORMAL", AppendEventToLongLog, NORMAL, 1.0, 1.4),
    Entry(
        "event append behind 10,000 against none",
        AgainstItself(AppendEventToLongLog, AppendEvent),
        *(NORMAL, 1.0, 1.1),
        against="itself",
    ),
    *_both("process claim", ClaimProcess, 1.0, None),
    *_both("trigger reserve", ReserveDelivery, 1.0, None),
    *_both("effect step, first run", RunStep, 1.0, 1.4),
    Entry("effect step behind 10,000, NORMAL", RunStepInLongJournal, NORMAL, 1.0, 1.4),
    Entry("effect step, replay, FULL", ReplayStep, FULL, 2.0, 1.4, limit_us=100),
    Entry("create, FULL", CreateSession, FULL, 0.1, 1.5),
    Entry("open cold, FULL", OpenCold, FULL, 0.4, 1.5),
    Entry("open warm, FULL", OpenWarm, FULL, 2.0, 1.5),
    *_both("real transcripts, every turn", CommitTranscripts, 1.0, None),
]
