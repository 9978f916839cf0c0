"""
Tokens that are the same in every run of a script.

Batch ids, claim tokens and incarnations are random. A campaign that compares
a killed store with one that never was wants the same ones in both, so it
takes them from a hash of the step that asks.
"""

import hashlib
import itertools
import secrets
from collections.abc import Iterator


class _Source:
    label = "start"
    numbers: Iterator[int] = itertools.count()

    def token_hex(self, byte_count: int = 16) -> str:
        text = f"{self.label}:{next(self.numbers)}"
        return hashlib.sha256(text.encode()).hexdigest()[: 2 * byte_count]


_source = _Source()


def install() -> None:
    """
    Make this process's tokens depend on nothing but `restart`.
    """
    secrets.token_hex = _source.token_hex  # type: ignore[assignment]


def restart(label: str) -> None:
    """
    Begin the tokens of one step; equal labels give equal tokens.
    """
    _source.label = label
    _source.numbers = itertools.count()
