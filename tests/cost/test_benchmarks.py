"""
The benchmark's arithmetic, and its floors on the schema of today.
"""

import xml.etree.ElementTree as ET

import pytest

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.chart import draw
from benchmarks.figures import summarise
from benchmarks.runner import AgainstItself, measure

# What touches every floor once; the others differ in sizes only.
_QUICK = (
    "commit of a 20 KB turn, NORMAL",
    "active path of 1,000 nodes",
    "head probe",
    "enqueue of a batch, 10 waiting, NORMAL",
    "claim and completion, 10 waiting, NORMAL",
    "claim and completion of an input, 10 waiting, NORMAL",
    "event append, NORMAL",
    "process claim, NORMAL",
    "trigger reserve, NORMAL",
    "effect step, first run, NORMAL",
    "effect step, replay, FULL",
    "create, FULL",
    "open warm, FULL",
)


def test_a_ratio_is_of_medians_and_inside_its_interval():
    """
    The ratio is ours over theirs, and its interval holds it.
    """
    figures = summarise([2_000, 2_100, 1_900] * 20, [1_000, 1_050, 950] * 20)

    assert 2.0 == figures["ratio"]
    low, high = figures["ratio_95"]
    assert low <= 2.0 <= high
    assert 2.0 == figures["ours_us"]["median"]


def test_a_total_counts_every_round():
    """
    One slow round moves a total and leaves a median alone.
    """
    ours, theirs = [1_000] * 9 + [91_000], [1_000] * 10

    assert 10.0 == summarise(ours, theirs, "total")["ratio"]
    assert 1.0 == summarise(ours, theirs)["ratio"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"ratio": 1.2, "limit": 1.3}, True),
        ({"ratio": 1.4, "limit": 1.3}, False),
        ({"ratio": 1.4, "limit": None}, None),
        ({"value": 0.3, "limit": 0.25}, False),
        ({"ratio": 1.0, "limit": 1.3, "errors": ["BackendError()"]}, False),
        (
            {
                "ratio": 0.9,
                "limit": 1.0,
                "limit_bytes": 0.05,
                "bytes": {"library": 6, "floor": 100},
            },
            False,
        ),
    ],
)
def test_a_goal_is_met_by_time_bytes_and_errors_alike(row, expected):
    """
    A row meets its goals if it meets all it has.
    """
    assert expected is report.has_met(row)


def test_the_plot_is_xml_with_a_bar_a_row():
    """
    Names are escaped, and every row with a ratio has its label.
    """
    row = {"against": "floor", "ratio": 1.5, "ratio_95": [1.4, 1.6], "limit": 1.3}
    plot = draw("a & b", [{"case": "x < y", **row}, {"case": "z", **row}])

    texts = [element.text for element in ET.fromstring(plot).iter() if element.text]
    assert {"x < y", "z"} <= set(texts)


@pytest.mark.parametrize("name", _QUICK)
def test_a_floor_runs_on_the_library_s_schema(name, tmp_path):
    """
    Both sides of a comparison come to the same answers.
    """
    (entry,) = [each for each in CASES if each.name == name]

    row = measure(entry, 12, tmp_path)

    assert 12 == row["rounds"]
    assert row["ratio"] > 0


def test_a_large_case_and_a_small_one_have_a_file_each_of_their_kind(tmp_path):
    """
    Against itself, each side is made as its case says, and not as the other.
    """
    made = []

    def case_of(name):
        class Kind:
            @staticmethod
            def pair_kind(folder, _synchronous):
                made.append((name, folder.name))
                return name

        return Kind

    pair = AgainstItself(case_of("much"), case_of("little")).pair_kind(tmp_path, None)

    assert [("much", "large"), ("little", "small")] == made
    assert ("much", "little") == (pair.large, pair.small)
