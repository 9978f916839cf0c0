"""
A session's graph as a picture: SVG, or an HTML page with the nodes' texts.

A picture needs nothing else: no script, no font and no address in it. What
comes from a session is escaped, and characters that XML has no place for
stand as escapes.
"""

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from lashstore.model.graph import SessionGraph, SessionNode, message_text
from lashstore.model.record import Record

from .graph_layout import Layout, Place, lay_out
from .reading import one_line
from .words import role_of, shortened, words_of

_ROW, _LANE, _MARGIN, _HEADER = 24, 18, 24, 84
_ID_WIDTH, _ROLE_WIDTH, _TEXT_WIDTH = 110, 84, 640
_WORDS, _TITLE_CHARS, _PAGE_CHARS = 88, 600, 4_000
_ID_CHARS = 15
# Beyond so many rows nobody looks at each: long chains lose their middles.
MOST_ROWS = 400
# https://colorbrewer2.org, "Dark2", which the colour-blind can tell apart.
_COLOURS = {
    "system": "#7570b3",
    "developer": "#7570b3",
    "user": "#1b9e77",
    "assistant": "#2b6cb0",
    "tool": "#d95f02",
    "function": "#d95f02",
}
_OTHER = "#666666"
_STYLE = (
    "text{font:12px ui-sans-serif,system-ui,'Segoe UI','DejaVu Sans',sans-serif;"
    "fill:#1f2937}"
    ".id{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:11px;"
    "fill:#6b7280}"
    ".title{font-size:18px;font-weight:600}.note{fill:#6b7280}"
    ".aside{opacity:.62}.more{fill:#6b7280;font-style:italic}.role{font-weight:600}"
    ".edge{fill:none;stroke:#94a3b8;stroke-width:1.5}"
    ".path{fill:none;stroke:#2b6cb0;stroke-width:2.5}"
)


class PictureTitle(Record, frozen=True, kw_only=True):
    """
    What stands above a picture.
    """

    session_id: str
    head_revision: int


class _Frame(NamedTuple):
    lanes: int

    def x(self, lane: int) -> int:
        return _MARGIN + 8 + lane * _LANE

    def y(self, row: int) -> int:
        return _HEADER + row * _ROW + _ROW // 2

    @property
    def text_x(self) -> int:
        return self.x(self.lanes) + 8

    @property
    def width(self) -> int:
        return self.text_x + _ID_WIDTH + _ROLE_WIDTH + _TEXT_WIDTH + _MARGIN


def draw_svg(
    graph: SessionGraph,
    title: PictureTitle,
    *,
    most_rows: int | None = MOST_ROWS,
    links: bool = False,
) -> str:
    """
    Draw a graph as an SVG document.

    Args:
        most_rows: Beyond so many rows the middles of long chains are left
            out, and say so; None: every node is drawn.

        links: Let each node lead to its text in `draw_html`'s page.
    """
    layout = lay_out(graph, most_rows=most_rows)
    frame = _Frame(layout.lane_count)
    height = frame.y(len(layout.places)) + _MARGIN
    numbers = {node.node_id: n for n, node in enumerate(graph.nodes)}
    parts = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'viewBox="0 0 {frame.width} {height}" width="{frame.width}" '
            f'height="{height}">'
        ),
        f"<title>{_safe('session ' + title.session_id)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{frame.width}" height="{height}" fill="#ffffff"/>',
        *_header(graph, title, layout),
        *_edges(layout, frame),
        *(
            _node(place, frame, numbers[place.node.node_id] if links else None)
            for place in layout.places
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _safe(text: str) -> str:
    return escape(one_line(text))


def _header(graph: SessionGraph, title: PictureTitle, layout: Layout) -> Iterator[str]:
    hidden = sum(place.hidden_count for place in layout.places)
    parents = {node.parent_node_id for node in graph.nodes}
    ends = sum(node.node_id not in parents for node in graph.nodes)
    facts = f"revision {title.head_revision}, {len(graph.nodes)} nodes"
    if ends > 1:
        facts += f", {ends} branches"
    left_out = f", {hidden} left out" if hidden else ""
    yield (
        f'<text class="title" x="{_MARGIN}" y="32">'
        f"{_safe(shortened('session ' + title.session_id, 80))}</text>"
    )
    yield f'<text class="note" x="{_MARGIN}" y="52">{facts}{left_out}</text>'
    x = _MARGIN
    for name in ("system", "user", "assistant", "tool", "other"):
        colour = _COLOURS.get(name, _OTHER)
        yield f'<circle cx="{x + 5}" cy="68" r="4" fill="{colour}"/>'
        yield f'<text class="note" x="{x + 14}" y="72">{name}</text>'
        x += 26 + 7 * len(name)
    yield f'<path class="path" d="M {x} 68 h 20"/>'
    yield f'<text class="note" x="{x + 26}" y="72">active path</text>'


def _edges(layout: Layout, frame: _Frame) -> Iterator[str]:
    # The active path last, so that it lies over what shares its lane.
    for place in sorted(layout.places, key=lambda place: place.is_active):
        if place.parent_row is None:
            continue
        parent = layout.places[place.parent_row]
        is_path = place.is_active and parent.is_active
        x, y = frame.x(place.lane), frame.y(place.row)
        from_x, from_y = frame.x(parent.lane), frame.y(parent.row)
        bend = (
            f"V {y}"
            if x == from_x
            else f"V {y - 12} C {from_x} {y} {from_x} {y} {x} {y}"
        )
        dashes = ' stroke-dasharray="2 4"' if place.hidden_count else ""
        kind = "path" if is_path else "edge"
        yield f'<path class="{kind}" d="M {from_x} {from_y} {bend}"{dashes}/>'


def _node(place: Place, frame: _Frame, number: int | None) -> str:
    x, y = frame.x(place.lane), frame.y(place.row)
    aside = "" if place.is_active else ' class="aside"'
    if place.hidden_count:
        what = (
            f"a branch of {place.hidden_count}"
            if place.is_folded
            else (f"{place.hidden_count} more")
        )
        return (
            f'<g{aside}><circle cx="{x}" cy="{y}" r="2.5" fill="#94a3b8"/>'
            f'<text class="more" x="{frame.text_x}" y="{y + 4}">… '
            f"{what} nodes …</text></g>"
        )
    node, role = place.node, role_of(place.node)
    colour = _COLOURS.get(role, _OTHER)
    leaf = (
        f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="{colour}" '
        'stroke-width="1.5"/>'
        if place.is_leaf
        else ""
    )
    drawn = (
        f"<g{aside}><title>{_safe(_tooltip(node))}</title>{leaf}"
        f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>'
        f"{_label(place, frame.text_x, y + 4, colour)}</g>"
    )
    return drawn if number is None else f'<a href="#n{number}">{drawn}</a>'


def _label(place: Place, x: int, y: int, colour: str) -> str:
    node = place.node
    leaf = '<tspan class="role">leaf · </tspan>' if place.is_leaf else ""
    role = shortened(role_of(node), 11)
    # In a view of its own, which cuts what a font makes too long.
    return (
        f'<text class="id" x="{x}" y="{y}">{_safe(_short_id(node.node_id))}</text>'
        f'<text class="role" x="{x + _ID_WIDTH}" y="{y}" style="fill:{colour}">'
        f"{_safe(role)}</text>"
        f'<svg x="{x + _ID_WIDTH + _ROLE_WIDTH}" y="{y - 16}" width="{_TEXT_WIDTH}" '
        f'height="{_ROW}"><text x="0" y="16">{leaf}'
        f"{_safe(words_of(node, _WORDS))}</text></svg>"
    )


def _short_id(node_id: str) -> str:
    # Ids often differ at their ends.
    line = one_line(node_id)
    return line if len(line) <= _ID_CHARS else "…" + line[1 - _ID_CHARS :]


def _tooltip(node: SessionNode) -> str:
    when = f", {node.timestamp}" if node.timestamp else ""
    return f"{node.node_id}, {role_of(node)}{when}: {words_of(node, _TITLE_CHARS)}"


_PAGE_STYLE = (
    "body{margin:0;font:14px/1.5 ui-sans-serif,system-ui,sans-serif;color:#1f2937;"
    "background:#fff}main{max-width:60rem;margin:0 auto;padding:1rem 24px}"
    ".picture{overflow-x:auto}"
    "article{border-top:1px solid #e5e7eb;padding:.5rem 0;scroll-margin-top:1rem}"
    "article:target{background:#fef9c3}h2{font-size:13px;margin:0;color:#6b7280}"
    "h2 b{color:#1f2937}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0;"
    "font:13px/1.45 ui-monospace,monospace}a{text-decoration:none}"
)


def draw_html(
    graph: SessionGraph, title: PictureTitle, *, most_rows: int | None = MOST_ROWS
) -> str:
    """
    Draw a graph as an HTML page: the picture, and below it the text of every
    node, cut where it is very long, to which the picture's nodes lead.
    """
    svg = draw_svg(graph, title, most_rows=most_rows, links=True)
    articles = (_article(n, node) for n, node in enumerate(graph.nodes))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            (
                '<meta http-equiv="Content-Security-Policy" '
                "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            ),
            '<meta name="viewport" content="width=device-width">',
            f"<title>{_safe('session ' + title.session_id)}</title>",
            f"<style>{_PAGE_STYLE}</style></head><body>",
            f'<div class="picture">{svg}</div>',
            "<main>",
            *articles,
            "</main></body></html>\n",
        ]
    )


def _article(number: int, node: SessionNode) -> str:
    text = message_text(node) or words_of(node, _PAGE_CHARS)
    lines = text[:_PAGE_CHARS].expandtabs(4).splitlines()
    cut = f"\n… {len(text) - _PAGE_CHARS:,} more characters" * (len(text) > _PAGE_CHARS)
    shown = "\n".join(_safe(line) if line.strip() else "" for line in lines)
    when = f" · {_safe(node.timestamp)}" if node.timestamp else ""
    return (
        f'<article id="n{number}"><h2><b>{_safe(role_of(node))}</b> · '
        f"{_safe(node.node_id)}{when}</h2><pre>{shown}{cut}</pre></article>"
    )
