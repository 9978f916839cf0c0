"""
The documents: what they show runs, what they name exists.
"""

import re
import sys
from pathlib import Path

import pytest

import lashstore

from .blocks import ROOT
from .playing import played

sys.path.append(str(ROOT / "tools" / "docsite"))
import generated  # noqa: E402
import reference  # noqa: E402

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
MAKEFILE = ROOT / "Makefile"
# Made when the site is built.
GENERATED = {
    ROOT / "docs" / path for path in (*reference.pages(), *generated.pages(ROOT))
}
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
DOCUMENTS = (
    README,
    CONTRIBUTING,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)

# The contract's "Words", those of how checkpoints are stored, and the guides'.
NOUNS = (
    "archive",
    "backup",
    "finding",
    "snapshot",
    "session",
    "turn",
    "commit",
    "head",
    "revision",
    "checkpoint",
    "manifest",
    "blob",
    "node",
    "leaf",
    "active path",
    "agent frame",
    "lease",
    "fence (fencing token)",
    "incarnation",
    "claim",
    "completion",
    "batch",
    "source key",
    "turn input",
    "process",
    "event",
    "wake",
    "grant",
    "trigger",
    "subscription",
    "occurrence",
    "delivery",
    "effect",
    "replay",
    "scope",
    "tombstone",
    "vacuum",
    "hop",
    "keeper",
    "migration",
    "twin",
    "worker",
    "GC",
    "base",
    "chain",
    "part",
    "retention",
    "admission sequence",
    "artifact",
    "attachment",
    "boundary",
    "branch",
    "cipher",
    "component",
    "deployment",
    "difference",
    "disposition",
    "envelope",
    "factory",
    "host",
    "ingress",
    "journal",
    "ledger",
    "outcome",
    "owner",
    "payload",
    "ref",
    "replay key",
    "root",
    "seal",
    "stamp",
    "store",
    "usage",
    "WAL",
)


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_quickstart_leaves_nothing(tmp_path):
    """
    The README's one Python block leaves no file behind.
    """
    with played(README, tmp_path, None):
        assert [] == list(tmp_path.iterdir())


def test_readme_is_short():
    """
    The README has fewer than 100 lines.
    """
    assert len(README.read_text().splitlines()) < 100


def test_readme_starts_with_the_two_commands():
    """
    A title, one sentence and the two commands come before everything else.
    """
    lines = [line for line in README.read_text().splitlines() if line]

    assert "# lashstore" == lines[0]
    assert lines[1].endswith(".")
    assert 1 == len(re.findall(r"\.(?:\s|$)", lines[1]))
    assert ["```sh", "make demo", "make test", "```"] == [
        line.split("  ")[0] for line in lines[2:6]
    ]


@pytest.mark.parametrize("path", [README, CONTRIBUTING], ids=_named)
def test_named_make_targets_exist(path):
    """
    Every `make` target that is named is one of the Makefile's.
    """
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE.read_text(), re.MULTILINE))
    named = set(
        re.findall(r"(?:^|`)make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
    )

    assert named
    assert set() == named - targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=_named)
def test_links_lead_somewhere(path):
    """
    Every link to a file of the repository has a target.
    """
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    targets = [(path.parent / link).resolve() for link in links]

    assert [] == [t for t in targets if not t.exists() and t not in GENERATED]


def test_every_public_name_is_in_the_reference():
    """
    On one page each, or there would be no pages.
    """
    pages = "\n".join(reference.pages().values())

    assert [] == [
        name
        for name in lashstore.__all__
        if not re.search(rf"^::: lashstore\.{name}$", pages, re.MULTILINE)
    ]


def test_a_name_without_a_page_stops_the_build(monkeypatch):
    """
    So that a new public module cannot be forgotten.
    """
    monkeypatch.setitem(lashstore._HOMES, "new", ("NewStore",))

    with pytest.raises(reference.UnplacedError, match="NewStore"):
        reference.pages()


def test_adrs_are_numbered_without_gaps():
    """
    Decisions are numbered from 1 on, each number once, and named in words.
    """
    assert [f"{number:04}" for number in range(1, len(ADRS) + 1)] == [
        path.name[:4] for path in ADRS
    ]
    assert [] == [
        path.name
        for path in ADRS
        if not re.fullmatch(r"\d{4}(-[a-z0-9]+){3,}\.md", path.name)
    ]


@pytest.mark.parametrize("path", ADRS, ids=_named)
def test_adr_is_whole(path):
    """
    Every decision has a title, a known status, its context, the decision
    and its consequences, on one page.
    """
    text = path.read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    status = parts[2].split()[0] if len(parts) > 2 else ""

    assert re.match(rf"# {int(path.name[:4])}\. \S", text)
    assert ["Status", "Context", "Decision", "Consequences"] == parts[1::2]
    assert all(part.strip() for part in parts[2::2])
    assert re.fullmatch(r"Proposed|Accepted|Superseded", status.rstrip("."))
    assert len(text.splitlines()) <= 50


def test_glossary_defines_each_noun_once():
    """
    The glossary has one entry of one sentence for each word of the contract.
    """
    text = (ROOT / "docs" / "glossary.md").read_text()
    entries = re.findall(r"^- \*\*(.+?)\*\*: (.+)$", text, re.MULTILINE)

    assert sorted(NOUNS, key=str.lower) == [noun for noun, _ in entries]
    assert [] == [noun for noun, says in entries if not re.fullmatch(r"[^.]+\.", says)]


def test_changelog_fragments_are_named_by_kind():
    """
    Every fragment is named after its issue and its kind of change, and
    holds whole sentences.
    """
    fragments = sorted((ROOT / "changelog.d").iterdir())

    assert fragments
    for path in fragments:
        assert re.fullmatch(
            r"\d+(-[a-z0-9]+)*\.(added|changed|fixed|removed)\.md", path.name
        )
        assert all(line.endswith(".") for line in path.read_text().splitlines())
