"""
The few shapes that the drawings are made of.

Colours are the page's, by its custom properties, or black on white where
there is no page.
"""

from html import escape

INK = "var(--diagram-ink, #222)"
FAINT = "var(--diagram-faint, #555)"
LINE = "var(--diagram-line, #bbb)"
PAPER = "var(--diagram-paper, #fff)"
FILL = "var(--diagram-fill, #f5f5f5)"
ACCENT = "var(--diagram-accent, #00796b)"

_FONTS = {
    "sans": "system-ui, 'Noto Sans', 'DejaVu Sans', sans-serif",
    "mono": "ui-monospace, 'DejaVu Sans Mono', monospace",
}
# Generous: what is too narrow in one font is cut in another.
_WIDTHS = {"sans": 0.56, "mono": 0.62}


def text_width(text: str, size: float, font: str = "sans") -> float:
    """
    Guess how wide a line is at most.
    """
    return len(text) * size * _WIDTHS[font]


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: float = 12,
    font: str = "sans",
    fill: str = INK,
    anchor: str = "start",
    is_bold: bool = False,
) -> str:
    """
    Write a line, with its baseline at *y*.
    """
    weight = ' font-weight="600"' if is_bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-family="{_FONTS[font]}"'
        f' text-anchor="{anchor}"{weight} fill="{fill}">{escape(content)}</text>'
    )


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = FILL,
    stroke: str = LINE,
    radius: float = 4,
) -> str:
    """
    Draw a box.
    """
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        f' rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>'
    )


def path(d: str, *, stroke: str = LINE, width: float = 1, dash: str = "") -> str:
    """
    Draw a line.
    """
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width:g}"'
        f"{dashes}/>"
    )


def arrow(x: float, to_x: float, y: float) -> str:
    """
    Draw a level arrow.
    """
    back = 7 if to_x < x else -7
    head = f"M{to_x + back:g} {y - 4:g}L{to_x:g} {y:g}L{to_x + back:g} {y + 4:g}z"
    return (
        path(f"M{x:g} {y:g}H{to_x + back:g}", stroke=ACCENT, width=1.5)
        + f'<path d="{head}" fill="{ACCENT}"/>'
    )


def dot(x: float, y: float) -> str:
    """
    Mark where an arrow begins.
    """
    return f'<circle cx="{x:g}" cy="{y:g}" r="3.5" fill="{ACCENT}"/>'


def document(width: float, height: float, title: str, parts: list[str]) -> str:
    """
    Put a drawing together, on lines of its own for readable differences.
    """
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' width="{width:g}" height="{height:g}" role="img"'
        f' aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n"
        f"{rect(0, 0, width, height, fill=PAPER, stroke='none', radius=0)}\n"
        f"{body}\n</svg>\n"
    )
