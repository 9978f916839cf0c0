"""
A list of process ids as one parameter.
"""

from typing import Any

import sqlalchemy as sa

from ._dialect import any_of


def is_listed(column: sa.ColumnElement[Any]) -> Any:
    """
    Compare *column* with the ids bound as `process_ids`, by its index.

    As a boolean, SQLAlchemy would put `= 1` behind the comparison on SQLite,
    which then reads the whole table instead of looking the ids up.
    """
    comparison: Any = any_of(column, "process_ids")
    comparison.type = sa.Integer()
    return comparison
