"""
Wakes: what a background process's event delivers to a session.
"""

from lashstore import codec

from .record import (
    Json,
    Record,
    require_counter,
    require_record,
    require_text,
)


class ProcessWakeDelivery(Record, frozen=True, kw_only=True):
    """
    One wake on its way to a session; the session store keeps it as it is.
    """

    wake_id: str
    target_session_id: str
    target_scope_id: str
    process_id: str
    sequence: int
    event_type: str
    event_invocation: Json
    process_caused_by: Json | None = None
    dedupe_key: str
    input: str
    created_at_ms: int


def check_wake(wake: ProcessWakeDelivery) -> None:
    """
    Check a wake before it is stored.

    Raises:
        InvalidArgumentError: A counter is out of range, or it cannot be
            encoded.
    """
    require_record("a wake", wake, ProcessWakeDelivery)
    require_text("wake_id", wake.wake_id)
    require_counter("a wake's sequence", wake.sequence)
    require_counter("a wake's created_at_ms", wake.created_at_ms)
    codec.encode_record(wake, "a wake")
