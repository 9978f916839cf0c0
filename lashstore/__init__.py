"""
Durable memory for AI-agent runtimes: sessions that survive anything.

Names are imported when they are first used: SQLAlchemy alone takes longer to
import than a command line tool may take to print its help.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attachments import (
        AttachmentStore as AttachmentStore,
    )
    from .attachments import (
        FileAttachmentStore as FileAttachmentStore,
    )
    from .attachments import (
        MemoryAttachmentStore as MemoryAttachmentStore,
    )
    from .attachments import (
        SessionAttachmentStore as SessionAttachmentStore,
    )
    from .attachments import (
        reclaim_orphaned_attachments as reclaim_orphaned_attachments,
    )
    from .clock import (
        Clock as Clock,
    )
    from .clock import (
        ManualClock as ManualClock,
    )
    from .clock import (
        SystemClock as SystemClock,
    )
    from .effects import (
        EffectController as EffectController,
    )
    from .effects import (
        EffectHost as EffectHost,
    )
    from .errors import (
        AttachmentNotFoundError as AttachmentNotFoundError,
    )
    from .errors import (
        BackendError as BackendError,
    )
    from .errors import (
        CorruptRecordError as CorruptRecordError,
    )
    from .errors import (
        DuplicateNodeError as DuplicateNodeError,
    )
    from .errors import (
        EffectCancelledError as EffectCancelledError,
    )
    from .errors import (
        EffectFailure as EffectFailure,
    )
    from .errors import (
        EffectLeaseLostError as EffectLeaseLostError,
    )
    from .errors import (
        EffectReplayConflictError as EffectReplayConflictError,
    )
    from .errors import (
        EffectReplayError as EffectReplayError,
    )
    from .errors import (
        EffectReplayMissingError as EffectReplayMissingError,
    )
    from .errors import (
        HeadRevisionConflictError as HeadRevisionConflictError,
    )
    from .errors import (
        InvalidArgumentError as InvalidArgumentError,
    )
    from .errors import (
        InvalidProcessEventError as InvalidProcessEventError,
    )
    from .errors import (
        LashStoreError as LashStoreError,
    )
    from .errors import (
        LeaseExpiredError as LeaseExpiredError,
    )
    from .errors import (
        NotALashStoreError as NotALashStoreError,
    )
    from .errors import (
        OccurrenceConflictError as OccurrenceConflictError,
    )
    from .errors import (
        ProcessConflictError as ProcessConflictError,
    )
    from .errors import (
        ProcessError as ProcessError,
    )
    from .errors import (
        ProcessLeaseExpiredError as ProcessLeaseExpiredError,
    )
    from .errors import (
        ProcessTerminalError as ProcessTerminalError,
    )
    from .errors import (
        QueuedWorkClaimExpiredError as QueuedWorkClaimExpiredError,
    )
    from .errors import (
        ReadOnlyStoreError as ReadOnlyStoreError,
    )
    from .errors import (
        RecordVersionError as RecordVersionError,
    )
    from .errors import (
        SchemaVersionError as SchemaVersionError,
    )
    from .errors import (
        SessionBindingMismatchError as SessionBindingMismatchError,
    )
    from .errors import (
        SessionDeletedError as SessionDeletedError,
    )
    from .errors import (
        SessionExecutionLeaseExpiredError as SessionExecutionLeaseExpiredError,
    )
    from .errors import (
        SourceKeyConflictError as SourceKeyConflictError,
    )
    from .errors import (
        StoreBusyError as StoreBusyError,
    )
    from .errors import (
        StoreClosedError as StoreClosedError,
    )
    from .errors import (
        StoreNotFoundError as StoreNotFoundError,
    )
    from .errors import (
        TriggerError as TriggerError,
    )
    from .errors import (
        TurnCommitConflictError as TurnCommitConflictError,
    )
    from .errors import (
        TurnInputClaimExpiredError as TurnInputClaimExpiredError,
    )
    from .errors import (
        UnknownBlobError as UnknownBlobError,
    )
    from .errors import (
        UnknownNodeError as UnknownNodeError,
    )
    from .errors import (
        UnknownOccurrenceError as UnknownOccurrenceError,
    )
    from .errors import (
        UnknownProcessError as UnknownProcessError,
    )
    from .factory import (
        SessionStoreFactory as SessionStoreFactory,
    )
    from .model.attachments import (
        AttachmentIntent as AttachmentIntent,
    )
    from .model.attachments import (
        AttachmentManifestEntry as AttachmentManifestEntry,
    )
    from .model.attachments import (
        AttachmentMeta as AttachmentMeta,
    )
    from .model.attachments import (
        AttachmentRef as AttachmentRef,
    )
    from .model.attachments import (
        ReclamationReport as ReclamationReport,
    )
    from .model.blobs import (
        ArtifactKind as ArtifactKind,
    )
    from .model.blobs import (
        BlobDescriptor as BlobDescriptor,
    )
    from .model.blobs import (
        BlobRef as BlobRef,
    )
    from .model.blobs import (
        GcReport as GcReport,
    )
    from .model.blobs import (
        HydratedCheckpoint as HydratedCheckpoint,
    )
    from .model.blobs import (
        SessionCheckpoint as SessionCheckpoint,
    )
    from .model.blobs import (
        StorageHint as StorageHint,
    )
    from .model.blobs import (
        StoredCheckpoint as StoredCheckpoint,
    )
    from .model.commit import (
        RuntimeCommit as RuntimeCommit,
    )
    from .model.commit import (
        RuntimeCommitResult as RuntimeCommitResult,
    )
    from .model.commit import (
        TurnCommitStamp as TurnCommitStamp,
    )
    from .model.effects import (
        EffectEnvelope as EffectEnvelope,
    )
    from .model.effects import (
        EffectReplayOptions as EffectReplayOptions,
    )
    from .model.effects import (
        ExecutionScope as ExecutionScope,
    )
    from .model.effects import (
        OperationScope as OperationScope,
    )
    from .model.effects import (
        ProcessScope as ProcessScope,
    )
    from .model.effects import (
        QueueDrainScope as QueueDrainScope,
    )
    from .model.effects import (
        SessionDeleteScope as SessionDeleteScope,
    )
    from .model.effects import (
        TurnScope as TurnScope,
    )
    from .model.graph import (
        ActivePath as ActivePath,
    )
    from .model.graph import (
        FullGraph as FullGraph,
    )
    from .model.graph import (
        GraphAppend as GraphAppend,
    )
    from .model.graph import (
        GraphDelta as GraphDelta,
    )
    from .model.graph import (
        GraphReplace as GraphReplace,
    )
    from .model.graph import (
        GraphUnchanged as GraphUnchanged,
    )
    from .model.graph import (
        SessionGraph as SessionGraph,
    )
    from .model.graph import (
        SessionNode as SessionNode,
    )
    from .model.graph import (
        SessionReadScope as SessionReadScope,
    )
    from .model.graph import (
        VacuumReport as VacuumReport,
    )
    from .model.leases import (
        LeaseAcquired as LeaseAcquired,
    )
    from .model.leases import (
        LeaseBusy as LeaseBusy,
    )
    from .model.leases import (
        LeaseOwnerIdentity as LeaseOwnerIdentity,
    )
    from .model.leases import (
        LeaseOwnerLiveness as LeaseOwnerLiveness,
    )
    from .model.leases import (
        LocalProcessLiveness as LocalProcessLiveness,
    )
    from .model.leases import (
        OpaqueLiveness as OpaqueLiveness,
    )
    from .model.leases import (
        SessionExecutionLease as SessionExecutionLease,
    )
    from .model.leases import (
        SessionExecutionLeaseCompletion as SessionExecutionLeaseCompletion,
    )
    from .model.leases import (
        SessionExecutionLeaseFence as SessionExecutionLeaseFence,
    )
    from .model.options import (
        BlobProfile as BlobProfile,
    )
    from .model.options import (
        DurabilityTier as DurabilityTier,
    )
    from .model.options import (
        GcPolicy as GcPolicy,
    )
    from .model.options import (
        LeaseTimings as LeaseTimings,
    )
    from .model.options import (
        StoreOptions as StoreOptions,
    )
    from .model.options import (
        Synchronous as Synchronous,
    )
    from .model.queue import (
        DeliveryPolicy as DeliveryPolicy,
    )
    from .model.queue import (
        MergeGroup as MergeGroup,
    )
    from .model.queue import (
        MergeKey as MergeKey,
    )
    from .model.queue import (
        MergeNever as MergeNever,
    )
    from .model.queue import (
        MergePayloadDefault as MergePayloadDefault,
    )
    from .model.queue import (
        ProcessWakePayload as ProcessWakePayload,
    )
    from .model.queue import (
        QueuedWorkBatch as QueuedWorkBatch,
    )
    from .model.queue import (
        QueuedWorkBatchDraft as QueuedWorkBatchDraft,
    )
    from .model.queue import (
        QueuedWorkBoundary as QueuedWorkBoundary,
    )
    from .model.queue import (
        QueuedWorkClaim as QueuedWorkClaim,
    )
    from .model.queue import (
        QueuedWorkClass as QueuedWorkClass,
    )
    from .model.queue import (
        QueuedWorkCompletion as QueuedWorkCompletion,
    )
    from .model.queue import (
        QueuedWorkItem as QueuedWorkItem,
    )
    from .model.queue import (
        QueuedWorkPayload as QueuedWorkPayload,
    )
    from .model.queue import (
        SessionCommandPayload as SessionCommandPayload,
    )
    from .model.queue import (
        SlotPolicy as SlotPolicy,
    )
    from .model.queue import (
        TurnWorkPayload as TurnWorkPayload,
    )
    from .model.record import (
        Json as Json,
    )
    from .model.session import (
        ChildRelation as ChildRelation,
    )
    from .model.session import (
        PersistedSession as PersistedSession,
    )
    from .model.session import (
        RootRelation as RootRelation,
    )
    from .model.session import (
        SessionHeadMeta as SessionHeadMeta,
    )
    from .model.session import (
        SessionMeta as SessionMeta,
    )
    from .model.session import (
        SessionPickerInfo as SessionPickerInfo,
    )
    from .model.session import (
        SessionRelation as SessionRelation,
    )
    from .model.triggers import (
        EventBinding as EventBinding,
    )
    from .model.triggers import (
        FixedBinding as FixedBinding,
    )
    from .model.triggers import (
        TriggerDeliveryReservation as TriggerDeliveryReservation,
    )
    from .model.triggers import (
        TriggerOccurrenceRecord as TriggerOccurrenceRecord,
    )
    from .model.triggers import (
        TriggerOccurrenceRequest as TriggerOccurrenceRequest,
    )
    from .model.triggers import (
        TriggerSubscriptionDraft as TriggerSubscriptionDraft,
    )
    from .model.triggers import (
        TriggerSubscriptionFilter as TriggerSubscriptionFilter,
    )
    from .model.triggers import (
        TriggerSubscriptionRecord as TriggerSubscriptionRecord,
    )
    from .model.triggers import (
        delivery_process_id as delivery_process_id,
    )
    from .model.triggers import (
        source_key_for_subscription as source_key_for_subscription,
    )
    from .model.turn_inputs import (
        ActiveTurnIngress as ActiveTurnIngress,
    )
    from .model.turn_inputs import (
        ActiveTurnMode as ActiveTurnMode,
    )
    from .model.turn_inputs import (
        CancelOutcome as CancelOutcome,
    )
    from .model.turn_inputs import (
        CancelResult as CancelResult,
    )
    from .model.turn_inputs import (
        CancelTarget as CancelTarget,
    )
    from .model.turn_inputs import (
        CheckpointKind as CheckpointKind,
    )
    from .model.turn_inputs import (
        InputAlreadyCancelled as InputAlreadyCancelled,
    )
    from .model.turn_inputs import (
        InputAlreadyClaimed as InputAlreadyClaimed,
    )
    from .model.turn_inputs import (
        InputAlreadyCompleted as InputAlreadyCompleted,
    )
    from .model.turn_inputs import (
        InputCancelled as InputCancelled,
    )
    from .model.turn_inputs import (
        InputIdTarget as InputIdTarget,
    )
    from .model.turn_inputs import (
        InputNotFound as InputNotFound,
    )
    from .model.turn_inputs import (
        NextTurnIngress as NextTurnIngress,
    )
    from .model.turn_inputs import (
        NextTurnMode as NextTurnMode,
    )
    from .model.turn_inputs import (
        PendingTurnInput as PendingTurnInput,
    )
    from .model.turn_inputs import (
        PendingTurnInputDraft as PendingTurnInputDraft,
    )
    from .model.turn_inputs import (
        SourceKeyTarget as SourceKeyTarget,
    )
    from .model.turn_inputs import (
        TurnInputClaim as TurnInputClaim,
    )
    from .model.turn_inputs import (
        TurnInputClaimDiagnostics as TurnInputClaimDiagnostics,
    )
    from .model.turn_inputs import (
        TurnInputCompletion as TurnInputCompletion,
    )
    from .model.turn_inputs import (
        TurnInputIngress as TurnInputIngress,
    )
    from .model.turn_inputs import (
        TurnInputState as TurnInputState,
    )
    from .model.usage import (
        TokenLedgerEntry as TokenLedgerEntry,
    )
    from .model.usage import (
        TokenUsage as TokenUsage,
    )
    from .model.wakes import (
        ProcessWakeDelivery as ProcessWakeDelivery,
    )
    from .store import (
        SessionTransaction as SessionTransaction,
    )
    from .store import (
        Store as Store,
    )
    from .triggers import (
        TriggerStore as TriggerStore,
    )

_HOMES = {
    "attachments": (
        "AttachmentStore",
        "FileAttachmentStore",
        "MemoryAttachmentStore",
        "SessionAttachmentStore",
        "reclaim_orphaned_attachments",
    ),
    "clock": (
        "Clock",
        "ManualClock",
        "SystemClock",
    ),
    "errors": (
        "AttachmentNotFoundError",
        "BackendError",
        "CorruptRecordError",
        "DuplicateNodeError",
        "EffectCancelledError",
        "EffectFailure",
        "EffectLeaseLostError",
        "EffectReplayConflictError",
        "EffectReplayError",
        "EffectReplayMissingError",
        "HeadRevisionConflictError",
        "InvalidArgumentError",
        "InvalidProcessEventError",
        "LashStoreError",
        "LeaseExpiredError",
        "NotALashStoreError",
        "OccurrenceConflictError",
        "ProcessConflictError",
        "ProcessError",
        "ProcessLeaseExpiredError",
        "ProcessTerminalError",
        "QueuedWorkClaimExpiredError",
        "ReadOnlyStoreError",
        "RecordVersionError",
        "SchemaVersionError",
        "SessionBindingMismatchError",
        "SessionDeletedError",
        "SessionExecutionLeaseExpiredError",
        "SourceKeyConflictError",
        "StoreBusyError",
        "StoreClosedError",
        "StoreNotFoundError",
        "TriggerError",
        "TurnCommitConflictError",
        "TurnInputClaimExpiredError",
        "UnknownBlobError",
        "UnknownNodeError",
        "UnknownOccurrenceError",
        "UnknownProcessError",
    ),
    "factory": ("SessionStoreFactory",),
    "model.attachments": (
        "AttachmentIntent",
        "AttachmentManifestEntry",
        "AttachmentMeta",
        "AttachmentRef",
        "ReclamationReport",
    ),
    "model.blobs": (
        "ArtifactKind",
        "BlobDescriptor",
        "BlobRef",
        "GcReport",
        "HydratedCheckpoint",
        "SessionCheckpoint",
        "StorageHint",
        "StoredCheckpoint",
    ),
    "model.commit": (
        "RuntimeCommit",
        "RuntimeCommitResult",
        "TurnCommitStamp",
    ),
    "model.graph": (
        "ActivePath",
        "FullGraph",
        "GraphAppend",
        "GraphDelta",
        "GraphReplace",
        "GraphUnchanged",
        "SessionGraph",
        "SessionNode",
        "SessionReadScope",
        "VacuumReport",
    ),
    "model.leases": (
        "LeaseAcquired",
        "LeaseBusy",
        "LeaseOwnerIdentity",
        "LeaseOwnerLiveness",
        "LocalProcessLiveness",
        "OpaqueLiveness",
        "SessionExecutionLease",
        "SessionExecutionLeaseCompletion",
        "SessionExecutionLeaseFence",
    ),
    "model.options": (
        "BlobProfile",
        "DurabilityTier",
        "GcPolicy",
        "LeaseTimings",
        "StoreOptions",
        "Synchronous",
    ),
    "model.queue": (
        "DeliveryPolicy",
        "MergeGroup",
        "MergeKey",
        "MergeNever",
        "MergePayloadDefault",
        "ProcessWakePayload",
        "QueuedWorkBatch",
        "QueuedWorkBatchDraft",
        "QueuedWorkBoundary",
        "QueuedWorkClaim",
        "QueuedWorkClass",
        "QueuedWorkCompletion",
        "QueuedWorkItem",
        "QueuedWorkPayload",
        "SessionCommandPayload",
        "SlotPolicy",
        "TurnWorkPayload",
    ),
    "model.record": ("Json",),
    "model.session": (
        "ChildRelation",
        "PersistedSession",
        "RootRelation",
        "SessionHeadMeta",
        "SessionMeta",
        "SessionPickerInfo",
        "SessionRelation",
    ),
    "model.turn_inputs": (
        "ActiveTurnIngress",
        "ActiveTurnMode",
        "CancelOutcome",
        "CancelResult",
        "CancelTarget",
        "CheckpointKind",
        "InputAlreadyCancelled",
        "InputAlreadyClaimed",
        "InputAlreadyCompleted",
        "InputCancelled",
        "InputIdTarget",
        "InputNotFound",
        "NextTurnIngress",
        "NextTurnMode",
        "PendingTurnInput",
        "PendingTurnInputDraft",
        "SourceKeyTarget",
        "TurnInputClaim",
        "TurnInputClaimDiagnostics",
        "TurnInputCompletion",
        "TurnInputIngress",
        "TurnInputState",
    ),
    "model.usage": (
        "TokenLedgerEntry",
        "TokenUsage",
    ),
    "model.wakes": ("ProcessWakeDelivery",),
    "effects": (
        "EffectController",
        "EffectHost",
    ),
    "model.effects": (
        "EffectEnvelope",
        "EffectReplayOptions",
        "ExecutionScope",
        "OperationScope",
        "ProcessScope",
        "QueueDrainScope",
        "SessionDeleteScope",
        "TurnScope",
    ),
    "triggers": ("TriggerStore",),
    "model.triggers": (
        "EventBinding",
        "FixedBinding",
        "TriggerDeliveryReservation",
        "TriggerOccurrenceRecord",
        "TriggerOccurrenceRequest",
        "TriggerSubscriptionDraft",
        "TriggerSubscriptionFilter",
        "TriggerSubscriptionRecord",
        "delivery_process_id",
        "source_key_for_subscription",
    ),
    "store": (
        "SessionTransaction",
        "Store",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605, the type checker reads the imports


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
