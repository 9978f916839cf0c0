"""
Parcels: large tool outputs, moved out of a node into an attachment and back.
"""

import json
from collections.abc import Callable

from lashstore import codec
from lashstore.model.attachments import AttachmentMeta
from lashstore.model.record import Json, Record

from .messages import content_text
from .tool_calls import excerpt

PART_TYPE = "stored_attachment"
LIMIT_BYTES = 4096
_TEXT = "text/plain; charset=utf-8"
_PARTS = "application/json"


class Parcel(Record, frozen=True, kw_only=True):
    """
    Bytes to put into the attachment store, and their id there.
    """

    attachment_id: str
    content: bytes
    meta: AttachmentMeta


def pack(message: Json) -> tuple[Json, Parcel | None]:
    """
    Move a message's content into a parcel, if it is large.

    Returns:
        The payload of the message's node, and the parcel its only part
        refers to; the message itself and None if it is small.
    """
    text = content_text(message)
    content = text.encode()
    if len(content) <= LIMIT_BYTES:
        return message, None
    media_type = _TEXT if isinstance(message["content"], str) else _PARTS
    parcel = Parcel(
        attachment_id=codec.sha256_hex(content),
        content=content,
        meta=AttachmentMeta(media_type=media_type, label="tool output"),
    )
    part = {
        "type": PART_TYPE,
        "attachment_id": parcel.attachment_id,
        "media_type": media_type,
        "byte_len": len(content),
        "excerpt": excerpt(text),
    }
    return message | {"content": [part]}, parcel


def unpack(payload: Json, content_of: Callable[[str], bytes]) -> Json:
    """
    Return the message a node was made from.

    Args:
        payload: The payload of the node.

        content_of: Returns the bytes of an attachment.
    """
    part = _reference(payload)
    if part is None:
        return payload
    text = content_of(part["attachment_id"]).decode()
    content = text if part["media_type"] == _TEXT else json.loads(text)
    return payload | {"content": content}


def attachment_id_of(payload: Json) -> str | None:
    """
    Return the attachment a node's payload refers to, None without one.
    """
    part = _reference(payload)
    return None if part is None else part["attachment_id"]


def _reference(payload: Json) -> Json | None:
    parts = payload.get("content")
    if isinstance(parts, list) and len(parts) == 1 and parts[0]["type"] == PART_TYPE:
        return parts[0]
    return None
