"""
The code blocks of a page, and what the page says about running them.

CONTRIBUTING.md, "Code in documents", has the rules.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)

SETUP = "setup"
OUTPUT = "Output"
RUN = ("python", "sh", "console", "sql", SETUP)
SHOWN = ("text", "json", "toml", "yaml", "ini")

_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>`{3,}) *(?P<language>\S*)(?P<info>.*)")
_COMMENT = re.compile(r" *<!-- (?P<name>not run|exit code|as): (?P<value>.+) -->")
_SNIPPET = re.compile(r'^--8<-- "(?P<path>[^":]+)"$', re.MULTILINE)
_TITLE = re.compile(r'\btitle="([^"]*)"')


class PageError(AssertionError):
    """
    A page breaks a rule for code in documents.
    """


@dataclass(frozen=True, kw_only=True)
class Block:
    """
    One block of code, or one comment that sets the stage for some.
    """

    page: Path
    line: int
    language: str
    text: str
    title: str = ""
    comments: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """
        Where it is, to be clicked on.
        """
        return f"{named(self.page)}:{self.line}"

    @property
    def is_output(self) -> bool:
        """
        Whether it shows what the block before prints.
        """
        return self.title == OUTPUT

    @property
    def is_file(self) -> bool:
        """
        Whether it is the content of a file, whose name is its title.
        """
        return bool(self.title) and not self.is_output

    @property
    def is_run(self) -> bool:
        """
        Whether it does something: it runs, is a file, or shows output.
        """
        return "not run" not in self.comments and (
            self.language in RUN or bool(self.title)
        )


def named(page: Path) -> str:
    """
    Name a page as the repository does.
    """
    return page.relative_to(ROOT).as_posix()


def read(page: Path, text: str | None = None) -> tuple[Block, ...]:
    """
    Return the blocks of a page in their order.

    Raises:
        PageError: A comment is none of those that are known, a fence names no
            language or an unknown one, or something is not closed.
    """
    return tuple(_read(page, (page.read_text() if text is None else text)))


def _read(page: Path, text: str) -> Iterator[Block]:
    lines = iter(enumerate(text.splitlines(), 1))
    comments: dict[str, str] = {}
    for number, line in lines:
        place = f"{named(page)}:{number}"
        if fence := _FENCE.fullmatch(line):
            body = _until(f"{fence['indent']}{fence['ticks']}", lines, place)
            language = fence["language"]
            if language not in (*RUN, *SHOWN):
                msg = f"{place}: a block of {language or 'no language'}"
                raise PageError(msg)
            title = _TITLE.search(fence["info"])
            yield Block(
                page=page,
                line=number,
                language=language,
                text=_with_snippets(_dedented(body, len(fence["indent"])), place),
                title=title[1] if title else "",
                comments=comments,
            )
            comments = {}
        elif line.strip() == "<!-- setup":
            body = _until("-->", lines, place)
            yield Block(page=page, line=number, language=SETUP, text=_dedented(body, 0))
        elif comment := _COMMENT.fullmatch(line):
            comments[comment["name"]] = comment["value"]
        elif "<!--" in line:
            msg = f"{place}: an unknown comment"
            raise PageError(msg)
        elif line.strip() and comments:
            msg = f"{place}: the comment before is about no block"
            raise PageError(msg)
    if comments:
        msg = f"{named(page)}: the last comment is about no block"
        raise PageError(msg)


def _until(end: str, lines: Iterator[tuple[int, str]], place: str) -> list[str]:
    body = []
    for _, line in lines:
        if line.rstrip() == end:
            return body
        body.append(line)
    msg = f"{place}: not closed"
    raise PageError(msg)


def _dedented(lines: list[str], width: int) -> str:
    return "".join(f"{line[width:]}\n" for line in lines)


def _with_snippets(text: str, place: str) -> str:
    def content(snippet: re.Match[str]) -> str:
        return (ROOT / snippet["path"]).read_text().rstrip("\n")

    text = _SNIPPET.sub(content, text)
    if "--8<--" in text:
        msg = f"{place}: only whole files can be included"
        raise PageError(msg)
    return text


def unrun() -> tuple[Block, ...]:
    """
    Return the blocks that would run but for their reason not to.
    """
    return tuple(
        block for page in PAGES for block in read(page) if "not run" in block.comments
    )


if __name__ == "__main__":
    for unrun_block in unrun():
        print(f"{unrun_block.place}: {unrun_block.comments['not run']}")
