"""
The write-ahead manifest of a session's attachments.
"""

from collections.abc import Iterable, Sequence

from lashstore.model.attachments import (
    AttachmentIntent,
    AttachmentManifestEntry,
    check_intent,
)
from lashstore.model.record import require_text, require_upper_bound

from .commits import stamp_attachments
from .handle import StoreHandle


class AttachmentManifestStore(StoreHandle):
    """
    The part of `Store` that knows which bytes outside are wanted.
    """

    def record_attachment_intent(self, intent: AttachmentIntent) -> None:
        """
        Announce bytes before they are put.

        A second intent for uncommitted content refreshes the first, and
        calls off a reclamation that is under way; committed content stays as
        it is. Safe to retry.

        Raises:
            InvalidArgumentError: It holds what cannot be stored.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError, ReadOnlyStoreError: As for every write.
        """
        check_intent(intent)
        self._write(lambda tx: tx.attachments.put_intent(self.session_id, intent))

    def commit_attachment_refs(self, attachment_ids: Iterable[str]) -> None:
        """
        Mark attachments as committed, outside a commit; the first time
        counts. Safe to retry.

        Raises:
            AttachmentNotFoundError: One was not announced, or is being
                reclaimed; none was marked.
        """
        ids = [require_text("an attachment id", one) for one in attachment_ids]
        self._write(lambda tx: stamp_attachments(tx, ids)())

    def list_uncommitted_attachments(
        self, older_than_ms: int
    ) -> tuple[AttachmentManifestEntry, ...]:
        """
        Return the intents no commit has stamped, oldest first.

        Args:
            older_than_ms: Only those announced at this time or earlier;
                above the range of times: all.

        Raises:
            CorruptRecordError: An entry is damaged.
        """
        bound = require_upper_bound("older_than_ms", older_than_ms)
        return self._read(
            lambda tx: tx.attachments.list_uncommitted(
                self.session_id, older_than_ms=bound
            )
        )

    def forget_attachment(self, attachment_id: str) -> None:
        """
        Remove an entry, if there is one; its bytes are not touched. Safe to
        retry.
        """
        require_text("attachment_id", attachment_id)
        self._write(lambda tx: tx.attachments.remove(self.session_id, attachment_id))

    def _mark_orphaned_attachments(
        self, attachment_ids: Sequence[str], older_than_ms: int
    ) -> frozenset[str]:
        return self._write(
            lambda tx: tx.attachments.mark_orphaned(
                self.session_id, attachment_ids, older_than_ms=older_than_ms
            )
        )

    def _wanted_attachments(self, attachment_ids: Sequence[str]) -> frozenset[str]:
        return self._read(
            lambda tx: tx.attachments.list_wanted(self.session_id, attachment_ids)
        )

    def _forget_orphaned_attachment(self, attachment_id: str) -> None:
        self._write(
            lambda tx: tx.attachments.remove_orphaned(self.session_id, attachment_id)
        )
