"""
Durable memory for AI-agent runtimes: sessions that survive anything.

Names are imported when they are first used: SQLAlchemy alone takes longer to
import than a command line tool may take to print its help.

PYTEST_DONT_REWRITE: nothing is asserted here, and a host that calls
`pytest.main()` may have imported this before.
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
    from .ciphers import (
        AesGcmCipher as AesGcmCipher,
    )
    from .ciphers import (
        ContentCipher as ContentCipher,
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
        AlreadyExistsError as AlreadyExistsError,
    )
    from .errors import (
        ArchiveError as ArchiveError,
    )
    from .errors import (
        AttachmentNotFoundError as AttachmentNotFoundError,
    )
    from .errors import (
        BackendError as BackendError,
    )
    from .errors import (
        ContentKeyError as ContentKeyError,
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
    from .errors import (
        UnsafeFileSystemError as UnsafeFileSystemError,
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
        CheckpointRetention as CheckpointRetention,
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
    from .model.options import (
        UnsafeFileSystem as UnsafeFileSystem,
    )
    from .model.process_events import (
        ProcessEvent as ProcessEvent,
    )
    from .model.process_events import (
        ProcessEventAppendRequest as ProcessEventAppendRequest,
    )
    from .model.process_events import (
        ProcessEventAppendResult as ProcessEventAppendResult,
    )
    from .model.process_events import (
        ProcessEventSemantics as ProcessEventSemantics,
    )
    from .model.process_events import (
        ProcessTerminalSemantics as ProcessTerminalSemantics,
    )
    from .model.process_events import (
        ProcessWakeSemantics as ProcessWakeSemantics,
    )
    from .model.process_grants import (
        ProcessHandleDescriptor as ProcessHandleDescriptor,
    )
    from .model.process_grants import (
        ProcessHandleGrant as ProcessHandleGrant,
    )
    from .model.process_grants import (
        ProcessSessionDeleteReport as ProcessSessionDeleteReport,
    )
    from .model.process_leases import (
        ProcessLease as ProcessLease,
    )
    from .model.process_leases import (
        ProcessLeaseCompletion as ProcessLeaseCompletion,
    )
    from .model.process_outputs import (
        AbandonedOutput as AbandonedOutput,
    )
    from .model.process_outputs import (
        AbandonedStatus as AbandonedStatus,
    )
    from .model.process_outputs import (
        AbandonEvidence as AbandonEvidence,
    )
    from .model.process_outputs import (
        AbandonWriter as AbandonWriter,
    )
    from .model.process_outputs import (
        AwaitOutput as AwaitOutput,
    )
    from .model.process_outputs import (
        CancelledOutput as CancelledOutput,
    )
    from .model.process_outputs import (
        CancelledStatus as CancelledStatus,
    )
    from .model.process_outputs import (
        CompletedStatus as CompletedStatus,
    )
    from .model.process_outputs import (
        FailedStatus as FailedStatus,
    )
    from .model.process_outputs import (
        FailureClass as FailureClass,
    )
    from .model.process_outputs import (
        FailureOutput as FailureOutput,
    )
    from .model.process_outputs import (
        ProcessStatus as ProcessStatus,
    )
    from .model.process_outputs import (
        RunningStatus as RunningStatus,
    )
    from .model.process_outputs import (
        SuccessOutput as SuccessOutput,
    )
    from .model.processes import (
        AbandonRequest as AbandonRequest,
    )
    from .model.processes import (
        ConstKey as ConstKey,
    )
    from .model.processes import (
        DedupeKey as DedupeKey,
    )
    from .model.processes import (
        EngineInput as EngineInput,
    )
    from .model.processes import (
        EventIdentityKey as EventIdentityKey,
    )
    from .model.processes import (
        ExternalInput as ExternalInput,
    )
    from .model.processes import (
        HostOriginator as HostOriginator,
    )
    from .model.processes import (
        Originator as Originator,
    )
    from .model.processes import (
        ProcessEventSemanticsSpec as ProcessEventSemanticsSpec,
    )
    from .model.processes import (
        ProcessEventType as ProcessEventType,
    )
    from .model.processes import (
        ProcessExternalRef as ProcessExternalRef,
    )
    from .model.processes import (
        ProcessIdentity as ProcessIdentity,
    )
    from .model.processes import (
        ProcessInput as ProcessInput,
    )
    from .model.processes import (
        ProcessListFilter as ProcessListFilter,
    )
    from .model.processes import (
        ProcessProvenance as ProcessProvenance,
    )
    from .model.processes import (
        ProcessPruneReport as ProcessPruneReport,
    )
    from .model.processes import (
        ProcessRecord as ProcessRecord,
    )
    from .model.processes import (
        ProcessRegistration as ProcessRegistration,
    )
    from .model.processes import (
        ProcessStarted as ProcessStarted,
    )
    from .model.processes import (
        ProcessStatusFilter as ProcessStatusFilter,
    )
    from .model.processes import (
        ProcessTerminalSpec as ProcessTerminalSpec,
    )
    from .model.processes import (
        ProcessWakeSpec as ProcessWakeSpec,
    )
    from .model.processes import (
        RecoveryDisposition as RecoveryDisposition,
    )
    from .model.processes import (
        SelectorKey as SelectorKey,
    )
    from .model.processes import (
        SessionOriginator as SessionOriginator,
    )
    from .model.processes import (
        SessionScope as SessionScope,
    )
    from .model.processes import (
        SessionTurnInput as SessionTurnInput,
    )
    from .model.processes import (
        SignalWait as SignalWait,
    )
    from .model.processes import (
        ToolCallInput as ToolCallInput,
    )
    from .model.processes import (
        WaitState as WaitState,
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
    from .model.selectors import (
        ConstSelector as ConstSelector,
    )
    from .model.selectors import (
        PayloadSelector as PayloadSelector,
    )
    from .model.selectors import (
        PointerSelector as PointerSelector,
    )
    from .model.selectors import (
        PresentSelector as PresentSelector,
    )
    from .model.selectors import (
        Selector as Selector,
    )
    from .model.selectors import (
        TemplateSelector as TemplateSelector,
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
    from .processes import (
        ProcessRegistry as ProcessRegistry,
    )
    from .runtime import (
        LeaseHeldError as LeaseHeldError,
    )
    from .runtime import (
        LeaseKeeper as LeaseKeeper,
    )
    from .runtime import (
        Turn as Turn,
    )
    from .runtime import (
        TurnInterruptedError as TurnInterruptedError,
    )
    from .runtime import (
        TurnOutcome as TurnOutcome,
    )
    from .runtime import (
        TurnRunner as TurnRunner,
    )
    from .runtime import (
        Worker as Worker,
    )
    from .runtime import (
        deliver_wakes as deliver_wakes,
    )
    from .runtime import (
        keep_process_lease as keep_process_lease,
    )
    from .runtime import (
        keep_session_lease as keep_session_lease,
    )
    from .runtime import (
        this_process as this_process,
    )
    from .runtime import (
        wake_source_key as wake_source_key,
    )
    from .session_copies import (
        CopyOutcome as CopyOutcome,
    )
    from .session_copies import (
        CopyReport as CopyReport,
    )
    from .session_copies import (
        SessionCopy as SessionCopy,
    )
    from .session_copies import (
        copy_sessions as copy_sessions,
    )
    from .store import (
        SessionTransaction as SessionTransaction,
    )
    from .store import (
        Store as Store,
    )
    from .tools.archives import (
        ArchiveReport as ArchiveReport,
    )
    from .tools.archives import (
        export_session as export_session,
    )
    from .tools.archives import (
        import_session as import_session,
    )
    from .tools.backup_format import (
        Snapshot as Snapshot,
    )
    from .tools.backups import (
        BackupReport as BackupReport,
    )
    from .tools.backups import (
        RestoreReport as RestoreReport,
    )
    from .tools.backups import (
        backup as backup,
    )
    from .tools.backups import (
        list_snapshots as list_snapshots,
    )
    from .tools.backups import (
        restore as restore,
    )
    from .tools.compacting import (
        CompactReport as CompactReport,
    )
    from .tools.compacting import (
        compact as compact,
    )
    from .tools.diagnosis import (
        Diagnosis as Diagnosis,
    )
    from .tools.diagnosis import (
        DoctorReport as DoctorReport,
    )
    from .tools.diagnosis import (
        Health as Health,
    )
    from .tools.doctoring import (
        doctor as doctor,
    )
    from .tools.findings import (
        Finding as Finding,
    )
    from .tools.findings import (
        FindingKind as FindingKind,
    )
    from .tools.findings import (
        Severity as Severity,
    )
    from .tools.findings import (
        VerifyReport as VerifyReport,
    )
    from .tools.repairing import (
        RepairReport as RepairReport,
    )
    from .tools.repairing import (
        repair as repair,
    )
    from .tools.verifying import (
        verify as verify,
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
    "ciphers": (
        "AesGcmCipher",
        "ContentCipher",
    ),
    "clock": (
        "Clock",
        "ManualClock",
        "SystemClock",
    ),
    "effects": (
        "EffectController",
        "EffectHost",
    ),
    "errors": (
        "ArchiveError",
        "AlreadyExistsError",
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
        "ContentKeyError",
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
        "UnsafeFileSystemError",
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
        "CheckpointRetention",
        "DurabilityTier",
        "GcPolicy",
        "LeaseTimings",
        "StoreOptions",
        "Synchronous",
        "UnsafeFileSystem",
    ),
    "model.process_events": (
        "ProcessEvent",
        "ProcessEventAppendRequest",
        "ProcessEventAppendResult",
        "ProcessEventSemantics",
        "ProcessTerminalSemantics",
        "ProcessWakeSemantics",
    ),
    "model.process_grants": (
        "ProcessHandleDescriptor",
        "ProcessHandleGrant",
        "ProcessSessionDeleteReport",
    ),
    "model.process_leases": (
        "ProcessLease",
        "ProcessLeaseCompletion",
    ),
    "model.process_outputs": (
        "AbandonEvidence",
        "AbandonWriter",
        "AbandonedOutput",
        "AbandonedStatus",
        "AwaitOutput",
        "CancelledOutput",
        "CancelledStatus",
        "CompletedStatus",
        "FailedStatus",
        "FailureClass",
        "FailureOutput",
        "ProcessStatus",
        "RunningStatus",
        "SuccessOutput",
    ),
    "model.processes": (
        "AbandonRequest",
        "ConstKey",
        "DedupeKey",
        "EngineInput",
        "EventIdentityKey",
        "ExternalInput",
        "HostOriginator",
        "Originator",
        "ProcessEventSemanticsSpec",
        "ProcessEventType",
        "ProcessExternalRef",
        "ProcessIdentity",
        "ProcessInput",
        "ProcessListFilter",
        "ProcessProvenance",
        "ProcessPruneReport",
        "ProcessRecord",
        "ProcessRegistration",
        "ProcessStarted",
        "ProcessStatusFilter",
        "ProcessTerminalSpec",
        "ProcessWakeSpec",
        "RecoveryDisposition",
        "SelectorKey",
        "SessionOriginator",
        "SessionScope",
        "SessionTurnInput",
        "SignalWait",
        "ToolCallInput",
        "WaitState",
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
    "model.selectors": (
        "ConstSelector",
        "PayloadSelector",
        "PointerSelector",
        "PresentSelector",
        "Selector",
        "TemplateSelector",
    ),
    "model.session": (
        "ChildRelation",
        "PersistedSession",
        "RootRelation",
        "SessionHeadMeta",
        "SessionMeta",
        "SessionPickerInfo",
        "SessionRelation",
    ),
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
    "processes": ("ProcessRegistry",),
    "runtime": (
        "LeaseHeldError",
        "LeaseKeeper",
        "Turn",
        "TurnInterruptedError",
        "TurnOutcome",
        "TurnRunner",
        "Worker",
        "deliver_wakes",
        "keep_process_lease",
        "keep_session_lease",
        "this_process",
        "wake_source_key",
    ),
    "session_copies": (
        "CopyOutcome",
        "CopyReport",
        "SessionCopy",
        "copy_sessions",
    ),
    "store": (
        "SessionTransaction",
        "Store",
    ),
    "tools.archives": (
        "ArchiveReport",
        "export_session",
        "import_session",
    ),
    "tools.backup_format": ("Snapshot",),
    "tools.backups": (
        "BackupReport",
        "RestoreReport",
        "backup",
        "list_snapshots",
        "restore",
    ),
    "tools.compacting": (
        "CompactReport",
        "compact",
    ),
    "tools.diagnosis": (
        "Diagnosis",
        "DoctorReport",
        "Health",
    ),
    "tools.doctoring": ("doctor",),
    "tools.findings": (
        "Finding",
        "FindingKind",
        "Severity",
        "VerifyReport",
    ),
    "tools.repairing": (
        "RepairReport",
        "repair",
    ),
    "tools.verifying": ("verify",),
    "triggers": ("TriggerStore",),
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
