"""
What can be removed, before it is.
"""

from .record import Record


class RemovableSize(Record, frozen=True, kw_only=True):
    """
    How many rows nobody needs, and the bytes of their content as it is stored.
    """

    row_count: int = 0
    content_bytes: int = 0
