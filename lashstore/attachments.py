"""
Attachment bytes outside the database, and the removal of orphaned ones.

The order that makes it safe: a session announces an attachment in its
manifest, then the bytes are put, then a commit stamps it. A sweep marks an
old announcement as orphaned, moves the bytes aside, asks every session
again, and only then removes them. Whoever put them in between either had
announced them before they were moved, and is heard; or found them gone, and
wrote them anew.
"""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from .codec import encode_record, sha256_hex
from .errors import (
    AttachmentNotFoundError,
    BackendError,
    CorruptRecordError,
    InvalidArgumentError,
    SessionDeletedError,
)
from .failures import translate
from .files import folder_lock, make_folders
from .model.attachments import (
    AttachmentIntent,
    AttachmentMeta,
    AttachmentRef,
    ReclamationReport,
    attachment_uri,
    check_content,
)
from .model.blobs import is_ref
from .model.record import require_upper_bound
from .store import Store

_LOCK_TIMEOUT_MS = 15_000
# No put takes an hour: what is older has been left behind.
_STALE_NS = 3600 * 10**9


class AttachmentStore(Protocol):
    """
    Bytes by their SHA-256; an implementation may be shared by many sessions.
    """

    def put(self, content: bytes, meta: AttachmentMeta) -> AttachmentRef:
        """
        Store bytes; equal bytes are stored once, the last metadata wins.
        """
        ...

    def get(self, attachment_id: str) -> tuple[AttachmentRef, bytes]:
        """
        Return stored bytes.

        Raises:
            AttachmentNotFoundError: There are none.
            CorruptRecordError: They are damaged.
        """
        ...

    def delete(self, attachment_id: str) -> None:
        """
        Remove bytes, whoever still wants them; absent ones are no error.
        """
        ...

    def delete_if(self, attachment_id: str, still_orphan: Callable[[], bool]) -> bool:
        """
        Move bytes aside, ask, then remove them or put them back.

        Returns:
            Whether nobody wants them; they are gone then, if there were any.
        """
        ...


class FileAttachmentStore:
    """
    Attachments in a folder: `sha256/<2 hex>/<id>`, with `<id>.json` beside.

    Any number of processes may share the folder. Files have mode 0600 and
    are complete whenever they can be seen. Bytes on their way out stand in
    `<id>.aside` until every session has been asked; if the sweep dies there,
    `get` finds them there, and the next sweep decides.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    def put(self, content: bytes, meta: AttachmentMeta) -> AttachmentRef:
        """
        Store bytes durably; see `AttachmentStore.put`. Safe to retry.

        Raises:
            InvalidArgumentError: The content is no bytes, or the metadata
                cannot be stored.
            BackendError: The disk failed; nothing was stored.
        """
        check_content(content, meta)
        ref = AttachmentRef(
            attachment_id=sha256_hex(content), byte_len=len(content), meta=meta
        )
        payload = self._payload(ref.attachment_id)
        try:
            make_folders(payload.parent)
            if not payload.exists():
                _write_whole(payload, content)
            described = encode_record(ref, "the metadata").encode()
            _write_whole(_sidecar(payload), described)
        except OSError as error:
            raise translate(error, payload) from error
        return ref

    def get(self, attachment_id: str) -> tuple[AttachmentRef, bytes]:
        """
        Return stored bytes, verified by their hash.

        Raises:
            AttachmentNotFoundError: There are none, or the id is no SHA-256.
            CorruptRecordError: They have another hash, or no metadata.
            BackendError: The disk failed.
        """
        if not is_ref(attachment_id):
            raise AttachmentNotFoundError(attachment_id=attachment_id)
        payload = self._payload(attachment_id)
        try:
            content = _read_either(payload, _aside(payload))
            described = _read_either(_sidecar(payload), _aside(_sidecar(payload)))
        except OSError as error:
            raise translate(error, payload) from error
        if content is None:
            raise AttachmentNotFoundError(attachment_id=attachment_id)
        if described is None:
            raise _damaged(attachment_id, "it has no metadata")
        if sha256_hex(content) != attachment_id:
            raise _damaged(attachment_id, "its bytes have another hash")
        try:
            ref = msgspec.json.decode(described, type=AttachmentRef)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _damaged(attachment_id, f"its metadata: {error}") from error
        if (ref.attachment_id, ref.byte_len) != (attachment_id, len(content)):
            raise _damaged(attachment_id, "its metadata are of other bytes")
        return ref, content

    def delete(self, attachment_id: str) -> None:
        """
        Remove bytes and metadata; absent ones, or an id that is no SHA-256,
        are no error.

        Raises:
            BackendError: The disk failed.
        """
        if not is_ref(attachment_id):
            return
        payload = self._payload(attachment_id)
        try:
            for path in (payload, _sidecar(payload)):
                path.unlink(missing_ok=True)
                _aside(path).unlink(missing_ok=True)
        except OSError as error:
            raise translate(error, payload) from error

    def delete_if(self, attachment_id: str, still_orphan: Callable[[], bool]) -> bool:
        """
        Remove bytes that nobody wants; see `AttachmentStore.delete_if`.

        One sweep at a time works on a folder, so that no stale answer meets
        the bytes another sweep has moved.

        Raises:
            StoreBusyError: Another sweep did not finish in time.
            BackendError: The disk failed.
            Any error of *still_orphan*; the bytes are back then.
        """
        payload = self._payload(attachment_id)
        if not is_ref(attachment_id) or not payload.parent.is_dir():
            return still_orphan()
        try:
            with folder_lock(payload.parent, _LOCK_TIMEOUT_MS):
                return self._delete_aside(payload, still_orphan)
        except OSError as error:
            raise translate(error, payload) from error

    def _delete_aside(self, payload: Path, still_orphan: Callable[[], bool]) -> bool:
        # From here on only the files set aside are touched: whoever finds
        # the others missing writes them anew, and those stay.
        files = (payload, _sidecar(payload))
        for path in files:
            if path.exists():
                path.replace(_aside(path))
        is_orphan = False
        try:
            is_orphan = still_orphan()
        finally:
            if not is_orphan:
                for path in files:
                    _put_back(path)
        if is_orphan:
            for path in files:
                _aside(path).unlink(missing_ok=True)
        _remove_stale_temporaries(payload.parent)
        return is_orphan

    def _payload(self, attachment_id: str) -> Path:
        return self._root / "sha256" / attachment_id[:2] / attachment_id


def _sidecar(payload: Path) -> Path:
    return payload.with_name(f"{payload.name}.json")


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.aside")


def _put_back(path: Path) -> None:
    # Linking refuses to replace what somebody wrote meanwhile.
    aside = _aside(path)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        path.hardlink_to(aside)
    aside.unlink(missing_ok=True)


def _read_either(*paths: Path) -> bytes | None:
    for path in paths:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
    return None


def _write_whole(path: Path, content: bytes) -> None:
    # A name of its own for each writer, so that two puts of the same bytes
    # never publish a half-written file.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove_stale_temporaries(folder: Path) -> None:
    # Left by a put that was killed; its announcement brings a sweep here.
    oldest = time.time_ns() - _STALE_NS
    for path in folder.glob("*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime_ns < oldest:
                path.unlink()


def _damaged(attachment_id: str, reason: str) -> CorruptRecordError:
    return CorruptRecordError(
        record_kind="attachment", key=attachment_id, reason=reason
    )


class MemoryAttachmentStore:
    """
    Attachments in memory, for tests and in-memory sessions.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stored: dict[str, tuple[AttachmentRef, bytes]] = {}

    def put(self, content: bytes, meta: AttachmentMeta) -> AttachmentRef:
        """
        Store bytes; see `AttachmentStore.put`.

        Raises:
            InvalidArgumentError: The content is no bytes, or the metadata
                cannot be stored.
        """
        check_content(content, meta)
        ref = AttachmentRef(
            attachment_id=sha256_hex(content), byte_len=len(content), meta=meta
        )
        with self._lock:
            self._stored[ref.attachment_id] = (ref, content)
        return ref

    def get(self, attachment_id: str) -> tuple[AttachmentRef, bytes]:
        """
        Return stored bytes.

        Raises:
            AttachmentNotFoundError: There are none.
        """
        with self._lock:
            found = self._stored.get(attachment_id)
        if found is None:
            raise AttachmentNotFoundError(attachment_id=attachment_id)
        return found

    def delete(self, attachment_id: str) -> None:
        """
        Remove bytes; absent ones are no error.
        """
        with self._lock:
            self._stored.pop(attachment_id, None)

    def delete_if(self, attachment_id: str, still_orphan: Callable[[], bool]) -> bool:
        """
        Remove bytes that nobody wants; see `AttachmentStore.delete_if`.
        """
        with self._lock:
            aside = self._stored.pop(attachment_id, None)
        is_orphan = False
        try:
            is_orphan = still_orphan()
        finally:
            if not is_orphan and aside is not None:
                with self._lock:
                    self._stored.setdefault(attachment_id, aside)
        return is_orphan


class SessionAttachmentStore:
    """
    A session's view of a byte store: announces before it puts, and remembers
    what the next commit must stamp.
    """

    def __init__(self, inner: AttachmentStore, store: Store) -> None:
        """
        Raises:
            InvalidArgumentError: The session is sealed; the bytes would not be.
        """
        if store.is_sealed:
            msg = (
                "a session's attachments would be stored plain beside its sealed "
                "content: keep them as blobs, or in a store of the host's"
            )
            raise InvalidArgumentError(msg)
        self._inner = inner
        self._store = store
        self._lock = threading.Lock()
        self._pending: set[str] = set()

    def put(self, content: bytes, meta: AttachmentMeta) -> AttachmentRef:
        """
        Announce bytes, then store them. Safe to retry.

        Raises:
            BackendError: The byte store returned another id.
            Any error of `Store.record_attachment_intent`, and then no bytes
            were written; or of the byte store.
        """
        check_content(content, meta)
        attachment_id = sha256_hex(content)
        self._store.record_attachment_intent(
            AttachmentIntent(
                attachment_id=attachment_id,
                canonical_uri=attachment_uri(attachment_id),
                intent_at_ms=self._store._clock.now_ms(),  # noqa: SLF001
            )
        )
        ref = self._inner.put(content, meta)
        if ref.attachment_id != attachment_id:
            msg = f"the byte store named {attachment_id} {ref.attachment_id}"
            raise BackendError(msg)
        with self._lock:
            self._pending.add(attachment_id)
        return ref

    def get(self, attachment_id: str) -> tuple[AttachmentRef, bytes]:
        """
        Return stored bytes; see `AttachmentStore.get`.
        """
        return self._inner.get(attachment_id)

    def delete(self, attachment_id: str) -> None:
        """
        Remove bytes; see `AttachmentStore.delete`.
        """
        self._inner.delete(attachment_id)

    def delete_if(self, attachment_id: str, still_orphan: Callable[[], bool]) -> bool:
        """
        Remove bytes that nobody wants; see `AttachmentStore.delete_if`.
        """
        return self._inner.delete_if(attachment_id, still_orphan)

    def pending_commit_ids(self) -> tuple[str, ...]:
        """
        Return what was put and not yet marked as committed, sorted.
        """
        with self._lock:
            return tuple(sorted(self._pending))

    def mark_committed(self, attachment_ids: Iterable[str]) -> None:
        """
        Forget ids that a commit has stamped.
        """
        with self._lock:
            self._pending.difference_update(attachment_ids)


def reclaim_orphaned_attachments(
    store: Store, attachments: AttachmentStore, older_than_ms: int
) -> ReclamationReport:
    """
    Remove the bytes of attachments that a session announced long ago and
    never committed, unless another session of the same factory wants them.

    Args:
        store: The session to sweep. If a factory made it, the factory's
            other sessions are asked; a store opened by itself stands alone.

        attachments: Where the bytes are.

        older_than_ms: Only announcements of this time or earlier; choose it
            longer ago than any turn runs. Above the range of times: all.

    Returns:
        How many old announcements there were, and how many attachments lost
        their bytes. A sweep that was cut off is finished by the next one.

    Raises:
        Any error of a session that could not be asked, and then nothing
        more is removed; any error of the byte store.
    """
    bound = require_upper_bound("older_than_ms", older_than_ms)
    scanned = [
        entry.attachment_id for entry in store.list_uncommitted_attachments(bound)
    ]
    orphaned = store._mark_orphaned_attachments(scanned, bound)  # noqa: SLF001
    reclaimed = 0
    for attachment_id in scanned:
        if attachment_id not in orphaned:
            continue

        def still_orphan(attachment_id: str = attachment_id) -> bool:
            return not _is_wanted(store, attachment_id)

        if attachments.delete_if(attachment_id, still_orphan):
            reclaimed += 1
        store._forget_orphaned_attachment(attachment_id)  # noqa: SLF001
    return ReclamationReport(
        scanned_intent_count=len(scanned), reclaimed_count=reclaimed
    )


def _is_wanted(store: Store, attachment_id: str) -> bool:
    if store._wanted_attachments([attachment_id]):  # noqa: SLF001
        return True
    for sibling in store._siblings():  # noqa: SLF001
        # A session deleted this very moment wants nothing any more.
        with contextlib.suppress(SessionDeletedError):
            if sibling._wanted_attachments([attachment_id]):  # noqa: SLF001
                return True
    return False
