"""
The tool state of a replayed session: every call, and what it gave back.
"""

from collections.abc import Sequence

from lashstore import codec
from lashstore.model.record import Json

from .messages import content_text

EXCERPT_CHARS = 240


class ToolCallBook:
    """
    Follows the calls of a conversation and the outputs that answer them.

    The tool state is a map of calls; a turn carries what changed in it, so
    that a plan does not hold every snapshot of a growing map.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Json] = {}
        self._key_of_id: dict[str, str] = {}
        self._latest: list[str] = []
        self._changed: list[str] = []

    def note_calls(self, message: Json, *, position: int, turn_id: str) -> None:
        """
        Enter the calls of an assistant message.
        """
        self._latest = []
        for call_id, name, arguments in _calls_of(message):
            # Some agents use the same id twice: the position makes it a key.
            key = f"{position:06d}:{call_id}"
            self._key_of_id[call_id] = key
            self._latest.append(key)
            self._enter(
                key,
                {
                    "name": name,
                    "arguments": excerpt(arguments),
                    "turn_id": turn_id,
                    "output": None,
                },
            )

    def note_output(self, message: Json, *, node_id: str) -> None:
        """
        Enter a tool's output with the calls it answers: those it names, else
        the latest ones.
        """
        text = content_text(message)
        content = text.encode()
        seen = {
            "node_id": node_id,
            "byte_len": len(content),
            "sha256": codec.sha256_hex(content),
            "excerpt": excerpt(text),
        }
        for key in self._answered_by(message):
            self._enter(key, self._entries[key] | {"output": seen})

    def take_changes(self) -> dict[str, Json]:
        """
        Return what changed since the last time.
        """
        changes = {key: self._entries[key] for key in self._changed}
        self._changed = []
        return changes

    def _enter(self, key: str, entry: Json) -> None:
        self._entries[key] = entry
        self._changed.append(key)

    def _answered_by(self, message: Json) -> Sequence[str]:
        named = message.get("tool_call_ids") or [message.get("tool_call_id")]
        keys = [self._key_of_id[one] for one in named if one in self._key_of_id]
        return keys or self._latest


def excerpt(text: str) -> str:
    """
    Return the beginning of a text.
    """
    return text if len(text) <= EXCERPT_CHARS else text[:EXCERPT_CHARS] + "…"


def _calls_of(message: Json) -> list[tuple[str, str, str]]:
    calls = message.get("tool_calls")
    if calls:
        return [
            (
                call["id"],
                call["function"]["name"],
                _text(call["function"].get("arguments")),
            )
            for call in calls
        ]
    action = message.get("action")
    if isinstance(action, str) and action.strip():
        return [("action", action.split(maxsplit=1)[0], action)]
    return []


def _text(arguments: Json) -> str:
    if isinstance(arguments, str):
        return arguments
    return codec.encode_json(arguments, "the arguments")
