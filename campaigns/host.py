"""
A scripted host: the stores it has open, and what it remembers of its calls.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    FileAttachmentStore,
    LeaseOwnerIdentity,
    LeaseTimings,
    LocalProcessLiveness,
    ManualClock,
    ProcessRegistry,
    SessionAttachmentStore,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
    TriggerStore,
)

SESSION = "main"
START_MS = 1_700_000_000_000
STEP_MS = 1_000
# Between two lives every lease and claim of the first has expired.
LIFE_MS = 10 * 3_600_000
TTL_MS = 3_600_000
# Small, so that checkpoints of the WAL are met often.
OPTIONS = StoreOptions(wal_limit_bytes=65_536)


@dataclass
class Call:
    """
    One public call: what runs, and what the host keeps of its answer.
    """

    name: str
    run: Callable[[], Any]
    keep: Callable[[Any], None] = lambda _result: None
    # What an auditor who knows nothing of this script may conclude from it.
    facts: Callable[[Any], dict[str, Any]] = lambda _result: {}

    def run_and_keep(self) -> None:
        """
        Run, and keep what a host keeps.
        """
        self.keep(self.run())


@dataclass
class Memory:
    """
    What a host would lose by dying.
    """

    lease: Any = None
    queue_claims: list[Any] = field(default_factory=list)
    input_claims: list[Any] = field(default_factory=list)
    process_leases: dict[str, Any] = field(default_factory=dict)
    last_commit: Any = None


class Host:
    """
    One life of a host.
    """

    def __init__(self, place: Any, *, life: int, options: StoreOptions = OPTIONS):
        self.place = place
        self.life = life
        self.options = options
        self.clock = ManualClock(START_MS + life * LIFE_MS)
        self.memory = Memory()
        self.dice = Random(0)
        self.name = f"{life}"
        self.step = 0
        self._open()

    def _open(self) -> None:
        target = self.place.others
        self.factory = SessionStoreFactory(
            self.place.sessions, options=self.options, clock=self.clock
        )
        self.store: Store = self.factory.create_store(SESSION, cwd=None)
        self.registry = ProcessRegistry.open(
            target, clock=self.clock, options=self.options
        )
        self.triggers = TriggerStore.open(
            target, clock=self.clock, options=self.options
        )
        self.effects = EffectHost.open(
            target,
            clock=self.clock,
            options=EffectReplayOptions(
                lease_timings=LeaseTimings.from_ttl(TTL_MS), store=self.options
            ),
        )
        self.bytes = FileAttachmentStore(self.place.folder / "attachments")
        self.attachments = SessionAttachmentStore(self.bytes, self.store)

    def close(self) -> None:
        """
        Close every store.
        """
        for each in (self.effects, self.triggers, self.registry, self.factory):
            each.close()

    def begin(self, step: int, dice: Random) -> None:
        """
        Make ready for a step: its time, its dice and the names it gives.
        """
        self.step = step
        self.dice = dice
        self.name = f"{self.life}.{step}"
        self.clock.advance(STEP_MS)

    @property
    def owner(self) -> LeaseOwnerIdentity:
        """
        This life's identity; only time can prove its end.
        """
        return LeaseOwnerIdentity.opaque("host", f"host:{self.life}")

    def dead_owner(self) -> LeaseOwnerIdentity:
        """
        Name an owner whose death can be proven: the first process of this
        machine, at a time when it was another one.
        """
        here = LocalProcessLiveness.current("campaign")
        if here is None:
            return LeaseOwnerIdentity.opaque("dead", self.name)
        return LeaseOwnerIdentity(
            owner_id="dead",
            incarnation_id=f"dead:{self.name}",
            liveness=LocalProcessLiveness(
                host_id=here.host_id,
                boot_id=here.boot_id,
                pid_namespace=here.pid_namespace,
                pid=1,
                process_start="0",
            ),
        )

    def living_owner(self) -> LeaseOwnerIdentity:
        """
        Name an owner that may look for the death of others.
        """
        here = LocalProcessLiveness.current("campaign")
        if here is None:
            return self.owner
        alive = LocalProcessLiveness(
            host_id=here.host_id,
            boot_id=here.boot_id,
            pid_namespace=here.pid_namespace,
            pid=1,
            process_start="1",
        )
        return LeaseOwnerIdentity(
            owner_id="alive", incarnation_id=f"alive:{self.life}", liveness=alive
        )

    @property
    def fence(self) -> Any:
        """
        The fence of the lease this host holds.
        """
        return self.memory.lease.fence()

    def blob(self, size: int = 0) -> bytes:
        """
        Return bytes of this step's own, half of them compressible.
        """
        size = size or self.dice.randrange(10, 9_000)
        seed = hashlib.sha256(self.name.encode()).digest()
        noise = hashlib.shake_256(seed).digest(size // 2)
        return noise + b"text " * (size // 10)

    def work(self, name: str) -> Callable[[], Any]:
        """
        Return an executor whose runs are counted where a kill cannot undo it.
        """

        def run() -> Any:
            log = os.open(run_log(self.place), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            try:
                os.write(log, f"{name}\n".encode())
            finally:
                os.close(log)
            return {"done": name}

        return run


def run_log(place: Any) -> Path:
    """
    Return where the runs of executors are written down.
    """
    return Path(place.folder) / "runs.log"


def quick(options: StoreOptions) -> StoreOptions:
    """
    Return options that do not wait for the disk.
    """
    return StoreOptions(
        synchronous=Synchronous.NORMAL,
        wal_limit_bytes=options.wal_limit_bytes,
        busy_timeout_ms=options.busy_timeout_ms,
    )
