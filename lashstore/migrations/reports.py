"""
What became of a database: the answer of every command of `lashstore db`.
"""

from enum import StrEnum

from lashstore.model.record import Record

from .upgrade import Step


class Outcome(StrEnum):
    """
    What became of a database.
    """

    CURRENT = "current"
    UPGRADED = "upgraded"
    OUTDATED = "outdated"
    DIFFERENT = "different"
    FAILED = "failed"


class DatabaseReport(Record, frozen=True, kw_only=True):
    """
    One database: the versions it had, what was done or would be, what is
    wrong.

    `database` is a file's path, or a server's address without its password.
    """

    database: str
    outcome: Outcome
    versions: dict[str, str] = {}
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
