"""
What the machines share: a store that can be reopened, owners dead and
alive, and a lease to work under.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from postgres_server import server

from lashstore import (
    CheckpointRetention,
    LeaseAcquired,
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    ManualClock,
    RuntimeCommit,
    SessionExecutionLeaseCompletion,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
)

SESSION = "chat/1"
HOST = "test-host"
LONG_MS = 10**12

SHORT = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CAMPAIGN = settings(
    SHORT,
    max_examples=int(os.environ.get("LASHSTORE_CAMPAIGN_EXAMPLES", "1000")),
    stateful_step_count=80,
)

# A step on a server costs several times one in a file.
SHORT_ON_SERVER = settings(SHORT, max_examples=16, stateful_step_count=30)

ttls = st.sampled_from([0, 1, 50, 1_000, 60_000])


@functools.cache
def living_process() -> LocalProcessLiveness:
    """
    Describe this process.
    """
    found = LocalProcessLiveness.current(HOST)
    assert found is not None
    return found


@functools.cache
def dead_process() -> LocalProcessLiveness:
    """
    Describe a process that ran on this kernel and is gone.
    """
    code = (
        "import sys\n"
        "stat = open('/proc/self/stat').read().rpartition(') ')[2]\n"
        "sys.stdout.write(stat.split()[19])"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    started, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return msgspec.structs.replace(
        living_process(), pid=child.pid, process_start=started.decode()
    )


def owners() -> dict[str, LeaseOwnerIdentity]:
    """
    Return the cast: what each can prove of the others is in `proves_dead`.
    """
    dead, alive = dead_process(), living_process()
    return {
        "opaque-1": LeaseOwnerIdentity.opaque("a", "a:1"),
        "opaque-2": LeaseOwnerIdentity.opaque("a", "a:2"),
        "opaque-b": LeaseOwnerIdentity.opaque("b", "b:1"),
        "alive": LeaseOwnerIdentity(owner_id="c", incarnation_id="c:1", liveness=alive),
        "dead": LeaseOwnerIdentity(owner_id="d", incarnation_id="d:1", liveness=dead),
        "dead-elsewhere": LeaseOwnerIdentity(
            owner_id="e",
            incarnation_id="e:1",
            liveness=msgspec.structs.replace(dead, host_id="another host"),
        ),
        "dead-in-other-namespace": LeaseOwnerIdentity(
            owner_id="f",
            incarnation_id="f:1",
            liveness=msgspec.structs.replace(dead, pid_namespace="pid:[1]"),
        ),
    }


OWNER_NAMES = (
    "opaque-1",
    "opaque-2",
    "opaque-b",
    "alive",
    "dead",
    "dead-elsewhere",
    "dead-in-other-namespace",
)


def proves_dead(holder: str, claimant: str) -> bool:
    """
    Tell whether the claimant can prove the holder's death: the process is
    dead, and the claimant says it is of the same host and namespace.
    """
    same_place = holder == claimant or (holder, claimant) == ("dead", "alive")
    return holder.startswith("dead") and same_place


class StoreMachine(RuleBasedStateMachine):
    """
    A store under test, its clock, and a lease that outlasts the run.
    """

    durable = True
    # A machine whose model knows of no retention keeps all.
    retention = CheckpointRetention(max_count=None)
    on_server = False

    def __init__(self):
        super().__init__()
        self.clock = ManualClock(1_000)
        self.owners = owners()
        self.folder = None
        if self.durable and not self.on_server:
            self.folder = Path(
                tempfile.mkdtemp(prefix="lash-stateful-", dir=_fast_folder())
            )
        self.store = self.open_store()
        self.seen_ids = set()

    def open_store(self):
        options = StoreOptions(
            synchronous=Synchronous.NORMAL,
            wal_limit_bytes=64 * 1024,
            checkpoint_retention=self.retention,
        )
        if self.on_server:
            return Store.open(
                server().url(), SESSION, clock=self.clock, options=options
            )
        if self.folder is None:
            return Store.memory(SESSION, clock=self.clock, options=options)
        return Store.open(
            self.folder / "chat.db", SESSION, clock=self.clock, options=options
        )

    @property
    def now(self):
        return self.clock.now_ms()

    def teardown(self):
        self.store.close()
        if self.folder is not None:
            shutil.rmtree(self.folder)
        if self.on_server:
            _sessions_on_server().delete_session(SESSION)

    @rule()
    @precondition(lambda self: self.durable)
    def reopen(self):
        """Close the file and open it again."""
        self.store.close()
        self.store = self.open_store()

    @rule(ms=st.sampled_from([1, 49, 50, 999, 60_000]))
    def advance_clock(self, ms):
        """Let time pass."""
        self.clock.advance(ms)

    def fresh(self, identifier):
        """Check that an id or token was never handed out before."""
        assert identifier not in self.seen_ids
        self.seen_ids.add(identifier)
        return identifier

    def take_lease(self):
        """Claim the lease for longer than any run."""
        outcome = self.store.try_claim_session_execution_lease(
            LeaseOwnerIdentity.opaque("runner", "runner:1"), LONG_MS
        )
        assert isinstance(outcome, LeaseAcquired)
        return outcome.lease.fence()

    def take_two_leases(self):
        """Return a fence that lost its lease, and one that holds it."""
        stale = self.take_lease()
        self.store.release_session_execution_lease(completion_of(stale))
        return stale, self.take_lease()

    def plain_commit(self, fence, **facts):
        return self.store.commit_runtime_state(
            RuntimeCommit(session_id=SESSION, session_execution_lease=fence, **facts)
        )


def completion_of(fence):
    """
    Return what releases the lease of a fence.
    """
    return SessionExecutionLeaseCompletion(
        session_id=fence.session_id,
        owner=fence.owner,
        lease_token=fence.lease_token,
        fencing_token=fence.fencing_token,
    )


@functools.cache
def _sessions_on_server():
    # Kept, and its connections with it, for as long as tests run.
    return SessionStoreFactory(server().url())


def short(machine):
    """
    Return the settings of a machine's short form.
    """
    return SHORT_ON_SERVER if machine.on_server else SHORT


@functools.cache
def _fast_folder():
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
