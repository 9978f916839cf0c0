"""
Pages that are made from what the repository has: indexes, examples, the
changelog; and the order of all pages.
"""

import re
from pathlib import Path

import reference

# What a page was made from, for its links; all others stand in `docs`.
SOURCES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}

_KINDS = ("added", "changed", "fixed", "removed")

# Folders with an index, and the pages that come first in them; the others
# follow by their names.
_SECTIONS = {
    "tutorial": ("Tutorial", "Begin here.", ("crash-proof-agent",)),
    "how-to": (
        "How-to guides",
        "One task each.",
        (
            "queue-work",
            "take-user-input",
            "record-effects",
            "run-background-processes",
            "react-to-events",
            "keep-attachments",
            "branch-a-conversation",
            "use-asyncio",
            "host-a-runtime",
            "test-your-host",
            "run-on-postgresql",
            "back-up",
            "verify-and-repair",
            "migrate",
            "tune-durability",
            "watch-size-and-growth",
            "seal-content",
        ),
    ),
    "explanation": (
        "Explanation",
        "Why it is as it is.",
        (
            "sessions-and-turns",
            "leases-and-fences",
            "queues",
            "effects",
            "storage-format",
            "promises",
        ),
    ),
    "diagrams": ("Diagrams", "", ("schema", "states")),
    "reference": ("Reference", "", ("command-line",)),
    "examples": ("Examples", "Each one file, which the tests run.", ()),
    "adr": ("Decisions", "What was decided, and why.", ()),
}
_PROJECT = ("campaigns", "benchmarks", "security", "changelog", "contributing")


def pages(root: Path) -> dict[str, str]:
    """
    Return what is generated, by its path in the site.
    """
    made = {site: (root / source).read_text() for site, source in SOURCES.items()}
    made["changelog.md"] += _unreleased(root / "changelog.d")
    for example in sorted((root / "examples").glob("*.py")):
        made[f"examples/{example.stem.replace('_', '-')}.md"] = _example(example)
    for folder in ("tutorial", "how-to", "explanation", "adr", "examples"):
        listed = {
            path.name: path.read_text()
            for path in (root / "docs" / folder).glob("*.md")
        }
        listed |= {
            path.rpartition("/")[2]: text
            for path, text in made.items()
            if path.startswith(f"{folder}/")
        }
        if listed or folder == "tutorial":
            made[f"{folder}/index.md"] = _index(folder, listed)
    return made


def _unreleased(fragments: Path) -> str:
    parts = []
    for kind in _KINDS:
        texts = [path.read_text() for path in sorted(fragments.glob(f"*.{kind}.md"))]
        if texts:
            items = "\n".join("- " + "\n  ".join(t.splitlines()) for t in texts)
            parts.append(f"\n### {kind.capitalize()}\n\n{items}\n")
    return "".join(parts)


def _example(path: Path) -> str:
    text = path.read_text()
    docstring = re.match(r'(?:#!.*\n)?"""\n?(.*?)"""', text, re.DOTALL)
    says = docstring[1].strip() if docstring else ""
    title = path.stem.replace("_", " ").capitalize()
    intro = says.split("\n\n")[0].replace("\n", " ")
    return (
        f"# {title}\n\n{intro}\n\n"
        f'```python title="examples/{path.name}"\n--8<-- "examples/{path.name}"\n```\n'
    )


def _index(folder: str, listed: dict[str, str]) -> str:
    title, intro, _ = _SECTIONS[folder]
    names = _ordered(folder, [name for name in listed if name != "index.md"])
    lines = []
    for name in names:
        heading = re.search(r"^# (.+)$", listed[name], re.MULTILINE)
        says = "" if folder == "adr" else _first_sentence(listed[name])
        lines.append(f"- [{heading[1] if heading else name}]({name})" + says)
    return f"# {title}\n\n{intro}\n\n" + "\n".join(lines) + "\n"


def _first_sentence(text: str) -> str:
    for line in text.split("\n"):
        if re.match(r"[A-Z`*\[]", line):
            # Links would lead elsewhere from the index.
            return ": " + re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", line)
    return ""


def _ordered(folder: str, names: list[str]) -> list[str]:
    first = [f"{stem}.md" for stem in ("index", *_SECTIONS[folder][2])]
    return sorted(
        names, key=lambda n: (first.index(n) if n in first else len(first), n)
    )


def navigation(uris: list[str]) -> list[object]:
    """
    Put every page that there is into its place.
    """
    pages = {uri for uri in uris if uri.endswith(".md")}

    def section(*folders: str) -> list[object]:
        listed: list[str] = []
        for folder in folders:
            within = [u for u in pages if u.startswith(f"{folder}/")]
            names = _ordered(folder, [u.partition("/")[2] for u in within])
            if folder == "reference":
                names = _reference_order(names)
            listed += [f"{folder}/{name}" for name in names]
        return [{_SECTIONS[folders[0]][0]: listed}] if listed else []

    home = [u for u in ("index.md", "coming-from.md", "glossary.md") if u in pages]
    project = [f"{name}.md" for name in _PROJECT if f"{name}.md" in pages]
    placed = {*home, *project}
    rest = sorted(u for u in pages if "/" not in u and u not in placed)
    return [
        {"Home": home},
        *section("tutorial"),
        *section("how-to"),
        *section("explanation", "diagrams"),
        *section("reference"),
        *section("examples"),
        {"Project": [*project, *rest, *section("adr")]},
    ]


def _reference_order(names: list[str]) -> list[str]:
    areas = [f"{area.slug}.md" for area in reference.AREAS]
    order = ["index.md", *areas, "command-line.md"]
    return sorted(names, key=lambda n: (order.index(n) if n in order else 99, n))
