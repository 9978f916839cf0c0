"""
The drawings show the tables and state machines as they are now.
"""

import re
import sys
import xml.etree.ElementTree as ET

import pytest

from lashstore.tables import COMPONENT_TABLES

from .blocks import ROOT

sys.path.append(str(ROOT / "tools"))
from make_diagrams import TARGET, make  # noqa: E402


def test_drawings_are_current():
    """
    `make diagrams` would change nothing.
    """
    assert make() == {path.name: path.read_text() for path in TARGET.iterdir()}


@pytest.mark.parametrize("component", COMPONENT_TABLES)
def test_schema_shows_every_column(component):
    """
    By the name of its table and its own, as often as there are.
    """
    drawing = ET.fromstring((TARGET / f"schema-{component}.svg").read_text())
    shown = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]

    for table in COMPONENT_TABLES[component]:
        start = shown.index(table.name)
        rest = [
            name for name in shown[start + 1 :] if re.fullmatch(r"[a-z_]{2,}", name)
        ]
        types = {"integer", "text", "bytes"}
        names = [name for name in rest if name not in types]
        assert list(table.c.keys()) == names[: len(table.c)]


def test_every_reference_has_a_line():
    """
    There are as many as foreign keys.
    """
    drawing = (TARGET / "schema-process.svg").read_text()

    assert 7 == drawing.count('stroke-width="1.3"')
    assert 7 == sum(len(table.foreign_keys) for table in COMPONENT_TABLES["process"])
