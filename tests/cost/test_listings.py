"""
Pages of rows to look at come in order from an index, however many there are.
"""

import importlib
import pkgutil

import pytest
import sqlalchemy as sa

from lashstore import repos
from lashstore.repos._listing import Listing
from lashstore.repos.effects import _list_keys
from lashstore.tables import metadata

# What is put in order, and why that is little.
SORTED = {
    "process_events._look_at_last": "USE TEMP B-TREE FOR ORDER BY",  # one a process
    # Among those of one millisecond.
    "triggers._look_at_occurrences": "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY",
}


def listings():
    found = {"effects._list_keys": _list_keys}
    for info in pkgutil.iter_modules(repos.__path__):
        module = importlib.import_module(f"{repos.__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, Listing):
                found[f"{info.name}.{name}"] = value.statement
    return found


LISTINGS = listings()


def test_all_are_looked_at():
    """
    No listing is missed.
    """
    assert 14 == len(LISTINGS)


@pytest.mark.parametrize("name", LISTINGS)
def test_a_page_is_found_by_an_index(name):
    """
    No table is scanned, and nothing is put in order but few rows.
    """
    engine = sa.create_engine("sqlite://")
    statement = LISTINGS[name]
    text = str(statement.compile(engine))
    with engine.connect() as connection:
        metadata.create_all(connection)
        count = text.count("?")
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {text}", tuple("1" * count)
        ).all()
    lines = [row[3] for row in plan]
    engine.dispose()

    assert lines
    for line in lines:
        if line.startswith("USE TEMP B-TREE"):
            # Older versions of SQLite say LAST TERM.
            told = line.replace("LAST TERM", "RIGHT PART")
            assert SORTED.get(name) == told
        else:
            assert not line.startswith("SCAN ") or "json_each" in line, lines
