"""
A state machine as a drawing: a line down from each state, and for each move
an arrow from the states it leaves to the one it leads to.
"""

from . import svg
from .state_machines import MACHINES, Machine, Move, State

_GAP = 12
_PAD = 8
_ROW = 38
_LEFT = 6


def _wrapped(words: str, width: float, size: float) -> list[str]:
    lines: list[str] = []
    for word in words.replace("_", "_ ").split():
        joined = f"{lines[-1]} {word}".replace("_ ", "_") if lines else word
        if lines and svg.text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def draw(machine: Machine) -> str:
    """
    Return the drawing as SVG.
    """
    count = len(machine.states)
    width = 92 if count > 7 else 110 if count > 5 else 138
    left = {
        state.key: _LEFT + index * (width + _GAP)
        for index, state in enumerate(machine.states)
    }
    middle = {key: x + width / 2 for key, x in left.items()}
    boxes = [_box_lines(state, width - 2 * _PAD) for state in machine.states]
    top = 20 + max(15 * len(name) + 13 * len(note) for name, note in boxes)
    height = top + _ROW * len(machine.moves) + 22
    total = 2 * _LEFT + count * (width + _GAP) - _GAP
    parts = [
        svg.path(f"M{x:g} {top:g}V{height - 8:g}", dash="3 4") for x in middle.values()
    ]
    for state, (name, note) in zip(machine.states, boxes, strict=True):
        parts.append(svg.rect(left[state.key], 4, width, top - 4, radius=8))
        y = 22.0
        for line in name:
            parts.append(
                svg.text(middle[state.key], y, line, anchor="middle", is_bold=True)
            )
            y += 15
        for line in note:
            parts.append(
                svg.text(
                    middle[state.key],
                    y,
                    line,
                    size=10.5,
                    anchor="middle",
                    fill=svg.FAINT,
                )
            )
            y += 13
    for index, move in enumerate(machine.moves):
        y = top + _ROW * (index + 1)
        parts += _move(machine, move, middle, y, total)
    return svg.document(total, height, f"{machine.title}: its states", parts)


def _box_lines(state: State, width: float) -> tuple[list[str], list[str]]:
    return _wrapped(state.name, width, 12), _wrapped(state.note, width, 10.5)


def _move(
    machine: Machine, move: Move, middle: dict[str, float], y: float, total: float
) -> list[str]:
    to = middle[move.target]
    sources = sorted(middle[source] for source in move.sources)
    begins = min(sources[0], to)
    says = machine.calls[move.call]
    length = svg.text_width(says, 11.5)
    x = min(begins + 8, total - length - 4)
    parts = [
        svg.rect(x - 3, y - 18, length + 6, 14, fill=svg.PAPER, stroke="none"),
        svg.text(x, y - 7, says, size=11.5),
    ]
    for side in (
        [s for s in sources if s < to],
        [s for s in reversed(sources) if s > to],
    ):
        if side:
            parts.append(svg.arrow(side[0], to, y))
            parts += [svg.dot(source, y) for source in side]
    return parts


def drawings() -> dict[str, str]:
    """
    Return every state machine's drawing, by its file's name.
    """
    return {f"{machine.key}.svg": draw(machine) for machine in MACHINES}


def page() -> str:
    """
    Return the page that has all of them.
    """
    parts = [
        "# State machines\n",
        "Each line down is a state; each arrow is a call, and leads from the states"
        " that have a dot to the one it points at.",
        "What a call does where it has no dot: nothing, and it returns or raises what"
        " its reference says.",
        "The drawings are made by `make diagrams`, and a test takes a real store"
        " through every call in every state.",
    ]
    for machine in MACHINES:
        parts.append(f"\n## {machine.title}\n\n![{machine.title}]({machine.key}.svg)")
        still = [
            says
            for call, says in machine.calls.items()
            if all(move.call != call for move in machine.moves)
        ]
        if still:
            parts.append(f"\nChanges no state: {'; '.join(still)}.")
        if machine.note:
            parts.append(f"\n{machine.note}")
    return "\n".join(parts) + "\n"
