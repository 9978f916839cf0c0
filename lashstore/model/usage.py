"""
Token usage: what each turn booked, and the merged ledger.
"""

from collections.abc import Iterable

import msgspec

from lashstore.codec import MAX_COUNTER
from lashstore.errors import InvalidArgumentError

from .record import Record, require_counter, require_record, require_text


class TokenUsage(Record, frozen=True, kw_only=True):
    """
    Tokens of one or more model calls.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0

    def total(self) -> int:
        """
        Return the sum of the first four; reasoning is part of the output.
        """
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_input_tokens
            + self.cache_write_input_tokens
        )

    def plus(self, other: "TokenUsage") -> "TokenUsage":
        """
        Return the counter-wise sum.
        """
        return TokenUsage(
            **{
                name: getattr(self, name) + getattr(other, name)
                for name in USAGE_COUNTERS
            }
        )


USAGE_COUNTERS: tuple[str, ...] = TokenUsage.__struct_fields__


class TokenLedgerEntry(Record, frozen=True, kw_only=True):
    """
    Usage booked under a source ("turn", "compaction", …) and a model.
    """

    source: str
    model: str
    usage: TokenUsage


def check_usage(entries: Iterable[TokenLedgerEntry]) -> tuple[TokenLedgerEntry, ...]:
    """
    Check entries before they are booked.

    Raises:
        InvalidArgumentError: A counter is out of range or a name is no text.
    """
    checked = tuple(entries)
    for entry in checked:
        require_record("a usage delta", entry, TokenLedgerEntry)
        require_text("a usage delta's source", entry.source)
        require_text("a usage delta's model", entry.model)
        for name in USAGE_COUNTERS:
            require_counter(f"a usage delta's {name}", getattr(entry.usage, name))
    return checked


def merge_usage(
    entries: Iterable[TokenLedgerEntry],
) -> tuple[TokenLedgerEntry, ...]:
    """
    Add up entries of one source and model, in order of first appearance.

    Entries whose total is zero count as nothing.
    """
    merged: dict[tuple[str, str], TokenLedgerEntry] = {}
    for entry in entries:
        if entry.usage.total() == 0:
            continue
        key = (entry.source, entry.model)
        known = merged.get(key)
        merged[key] = entry if known is None else add_usage(known, entry.usage)
    return tuple(merged.values())


def add_usage(entry: TokenLedgerEntry, usage: TokenUsage) -> TokenLedgerEntry:
    """
    Return *entry* with *usage* added.

    Raises:
        InvalidArgumentError: A sum leaves the range of counters.
    """
    total = entry.usage.plus(usage)
    if max(msgspec.structs.astuple(total)) > MAX_COUNTER:
        msg = f"the tokens of {entry.source!r} / {entry.model!r} exceed 2**63-1"
        raise InvalidArgumentError(msg)
    return msgspec.structs.replace(entry, usage=total)
