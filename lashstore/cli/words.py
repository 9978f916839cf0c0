"""
A node in a few words, whatever a host has put into it.
"""

from typing import Any

from lashstore.codec import to_json
from lashstore.model.graph import SessionNode, message_text

from .reading import one_line, shown_bytes

_LOOKED_AT = 2_000


def role_of(node: SessionNode) -> str:
    """
    Return who speaks in a message, or what kind of node it is.
    """
    role = node.payload.get("role") if isinstance(node.payload, dict) else None
    return one_line(role) if isinstance(role, str) and role else one_line(node.kind)


def words_of(node: SessionNode, limit: int) -> str:
    """
    Return the first words of a node on one line of at most *limit*
    characters: of a message its text, or what it calls or holds; else its
    payload as JSON.
    """
    payload = node.payload
    if not isinstance(payload, dict):
        return shortened(to_json(payload), limit)
    said = [message_text(node)[:_LOOKED_AT], *_calls(payload), *_parts(payload)]
    words = " ".join(part for part in said if part)
    if not words and "content" not in payload:
        words = to_json(payload)[:_LOOKED_AT]
    return shortened(words, limit)


def shortened(text: str, limit: int) -> str:
    """
    Return a text on one line, cut behind *limit* characters.
    """
    line = one_line(text[: 4 * limit])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _calls(payload: dict[str, Any]) -> list[str]:
    calls = payload.get("tool_calls")
    return [_call(call) for call in calls] if isinstance(calls, list) else []


def _call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "[tool call]"
    arguments = function.get("arguments", "")
    shown = arguments if isinstance(arguments, str) else to_json(arguments)
    return f"→ {function.get('name', '?')}({shown[:_LOOKED_AT]})"


def _parts(payload: dict[str, Any]) -> list[str]:
    parts = payload.get("content")
    if not isinstance(parts, list):
        return []
    return [
        f"[{part.get('type')}, {shown_bytes(part['byte_len'])}]"
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("byte_len"), int)
    ]
