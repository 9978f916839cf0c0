"""
Whether what was printed is what a page shows.
"""

import re

ANYTHING = "…"

# What differs from run to run, and the name it goes by in a comparison.
_PASSING = (
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z| UTC|[+-]\d\d:\d\d)?"
        r"|\d{4}-?\d\d-?\d\dT\d{6}Z?",
        "<time>",
    ),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
    (r"\b[0-9a-f]{12,}\b", "<id>"),
    (r"\b\d+(\.\d+)? ?(ms|s|seconds)\b", "<duration>"),
    (r"[ \t]+", " "),
)


def normalised(text: str) -> str:
    """
    Give times, ids and durations their common names, and one space to any
    number of them.
    """
    for pattern, name in _PASSING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def is_shown(printed: str, shown: str) -> bool:
    """
    Tell whether a page shows what was printed.

    `…` stands for any text in a line, and alone in a line for any lines.
    """
    pattern = ""
    for line in normalised(shown).split("\n"):
        if line == ANYTHING:
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split(ANYTHING))
            pattern += r"\n"
    return bool(re.fullmatch(pattern, f"{normalised(printed)}\n"))
