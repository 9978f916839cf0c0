"""
Every error lashstore raises, classed by what the caller can do about it.

    LashStoreError
    |-- InvalidArgumentError              fix the call (also a ValueError)
    |-- SessionBindingMismatchError       fix the call: another session's record
    |-- SessionDeletedError               open the session anew, or give up
    |-- StoreClosedError                  open the store anew
    |-- ReadOnlyStoreError                open the store for writing
    |-- StoreNotFoundError                fix the path, or create the session
    |-- HeadRevisionConflictError         somebody was first: re-read, decide
    |-- TurnCommitConflictError           this turn is already committed
    |-- DuplicateNodeError                choose another node id
    |-- UnknownNodeError                  commit the node first
    |-- UnknownBlobError                  pass the value, not only its ref
    |-- SourceKeyConflictError            choose another source key
    |-- AttachmentNotFoundError           put the attachment first
    |-- LeaseExpiredError                 stop working, claim again
    |   |-- SessionExecutionLeaseExpiredError
    |   |-- ProcessLeaseExpiredError
    |   |-- EffectLeaseLostError
    |   |-- QueuedWorkClaimExpiredError
    |   `-- TurnInputClaimExpiredError
    |-- CorruptRecordError                stored data is damaged: never retry
    |-- RecordVersionError                a newer lashstore wrote this record
    |-- ContentKeyError                   pass the cipher that sealed it
    |-- SchemaVersionError                run the migrations
    |-- NotALashStoreError                fix the path
    |-- UnsafeFileSystemError             move the file, or allow the fallback
    |-- AlreadyExistsError                choose another destination
    |-- ArchiveError                      use another backup or archive
    |-- StoreBusyError                    retry the same call unchanged
    |-- BackendError                      the database failed: see __cause__
    |-- ProcessError                      the process registry
    |   |-- UnknownProcessError
    |   |-- ProcessConflictError
    |   |-- ProcessTerminalError
    |   `-- InvalidProcessEventError
    |-- TriggerError                      the trigger store
    |   |-- UnknownOccurrenceError
    |   `-- OccurrenceConflictError
    |-- EffectFailure                     an effect's recorded failure
    `-- EffectReplayError                 the effect journal
        |-- EffectReplayMissingError
        |-- EffectCancelledError
        `-- EffectReplayConflictError
"""

from typing import Any, ClassVar


class LashStoreError(Exception):
    """
    Base of every error of this library.

    `retryable` says whether the same call may succeed unchanged; it is true
    for `StoreBusyError` alone.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", /, **facts: Any) -> None:
        super().__init__(message)
        self._facts = facts
        for name, fact in facts.items():
            setattr(self, name, fact)

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors take keywords only, which the default pickling of
        # exceptions cannot call; hosts send errors between processes.
        return (_rebuild, (type(self), self.args, self._facts))


def _rebuild(
    kind: type[LashStoreError], args: tuple[Any, ...], facts: dict[str, Any]
) -> LashStoreError:
    error = kind.__new__(kind)
    LashStoreError.__init__(error, *args, **facts)
    return error


class InvalidArgumentError(LashStoreError, ValueError):
    """
    An argument can never be accepted; nothing was touched.
    """


class SessionBindingMismatchError(LashStoreError):
    """
    A record of one session was given to the store of another.
    """

    bound_session_id: str
    attempted_session_id: str

    def __init__(self, *, bound_session_id: str, attempted_session_id: str) -> None:
        super().__init__(
            f"this store holds session {bound_session_id!r}, not "
            f"{attempted_session_id!r}: use the store of that session",
            bound_session_id=bound_session_id,
            attempted_session_id=attempted_session_id,
        )


class SessionDeletedError(LashStoreError):
    """
    The session this handle was opened for has been deleted.
    """

    session_id: str

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            f"session {session_id!r} was deleted after this store was opened: "
            "close it, and create the session anew if it is still wanted",
            session_id=session_id,
        )


class HeadRevisionConflictError(LashStoreError):
    """
    The head is not at the revision the commit was built on.
    """

    expected: int | None
    actual: int

    def __init__(self, *, expected: int | None, actual: int) -> None:
        super().__init__(
            f"the head is at revision {actual}, not {expected}: load the "
            "session again and rebuild the commit on it",
            expected=expected,
            actual=actual,
        )


class TurnCommitConflictError(LashStoreError):
    """
    The turn was already committed with other content.
    """

    session_id: str
    turn_id: str

    def __init__(self, *, session_id: str, turn_id: str) -> None:
        super().__init__(
            f"turn {turn_id!r} of session {session_id!r} is already committed "
            "with other content: run it under a new turn id",
            session_id=session_id,
            turn_id=turn_id,
        )


class DuplicateNodeError(LashStoreError):
    """
    A node id is taken by a node with other content.
    """

    node_id: str

    def __init__(self, *, node_id: str) -> None:
        super().__init__(
            f"node {node_id!r} is already stored with other content: give "
            "the new node an id of its own",
            node_id=node_id,
        )


class UnknownNodeError(LashStoreError):
    """
    A parent or leaf is neither stored and live nor part of the commit.
    """

    node_id: str

    def __init__(self, *, node_id: str) -> None:
        super().__init__(
            f"node {node_id!r} is neither a live node of the session nor in "
            "this commit: append it first",
            node_id=node_id,
        )


class UnknownBlobError(LashStoreError):
    """
    A ref was given without a value, and the session does not have it.
    """

    blob_ref: str

    def __init__(self, *, blob_ref: str) -> None:
        super().__init__(
            f"the session has no blob {blob_ref}: pass the value instead of its ref",
            blob_ref=blob_ref,
        )


class LeaseExpiredError(LashStoreError):
    """
    A lease or claim is no longer held by whoever presented it.
    """


class SessionExecutionLeaseExpiredError(LeaseExpiredError):
    """
    The session's execution lease is missing, stale, expired or foreign.
    """

    session_id: str

    def __init__(self, *, session_id: str) -> None:
        super().__init__(
            f"the execution lease of session {session_id!r} is not held by "
            "this fence: stop the turn and claim the lease again",
            session_id=session_id,
        )


class ProcessLeaseExpiredError(LeaseExpiredError):
    """
    The process's lease is missing, stale, expired or foreign.
    """

    process_id: str

    def __init__(self, *, process_id: str) -> None:
        super().__init__(
            f"the lease of process {process_id!r} is not held by this fence: "
            "stop the work and claim the lease again",
            process_id=process_id,
        )


class EffectLeaseLostError(LeaseExpiredError):
    """
    The claim on an effect lapsed while it ran; nothing was recorded.
    """

    scope_id: str
    replay_key: str

    def __init__(self, *, scope_id: str, replay_key: str) -> None:
        super().__init__(
            f"the claim on effect {replay_key!r} of {scope_id!r} was lost: "
            "its outcome was not recorded, execute it again",
            scope_id=scope_id,
            replay_key=replay_key,
        )


class QueuedWorkClaimExpiredError(LeaseExpiredError):
    """
    A claim on queued work no longer owns all of its batches.
    """

    session_id: str
    claim_id: str

    def __init__(self, *, session_id: str, claim_id: str) -> None:
        super().__init__(
            f"queued-work claim {claim_id!r} of session {session_id!r} does "
            "not own its batches any more: drop its work and claim again",
            session_id=session_id,
            claim_id=claim_id,
        )


class TurnInputClaimExpiredError(LeaseExpiredError):
    """
    A claim on turn inputs no longer owns all of its inputs.
    """

    session_id: str
    claim_id: str

    def __init__(self, *, session_id: str, claim_id: str) -> None:
        super().__init__(
            f"turn-input claim {claim_id!r} of session {session_id!r} does "
            "not own its inputs any more: drop its work and claim again",
            session_id=session_id,
            claim_id=claim_id,
        )


class SourceKeyConflictError(LashStoreError):
    """
    A source key was submitted again with other content.
    """

    session_id: str
    source_key: str
    existing_input_id: str

    def __init__(
        self, *, session_id: str, source_key: str, existing_input_id: str
    ) -> None:
        super().__init__(
            f"source key {source_key!r} of session {session_id!r} already "
            f"names input {existing_input_id!r} with other content: submit "
            "the changed input under a new source key",
            session_id=session_id,
            source_key=source_key,
            existing_input_id=existing_input_id,
        )


class AttachmentNotFoundError(LashStoreError):
    """
    No such attachment: never put, or reclaimed since.
    """

    attachment_id: str

    def __init__(self, *, attachment_id: str) -> None:
        super().__init__(
            f"attachment {attachment_id!r} is not there: put its bytes again",
            attachment_id=attachment_id,
        )


class CorruptRecordError(LashStoreError):
    """
    Stored data does not decode, or not to what its checksum promises.
    """

    record_kind: str
    key: str
    reason: str

    def __init__(self, *, record_kind: str, key: str, reason: str) -> None:
        super().__init__(
            f"stored {record_kind} {key!r} is damaged: {reason}; restore the "
            "session from a backup",
            record_kind=record_kind,
            key=key,
            reason=reason,
        )


class RecordVersionError(LashStoreError):
    """
    A stored record has another record version; `actual` None: it has none.
    """

    record_kind: str
    expected: int
    actual: str | None

    def __init__(self, *, record_kind: str, expected: int, actual: str | None) -> None:
        found = "no version" if actual is None else f"version {actual}"
        super().__init__(
            f"stored {record_kind} has {found}, this lashstore reads version "
            f"{expected}: use the lashstore that wrote it",
            record_kind=record_kind,
            expected=expected,
            actual=actual,
        )


class ContentKeyError(LashStoreError):
    """
    A session is sealed and the key is not here; or it is plain, and a cipher
    was given that would make it half sealed. Nothing was read or written.

    `key_id`: the key it was sealed with; None: none.
    """

    key_id: str | None

    def __init__(self, *, key_id: str | None, reason: str) -> None:
        super().__init__(reason, key_id=key_id)
        self.key_id = key_id


class SchemaVersionError(LashStoreError):
    """
    The database has another schema version; `found` None: it has none.
    """

    component: str
    expected: str
    found: str | None

    def __init__(self, *, component: str, expected: str, found: str | None) -> None:
        super().__init__(
            f"the {component} schema is version {found or 'unknown'}, this "
            f"lashstore needs version {expected}: if it is older, stop its hosts "
            "and run `lashstore db upgrade PATH`; if not, use the lashstore that "
            "wrote it, or a later one",
            component=component,
            expected=expected,
            found=found,
        )


class NotALashStoreError(LashStoreError):
    """
    The file is not a lashstore database; it was left untouched.
    """

    path: str

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{path} is not a lashstore database: check the path; the file "
            "was left as it is",
            path=path,
        )


class UnsafeFileSystemError(LashStoreError):
    """
    SQLite's WAL is not safe on the file's file system; nothing was touched.
    """

    path: str
    reason: str

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be opened safely: {reason}; move it to a local disk, "
            "or open it with StoreOptions(unsafe_file_system="
            "UnsafeFileSystem.ROLLBACK_JOURNAL)",
            path=path,
            reason=reason,
        )


class AlreadyExistsError(LashStoreError):
    """
    A restore or import would overwrite something; nothing was touched.
    """

    path: str

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"{path} exists already and is never overwritten: choose another "
            "destination, or move it away",
            path=path,
        )


class ArchiveError(LashStoreError):
    """
    A backup or archive is damaged, incomplete, or of another format.
    """

    path: str
    reason: str

    def __init__(self, *, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be used: {reason}; use another copy or an earlier snapshot",
            path=path,
            reason=reason,
        )


class StoreNotFoundError(LashStoreError):
    """
    There is no database file to open read-only.
    """

    path: str

    def __init__(self, *, path: str) -> None:
        super().__init__(
            f"there is no session store at {path}: check the path, or create "
            "the session first",
            path=path,
        )


class StoreClosedError(LashStoreError):
    """
    The store or factory was used after `close()`.
    """

    def __init__(self, message: str = "this store is closed: open it anew") -> None:
        super().__init__(message)


class ReadOnlyStoreError(LashStoreError):
    """
    A write was asked of a store opened read-only.
    """

    def __init__(
        self,
        message: str = "this store is read-only: open it with Store.open()",
    ) -> None:
        super().__init__(message)


class StoreBusyError(LashStoreError):
    """
    The lock was not had in time, or the database asked for a retry.

    Nothing was written; the same call may be repeated unchanged.
    """

    retryable: ClassVar[bool] = True


class BackendError(LashStoreError):
    """
    The database failed in another way; `__cause__` is the driver's error.
    """


class ProcessError(LashStoreError):
    """
    Base of the process registry's errors.
    """

    process_id: str
    _default: ClassVar[str] = "process {process_id!r} failed"

    def __init__(self, message: str = "", *, process_id: str) -> None:
        super().__init__(
            message or self._default.format(process_id=process_id),
            process_id=process_id,
        )


class UnknownProcessError(ProcessError):
    """
    No process has this id.
    """

    _default = "there is no process {process_id!r}: register it first"


class ProcessConflictError(ProcessError):
    """
    Stored facts contradict the call: registration, external ref, replay key
    or a handle that was not granted.
    """

    _default = "process {process_id!r} is already known otherwise"


class ProcessTerminalError(ProcessError):
    """
    The process has ended; it accepts no more of this.
    """

    _default = "process {process_id!r} has ended"


class InvalidProcessEventError(ProcessError):
    """
    The event does not fit the process's declared event types.
    """

    _default = "the event does not fit process {process_id!r}"


class TriggerError(LashStoreError):
    """
    Base of the trigger store's errors.
    """


class UnknownOccurrenceError(TriggerError):
    """
    No occurrence has this id.
    """

    occurrence_id: str

    def __init__(self, *, occurrence_id: str) -> None:
        super().__init__(
            f"there is no occurrence {occurrence_id!r}: record it first",
            occurrence_id=occurrence_id,
        )


class OccurrenceConflictError(TriggerError):
    """
    An idempotency key was used again with other content.
    """

    idempotency_key: str

    def __init__(self, *, idempotency_key: str) -> None:
        super().__init__(
            f"idempotency key {idempotency_key!r} already names an occurrence "
            "with other content: record the new one under a new key",
            idempotency_key=idempotency_key,
        )


class EffectFailure(LashStoreError):  # noqa: N818, the contract's name
    """
    Raised by an executor for a failure that is to be recorded and replayed.
    """

    code: str
    message: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}", code=code, message=message)


class EffectReplayError(LashStoreError):
    """
    Base of the effect journal's errors.
    """

    scope_id: str
    replay_key: str
    _default: ClassVar[str] = "effect {replay_key!r} of {scope_id!r} failed"

    def __init__(
        self, message: str = "", *, scope_id: str, replay_key: str, **facts: Any
    ) -> None:
        super().__init__(
            message or self._default.format(scope_id=scope_id, replay_key=replay_key),
            scope_id=scope_id,
            replay_key=replay_key,
            **facts,
        )


class EffectReplayMissingError(EffectReplayError):
    """
    Strict replay met an effect that has no finished record.
    """

    _default = (
        "effect {replay_key!r} of {scope_id!r} has no finished record, and "
        "strict replay runs nothing"
    )


class EffectCancelledError(EffectReplayError):
    """
    Waiting for an effect was cancelled; the effect itself was not touched.
    """

    _default = "waiting for effect {replay_key!r} of {scope_id!r} was cancelled"


class EffectReplayConflictError(EffectReplayError):
    """
    The replay key is recorded with another envelope.
    """

    differing_paths: tuple[str, ...]

    def __init__(
        self,
        *,
        scope_id: str,
        replay_key: str,
        differing_paths: tuple[str, ...],
    ) -> None:
        super().__init__(
            f"effect {replay_key!r} of {scope_id!r} is recorded with another "
            f"envelope; it differs at {', '.join(differing_paths)}",
            scope_id=scope_id,
            replay_key=replay_key,
            differing_paths=differing_paths,
        )
