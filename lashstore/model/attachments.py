"""
Attachments: bytes outside the database, announced and stamped inside it.
"""

from lashstore import codec

from .record import (
    Record,
    require_counter,
    require_optional_counter,
    require_optional_text,
    require_record,
    require_text,
)


class AttachmentIntent(Record, frozen=True, kw_only=True):
    """
    The announcement that bytes are about to be put.
    """

    attachment_id: str
    canonical_uri: str
    intent_at_ms: int


class AttachmentManifestEntry(Record, frozen=True, kw_only=True):
    """
    A manifest row; `committed_at_ms` None: announced, not yet committed.
    """

    attachment_id: str
    session_id: str
    canonical_uri: str
    intent_at_ms: int
    committed_at_ms: int | None


class AttachmentMeta(Record, frozen=True, kw_only=True):
    """
    What is known of the bytes: MIME type, pixels, a label.
    """

    media_type: str
    width: int | None = None
    height: int | None = None
    label: str | None = None


class AttachmentRef(Record, frozen=True, kw_only=True):
    """
    Stored bytes: their SHA-256 as id, their length and metadata.
    """

    attachment_id: str
    byte_len: int
    meta: AttachmentMeta


class ReclamationReport(Record, frozen=True, kw_only=True):
    """
    What a sweep saw and removed: old intents, and bytes that went.
    """

    scanned_intent_count: int = 0
    reclaimed_count: int = 0


def attachment_uri(attachment_id: str) -> str:
    """
    Return an attachment's canonical URI.
    """
    return f"sha256:{attachment_id}"


def check_intent(intent: AttachmentIntent) -> None:
    """
    Raises:
        InvalidArgumentError: It is no intent, or holds no storable text.
    """
    require_record("the intent", intent, AttachmentIntent)
    require_text("attachment_id", intent.attachment_id)
    require_text("canonical_uri", intent.canonical_uri)
    require_counter("intent_at_ms", intent.intent_at_ms)


def check_content(content: bytes, meta: AttachmentMeta) -> None:
    """
    Raises:
        InvalidArgumentError: The content is no bytes, or the metadata cannot
            be stored.
    """
    require_record("an attachment", content, bytes)
    require_record("the metadata", meta, AttachmentMeta)
    require_text("media_type", meta.media_type)
    require_optional_text("label", meta.label)
    require_optional_counter("width", meta.width)
    require_optional_counter("height", meta.height)
    codec.encode_record(meta, "the metadata")
