"""
Draw docs/diagrams from the tables and the state machines.

    python tools/make_diagrams.py           # draw
    python tools/make_diagrams.py --check   # exit 1 if something would change

A test draws and compares, so that the drawings cannot lag behind.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from diagrams import drawn_machines, drawn_schema  # noqa: E402

TARGET = ROOT / "docs" / "diagrams"


def make() -> dict[str, str]:
    """
    Return what docs/diagrams has to have, by file name.
    """
    return {
        **drawn_schema.drawings(),
        **drawn_machines.drawings(),
        "schema.md": drawn_schema.page(),
        "states.md": drawn_machines.page(),
    }


def main() -> int:
    """
    Write, or tell whether there is something to write.
    """
    made = make()
    there = {path.name: path.read_text() for path in TARGET.glob("*.*")}
    if "--check" in sys.argv:
        wrong = sorted(n for n in made | there if made.get(n) != there.get(n))
        print("\n".join(f"docs/diagrams/{name} is not current" for name in wrong))
        return 1 if wrong else 0
    TARGET.mkdir(exist_ok=True)
    for name in there.keys() - made:
        (TARGET / name).unlink()
    for name, content in made.items():
        (TARGET / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
