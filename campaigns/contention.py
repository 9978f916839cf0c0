"""
The contention campaign: up to 32 processes do the same at once, and their
histories are checked for single holders and exactly-once.

    python -m campaigns contention --engine sqlite --processes 32 --rounds 10
"""

import itertools
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lashstore import (
    EngineInput,
    HostOriginator,
    LeaseOwnerIdentity,
    ProcessIdentity,
    ProcessProvenance,
    ProcessRegistration,
    ProcessRegistry,
    RecoveryDisposition,
    SessionScope,
    SessionStoreFactory,
    Store,
    TriggerStore,
    TriggerSubscriptionDraft,
)

from . import racers
from .command import engines, run_campaign
from .deployment_calls import WAKE
from .places import ROOT, ServerPlace, fast_folder, scratch
from .report import Report

sys.path.insert(0, str(ROOT / "tests"))

from contention import crowd, workers

_SUBSCRIPTIONS = 3


class Race:
    """
    One engine's campaign.
    """

    def __init__(
        self, engine: str, folder: Path, report: Report, *, processes: int, rounds: int
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.report = report
        self.processes = processes
        self.rounds = rounds
        self.places: list[ServerPlace] = []

    def target(self, name: str) -> str:
        """
        Return the address of a database that nobody has made yet.
        """
        if self.engine == "sqlite":
            return str(self.folder / f"{name}.db")
        place = ServerPlace(self.folder, f"race_{os.getpid()}_{name}")
        self.places.append(place)
        # Every process has a pool of its own, and the server its limits.
        return f"{place.sessions}&pool_size=2"

    def run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """
        Run *work* in every process at once.
        """
        name = work.__name__
        self.report.counts["races"] += 1
        try:
            found: list[Any] = crowd.run_crowd(work, self.processes, *arguments)
        except AssertionError as error:
            lines = str(error).strip().splitlines()
            self.report.violate(f"{name}: a process failed: {lines[-1]}")
            return []
        done = sum(len(seen) for seen in found if isinstance(seen, list))
        self.report.break_down("operations", name, done)
        return found

    def complain(self, name: str, wrong: list[str]) -> None:
        """
        Write down what a history must not show.
        """
        self.report.violate(*(f"{name}: {each}" for each in wrong))

    def first_open(self) -> None:
        """
        Nobody fails, and all are in the same database.
        """
        targets = [self.target(f"new{n}") for n in range(self.rounds)]
        found = self.run(racers.first_open, targets)
        for number, target in enumerate(targets):
            with Store.open(target, racers.SESSION) as store:
                missing = [
                    index
                    for index, seen in enumerate(found)
                    if store.get_blob(seen[number][1]) != f"{index}".encode()
                ]
            self.complain("first_open", [f"lost writes of {missing}"] * bool(missing))

    def hold_leases(self) -> None:
        """
        Nobody holds the lease while another does.
        """
        target = self.target("leases")
        Store.open(target, racers.SESSION).close()
        found = self.run(racers.hold_leases, target, self.rounds)
        held = sorted(each for seen in found for each in seen)
        self.complain("hold_leases", overlaps([each[:3] for each in held]))
        revisions = [each[3] for each in held]
        if revisions != list(range(1, len(held) + 1)):
            self.complain("hold_leases", [f"revisions {revisions[:50]}"])

    def _fence(self, target: str) -> Any:
        owner = LeaseOwnerIdentity.opaque("all", "all:1")
        with Store.open(target, racers.SESSION) as store:
            outcome: Any = store.try_claim_session_execution_lease(
                owner, racers.LONG_MS
            )
        return outcome.lease.fence()

    def swap_heads(self) -> None:
        """
        Each revision lands once, on the one before.
        """
        target = self.target("heads")
        found = self.run(racers.swap_heads, target, self._fence(target), self.rounds)
        landed = sorted(each for seen in found for each in seen)
        wanted = [(n, n + 1) for n in range(self.processes * self.rounds)]
        if [each[:2] for each in landed] != wanted:
            self.complain("swap_heads", ["a revision landed twice or not at all"])
        with Store.open(target, racers.SESSION) as store:
            read = store.load_session()
        path = [] if read is None else [n.node_id for n in read.graph.active_path()]
        if path != [each[2] for each in landed]:
            self.complain("swap_heads", ["the graph is not what was acknowledged"])

    def drain_queue(self) -> None:
        """
        A key is one batch, and a batch is completed once.
        """
        target = self.target("queue")
        keys = 8 * self.rounds
        found = self.run(racers.drain_queue, target, self._fence(target), keys)
        every = [each for seen in found for each in seen]
        stored: dict[int, set[str]] = {}
        for how, key, batch in every:
            if how == "stored":
                stored.setdefault(key, set()).add(batch)
        done = Counter(batch for how, _, batch in every if how == "done")
        wrong = [f"key {k}: {len(b)} batches" for k, b in stored.items() if len(b) != 1]
        wrong += [f"{batch} done {n} times" for batch, n in done.items() if n != 1]
        missing = {b for batches in stored.values() for b in batches} - set(done)
        wrong += [f"{batch} never done" for batch in missing]
        self.complain("drain_queue", wrong)

    def append_events(self) -> None:
        """
        One log without gaps, shared keys once, one holder at a time.
        """
        target = self.target("log")
        with ProcessRegistry.open(target) as registry:
            for name in ("log", "held"):
                registry.register_process(_registration(name))
        found = self.run(racers.append_events, target, self.rounds)
        every = [each for seen in found for each in seen]
        events = [each for each in every if each[0] == "event"]
        numbers = sorted(each[2] for each in events if each[3])
        wrong = []
        if numbers != list(range(1, len(numbers) + 1)):
            wrong.append("the log has gaps or doubles")
        inserted = Counter(each[1] for each in events if each[1] and each[3])
        wrong += [f"{key} inserted {n} times" for key, n in inserted.items() if n != 1]
        with ProcessRegistry.open(target) as registry:
            stored = registry.events_after("log", 0)
        if [each.sequence for each in stored] != numbers:
            wrong.append("the log is not what was acknowledged")
        held = sorted(each[1:] for each in every if each[0] == "held")
        self.complain("append_events", wrong + overlaps(held))

    def run_effects(self) -> None:
        """
        An effect runs once, and everybody has its outcome.
        """
        target = self.target("effects")
        log = self.folder / f"runs-{self.engine}.log"
        log.touch()
        found = self.run(racers.run_effects, target, str(log), self.rounds)
        runs = Counter(log.read_text().split())
        wrong = [
            f"effect {n} ran {count} times" for n, count in runs.items() if count > 1
        ]
        for number in range(self.rounds if found else 0):
            if len({seen[number] for seen in found}) != 1:
                wrong.append(f"effect {number} has several outcomes")
        self.complain("run_effects", wrong)

    def reserve_deliveries(self) -> None:
        """
        A delivery is reserved by one of all.
        """
        target = self.target("triggers")
        with TriggerStore.open(target) as triggers:
            for number in range(_SUBSCRIPTIONS):
                triggers.register_subscription(_subscription(number))
        found = self.run(racers.reserve_deliveries, target, self.rounds)
        reserved = Counter(each[2] for seen in found for each in seen)
        wrong = [f"{p} reserved {n} times" for p, n in reserved.items() if n != 1]
        if found and len(reserved) != _SUBSCRIPTIONS * self.rounds:
            wrong.append(f"{len(reserved)} deliveries")
        self.complain("reserve_deliveries", wrong)

    def delete_sessions(self) -> None:
        """
        Who has a deleted session open finds out, and recreates nothing.
        """
        root = self.target("root").removesuffix(".db")
        name, marker = "doomed", str(self.folder / f"marker-{self.engine}")
        with SessionStoreFactory(root) as factory:
            factory.create_store(name).close()
            context = crowd._context
            deleter = context.Process(target=_delete_later, args=(root, name, marker))
            deleter.start()
            self.run(workers.write_until_deleted, root, name, marker)
            deleter.join()
            store = factory.open_existing_store(name)
            left = "no session" if store is None else store.list_queued_work()
            self.complain("delete_sessions", [f"left: {left!r:.200}"] * bool(left))

    def checkpoint(self) -> None:
        """
        Checkpoints and writers leave a sound file.
        """
        if self.engine != "sqlite":
            return
        path = self.folder / "wal.db"
        fence = self._fence(str(path))
        self.run(workers.write_past_checkpoints, str(path), fence, self.rounds / 2)
        database = sqlite3.connect(path)
        (answer,) = database.execute("PRAGMA integrity_check").fetchone()
        database.close()
        self.complain("checkpoint", [answer] * (answer != "ok"))


def overlaps(held: list[tuple[int, int, int]]) -> list[str]:
    """
    Check (begin, end, fence) of holders, in the order of their beginnings.
    """
    wrong = []
    for (_, ended, fence), (begun, _, later) in itertools.pairwise(held):
        if begun < ended:
            wrong.append(f"fences {fence} and {later} were held at once")
        if later <= fence:
            wrong.append(f"fence {later} came after {fence}")
    return wrong


def _registration(name: str) -> ProcessRegistration:
    return ProcessRegistration(
        id=name,
        input=EngineInput(kind="engine"),
        disposition=RecoveryDisposition.RERUNNABLE,
        event_types=(WAKE,),
        provenance=ProcessProvenance(originator=HostOriginator()),
        wake_target=SessionScope(session_id=racers.SESSION),
        env_ref="env:1",
    )


def _subscription(number: int) -> TriggerSubscriptionDraft:
    return TriggerSubscriptionDraft(
        registrant=HostOriginator(),
        env_ref="env:1",
        source_type="t",
        source_key="k",
        target=EngineInput(kind="engine", payload={}),
        target_identity=ProcessIdentity(kind="engine"),
        client_key=f"sub-{number}",
    )


def _delete_later(root: str, name: str, marker: str) -> None:
    with SessionStoreFactory(root) as factory:
        store = factory.create_store(name)
        # Nobody writes before everybody has opened it.
        while not store.list_queued_work():
            time.sleep(0.01)
        factory.delete_session(name)
        factory.create_store(name).close()
    Path(marker).touch()


RACES = (
    "first_open",
    "hold_leases",
    "swap_heads",
    "drain_queue",
    "append_events",
    "run_effects",
    "reserve_deliveries",
    "delete_sessions",
    "checkpoint",
)


def run(engine: str, processes: int, rounds: int, seed: int, only: str = "") -> Report:
    """
    Run every race with so many processes.
    """
    report = Report("contention", engine=engine, seed=seed)
    # Forked from a process that has imported everything: 32 at once.
    crowd._context = multiprocessing.get_context("forkserver")
    crowd._context.set_forkserver_preload(
        ["campaigns.racers", "contention.workers", "contention.crowd"]
    )
    report.counts["processes"] = processes
    with scratch("race", fast_folder() or Path(tempfile.gettempdir())) as folder:
        race = Race(engine, folder, report, processes=processes, rounds=rounds)
        for name in RACES:
            if only in ("", name):
                getattr(race, name)()
        for place in race.places:
            place.drop()
    report.note("the seed changes nothing: the order is the scheduler's")
    return report.end()


def main() -> None:
    """
    Run from the command line.
    """
    run_campaign(
        __doc__ or "",
        lambda options: [
            run(engine, options.processes, options.rounds, options.seed, options.race)
            for engine, _ in engines(options, sqlite=1, postgres=1)
        ],
        processes=(int, 32, "how many processes"),
        rounds=(int, 10, "how much each of them does"),
        race=(str, "", "run this race alone"),
    )
