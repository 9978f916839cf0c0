"""
The rows: one class a concern, each over a SQLAlchemy Connection.

A repository holds no state, and never begins, commits or rolls back; what
spans two concerns lives in the stores.

Names are imported when they are first used: who opens a session needs none of
the deployment's statements.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifacts import ArtifactRepository as ArtifactRepository
    from .attachments import AttachmentRepository as AttachmentRepository
    from .blobs import BlobRepository as BlobRepository
    from .checkpoint_blobs import CheckpointBlobRepository as CheckpointBlobRepository
    from .checkpoints import CheckpointRepository as CheckpointRepository
    from .effects import EffectRepository as EffectRepository
    from .graph import SessionGraphRepository as SessionGraphRepository
    from .handle_grants import HandleGrantRepository as HandleGrantRepository
    from .heads import SessionHeadRepository as SessionHeadRepository
    from .leases import ExecutionLeaseRepository as ExecutionLeaseRepository
    from .overviews import SessionOverviewRepository as SessionOverviewRepository
    from .process_events import ProcessEventRepository as ProcessEventRepository
    from .process_leases import ProcessLeaseRepository as ProcessLeaseRepository
    from .processes import ProcessRepository as ProcessRepository
    from .queue import QueuedWorkRepository as QueuedWorkRepository
    from .session_meta import SessionMetaRepository as SessionMetaRepository
    from .sessions import SessionRepository as SessionRepository
    from .triggers import TriggerRepository as TriggerRepository
    from .turn_commits import TurnCommitRepository as TurnCommitRepository
    from .turn_inputs import TurnInputRepository as TurnInputRepository
    from .usage import UsageRepository as UsageRepository

_MODULES = {
    "ArtifactRepository": "artifacts",
    "AttachmentRepository": "attachments",
    "BlobRepository": "blobs",
    "CheckpointBlobRepository": "checkpoint_blobs",
    "CheckpointRepository": "checkpoints",
    "EffectRepository": "effects",
    "ExecutionLeaseRepository": "leases",
    "HandleGrantRepository": "handle_grants",
    "ProcessEventRepository": "process_events",
    "ProcessLeaseRepository": "process_leases",
    "ProcessRepository": "processes",
    "QueuedWorkRepository": "queue",
    "SessionGraphRepository": "graph",
    "SessionHeadRepository": "heads",
    "SessionOverviewRepository": "overviews",
    "SessionMetaRepository": "session_meta",
    "SessionRepository": "sessions",
    "TriggerRepository": "triggers",
    "TurnCommitRepository": "turn_commits",
    "TurnInputRepository": "turn_inputs",
    "UsageRepository": "usage",
}

__all__ = tuple(_MODULES)


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
