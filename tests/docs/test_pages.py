"""
Every page's code runs, in the order in which it is read.
"""

import re

import pytest

from .blocks import PAGES, ROOT, PageError, named, read, unrun
from .playing import played
from .shown import is_shown

HAVE_TESTS_OF_THEIR_OWN = {
    # `test_command_line.py` gives each of its lines to the command it is about:
    # a reference shows every option, on files that no one page could have.
    ROOT / "docs" / "reference" / "command-line.md",
    # `test_postgresql.py` plays it, and looks at what is there then.
    ROOT / "docs" / "how-to" / "run-on-postgresql.md",
}
WITH_CODE = [
    page
    for page in PAGES
    if page not in HAVE_TESTS_OF_THEIR_OWN and any(block.is_run for block in read(page))
]
PAGE = PAGES[0]


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_page_runs(page, tmp_path, request):
    """
    A reader who does what the page says sees what it shows.
    """
    with played(page, tmp_path, lambda: request.getfixturevalue("postgres")):
        pass


def test_blocks_that_are_not_run_say_why():
    """
    By a whole sentence.
    """
    reasons = [block.comments["not run"] for block in unrun()]

    assert [] == [
        reason for reason in reasons if not re.fullmatch(r"[A-Z].{15,}\.", reason)
    ]


def play(text, folder, monkeypatch):
    """
    Run a page of this text.
    """
    monkeypatch.setattr("docs.playing.read", lambda page: read(page, text))
    with played(PAGE, folder, None):
        pass


PAGE_THAT_RUNS = """
<!-- setup
from pathlib import Path
hidden = Path("numbers.txt").write_text("1 2 3")
-->

```python
from pathlib import Path

numbers = [int(word) for word in Path("numbers.txt").read_text().split()]
```

    ```python
    print(sum(numbers), "at 2026-01-02T03:04:05Z")
    ```

    ```text title="Output"
    6 at 2001-01-01 00:00
    ```

```python title="tools/double.py"
import sys

print(2 * int(sys.argv[1]), "is", "twice", sys.argv[1])
sys.exit(3)
```

<!-- exit code: 3 -->

```console
$ lashstore --version
lashstore, version …
$ echo a && echo b \\
>   && echo c
a
…
$ python tools/double.py 21
42 is twice 21
```

<!-- not run: Nobody has such a thing. -->

```sh
no-such-thing
```

```sh
# a comment
test -f tools/double.py
```
"""


def test_a_page_is_run(tmp_path, monkeypatch):
    """
    Files, programs, commands and output, inside of lists too.
    """
    play(PAGE_THAT_RUNS, tmp_path, monkeypatch)

    assert "1 2 3" == (tmp_path / "numbers.txt").read_text()


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("    6 at 2001", "    7 at 2001", "README.md:17 shows"),
        ("6 at 2001-01-01 00:00", "6 at noon", "README.md:17 shows"),
        ("42 is twice 21", "42 is", "README.md:30 shows"),
        ("exit code: 3", "exit code: 4", "ended with 3"),
        ("lashstore --version", "lashstore --versions", "No such option"),
        ('"numbers.txt").read', '"number.txt").read', "No such file"),
        ("sum(numbers)", "hidden", "'hidden' is not defined"),
        ("<!-- not run", "<!-- skipped", "README.md:41: an unknown comment"),
        ("<!-- not run: Nobody has such a thing. -->", "", "`no-such-thing` ended"),
        ("# a comment\n", "false\n", "`false` ended with 1"),
        ("```sh\nno-such-thing", "sh:\n```sh\nno-such-thing", "about no block"),
        ("```python\nfrom", "```py\nfrom", "README.md:7: a block of py"),
        ("```python\nfrom", "```\nfrom", "README.md:7: a block of no language"),
    ],
)
def test_a_page_that_is_wrong_fails(was, becomes, message, tmp_path, monkeypatch):
    """
    It says where, and what is wrong.
    """
    assert was in PAGE_THAT_RUNS

    with pytest.raises(PageError, match=message):
        play(PAGE_THAT_RUNS.replace(was, becomes), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("printed", "shown", "answer"),
    [
        ("a  b\n", "a b", True),
        ("a b", "ab", False),
        ("took 1.52 s", "took 0.1 s", True),
        ("took 1.52 kg", "took 0.1 kg", False),
        ("0123456789ab is it", "ffffffffffffffff is it", True),
        ("0123 is it", "0124 is it", False),
        ("a\nb\nc\nd", "a\n…\nd", True),
        ("a\nd", "a\n…\nd", True),
        ("a\nb", "a\n…\nd", False),
        ("a\nb", "a", False),
        ("ref 12 of x", "ref … of x", True),
        ("ref 12\nof x", "ref … of x", False),
        ("(1+1)", "(1+1)", True),
    ],
)
def test_what_is_printed_is_compared(printed, shown, answer):
    """
    Spaces, times, ids and durations may differ, and nothing else.
    """
    assert answer is is_shown(printed, shown)
