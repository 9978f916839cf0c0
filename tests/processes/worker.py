"""
What the tests run in OS processes of their own.
"""

import os
import signal
import sys

from lashstore import (
    LeaseAcquired,
    LeaseOwnerIdentity,
    ProcessConflictError,
    ProcessRegistry,
    ProcessTerminalError,
    SuccessOutput,
)

from .kit import QUICK, event, registration

HOST = "test-host"


def opened(path):
    """
    Open the file the test is about.
    """
    return ProcessRegistry.open(path, options=QUICK)


def die_holding(path):
    """
    Claim process `p` for an hour, tell, and be killed.
    """
    registry = opened(path)
    me = LeaseOwnerIdentity.local_process("worker", "1", HOST)
    outcome = registry.claim_process_lease("p", me, 3_600_000)
    registry.append_event("p", event(payload="begun"), fence=outcome.lease)
    os.kill(os.getpid(), signal.SIGKILL)


def die_appending(path):
    """
    Append keyed events until somebody kills us.
    """
    registry, n = opened(path), 0
    while True:
        n += 1
        registry.append_event(
            "p", event("producer.wake", {"wake_input": str(n)}, f"k{n}")
        )
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


def append_many(path, name, count):
    """
    Append so many events of our own, and try every key others use too.
    """
    registry = opened(path)
    for n in range(int(count)):
        registry.append_event("p", event(payload=f"{name}-{n}"))
        registry.append_event("p", event(payload=n, replay_key=f"shared-{n}"))


def race_to_end(path, name):
    """
    Register, claim, start and end processes that all others want too.
    """
    registry = opened(path)
    me = LeaseOwnerIdentity.opaque(name, "1")
    for n in range(20):
        process_id = f"race-{n}"
        registry.register_process(registration(process_id))
        try:
            outcome = registry.claim_process_lease(process_id, me, 3_600_000)
        except ProcessTerminalError:
            continue
        if not isinstance(outcome, LeaseAcquired):
            continue
        lease = outcome.lease
        registry.append_event(process_id, event(payload=name), fence=lease)
        registry.complete_process(process_id, SuccessOutput(value=name), fence=lease)
        try:
            registry.complete_process(process_id, SuccessOutput(value="again"))
        except ProcessConflictError:
            sys.stdout.write(f"{process_id}\n")


def complete_after_signal(path):
    """
    Wait for the test's signal, then end the process with it.
    """
    registry = opened(path)
    found = registry.await_event("p", "signal.ready", 0, timeout_s=30)
    registry.complete_process("p", SuccessOutput(value=found.payload))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
