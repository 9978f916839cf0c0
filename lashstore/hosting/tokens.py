"""
Token usage of a replayed turn: what the transcript recorded, else an estimate.
"""

from collections.abc import Sequence
from itertools import accumulate

from lashstore import codec
from lashstore.model.record import Json
from lashstore.model.usage import TokenLedgerEntry, TokenUsage

from .messages import USAGE_NAMES, content_text

BYTES_PER_TOKEN = 4


class TokenMeter:
    """
    Books the assistant steps of a conversation.

    A step with a `usage` object is booked as recorded. Any other is estimated
    at one token per four bytes of content and tool calls: the message itself
    as output, the messages since the step before as fresh input, everything
    older as read from the cache.
    """

    def __init__(self, messages: Sequence[Json]) -> None:
        self._messages = messages
        self._before = list(accumulate(map(estimate_tokens, messages), initial=0))
        self._cached_until = 0

    def book(self, step: int) -> tuple[TokenLedgerEntry, ...]:
        """
        Book the step at a position; steps come in order.
        """
        message = self._messages[step]
        usage = _recorded(message) or TokenUsage(
            input_tokens=self._before[step] - self._before[self._cached_until],
            output_tokens=self._before[step + 1] - self._before[step],
            cache_read_input_tokens=self._before[self._cached_until],
        )
        self._cached_until = step
        model = message.get("model") or "unknown"
        return (TokenLedgerEntry(source="turn", model=model, usage=usage),)


def estimate_tokens(message: Json) -> int:
    """
    Estimate a message's tokens: one per four bytes begun, at least one.
    """
    text = content_text(message)
    calls = message.get("tool_calls")
    if calls:
        text += codec.encode_json(calls, "the tool calls")
    return max(1, -(-len(text.encode()) // BYTES_PER_TOKEN))


def _recorded(message: Json) -> TokenUsage | None:
    recorded = message.get("usage")
    if not recorded:
        return None
    return TokenUsage(
        **{
            counter: next((recorded[name] for name in names if name in recorded), 0)
            for counter, names in USAGE_NAMES.items()
        }
    )
