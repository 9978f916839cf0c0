"""
Short by default; `pytest -m campaign tests/stateful` runs far more.
"""

import pytest


def pytest_configure(config):
    """
    Make the marker known, also where unknown markers are errors.
    """
    config.addinivalue_line(
        "markers", "campaign: the long form of a test, run only when asked for"
    )


def pytest_collection_modifyitems(config, items):
    """
    Skip campaigns unless the marker expression names them.
    """
    if "campaign" in config.getoption("-m", default=""):
        return
    skip = pytest.mark.skip(reason="a campaign: ask with -m campaign")
    for item in items:
        if item.get_closest_marker("campaign"):
            item.add_marker(skip)
