"""
Attachment bytes among the rows of their session: for hosts that share a
database but no folder.
"""

from collections.abc import Callable

import msgspec

from lashstore import AttachmentMeta, AttachmentRef, Store, codec
from lashstore.errors import AttachmentNotFoundError, CorruptRecordError
from lashstore.model.attachments import check_content

_PREFIX = "attachment:"
# Behind the description, which is JSON and has no line break.
_END = b"\n"


class StoredAttachments:
    """
    The attachments of one session, each a named blob of it.

    Whoever holds the session's lane is the only one to write them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, content: bytes, meta: AttachmentMeta) -> AttachmentRef:
        """
        Store bytes; equal bytes are stored once, the last metadata wins.
        Safe to retry.

        Raises:
            InvalidArgumentError: The content is no bytes, or the metadata
                cannot be stored.
            As every writing method of `Store`.
        """
        check_content(content, meta)
        ref = AttachmentRef(
            attachment_id=codec.sha256_hex(content), byte_len=len(content), meta=meta
        )
        described = codec.encode_record(ref, "the metadata").encode()
        self._store.put_artifact_bytes(
            _name(ref.attachment_id), described + _END + content
        )
        return ref

    def get(self, attachment_id: str) -> tuple[AttachmentRef, bytes]:
        """
        Return stored bytes.

        Raises:
            AttachmentNotFoundError: There are none.
            CorruptRecordError: They are damaged.
        """
        stored = self._store.get_artifact_bytes(_name(attachment_id))
        if not stored:
            raise AttachmentNotFoundError(attachment_id=attachment_id)
        described, _, content = stored.partition(_END)
        try:
            ref = msgspec.json.decode(described, type=AttachmentRef)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _damaged(attachment_id, f"its metadata: {error}") from error
        if codec.sha256_hex(content) != attachment_id:
            raise _damaged(attachment_id, "its bytes have another hash")
        return ref, content

    def delete(self, attachment_id: str) -> None:
        """
        Remove bytes; absent ones are no error.
        """
        name = _name(attachment_id)
        if self._store.get_artifact_bytes(name):
            # Names stay; garbage collection then finds the bytes unnamed.
            self._store.put_artifact_bytes(name, b"")

    def delete_if(self, attachment_id: str, still_orphan: Callable[[], bool]) -> bool:
        """
        Remove bytes that nobody wants, and tell whether that is so.
        """
        is_orphan = still_orphan()
        if is_orphan:
            self.delete(attachment_id)
        return is_orphan


def _name(attachment_id: str) -> str:
    return _PREFIX + attachment_id


def _damaged(attachment_id: str, reason: str) -> CorruptRecordError:
    return CorruptRecordError(
        record_kind="attachment", key=attachment_id, reason=reason
    )
