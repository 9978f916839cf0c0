"""
The rows: one class a concern, each over a SQLAlchemy Connection.

A repository holds no state, and never begins, commits or rolls back; what
spans two concerns lives in the stores.
"""

from .artifacts import ArtifactRepository
from .attachments import AttachmentRepository
from .blobs import BlobRepository
from .checkpoint_blobs import CheckpointBlobRepository
from .checkpoints import CheckpointRepository
from .effects import EffectRepository
from .graph import SessionGraphRepository
from .handle_grants import HandleGrantRepository
from .heads import SessionHeadRepository
from .leases import ExecutionLeaseRepository
from .process_events import ProcessEventRepository
from .process_leases import ProcessLeaseRepository
from .processes import ProcessRepository
from .queue import QueuedWorkRepository
from .session_meta import SessionMetaRepository
from .sessions import SessionRepository
from .triggers import TriggerRepository
from .turn_commits import TurnCommitRepository
from .turn_inputs import TurnInputRepository
from .usage import UsageRepository

__all__ = [
    "ArtifactRepository",
    "AttachmentRepository",
    "BlobRepository",
    "CheckpointBlobRepository",
    "CheckpointRepository",
    "EffectRepository",
    "ExecutionLeaseRepository",
    "HandleGrantRepository",
    "ProcessEventRepository",
    "ProcessLeaseRepository",
    "ProcessRepository",
    "QueuedWorkRepository",
    "SessionGraphRepository",
    "SessionHeadRepository",
    "SessionMetaRepository",
    "SessionRepository",
    "TriggerRepository",
    "TurnCommitRepository",
    "TurnInputRepository",
    "UsageRepository",
]
