"""
Counts what an operation sends to the database, and how hard it works there.
"""

import re
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

_STRIDE = 8


@dataclass
class Meter:
    """
    Statements with their plans, and SQLite's instructions for them.
    """

    statements: list = field(default_factory=list)
    plans: list = field(default_factory=list)
    instructions: int = 0

    def complaints(self):
        """
        Return the plan lines that read a whole table or sort.
        """
        return [
            (text, line)
            for text, lines in self.plans
            for line in lines
            if (re.match(r"SCAN (?!json_each|CONSTANT)", line))
            or "AUTOMATIC" in line
            or "TEMP B-TREE" in line
        ]


@contextmanager
def metering(*, explain=False):
    """
    Meter everything that any engine of this process executes; with its plans
    if asked, which are counted neither as statements nor as instructions.
    """
    meter = Meter()
    watched = []

    def step():
        meter.instructions += _STRIDE
        return 0

    def before(conn, _cursor, statement, parameters, _context, executemany):
        meter.statements.append(" ".join(statement.split()))
        driver = conn.connection.driver_connection
        if explain and re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", statement):
            bound = parameters[0] if executemany else parameters
            rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}", bound)
            meter.plans.append((meter.statements[-1], [row[3] for row in rows]))
        if not explain and driver not in watched:
            watched.append(driver)
            driver.set_progress_handler(step, _STRIDE)

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield meter
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)
        for driver in watched:
            driver.set_progress_handler(None, 0)
