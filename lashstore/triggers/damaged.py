"""
Damaged subscriptions, which do not stop the others.
"""

import logging
from collections.abc import Iterable

from lashstore.errors import CorruptRecordError

_log = logging.getLogger("lashstore.triggers")


def log_damaged(damaged: Iterable[CorruptRecordError]) -> None:
    """
    Log each; `verify` reports them.
    """
    for error in damaged:
        _log.error("%s", error)
