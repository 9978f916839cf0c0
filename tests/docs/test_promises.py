"""
The commands that promises are shown by exist.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMISES = (ROOT / "docs/explanation/promises.md").read_text()


def test_named_tests_exist():
    """
    Every path behind `pytest`, of which there are some.
    """
    paths = {
        path
        for command in re.findall(r"`pytest ([^`]+)`", PROMISES)
        for path in command.split()
    }

    assert len(paths) >= 8
    assert [] == [path for path in sorted(paths) if not (ROOT / path).exists()]


def test_named_campaigns_exist():
    """
    Each campaign is named, and no other.
    """
    named = set(re.findall(r"`python -m campaigns ([^ `]+)`", PROMISES))

    runs = {
        path.stem
        for path in (ROOT / "campaigns").glob("*.py")
        if "\ndef main()" in path.read_text()
    }

    assert runs - {"broken"} == named


def test_named_methods_exist():
    """
    Methods and options in the first column and among the limits.
    """
    cells = re.findall(r"^\| (.+?) \|", PROMISES, re.MULTILINE)
    names = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    source = "".join(path.read_text() for path in (ROOT / "lashstore").rglob("*.py"))

    assert "commit_runtime_state" in names
    assert [] == [name for name in sorted(names) if f"def {name}(" not in source]
