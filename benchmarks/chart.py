"""
A plot of ratios as SVG, written by hand: bars on a logarithmic axis, the 95 %
interval as a line, the goal as a tick.
"""

import math
from html import escape

_LABELS, _WIDTH, _ROW, _TOP = 430, 520, 20, 50
_FONT = "font-family='sans-serif' font-size='12'"
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def draw(title, rows):
    """
    Return the plot of every row that has a ratio.
    """
    rows = [row for row in rows if "ratio" in row]
    if not rows:
        return "<svg xmlns='http://www.w3.org/2000/svg'/>\n"
    place = _scale(rows)
    height = _TOP + _ROW * len(rows) + 20
    width = _LABELS + _WIDTH + 90
    parts = [
        (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}'"
            f" height='{height}' viewBox='0 0 {width} {height}'>"
        ),
        "<rect width='100%' height='100%' fill='white'/>",
        (
            f"<text x='10' y='20' {_FONT} font-weight='bold'>{escape(title)}:"
            " time, ours over theirs (tick: goal)</text>"
        ),
        *_axis(place, height),
    ]
    for number, row in enumerate(rows):
        parts += _bar(row, _TOP + _ROW * number, place)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scale(rows):
    values = [value for row in rows for value in (row["ratio"], *row["ratio_95"])]
    values += [row["limit"] for row in rows if row.get("limit")]
    low = math.log10(min(0.5, *values) * 0.9)
    high = math.log10(max(2.0, *values) * 1.1)

    def place(value):
        share = (math.log10(max(value, 1e-6)) - low) / (high - low)
        return _LABELS + _WIDTH * min(1.0, max(0.0, share))

    return place


def _axis(place, height):
    for tick in _TICKS:
        at = place(tick)
        if not _LABELS < at < _LABELS + _WIDTH:
            continue
        colour = "#444" if tick == 1 else "#ddd"
        yield (
            f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{_TOP - 6}' y2='{height - 16}'"
            f" stroke='{colour}'/>"
        )
        yield (
            f"<text x='{at:.1f}' y='{_TOP - 10}' {_FONT} text-anchor='middle'>"
            f"{tick:g}</text>"
        )


def _bar(row, top, place):
    middle, one, end = top + _ROW / 2, place(1), place(row["ratio"])
    limit = row.get("limit")
    is_missed = limit is not None and row["ratio"] > limit
    colour = "#c0504d" if is_missed else "#4f81bd"
    name = row["case"]
    if row["against"] not in {"floor", "itself"}:
        name += f" / {row['against']}"
    yield (
        f"<text x='{_LABELS - 8}' y='{middle + 4:.1f}' {_FONT}"
        f" text-anchor='end'>{escape(name[:68])}</text>"
    )
    yield (
        f"<rect x='{min(one, end):.1f}' y='{top + 4}' width='{abs(end - one):.1f}'"
        f" height='{_ROW - 8}' fill='{colour}'/>"
    )
    low, high = map(place, row["ratio_95"])
    yield (
        f"<line x1='{low:.1f}' x2='{high:.1f}' y1='{middle}' y2='{middle}'"
        " stroke='black'/>"
    )
    if limit is not None:
        at = place(limit)
        yield (
            f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{top + 1}' y2='{top + _ROW - 1}'"
            " stroke='#2e7d32' stroke-width='2'/>"
        )
    yield (
        f"<text x='{_LABELS + _WIDTH + 8}' y='{middle + 4:.1f}' {_FONT}>"
        f"{row['ratio']:.2f}</text>"
    )
