"""
Leads the first mention of a public name in a guide to its place in the
reference, so that pages need no links to pages that are generated.
"""

import importlib
import inspect
import re
from typing import Any

from mkdocs.structure.pages import Page

_GUIDES = ("tutorial/", "how-to/", "explanation/", "coming-from.md")
_MODULES = ("lashstore.testing", "lashstore.aio", "lashstore")
# A name in backticks that is no link's text, with what it is called with.
_CODE = re.compile(
    r"(?<![\[`])`(?P<name>[A-Za-z_][\w.]*)(?P<call>\([^`]*\))?`(?![\]`])"
)
_FENCE = re.compile(r"^ *(```+)")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """
    Link names, but in code and headings.
    """
    uri = page.file.src_uri
    if not uri.startswith(_GUIDES):
        return markdown
    places, seen, lines, fence = _places(), set[str](), [], ""
    # There a name may be another library's.
    if uri != "coming-from.md":
        places = {**_lone_methods(places), **places}

    def linked(code: re.Match[str]) -> str:
        place = places.get(code["name"])
        if place is None or place in seen:
            return code[0]
        seen.add(place)
        return f"[{code[0]}][{place}]"

    for line in markdown.split("\n"):
        if mark := _FENCE.match(line):
            fence = "" if line.strip() == fence else fence or mark[1]
        is_prose = not (mark or fence or line.startswith("#"))
        lines.append(_CODE.sub(linked, line) if is_prose else line)
    return "\n".join(lines)


def _places() -> dict[str, str]:
    """
    Return where the reference has each public name, and each method of one.
    """
    places: dict[str, str] = {}
    for module in _MODULES:
        home = importlib.import_module(module)
        for name in home.__all__:
            found = getattr(home, name)
            places[name] = f"{module}.{name}"
            if inspect.isclass(found):
                for member, value in inspect.getmembers_static(found):
                    if not member.startswith("_") and _is_shown(value):
                        places[f"{name}.{member}"] = f"{module}.{name}.{member}"
    return places


def _lone_methods(places: dict[str, str]) -> dict[str, str]:
    """
    Return where each method is whose name no other public class has.
    """
    lone: dict[str, list[str]] = {}
    for name, place in places.items():
        owner, _, member = name.partition(".")
        # One word is a word, such as `step`.
        if "_" in member and place == f"lashstore.{owner}.{member}":
            lone.setdefault(member, []).append(place)
    return {member: found[0] for member, found in lone.items() if len(found) == 1}


def _is_shown(member: object) -> bool:
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return inspect.isfunction(member) and bool(member.__doc__)
