"""
The repositories of one open transaction.
"""

from functools import cached_property

import sqlalchemy as sa

from lashstore.clock import Clock
from lashstore.repos import (
    ArtifactRepository,
    AttachmentRepository,
    BlobRepository,
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


class SessionTransaction:
    """
    Repositories bound to one open connection.

    Every call through it belongs to the same transaction, which commits when
    the context that gave it ends, and is undone by any exception. Repository
    methods take the session's id first: `tx.heads.find(tx.session_id)`.
    """

    def __init__(
        self, connection: sa.Connection, session_id: str, clock: Clock
    ) -> None:
        self.connection = connection
        self.session_id = session_id
        self._clock = clock

    @cached_property
    def now_ms(self) -> int:
        """
        The operation's time: read once, when it is first needed.
        """
        return self._clock.now_ms()

    @cached_property
    def sessions(self) -> SessionRepository:
        """
        Identity and admission sequence.
        """
        return SessionRepository(self.connection)

    @cached_property
    def heads(self) -> SessionHeadRepository:
        """
        Heads.
        """
        return SessionHeadRepository(self.connection)

    @cached_property
    def graph(self) -> SessionGraphRepository:
        """
        Nodes.
        """
        return SessionGraphRepository(self.connection)

    @cached_property
    def checkpoints(self) -> CheckpointRepository:
        """
        Checkpoints.
        """
        return CheckpointRepository(self.connection)

    @cached_property
    def blobs(self) -> BlobRepository:
        """
        Blobs.
        """
        return BlobRepository(self.connection)

    @cached_property
    def usage(self) -> UsageRepository:
        """
        Usage deltas and totals.
        """
        return UsageRepository(self.connection)

    @cached_property
    def turn_commits(self) -> TurnCommitRepository:
        """
        Committed turns.
        """
        return TurnCommitRepository(self.connection)

    @cached_property
    def execution_leases(self) -> ExecutionLeaseRepository:
        """
        Execution leases.
        """
        return ExecutionLeaseRepository(self.connection)

    @cached_property
    def queued_work(self) -> QueuedWorkRepository:
        """
        Queued batches.
        """
        return QueuedWorkRepository(self.connection)

    @cached_property
    def turn_inputs(self) -> TurnInputRepository:
        """
        Turn inputs.
        """
        return TurnInputRepository(self.connection)

    @cached_property
    def attachments(self) -> AttachmentRepository:
        """
        The attachment manifest.
        """
        return AttachmentRepository(self.connection)

    @cached_property
    def artifacts(self) -> ArtifactRepository:
        """
        Artifact names.
        """
        return ArtifactRepository(self.connection)

    @cached_property
    def session_meta(self) -> SessionMetaRepository:
        """
        Session meta.
        """
        return SessionMetaRepository(self.connection)
