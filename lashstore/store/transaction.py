"""
The repositories of one open transaction.
"""

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.clock import Clock
from lashstore.repos._bound import Bound, BoundTransaction
from lashstore.repos._sealing import SealingRunner
from lashstore.repos.admissions import AdmissionRepository
from lashstore.repos.artifacts import ArtifactRepository
from lashstore.repos.attachments import AttachmentRepository
from lashstore.repos.blobs import BlobRepository
from lashstore.repos.checkpoint_blobs import CheckpointBlobRepository
from lashstore.repos.checkpoints import CheckpointRepository
from lashstore.repos.graph import SessionGraphRepository
from lashstore.repos.heads import SessionHeadRepository
from lashstore.repos.leases import ExecutionLeaseRepository
from lashstore.repos.overviews import SessionOverviewRepository
from lashstore.repos.queue import QueuedWorkRepository
from lashstore.repos.session_meta import SessionMetaRepository
from lashstore.repos.sessions import SessionRepository
from lashstore.repos.turn_commits import TurnCommitRepository
from lashstore.repos.turn_inputs import TurnInputRepository
from lashstore.repos.usage import UsageRepository


class SessionTransaction(BoundTransaction):
    """
    Repositories bound to one open connection.

    Every call through it belongs to the same transaction, which commits when
    the context that gave it ends, and is undone by any exception. Repository
    methods take the session's id first: `tx.heads.find(tx.session_id)`.
    """

    sessions: Bound[SessionRepository] = Bound(SessionRepository)
    session_meta: Bound[SessionMetaRepository] = Bound(SessionMetaRepository)
    heads: Bound[SessionHeadRepository] = Bound(SessionHeadRepository)
    admissions: Bound[AdmissionRepository] = Bound(AdmissionRepository)
    graph: Bound[SessionGraphRepository] = Bound(SessionGraphRepository)
    blobs: Bound[BlobRepository] = Bound(BlobRepository)
    checkpoints: Bound[CheckpointRepository] = Bound(CheckpointRepository)
    checkpoint_blobs: Bound[CheckpointBlobRepository] = Bound(CheckpointBlobRepository)
    artifacts: Bound[ArtifactRepository] = Bound(ArtifactRepository)
    usage: Bound[UsageRepository] = Bound(UsageRepository)
    turn_commits: Bound[TurnCommitRepository] = Bound(TurnCommitRepository)
    execution_leases: Bound[ExecutionLeaseRepository] = Bound(ExecutionLeaseRepository)
    queued_work: Bound[QueuedWorkRepository] = Bound(QueuedWorkRepository)
    turn_inputs: Bound[TurnInputRepository] = Bound(TurnInputRepository)
    attachments: Bound[AttachmentRepository] = Bound(AttachmentRepository)
    overviews: Bound[SessionOverviewRepository] = Bound(SessionOverviewRepository)

    def __init__(
        self,
        connection: sa.Connection,
        session_id: str,
        clock: Clock,
        cipher: ContentCipher | None = None,
    ) -> None:
        rows = None if cipher is None else SealingRunner(connection, session_id, cipher)
        super().__init__(connection, clock, rows)
        self.session_id = session_id
