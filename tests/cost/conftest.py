"""
Two session files, made once a run: one with little history, one with much.
"""

import fcntl
import shutil

import pytest

from .history import LITTLE, MUCH, build


@pytest.fixture(name="history_file", scope="session")
def _history_file(tmp_path_factory):
    """
    Return a function from a number of rows to the file that has them.
    """
    # Shared by the workers of pytest-xdist: whoever is first builds it.
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    folder = shared / "lash-cost"
    folder.mkdir(exist_ok=True)

    def of_size(rows):
        path = folder / f"{rows}.db"
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                build(path.with_suffix(".tmp"), rows)
                path.with_suffix(".tmp").rename(path)
        return path

    return of_size


@pytest.fixture(name="session_copies")
def _session_copies(history_file, tmp_path):
    """
    Return a test's own copies of both files, little history first.
    """
    copies = []
    for rows in (LITTLE, MUCH):
        copy = tmp_path / f"{rows}.db"
        shutil.copy(history_file(rows), copy)
        copies.append(copy)
    return copies
