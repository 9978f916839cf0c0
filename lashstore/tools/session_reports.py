"""
All that one look at a session tells: the answer of `lashstore show`.
"""

from lashstore import procfs
from lashstore.model.blobs import BlobRef
from lashstore.model.graph import SessionNode
from lashstore.model.leases import (
    LeaseOwnerIdentity,
    LocalProcessLiveness,
    is_live,
)
from lashstore.model.record import Json, Record
from lashstore.model.session import SessionMeta
from lashstore.model.usage import TokenLedgerEntry
from lashstore.repos.heads import StoredHead
from lashstore.repos.overviews import SessionCounts
from lashstore.store.transaction import SessionTransaction

from .overviews import SessionOverview, overview_in
from .reading import SessionReader


class LeaseReport(Record, frozen=True, kw_only=True):
    """
    The lease to run a session.

    `is_live`: its time has not come. `is_holder_dead`: its holder's process
    is provably gone, as seen from here; False says nothing. Both are False
    where nobody holds it, and `owner` is None then.
    """

    fencing_token: int
    is_live: bool = False
    is_holder_dead: bool = False
    owner: LeaseOwnerIdentity | None = None
    claimed_at_ms: int | None = None
    expires_at_ms: int | None = None

    @property
    def is_held(self) -> bool:
        """
        Whether somebody may be running the session now.
        """
        return self.is_live and not self.is_holder_dead


class HeadReport(Record, frozen=True, kw_only=True):
    """
    The head but for its graph and checkpoint.
    """

    config: Json
    agent_frames: tuple[Json, ...]
    current_agent_frame_id: str
    leaf_node_id: str | None
    checkpoint_ref: BlobRef | None


class SessionReport(Record, frozen=True, kw_only=True):
    """
    A session. Of a sealed one `meta`, `head` and `last_nodes` are not told.

    `lease` is None if it was never leased; `last_nodes` are the end of the
    active path, in its order; `usage` is merged by source and model.
    """

    overview: SessionOverview
    meta: SessionMeta | None = None
    head: HeadReport | None = None
    lease: LeaseReport | None
    counts: SessionCounts
    usage: tuple[TokenLedgerEntry, ...]
    last_nodes: tuple[SessionNode, ...] = ()


def report_session(reader: SessionReader, *, last: int) -> SessionReport:
    """
    Look at a session.

    Args:
        last: How many nodes of the active path's end to return at most; 0:
            none.

    Raises:
        CorruptRecordError, RecordVersionError: What was looked at is damaged.
        StoreNotFoundError: It was deleted meanwhile.
        StoreBusyError, BackendError: As for every read.
    """

    def operation(tx: SessionTransaction) -> SessionReport:
        head = None if reader.is_sealed else tx.heads.find(tx.session_id)
        return SessionReport(
            overview=overview_in(tx, reader),
            meta=None if reader.is_sealed else tx.session_meta.find(tx.session_id),
            head=None if head is None else _head_report(head),
            lease=find_lease(tx),
            counts=tx.overviews.count(tx.session_id),
            usage=tx.usage.list_totals(tx.session_id),
            last_nodes=_last_nodes(tx, head, last),
        )

    return reader.look_past_seal(operation)


def _head_report(head: StoredHead) -> HeadReport:
    meta = head.meta()
    return HeadReport(
        config=meta.config,
        agent_frames=meta.agent_frames,
        current_agent_frame_id=meta.current_agent_frame_id,
        leaf_node_id=meta.leaf_node_id,
        checkpoint_ref=meta.checkpoint_ref,
    )


def _last_nodes(
    tx: SessionTransaction, head: StoredHead | None, last: int
) -> tuple[SessionNode, ...]:
    if head is None or head.leaf_node_id is None or last == 0:
        return ()
    return tx.graph.list_path_end(tx.session_id, head.leaf_node_id, length=last)


def find_lease(tx: SessionTransaction) -> LeaseReport | None:
    """
    Return a session's lease; None if it was never leased.

    Raises:
        CorruptRecordError: Its row is damaged.
    """
    row = tx.execution_leases.find(tx.session_id)
    if row is None:
        return None
    lease = row.lease
    if lease is None:
        return LeaseReport(fencing_token=row.fencing_token)
    return LeaseReport(
        fencing_token=row.fencing_token,
        is_live=is_live(lease.expires_at_ms, tx.now_ms),
        is_holder_dead=_is_gone(lease.owner),
        owner=lease.owner,
        claimed_at_ms=lease.claimed_at_ms,
        expires_at_ms=lease.expires_at_ms,
    )


def _is_gone(owner: LeaseOwnerIdentity) -> bool:
    # As a claimant would see it that says to be on the holder's host: boot
    # and PID namespace decide, whatever hosts call themselves.
    liveness = owner.liveness
    return isinstance(liveness, LocalProcessLiveness) and owner.is_definitely_dead_for(
        LeaseOwnerIdentity.local_process(
            "lashstore-cli", str(procfs.boot_id()), liveness.host_id
        )
    )
