"""
Chat messages: what one may look like, and what can be read off it.
"""

from collections.abc import Iterable, Sequence

from lashstore import codec
from lashstore.model.record import Json

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
TOOL_ROLES = ("tool", "function")
MAX_DEPTH = 100
USAGE_NAMES = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "cache_read_input_tokens": ("cache_read_input_tokens",),
    "cache_write_input_tokens": ("cache_write_input_tokens",),
    "reasoning_output_tokens": ("reasoning_output_tokens",),
}


def check_message(message: Json) -> str | None:
    """
    Return what is wrong with a message, None if nothing is.
    """
    if not isinstance(message, dict):
        return "a message must be an object"
    role = message.get("role")
    if role not in ROLES:
        known = ", ".join(ROLES)
        return f"`role` must be one of {known}, not {role!r:.60}"
    return (
        _check_depth(message)
        or _check_content(message)
        or _check_tool_calls(message.get("tool_calls"))
        or _check_call_ids(message)
        or _check_model(message.get("model"))
        or _check_usage(message)
    )


def _check_depth(message: Json) -> str | None:
    # Encoders and hashes walk a message recursively.
    level: list[Json] = [message]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return None
    return f"it is nested more than {MAX_DEPTH} levels deep"


def _members(value: Json) -> Iterable[Json]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_content(message: Json) -> str | None:
    content = message.get("content")
    if content is None:
        # A model that only calls tools says nothing.
        if message["role"] == "assistant" and message.get("tool_calls"):
            return None
        return "`content` is missing"
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return "`content` must be text or a list of parts"
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            return f"`content[{index}]` must be an object with a `type`"
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            return f"`content[{index}].text` must be text"
    return None


def _check_tool_calls(calls: Json) -> str | None:
    if calls is None:
        return None
    if not isinstance(calls, list):
        return "`tool_calls` must be a list"
    for index, call in enumerate(calls):
        if not isinstance(call, dict) or not isinstance(call.get("id"), str):
            return f"`tool_calls[{index}]` must be an object with an `id`"
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return f"`tool_calls[{index}].function` must be an object with a `name`"
    return None


def _check_call_ids(message: Json) -> str | None:
    answered = message.get("tool_call_ids")
    if answered is not None and not (
        isinstance(answered, list) and all(isinstance(one, str) for one in answered)
    ):
        return "`tool_call_ids` must be a list of texts"
    if not isinstance(message.get("tool_call_id"), str | None):
        return "`tool_call_id` must be text"
    return None


def _check_model(model: Json) -> str | None:
    # It becomes a name in the ledger, and names hold no NUL.
    if model is not None and (not isinstance(model, str) or "\0" in model):
        return "`model` must be text without NUL"
    return None


def _check_usage(message: Json) -> str | None:
    usage = message.get("usage")
    if usage is None or message["role"] != "assistant":
        return None
    if not isinstance(usage, dict):
        return "`usage` must be an object of token counts"
    for name in (name for names in USAGE_NAMES.values() for name in names):
        count = usage.get(name, 0)
        if type(count) is not int or not 0 <= count < 2**40:
            return f"`usage.{name}` must be a count of tokens, not {count!r:.60}"
    return None


def content_text(message: Json) -> str:
    """
    Return a message's content as one text; parts as their JSON.
    """
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "" if content is None else codec.encode_json(content, "the content")


def is_tool_output(messages: Sequence[Json], position: int) -> bool:
    """
    Tell whether a message is what a tool gave back.

    Agents without a tool role put it into the user message behind a step that
    acted.
    """
    message = messages[position]
    if message["role"] in TOOL_ROLES:
        return True
    before = messages[position - 1] if position else {}
    return (
        message["role"] == "user"
        and before.get("role") == "assistant"
        and (bool(before.get("action")) or message.get("message_type") == "observation")
    )
