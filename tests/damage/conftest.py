"""
One rich session file, made once; tests work on copies of it.
"""

import shutil

import pytest

from .rich import PATH_NAME, build, read_everything


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


@pytest.fixture(name="rich_file", scope="session")
def _rich_file(tmp_path_factory):
    """
    Return a closed file with content in every table.
    """
    path = tmp_path_factory.mktemp("damage") / PATH_NAME
    build(path)
    return path


@pytest.fixture(name="sound_answers", scope="session")
def _sound_answers(rich_file, tmp_path_factory):
    """
    Return what every reading operation answers while nothing is damaged.
    """
    copy = tmp_path_factory.mktemp("damage-sound") / PATH_NAME
    shutil.copy(rich_file, copy)
    return read_everything(copy)
