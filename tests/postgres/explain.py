"""
Generic plans of every statement of the session repositories.
"""

import importlib
import json
import pkgutil

import sqlalchemy as sa
from psycopg.pq import ExecStatus

from lashstore import repos
from lashstore.engines.postgres.sent import SentStatement
from lashstore.repos._listing import Listing
from lashstore.tables import SESSION_TABLES

_SETTINGS = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET enable_sort = off; SET jit = off"
)


def session_statements(dialect, is_wanted=lambda _: True):
    """
    Return (module and name, text) of each statement that reads rows of a
    session, with numbered parameters.
    """
    found = []
    for info in pkgutil.iter_modules(repos.__path__):
        module = importlib.import_module(f"{repos.__name__}.{info.name}")
        for name, value in vars(module).items():
            for n, each in enumerate(_statements(value)):
                if not isinstance(
                    each, sa.Select | sa.CompoundSelect | sa.Update | sa.Delete
                ):
                    continue
                if not is_wanted(each):
                    continue
                text = SentStatement(each, dialect, None)._text
                if any(table.name in text for table in SESSION_TABLES):
                    found.append((f"{info.name}.{name}.{n}", " ".join(text.split())))
    return found


def _statements(value):
    if isinstance(value, Listing):
        return [value.statement]
    return value if isinstance(value, list) else [value]


def settle(connection):
    """
    Plan on a connection as lashstore's transactions do.
    """
    for setting in _SETTINGS.split(";"):
        connection.execute(setting)


def generic_plan(connection, text):
    """
    Return the nodes of a statement's plan for any parameters.
    """
    # Sent without parameters: a plan for whatever they will be.
    answer = connection.pgconn.exec_(
        f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}".encode()
    )
    assert answer.status == ExecStatus.TUPLES_OK, (text, answer.error_message)
    return list(nodes_of(json.loads(answer.get_value(0, 0))[0]["Plan"]))


def nodes_of(plan):
    """
    Yield a plan's nodes, the root first.
    """
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def lookups_of(connection, text):
    """
    Return what a statement's plan looks up: each index with its condition.
    """
    return {
        (node["Index Name"], node.get("Index Cond"))
        for node in generic_plan(connection, text)
        if "Index Name" in node
    }
