"""
Counts what an operation sends to the database, and how hard it works there.
"""

import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

_STRIDE = 8


@dataclass
class Meter:
    """
    Statements with their parameters, and SQLite's instructions for them.
    """

    statements: list = field(default_factory=list)
    instructions: int = 0

    def texts(self):
        """
        Return the statements, with lists of parameters cut to one form.
        """
        return [
            re.sub(r"\(\s*\?(?:\s*,\s*\?)*\s*\)", "(?)", text)
            for text, *_ in self.statements
        ]


@contextmanager
def metering(*, count_instructions=True):
    """
    Meter everything that any engine of this process executes.
    """
    meter = Meter()
    watched = []

    def step():
        meter.instructions += _STRIDE
        return 0

    def before(conn, _cursor, statement, parameters, _context, executemany):
        meter.statements.append((statement, parameters, executemany))
        driver = conn.connection.driver_connection
        if count_instructions and driver not in watched:
            watched.append(driver)
            driver.set_progress_handler(step, _STRIDE)

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    try:
        yield meter
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)
        for driver in watched:
            driver.set_progress_handler(None, 0)


@contextmanager
def tracing():
    """
    Collect what SQLite itself runs, with nobody listening to cursors: code
    that goes around SQLAlchemy when it is not watched shows here. It sees the
    connections made meanwhile only, so the store is opened inside.
    """
    traced, watched = [], []

    def note(text):
        if not re.match(r"\s*(BEGIN|COMMIT|ROLLBACK|PRAGMA|--)", text, re.IGNORECASE):
            traced.append(text)

    def watch(driver, _record):
        watched.append(driver)
        driver.set_trace_callback(note)

    sa.event.listen(sa.pool.Pool, "connect", watch)
    try:
        yield traced
    finally:
        sa.event.remove(sa.pool.Pool, "connect", watch)
        for driver in watched:
            driver.set_trace_callback(None)


def plans(path, meter):
    """
    Return (statement, plan lines) of every statement that reads rows.
    """
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = []
    for text, parameters, executemany in meter.statements:
        if not re.match(
            r"\s*(SELECT|WITH|UPDATE|DELETE|INSERT)\b", text, re.IGNORECASE
        ):
            continue
        bound = parameters[0] if executemany else parameters
        lines = [
            detail
            for *_, detail in database.execute(f"EXPLAIN QUERY PLAN {text}", bound)
        ]
        found.append((" ".join(text.split()), lines))
    database.close()
    return found


_HARMLESS_SCAN = re.compile(
    r"SCAN (CONSTANT ROW|\d+ CONSTANT ROWS|json_each\b.*|value_list.*)$"
)
_NAMED = re.compile(r"(?:MATERIALIZE|CO-ROUTINE|SUBQUERY) (\S+)")
_CTE = re.compile(
    r"(?:WITH(?:\s+RECURSIVE)?|,)\s+(\w+)\s*(?:\([^)]*\)\s*)?AS\s*\(", re.IGNORECASE
)


def complaints(text, lines):
    """
    Return the lines of a plan that read a whole table or sort.
    """
    derived = set(_CTE.findall(text)) | {
        name for line in lines for name in _NAMED.findall(line)
    }
    wrong = []
    for line in lines:
        scan = re.match(r"SCAN (\S+)", line)
        if scan and not _HARMLESS_SCAN.match(line) and scan[1] not in derived:
            wrong.append(line)
        if "AUTOMATIC" in line or "TEMP B-TREE" in line:
            wrong.append(line)
    return wrong
