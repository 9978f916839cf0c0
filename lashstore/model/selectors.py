"""
Selectors: how an event's payload says what the event means.
"""

import re
from collections.abc import Mapping
from typing import Any

from lashstore import codec

from .record import Json, Record, require_record, require_text

_ABSENT = object()
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)


class SelectorError(Exception):
    """
    A selector found nothing in a payload; says why.
    """


class PayloadSelector(
    Record, frozen=True, kw_only=True, tag="payload", tag_field="type"
):
    """
    The whole payload.
    """


class PointerSelector(
    Record, frozen=True, kw_only=True, tag="pointer", tag_field="type"
):
    """
    The value at a JSON pointer (RFC 6901); it must be there.
    """

    pointer: str


class ConstSelector(Record, frozen=True, kw_only=True, tag="const", tag_field="type"):
    """
    Always `value`, whatever the payload.
    """

    value: Json


class TemplateSelector(
    Record, frozen=True, kw_only=True, tag="template", tag_field="type"
):
    """
    Text in which each `{name}` stands for what that field selects.

    Replaced in one pass: braces inside a selected value stay as they are, and
    so does a `{name}` that is no field.
    """

    template: str
    fields: Mapping[str, "Selector"] = {}


class PresentSelector(
    Record, frozen=True, kw_only=True, tag="present", tag_field="type"
):
    """
    Whether a JSON pointer leads anywhere; a null there counts.
    """

    pointer: str


Selector = (
    PayloadSelector
    | PointerSelector
    | ConstSelector
    | TemplateSelector
    | PresentSelector
)


def check_selector(what: str, selector: object) -> None:
    """
    Raises:
        InvalidArgumentError: It is no selector that can be stored.
    """
    require_record(what, selector, Selector)
    if isinstance(selector, PointerSelector | PresentSelector):
        require_text(f"the pointer of {what}", selector.pointer)
    elif isinstance(selector, ConstSelector):
        codec.encode_json(selector.value, f"the constant of {what}")
    elif isinstance(selector, TemplateSelector):
        codec.encode_json(selector.template, f"the template of {what}")
        require_record(f"the fields of {what}", selector.fields, Mapping)
        for name, field in selector.fields.items():
            require_text(f"a field of {what}", name)
            check_selector(f"field {name!r} of {what}", field)


def select(selector: Selector, payload: Json) -> Json:
    """
    Return what a selector finds in a payload.

    Raises:
        SelectorError: A pointer leads nowhere.
    """
    match selector:
        case PayloadSelector():
            return payload
        case ConstSelector():
            return selector.value
        case PresentSelector():
            return _at(payload, selector.pointer) is not _ABSENT
        case TemplateSelector():
            return _filled(selector, payload)
    found = _at(payload, selector.pointer)
    if found is _ABSENT:
        msg = f"payload pointer {selector.pointer!r} did not match"
        raise SelectorError(msg)
    return found


def render(value: Json) -> str:
    """
    Return a value as text: a text as it is, all else as compact JSON.
    """
    if isinstance(value, str):
        return value
    return codec.encode_json(value, "a selected value")


def is_truthy(value: Json) -> bool:
    """
    Tell whether a selected value means yes: null, false and whatever is
    empty do not; a number always does, 0 included.
    """
    if isinstance(value, bool | str | list | dict | tuple):
        return bool(value)
    return value is not None


def _filled(selector: TemplateSelector, payload: Json) -> str:
    if not selector.fields:
        return selector.template
    texts = {
        name: render(select(field, payload)) for name, field in selector.fields.items()
    }
    # Longest first, should one placeholder begin like another.
    names = sorted(texts, key=len, reverse=True)
    placeholders = "|".join(re.escape(f"{{{name}}}") for name in names)
    return re.sub(
        placeholders, lambda found: texts[found.group()[1:-1]], selector.template
    )


def _at(value: Any, pointer: str) -> Any:
    if not pointer:
        return value
    if not pointer.startswith("/"):
        return _ABSENT
    for escaped in pointer[1:].split("/"):
        token = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(token, _ABSENT)
        elif isinstance(value, list) and _INDEX.fullmatch(token):
            # More digits than any list is long would only cost time.
            index = int(token) if len(token) < 19 else len(value)  # noqa: PLR2004
            value = value[index] if index < len(value) else _ABSENT
        else:
            return _ABSENT
        if value is _ABSENT:
            return _ABSENT
    return value
