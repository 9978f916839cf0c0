"""
What the site has beside the pages of `docs`: generated pages, the order of
the navigation, links that lead out of `docs`, and diagrams set into pages.
"""

import logging
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import generated  # noqa: E402
import reference  # noqa: E402

_log = logging.getLogger("mkdocs.hooks")

# Pages by the files of the repository that they are made from.
_PAGES_OF = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "changelog.d": "changelog.md",
    "SECURITY.md": "security.md",
    "docs/adr": "adr/index.md",
}
_LINK = re.compile(r"(?P<text>\[[^\]]*\])\((?P<to>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_IMAGE = re.compile(r'<img alt="[^"]*" src="(?:[^"]*/)?(?P<name>[a-z-]+)\.svg"[^>]*>')
_FENCE = re.compile(r"^ *(```+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """
    Add what is generated, and put all of it in order.
    """
    docs = Path(config.docs_dir)
    made = {**reference.pages(), **generated.pages(ROOT)}
    for path, text in made.items():
        if not (docs / path).exists():
            files.append(File.generated(config, path, content=text))
    config.nav = generated.navigation([file.src_uri for file in files])
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """
    Take out what the page's tests are told, and lead links to pages.
    """
    here = generated.SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    lines = []
    fence, is_comment = "", False
    for line in markdown.split("\n"):
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif line.strip() == fence:
                fence = ""
        if fence or mark:
            lines.append(line)
            continue
        if line.lstrip().startswith("<!--"):
            is_comment = True
        if is_comment:
            is_comment = "-->" not in line
            continue
        lines.append(_LINK.sub(lambda link: _relinked(link, here, page, files), line))
    return "\n".join(lines)


def _relinked(link: re.Match[str], here: str, page: Page, files: Files) -> str:
    to = link["to"]
    if "://" in to or to.startswith("mailto:"):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(here), to))
    uri = _PAGES_OF.get(path, path.removeprefix("docs/"))
    if path.startswith("examples/") and path.endswith(".py"):
        uri = f"{path.removesuffix('.py').replace('_', '-')}.md"
    if files.get_file_from_path(uri):
        start = posixpath.dirname(page.file.src_uri)
        return (
            f"{link['text']}({posixpath.relpath(uri, start or '.')}"
            f"{link['anchor'] or ''})"
        )
    if path.startswith("docs/") or not (ROOT / path).exists():
        _log.warning("%s: no page for the link to %s", here, to)
    # The site has no page of a source file; its name says where it is.
    return link["text"][1:-1]


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """
    Set diagrams into the page itself, where they take the palette's colours.
    """

    def figure(image: re.Match[str]) -> str:
        drawing = ROOT / "docs" / "diagrams" / f"{image['name']}.svg"
        if not drawing.exists():
            return image[0]
        svg = drawing.read_text()
        width = re.search(r' width="(\d+)"', svg)
        # Smaller than this it could not be read; a narrow screen scrolls.
        least = 0.8 * int(width[1]) if width else 0
        svg = svg.replace("<svg ", f'<svg style="min-width: {least:.0f}px" ', 1)
        return f'<div class="diagram">{svg}</div>'

    return _IMAGE.sub(figure, html)
