"""
Blobs, checkpoints and named artifacts of a session.
"""

from collections.abc import Sequence

from lashstore.codec import decode_value, sha256_hex
from lashstore.errors import CorruptRecordError
from lashstore.model.blobs import (
    ArtifactKind,
    BlobDescriptor,
    BlobRef,
    EncodedBlob,
    HydratedCheckpoint,
    StoredCheckpoint,
    encode_blob,
    encode_typed_blob,
)
from lashstore.model.record import Json, require_record, require_text

from .storing import BlobStoring, ReadyBlobs
from .transaction import SessionTransaction

_GENERIC = BlobDescriptor.for_kind(ArtifactKind.GENERIC_BLOB)
_MODULE_PREFIX = "module:sha256:"


class BlobStore(BlobStoring):
    """
    The part of `Store` that keeps contents by their hash.
    """

    def put_blob(self, content: bytes) -> BlobRef:
        """
        Store *content*; equal contents are stored once.

        A blob that no artifact names and no checkpoint contains goes with
        the next garbage collection.

        Returns:
            Its ref: the SHA-256 of the content. Safe to retry.

        Raises:
            InvalidArgumentError: It is not bytes.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError, ReadOnlyStoreError: As for every write.
        """
        return self.put_artifact_blob(_GENERIC, content)

    def put_artifact_blob(self, descriptor: BlobDescriptor, content: bytes) -> BlobRef:
        """
        Store *content* as its descriptor says; see `put_blob`.
        """
        return self._put(encode_blob(descriptor, content))

    def put_typed_blob(self, value: Json) -> BlobRef:
        """
        Store a value as MessagePack with sorted keys; equal values have
        equal refs. Bytes inside the value stay bytes. See `put_blob`.

        Raises:
            InvalidArgumentError: The value is not plain data: NaN, lone
                surrogates, keys that are no text, objects.
        """
        return self.put_typed_artifact_blob(_GENERIC, value)

    def put_typed_artifact_blob(
        self, descriptor: BlobDescriptor, value: Json
    ) -> BlobRef:
        """
        Store a value as its descriptor says; see `put_typed_blob`.
        """
        return self._put(encode_typed_blob(descriptor, value, "the value"))

    def get_blob(self, ref: BlobRef) -> bytes | None:
        """
        Return the content stored as *ref*, verified by its hash.

        Returns:
            The content; None if the session does not have it.

        Raises:
            CorruptRecordError: The stored content is damaged.
            StoreBusyError, BackendError, SessionDeletedError,
            StoreClosedError: As for every read.
        """
        require_text("the ref", ref)
        return self._read(lambda tx: tx.blobs.find(self.session_id, ref))

    def get_typed_blob(self, ref: BlobRef) -> Json | None:
        """
        Return the value stored as *ref*; of a checkpoint's ref, its manifest
        as a map. None if the session does not have it.

        Raises:
            CorruptRecordError: The content is damaged, or no such value.
        """
        content = self.get_blob(ref)
        return None if content is None else decode_value(content, ref)

    def put_checkpoint(self, checkpoint: HydratedCheckpoint) -> StoredCheckpoint:
        """
        Store a checkpoint outside a commit.

        Present values are stored, absent ones keep the ref that is given.
        Until a commit names it, garbage collection may take it.

        Returns:
            The manifest and its ref; equal checkpoints have equal refs.

        Raises:
            InvalidArgumentError: A value is not plain data.
            UnknownBlobError: A ref given without its value is not stored.
        """
        require_record("the checkpoint", checkpoint, HydratedCheckpoint)
        encoded = checkpoint.encoded
        self._put_blobs(encoded.blobs, encoded.kept_refs)
        return StoredCheckpoint(
            checkpoint_ref=encoded.checkpoint_ref, manifest=encoded.manifest
        )

    def get_checkpoint(self, ref: BlobRef) -> HydratedCheckpoint | None:
        """
        Return the checkpoint stored as *ref* with all its snapshots; None if
        the session does not have it.

        Raises:
            CorruptRecordError: It or one of its snapshots is damaged or gone.
            RecordVersionError: It is of another record version.
        """
        require_text("the ref", ref)
        return self._read(lambda tx: tx.checkpoints.find(self.session_id, ref))

    def put_module_artifact(self, content: bytes) -> str:
        """
        Store a module under a ref made of its content.

        Returns:
            The module ref: "module:sha256:" and 64 hex digits.
        """
        blob = encode_blob(BlobDescriptor.for_kind(ArtifactKind.MODULE), content)
        module_ref = f"{_MODULE_PREFIX}{blob.ref}"
        self._put_named("module", module_ref, blob)
        return module_ref

    def get_module_artifact(self, module_ref: str) -> bytes | None:
        """
        Return a module, verified against its ref; None if there is none.

        Raises:
            CorruptRecordError: What is stored is another content.
        """
        content = self._get_named("module", module_ref)
        if (
            content is not None
            and f"{_MODULE_PREFIX}{sha256_hex(content)}" != module_ref
        ):
            raise CorruptRecordError(
                record_kind="module", key=module_ref, reason="it has another hash"
            )
        return content

    def put_artifact_bytes(
        self,
        artifact_ref: str,
        content: bytes,
        *,
        kind: ArtifactKind = ArtifactKind.GENERIC_BLOB,
    ) -> None:
        """
        Store *content* under a name of the host's, in place of any other.

        Raises:
            InvalidArgumentError: The name is no storable text, the content
                not bytes, or the kind none.
        """
        require_record("the kind", kind, ArtifactKind)
        blob = encode_blob(BlobDescriptor.for_kind(kind), content)
        self._put_named("artifact", artifact_ref, blob)

    def get_artifact_bytes(self, artifact_ref: str) -> bytes | None:
        """
        Return what `put_artifact_bytes` stored; None if nothing was.
        """
        return self._get_named("artifact", artifact_ref)

    def put_process_execution_env(self, env_ref: str, content: bytes) -> None:
        """
        Store a process execution environment under its ref.
        """
        descriptor = BlobDescriptor.for_kind(ArtifactKind.PROCESS_EXECUTION_ENV)
        self._put_named(
            "process_execution_env", env_ref, encode_blob(descriptor, content)
        )

    def get_process_execution_env(self, env_ref: str) -> bytes | None:
        """
        Return what `put_process_execution_env` stored; None if nothing was.
        """
        return self._get_named("process_execution_env", env_ref)

    def _put(self, blob: EncodedBlob) -> BlobRef:
        self._put_blobs([blob])
        return blob.ref

    def _put_blobs(
        self, blobs: Sequence[EncodedBlob], kept_refs: Sequence[BlobRef] = ()
    ) -> None:
        def operation(tx: SessionTransaction, ready: ReadyBlobs) -> None:
            known = self._store_blobs(tx, blobs, ready, kept_refs)
            if known:
                # Whoever puts a blob may rely on it until a commit names it,
                # even if a checkpoint that has it is let go of before.
                tx.checkpoint_blobs.remove(self.session_id, list(known))

        self._with_blobs(
            blobs, lambda ready: self._write(lambda tx: operation(tx, ready))
        )

    def _put_named(self, namespace: str, artifact_ref: str, blob: EncodedBlob) -> None:
        require_text("the artifact's ref", artifact_ref)

        def operation(tx: SessionTransaction, ready: ReadyBlobs) -> None:
            self._store_blobs(tx, [blob], ready)
            tx.artifacts.put(self.session_id, namespace, artifact_ref, blob.ref)

        self._with_blobs(
            [blob], lambda ready: self._write(lambda tx: operation(tx, ready))
        )

    def _get_named(self, namespace: str, artifact_ref: str) -> bytes | None:
        require_text("the artifact's ref", artifact_ref)

        def operation(tx: SessionTransaction) -> bytes | None:
            ref = tx.artifacts.find(self.session_id, namespace, artifact_ref)
            if ref is None:
                return None
            content = tx.blobs.find(self.session_id, ref)
            if content is None:
                raise CorruptRecordError(
                    record_kind="artifact",
                    key=artifact_ref,
                    reason=f"its blob {ref} is missing",
                )
            return content

        return self._read(operation)
