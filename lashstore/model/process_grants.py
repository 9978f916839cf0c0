"""
Handle grants: which session scope may address which process.
"""

from .process_registration import encode_checked
from .record import Record, require_optional_text, require_record


class ProcessHandleDescriptor(Record, frozen=True, kw_only=True):
    """
    How a scope speaks of a process it was granted.
    """

    kind: str | None = None
    label: str | None = None


class ProcessHandleGrant(Record, frozen=True, kw_only=True):
    """
    A session may address a process.
    """

    session_id: str
    process_id: str
    descriptor: ProcessHandleDescriptor


class ProcessSessionDeleteReport(Record, frozen=True, kw_only=True):
    """
    What became of a deleted session's processes.

    Of the running ones that were granted to it, the orphaned are granted to
    nobody any more, the preserved still to somebody else. Both are sorted.
    `deleted_wake_count` is always 0: wakes belong to their process.
    """

    session_id: str
    revoked_handle_count: int
    deleted_wake_count: int
    orphaned_process_ids: tuple[str, ...]
    preserved_process_ids: tuple[str, ...]


def check_descriptor(descriptor: object) -> str:
    """
    Return a descriptor's JSON form.

    Raises:
        InvalidArgumentError: It cannot be stored.
    """
    require_record("the descriptor", descriptor, ProcessHandleDescriptor)
    assert isinstance(descriptor, ProcessHandleDescriptor)  # noqa: S101, for the type checker
    require_optional_text("the descriptor's kind", descriptor.kind)
    require_optional_text("the descriptor's label", descriptor.label)
    return encode_checked(descriptor, "the descriptor")
