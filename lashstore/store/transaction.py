"""
The repositories of one open transaction.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.clock import Clock
from lashstore.repos._run import Runner
from lashstore.repos._sealing import SealingRunner
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


class SessionTransaction:
    """
    Repositories bound to one open connection.

    Every call through it belongs to the same transaction, which commits when
    the context that gave it ends, and is undone by any exception. Repository
    methods take the session's id first: `tx.heads.find(tx.session_id)`.
    """

    sessions: SessionRepository
    session_meta: SessionMetaRepository
    heads: SessionHeadRepository
    graph: SessionGraphRepository
    blobs: BlobRepository
    checkpoints: CheckpointRepository
    checkpoint_blobs: CheckpointBlobRepository
    artifacts: ArtifactRepository
    usage: UsageRepository
    turn_commits: TurnCommitRepository
    execution_leases: ExecutionLeaseRepository
    queued_work: QueuedWorkRepository
    turn_inputs: TurnInputRepository
    attachments: AttachmentRepository
    overviews: SessionOverviewRepository

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
        self._rows = (
            Runner(connection)
            if cipher is None
            else SealingRunner(connection, session_id, cipher)
        )

    def __getattr__(self, name: str) -> Any:
        # Made when it is first asked for: most transactions need few.
        kind = _REPOSITORIES.get(name)
        if kind is None:
            msg = f"a transaction has no {name!r}"
            raise AttributeError(msg, name=name, obj=self)
        repository = kind(self._rows)
        setattr(self, name, repository)
        return repository

    @property
    def now_ms(self) -> int:
        """
        The operation's time: read once, when it is first needed.
        """
        if self._now_ms is None:
            self._now_ms = self._clock.now_ms()
        return self._now_ms


_REPOSITORIES = SessionTransaction.__annotations__
