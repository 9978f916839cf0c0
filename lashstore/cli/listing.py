"""
What the commands share that list rows: how claims are shown, and what is told
of damaged and sealed ones.
"""

from collections.abc import Sequence
from typing import Any

import click

from lashstore.codec import encode_json
from lashstore.tools.pages import Damaged, HoldView

from .reading import complain, print_json, shown_time
from .words import shortened

# Of a value that stands among others in a line.
CHARS = 60


def tell(page: Any, *, is_json: bool) -> None:
    """
    Print a page as JSON if that is wanted; say on stderr what could not be
    verified, and end with exit code 1 if that is damage.
    """
    if is_json:
        print_json(page)
    elif getattr(page, "is_sealed", False):
        complain(
            f"session {page.session_id!r} is sealed: its content is not shown, and "
            "its rows were not verified"
        )
    tell_damaged(page.damaged, is_json=is_json)


def tell_damaged(damaged: Sequence[Damaged], *, is_json: bool) -> None:
    """
    Say what is damaged, if anything, and end with exit code 1 then.
    """
    if not damaged:
        return
    for each in () if is_json else damaged:
        complain(f"DAMAGED {each.table} {each.key}: {each.error}")
    complain("run 'lashstore verify' for what else is wrong, and what to do")
    raise click.exceptions.Exit(1)


def shown_hold(hold: HoldView | None) -> str:
    """
    Return who holds something, and until when.
    """
    if hold is None:
        return "-"
    until = "until" if hold.is_live else "expired"
    return f"{hold.owner_id} {until} {shown_time(hold.expires_at_ms)}"


def shown_json(value: Any) -> str:
    """
    Return the beginning of a value.
    """
    text = value if isinstance(value, str) else encode_json(value, "the value")
    return shortened(text, CHARS)
