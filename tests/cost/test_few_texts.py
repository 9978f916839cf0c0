"""
Comparisons with few texts: run with a parameter each, planned as well as with
a list.
"""

import importlib
import pkgutil

import pytest
import sqlalchemy as sa

import lashstore.repos
from lashstore.dialect import Dialect
from lashstore.repos import _run
from lashstore.repos._dialect import any_of
from lashstore.tables import metadata

_KINDS = (sa.Select, sa.CompoundSelect, sa.Update, sa.Delete)

_numbers = sa.Table("numbers", sa.MetaData(), sa.Column("name", sa.Text))
_some = (
    sa.select(_numbers.c.name)
    .where(any_of(_numbers.c.name, "names"), _numbers.c.name != sa.bindparam("other"))
    .order_by(_numbers.c.name)
)
_two = sa.select(_numbers.c.name).where(
    any_of(_numbers.c.name, "names"), any_of(_numbers.c.name, "others")
)


def _statements():
    for found in pkgutil.iter_modules(lashstore.repos.__path__):
        module = importlib.import_module(f"lashstore.repos.{found.name}")
        for name, value in vars(module).items():
            if isinstance(value, _KINDS):
                try:
                    compiled = _run._Compiled(value, Dialect(), None)
                except sa.exc.UnsupportedCompilationError:
                    # One for servers only.
                    continue
                if compiled._lists is not None:
                    yield f"{found.name}.{name}", compiled


@pytest.fixture(name="connection")
def _connection():
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    connection = engine.raw_connection()
    yield connection
    connection.close()
    engine.dispose()


def _scans(connection, text):
    cursor = connection.cursor()
    cursor.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))
    steps = [row[3] for row in cursor.fetchall()]
    return [step for step in steps if "SCAN" in step and "json_each" not in step]


@pytest.mark.parametrize("size", [1, 4, 8])
def test_a_parameter_each_is_planned_as_well_as_a_list(connection, size):
    """
    No repository's statement then scans what it searched before.
    """
    compared = 0
    for name, compiled in _statements():
        lists = compiled._lists
        few = lists._spelled((size,) * lists.count)
        assert _scans(connection, few) == _scans(connection, compiled._text), name
        compared += 1
    assert 30 < compared


@pytest.fixture(name="traced")
def _traced():
    # An engine of ours: its dialect keeps compiled statements.
    engine = sa.create_engine("sqlite+lashstore://")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE numbers (name TEXT)"))
        connection.execute(
            sa.text("INSERT INTO numbers VALUES (:name)"),
            [{"name": f"{number:02}"} for number in range(20)],
        )
        seen = []
        driver = connection.connection.driver_connection
        driver.set_trace_callback(seen.append)
        yield _run.Runner(connection), seen
        driver.set_trace_callback(None)
    engine.dispose()


@pytest.mark.parametrize(
    ("count", "parameters"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)]
)
def test_few_texts_are_parameters(traced, count, parameters):
    """
    As many as the next of few sizes; the answer is that of a list.
    """
    runner, seen = traced
    names = [f"{number:02}" for number in range(count)]

    found = runner.execute(_some, {"names": names, "other": "00"}).all()

    assert [(name,) for name in names[1:]] == found
    assert "json_each" not in seen[-1]
    assert parameters == seen[-1].split("IN (")[1].split(")")[0].count(",") + 1


@pytest.mark.parametrize("count", [0, 9, 20])
def test_none_and_many_are_one_list(traced, count):
    """
    A statement for each number would never end.
    """
    runner, seen = traced
    names = [f"{number:02}" for number in range(count)]

    found = runner.execute(_some, {"names": names, "other": "00"}).all()

    assert [(name,) for name in names[1:]] == found
    assert "json_each" in seen[-1]


def test_two_lists_keep_their_places(traced):
    """
    Also where their lengths differ, and where one of them is long.
    """
    runner, _ = traced
    names = [f"{number:02}" for number in range(20)]

    for first, second, both in [
        (names[:1], names[:3], [("00",)]),
        (names[2:5], names[4:5], [("04",)]),
        (names, names[7:8], [("07",)]),
    ]:
        asked = {"names": first, "others": second}
        assert both == runner.execute(_two, asked).all()
