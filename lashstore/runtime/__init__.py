"""
What every runtime would otherwise write itself: keeping leases, running
turns, working through queues.

Small and optional: everything here calls public methods of the stores, in
the order that survives a kill at any moment. `lashstore.aio` has the same for
event loops.
"""

from .keeper import LeaseKeeper, keep_process_lease, keep_session_lease
from .leasing import LeaseHeldError, this_process
from .turns import Turn, TurnInterruptedError, TurnOutcome, TurnRunner
from .wakes import deliver_wakes, wake_source_key
from .worker import Worker

__all__ = [
    "LeaseHeldError",
    "LeaseKeeper",
    "Turn",
    "TurnInterruptedError",
    "TurnOutcome",
    "TurnRunner",
    "Worker",
    "deliver_wakes",
    "keep_process_lease",
    "keep_session_lease",
    "this_process",
    "wake_source_key",
]
