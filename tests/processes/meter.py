"""
Counts what an operation sends to SQLite, how hard that works there, and asks
how each statement is planned.
"""

import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

_STRIDE = 4


@dataclass
class Meter:
    """
    Statements with their parameters, and SQLite's instructions for them.
    """

    statements: list = field(default_factory=list)
    instructions: int = 0

    def texts(self):
        """
        Return the statements alone.
        """
        return [text for text, _ in self.statements]


@contextmanager
def metering():
    """
    Meter everything that any engine of this process executes.
    """
    meter, watched = Meter(), []

    def step():
        meter.instructions += _STRIDE
        return 0

    def before(conn, _cursor, statement, parameters, _context, executemany):
        bound = parameters[0] if executemany else parameters
        meter.statements.append((statement, bound))
        driver = conn.connection.driver_connection
        if driver not in watched:
            watched.append(driver)
            driver.set_progress_handler(step, _STRIDE)

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield meter
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)
        for driver in watched:
            driver.set_progress_handler(None, 0)


def complaints(path, meter):
    """
    Return what is wrong with the plans of the metered statements: whole
    tables read, and rows sorted.
    """
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    wrong = []
    for text, bound in meter.statements:
        plan = [
            line for *_, line in database.execute(f"EXPLAIN QUERY PLAN {text}", bound)
        ]
        derived = {
            name
            for line in plan
            for name in re.findall(r"(?:MATERIALIZE|CO-ROUTINE) (\S+)", line)
        }
        for line in plan:
            scanned = re.match(r"SCAN (\S+)", line)
            if scanned and scanned[1] not in derived | {"json_each"}:
                wrong.append((line, text))
            if "TEMP B-TREE" in line or "AUTOMATIC" in line:
                wrong.append((line, text))
    database.close()
    return wrong
