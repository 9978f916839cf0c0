"""
A scene in which every call of the script can be made, and be made again.
"""

import copy
from random import Random
from typing import Any

from lashstore import StoreOptions

from . import deployment_calls, session_calls, tokens, work_calls  # noqa: F401, they register calls
from .calls import CALLS
from .host import Host, Memory, quick
from .places import Files, Place, Rows, ServerPlace

# One life that leaves something for every call to work on.
_PRELUDE = (
    "try_claim_session_execution_lease",
    "save_session_meta",
    "enqueue_pending_turn_input",
    "claim_next_turn_inputs",
    "enqueue_queued_work",
    "claim_ready_queued_work",
    "commit_runtime_state",
    "commit_runtime_state",
    "enqueue_active_turn_input",
    "enqueue_active_turn_input",
    "enqueue_active_turn_input",
    "claim_active_turn_inputs",
    "enqueue_pending_turn_input",
    "enqueue_pending_turn_input",
    "enqueue_pending_turn_input",
    "claim_next_turn_inputs",
    "enqueue_pending_turn_input",
    "enqueue_pending_turn_input",
    "enqueue_queued_work",
    "claim_ready_queued_work",
    "enqueue_queued_work",
    "enqueue_queued_work",
    "enqueue_session_command",
    "put_attachment",
    "record_attachment_intent",
    "put_attachment",
    "put_blob",
    "put_artifact_bytes",
    "create_store",
    "create_store",
    "tombstone_nodes",
    "register_process",
    "complete_process",
    "register_process",
    "register_process",
    "register_process",
    "grant_handle",
    "grant_handle",
    "append_event",
    "append_event",
    "append_event",
    "claim_process_lease",
    "set_process_wait",
    *("register_subscription",) * 5,
    "reserve_matching_deliveries",
    "acknowledge_delivery",
    "reserve_matching_deliveries",
    "record_occurrence",
    "fail_effect",
)
# What a call wants that would be in the way of others.
FIRST = {
    "commit_runtime_state": ("put_attachment",),
    "transfer_handle_grants": ("grant_handle", "grant_handle", "grant_handle"),
    "revoke_handle": ("grant_handle",),
    "delete_session_process_state": ("transfer_handle_grants",),
    "claim_leading_ready_session_command": (
        *("commit_runtime_state", "commit_runtime_state"),
        *("cancel_queued_work_batch",) * 6,
        "enqueue_session_command",
    ),
}
_LATER_MS = 60_000


class Scene:
    """
    The same beginning for each of many calls.
    """

    def __init__(self, place: Place, options: StoreOptions) -> None:
        self.place = place
        self.options = options
        self._host = self._play()
        self._memory = copy.deepcopy(self._host.memory)
        self._now_ms = self._host.clock.now_ms()
        self._host.close()
        self.content: Any = place.save()  # type: ignore[attr-defined]
        self.rows: Rows = place.rows()

    def _play(self) -> Host:
        host = Host(self.place, life=0, options=quick(self.options))
        for step, name in enumerate(_PRELUDE):
            self.make(host, name, step).run_and_keep()
        return host

    def make(self, host: Host, name: str, step: int) -> Any:
        """
        Return the call that a host makes at a step.
        """
        for attempt in range(20):
            tokens.restart(f"scene:{step}")
            host.begin(step, Random(f"scene:{step}:{attempt}"))
            made = CALLS[name](host)
            if made is not None:
                return made
        msg = f"the scene has nothing for {name}"
        raise LookupError(msg)

    def restore(self) -> None:
        """
        Put the databases back to the beginning.
        """
        self.place.restore(self.content)  # type: ignore[attr-defined]

    def host(self) -> Host:
        """
        Return the host as it was at the end of the beginning.
        """
        tokens.restart("scene:open")
        host = Host(self.place, life=0, options=self.options)
        host.memory = copy.deepcopy(self._memory)
        host.clock.advance(self._now_ms + _LATER_MS - host.clock.now_ms())
        return host

    def remember(self, host: Host) -> None:
        """
        Give a host back what it knew and the time it was.
        """
        host.memory = copy.deepcopy(self._memory)


def is_server(place: Place) -> bool:
    """
    Tell whether a place is a schema of a server.
    """
    return isinstance(place, ServerPlace)


__all__ = ["FIRST", "Files", "Memory", "Scene", "is_server"]
