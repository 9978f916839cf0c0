"""
The repositories of one open transaction.
"""

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.clock import Clock
from lashstore.repos import (
    ArtifactRepository,
    AttachmentRepository,
    BlobRepository,
    CheckpointBlobRepository,
    CheckpointRepository,
    ExecutionLeaseRepository,
    QueuedWorkRepository,
    SessionGraphRepository,
    SessionHeadRepository,
    SessionMetaRepository,
    SessionRepository,
    TurnCommitRepository,
    TurnInputRepository,
    UsageRepository,
)
from lashstore.repos._run import Runner
from lashstore.repos._sealing import SealingRunner


class SessionTransaction:
    """
    Repositories bound to one open connection.

    Every call through it belongs to the same transaction, which commits when
    the context that gave it ends, and is undone by any exception. Repository
    methods take the session's id first: `tx.heads.find(tx.session_id)`.
    """

    def __init__(
        self,
        connection: sa.Connection,
        session_id: str,
        clock: Clock,
        cipher: ContentCipher | None = None,
    ) -> None:
        self.session_id = session_id
        self._clock = clock
        self._now_ms: int | None = None
        rows = (
            Runner(connection)
            if cipher is None
            else SealingRunner(connection, session_id, cipher)
        )
        self.sessions = SessionRepository(rows)
        self.session_meta = SessionMetaRepository(rows)
        self.heads = SessionHeadRepository(rows)
        self.graph = SessionGraphRepository(rows)
        self.blobs = BlobRepository(rows)
        self.checkpoints = CheckpointRepository(rows)
        self.checkpoint_blobs = CheckpointBlobRepository(rows)
        self.artifacts = ArtifactRepository(rows)
        self.usage = UsageRepository(rows)
        self.turn_commits = TurnCommitRepository(rows)
        self.execution_leases = ExecutionLeaseRepository(rows)
        self.queued_work = QueuedWorkRepository(rows)
        self.turn_inputs = TurnInputRepository(rows)
        self.attachments = AttachmentRepository(rows)

    @property
    def now_ms(self) -> int:
        """
        The operation's time: read once, when it is first needed.
        """
        if self._now_ms is None:
            self._now_ms = self._clock.now_ms()
        return self._now_ms
