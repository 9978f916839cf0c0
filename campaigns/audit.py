"""
What must hold of any history, whatever the script: a second opinion beside
the comparison with the reference.
"""

import contextlib
import json
from collections import Counter
from typing import Any

from lashstore import LashStoreError, SessionStoreFactory

from .host import OPTIONS, SESSION, quick, run_log
from .places import TABLES, Place, Rows

_ENDING = frozenset(
    {
        "commit_runtime_state",
        "cancel_queued_work_batch",
        "cancel_pending_turn_input",
        "cancel_pending_turn_inputs",
        "cancel_pending_turn_input_suffix",
    }
)


def _records(rows: Rows, table: str) -> list[dict[str, Any]]:
    names = [column.name for column in TABLES[table].columns]
    return [dict(zip(names, row, strict=True)) for row in rows[table]]


class Auditor:
    """
    Remembers what was acknowledged, from life to life.
    """

    def __init__(self) -> None:
        self._revision = 0
        self._number = 0
        self._fence = 0
        self._last_fence_life = -1
        self._process_fences: dict[str, int] = {}
        self._admitted: set[str] = set()
        self._ended: set[str] = set()
        self._events: dict[tuple[str, int], str] = {}
        self._runs: dict[str, tuple[int, Any]] = {}

    def learn(self, life: int, facts: dict[str, Any]) -> list[str]:
        """
        Take in what one acknowledged call said; return what cannot be.
        """
        wrong = []
        if (revision := facts.get("revision")) is not None:
            if revision <= self._revision:
                wrong.append(f"revision {revision} after {self._revision}")
            self._revision = revision
        if (number := facts.get("number")) is not None:
            if number <= self._number:
                wrong.append(f"admission {number} after {self._number}")
            self._number = number
        if (fence := facts.get("fence")) is not None:
            is_new = life != self._last_fence_life
            if fence < self._fence + is_new:
                wrong.append(f"fence {fence} after {self._fence}")
            self._fence, self._last_fence_life = fence, life
        if (fence_of := facts.get("process_fence")) is not None:
            name, number = fence_of
            if number < self._process_fences.get(name, 0):
                wrong.append(f"fence {number} of process {name} went back")
            self._process_fences[name] = number
        self._admitted.update(facts.get("admitted", ()))
        self._ended.update(facts.get("ended", ()))
        if (event := facts.get("event")) is not None:
            self._events[event[0], event[1]] = event[2]
        return wrong

    def check(self, rows: Rows, place: Place, in_doubt: str) -> list[str]:
        """
        Look at what a kill left.

        Args:
            in_doubt: The call that was cut off; "" without one.
        """
        return [
            *self._check_head(rows),
            *self._check_queues(rows, in_doubt),
            *self._check_events(rows),
            *self._check_effects(rows, place),
            *check_reads(place, rows),
        ]

    def _check_head(self, rows: Rows) -> list[str]:
        heads = [
            r for r in _records(rows, "session_heads") if r["session_id"] == SESSION
        ]
        revision = heads[0]["head_revision"] if heads else 0
        if not self._revision <= revision <= self._revision + 1:
            return [f"acknowledged revision {self._revision}, found {revision}"]
        stamps = [
            r
            for r in _records(rows, "session_turn_commits")
            if r["session_id"] == SESSION
        ]
        if len(stamps) != revision:
            return [f"revision {revision} with {len(stamps)} stamped commits"]
        return []

    def _check_queues(self, rows: Rows, in_doubt: str) -> list[str]:
        batches = {r["batch_id"] for r in _records(rows, "session_queued_batches")}
        inputs = _records(rows, "session_turn_inputs")
        open_ids = {r["input_id"] for r in inputs if r["is_open"]}
        present = batches | open_ids
        wrong = [f"{name} ended and is there" for name in self._ended & present]
        missing = self._admitted - self._ended - present
        if in_doubt in _ENDING:
            self._ended |= missing
        else:
            wrong += [f"{name} was admitted and is gone" for name in missing]
        return wrong

    def _check_events(self, rows: Rows) -> list[str]:
        wrong = []
        logs: dict[str, list[int]] = {}
        found: dict[tuple[str, int], str] = {}
        for row in _records(rows, "process_events"):
            logs.setdefault(row["process_id"], []).append(row["sequence"])
            found[row["process_id"], row["sequence"]] = str(row)
        for name, numbers in logs.items():
            if sorted(numbers) != list(range(1, len(numbers) + 1)):
                wrong.append(f"the log of {name} has {sorted(numbers)}")
        for (name, number), text in list(self._events.items()):
            if name not in logs:
                del self._events[name, number]
            elif json.dumps(text) not in found.get((name, number), ""):
                wrong.append(f"event {number} of {name} is not what was acknowledged")
        return wrong

    def _check_effects(self, rows: Rows, place: Place) -> list[str]:
        log = run_log(place)
        runs = Counter(log.read_text().split() if log.exists() else ())
        recorded = {
            row["replay_key"]: (runs[row["replay_key"]], row)
            for row in _records(rows, "effects")
            if row["status"] in ("completed", "failed")
        }
        wrong = [
            f"effect {name} ran again although it is recorded"
            for name, (count, row) in recorded.items()
            if name in self._runs
            and self._runs[name][1] == row
            and self._runs[name][0] != count
        ]
        self._runs = recorded
        return wrong


def check_reads(place: Place, rows: Rows) -> list[str]:
    """
    Read everything a session holds through its public methods.
    """
    wrong = []
    try:
        with SessionStoreFactory(place.sessions, options=quick(OPTIONS)) as factory:
            store = factory.open_existing_store(SESSION)
            if store is None:
                return []
            read = store.load_session()
            if read is not None:
                with contextlib.suppress(LashStoreError):
                    read.graph.active_path()
            store.list_queued_work()
            store.list_pending_turn_inputs()
            store.load_usage_deltas()
            wrong += [
                f"blob {row['blob_ref']} is gone"
                for row in _records(rows, "session_blobs")
                if row["session_id"] == SESSION
                and store.get_blob(row["blob_ref"]) is None
            ]
            list(factory.list_sessions())
    except LashStoreError as error:
        wrong.append(f"reading fails: {error!r}")
    return wrong
