"""
Pictures of a session: all it holds, read for comparison and for reports.
"""

from collections.abc import Iterator
from pathlib import Path

from lashstore import AttachmentStore, SessionStoreFactory, Store, TokenLedgerEntry
from lashstore.model.commit import StoredTurn
from lashstore.model.record import Json, Record
from lashstore.model.session import PersistedSession

from .errors import HostingError
from .parcels import attachment_id_of, unpack
from .plan import ReplayPlan
from .roots import root_at


class SessionPicture(Record, frozen=True, kw_only=True):
    """
    A session and everything around it.

    `turns` are the stored turn results in the plan's order, `attachments` the
    content of every attachment its nodes refer to. `database_bytes` None: it
    has no database of its own.
    """

    place: str
    session: PersistedSession
    usage_deltas: tuple[TokenLedgerEntry, ...]
    turns: tuple[StoredTurn, ...]
    attachments: dict[str, bytes]
    restart_count: int
    database_bytes: int | None

    def messages(self) -> tuple[Json, ...]:
        """
        Return the conversation on the active path, large outputs put back.
        """
        return tuple(
            unpack(node.payload, self.attachments.__getitem__)
            for node in self.session.graph.active_path()
        )

    def total_tokens(self) -> int:
        """
        Return the tokens of the whole ledger.
        """
        return sum(entry.usage.total() for entry in self.session.token_ledger)

    def attachment_bytes(self) -> int:
        """
        Return the size of the attachments, each counted once.
        """
        return sum(map(len, self.attachments.values()))


def take_picture(plan: ReplayPlan, root: str | Path, session_id: str) -> SessionPicture:
    """
    Read a session that a plan was run in, as far as it came.

    Raises:
        HostingError: There is no such session, or nothing is committed yet.
        LashStoreError: Something of it cannot be read.
    """
    place = root_at(root)
    with SessionStoreFactory(place.address) as factory:
        store = factory.open_existing_store(session_id)
        if store is None:
            msg = f"{place.name} has no session {session_id!r}"
            raise HostingError(msg)
        with store:
            session = store.load_session()
            if session is None:
                msg = f"session {session_id!r} has no committed turn"
                raise HostingError(msg)
            usage_deltas = store.load_usage_deltas()
            turns, restart_count = _read_records(store, plan)
            attachments = _read_attachments(place.open_attachments(store), session)
    return SessionPicture(
        place=place.place_of(session_id),
        session=session,
        usage_deltas=usage_deltas,
        turns=turns,
        attachments=attachments,
        restart_count=restart_count,
        database_bytes=place.size_of(session_id),
    )


def differences(one: SessionPicture, other: SessionPicture) -> Iterator[str]:
    """
    Name what differs between two sessions that replayed one plan.

    Session ids, paths, sizes and restarts may differ.
    """
    pairs: tuple[tuple[str, Json, Json], ...] = (
        ("head revision", one.session.head_revision, other.session.head_revision),
        ("config", one.session.config, other.session.config),
        ("agent frames", one.session.agent_frames, other.session.agent_frames),
        ("nodes", one.session.graph.nodes, other.session.graph.nodes),
        ("leaf", one.session.graph.leaf_node_id, other.session.graph.leaf_node_id),
        ("checkpoint", one.session.checkpoint, other.session.checkpoint),
        ("token ledger", one.session.token_ledger, other.session.token_ledger),
        ("usage deltas", one.usage_deltas, other.usage_deltas),
        ("turn count", len(one.turns), len(other.turns)),
        ("turn results", _results(one), _results(other)),
        ("attachments", one.attachments, other.attachments),
    )
    for what, left, right in pairs:
        if left != right:
            yield what


def _results(picture: SessionPicture) -> Json:
    # Not the hashes: they cover the session's id.
    return [turn.result for turn in picture.turns]


def _read_records(store: Store, plan: ReplayPlan) -> tuple[tuple[StoredTurn, ...], int]:
    with store.transaction() as records:
        found = [
            records.turn_commits.find(store.session_id, turn.turn_id)
            for turn in plan.turns
        ]
        lease = records.execution_leases.find(store.session_id)
    # Fencing numbers count up by one for each run that took the lease.
    restart_count = 0 if lease is None else lease.fencing_token - 1
    return tuple(turn for turn in found if turn is not None), restart_count


def _read_attachments(
    attachments: AttachmentStore, session: PersistedSession
) -> dict[str, bytes]:
    ids = {attachment_id_of(node.payload) for node in session.graph.nodes} - {None}
    return {one: attachments.get(one)[1] for one in sorted(filter(None, ids))}
