"""
Write `docs/benchmarks.md` from the results of the last runs.
"""

import json
from pathlib import Path

from .report import RESULTS, markdown

_PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_INTRODUCTION = """\
# Benchmarks

`make bench` measures lashstore against floors: the same semantic work by hand in sqlite3, prepared once, without SQLAlchemy.
`make bench-peers` measures it against other libraries from PyPI, each in a virtual environment of its own that the target makes under `benchmarks/.venvs`.
Both print a table and write JSON, Markdown and a plot into `benchmarks/results`, which is not kept in git.
`make bench-page` writes this page from there.

- `python -m benchmarks --only "20 KB" --rounds 100` runs some cases, quickly, and puts them among the last results; `--no-write` keeps them out.
- `python -m benchmarks --peers --only litequeue` does so for peers.
- `--profile` shows instead where the library's side of the cases spends its time.
- `--postgres` adds the cases on PostgreSQL, on a server of their own.
- `--folder` says where the files go; times at `FULL` are times of that disk.

What a floor does, and what it keeps of the library's promises, stands at the top of `benchmarks/floor.py`, `benchmarks/deployment_floor.py` and in each case's docstring.
A floor stores a changed state whole, compressed.
How a peer was made as durable as lashstore stands in the notes under its table.
A run on a machine that does other work shows in its load and in the spread: ratios at `FULL` then come near to 1, since both sides wait for the same disk, and `NORMAL` tells more about the library.
"""


def publish():
    """
    Write the page.
    """
    parts = [_INTRODUCTION]
    for kind, title in (("floors", "Against floors"), ("peers", "Against peers")):
        path = RESULTS / f"{kind}.json"
        if path.exists():
            found = json.loads(path.read_text())
            parts += [f"\n## {title}\n\n", markdown(found, found["cases"])]
    _PAGE.write_text("".join(parts).rstrip() + "\n")
