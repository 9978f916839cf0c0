"""
The single schema: every table of every component, and nothing that behaves.

Rules of the whole schema:

* Every session table leads its primary key with `session_id`, so that one
  PostgreSQL database holds all sessions by the same statements that serve a
  file of one session.
* Times are epoch milliseconds (`_ms`), sizes are bytes (`_bytes`), a state is
  the text of its enum, JSON is compact text with sorted keys.
* `checksum` covers a row's key and its content (`lashstore.codec.row_checksum`)
  and is verified on every read. Lease and claim columns are not content.
* Tables are STRICT on SQLite, constraints are named, and each index says
  which method it serves.
* `metadata.create_all(engine)` gives the whole schema, marked as ours and
  stamped with each component's version.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from .model.blobs import ArtifactKind
from .model.effects import EffectStatus
from .model.process_outputs import PROCESS_STATES
from .model.processes import RecoveryDisposition
from .model.queue import DeliveryPolicy, QueuedWorkClass, SlotPolicy
from .model.turn_inputs import CheckpointKind, TurnInputState
from .model.usage import USAGE_COUNTERS

# "lash" in ASCII, in the header of every SQLite file of ours; see
# https://www.sqlite.org/pragma.html#pragma_application_id.
APPLICATION_ID = 0x6C617368

SESSION_COMPONENT = "session"
PROCESS_COMPONENT = "process"
TRIGGER_COMPONENT = "trigger"
EFFECT_COMPONENT = "effect"
SCHEMA_VERSIONS = {
    SESSION_COMPONENT: "1",
    PROCESS_COMPONENT: "1",
    TRIGGER_COMPONENT: "1",
    EFFECT_COMPONENT: "1",
}

metadata: sa.MetaData = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# STRICT tables spell their one integer type, of 64 bits, INTEGER.
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(name: str, *parts: Any, with_rowid: bool = True) -> sa.Table:
    # Without a rowid a table is its primary key's index: for rows without
    # content, which then take one page less at each write.
    return sa.Table(
        name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=with_rowid
    )


# By code point on both engines; and an operating system's new collation rules
# cannot make PostgreSQL's indexes wrong
# (https://wiki.postgresql.org/wiki/Locale_data_changes).
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _TEXT, nullable=null, primary_key=key)


def _integer(name: str, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    return sa.Column(
        name, _INTEGER, nullable=null, primary_key=key, autoincrement=False
    )


def _flag(name: str) -> sa.Column[Any]:
    # An integer on both engines: STRICT tables know no boolean, and partial
    # index predicates then read the same.
    return sa.Column(name, _INTEGER, nullable=False)


def _one_of(column: str, values: Iterable[str]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _counters(*columns: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        " AND ".join(f"{column} >= 0" for column in columns), name="counters"
    )


def _claim_columns() -> tuple[Any, ...]:
    # A claim is whole or absent: the token says which, and the fencing token
    # outlives it. `claim_host_id` is the holder's host where its death can be
    # proven there, so that a scan finds the claims worth a look at /proc.
    return (
        _text("claim_id", null=True),
        _text("claim_token", null=True),
        _text("claim_owner_json", null=True),
        _text("claim_host_id", null=True),
        _integer("claim_fencing_token"),
        _integer("claimed_at_ms", null=True),
        _integer("claim_expires_at_ms", null=True),
        sa.CheckConstraint(
            "(claim_id IS NULL) = (claim_token IS NULL)"
            " AND (claim_id IS NULL) = (claim_owner_json IS NULL)"
            " AND (claim_id IS NULL) = (claimed_at_ms IS NULL)"
            " AND (claim_id IS NULL) = (claim_expires_at_ms IS NULL)"
            " AND (claim_id IS NOT NULL OR claim_host_id IS NULL)",
            name="claim_whole",
        ),
    )


# They do not know at once that they are partial on PostgreSQL, too: to tell
# them makes SQLAlchemy import all it has for that engine, which takes a tenth
# of the time of importing lashstore.
_partial_indexes: list[sa.Index] = []


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    index = sa.Index(name, *columns, unique=unique, sqlite_where=sa.text(where))
    _partial_indexes.append(index)
    return index


def complete_for_postgresql() -> None:
    """
    Make the partial indexes partial on PostgreSQL as well. `create_all` there
    does so by itself; whoever reads the tables otherwise asks for it.
    """
    for index in _partial_indexes:
        predicate = index.dialect_options["sqlite"]["where"]
        index.dialect_options["postgresql"]["where"] = predicate


# The predicate of a partial index; a query is served by it only if it repeats
# the predicate. Where an index holds the one value its predicate names, the
# column stands in it all the same: SQLite's planner, without statistics, takes
# the index with more equal columns.
TURN_INPUTS = "state IN ('pending_active', 'accepted')"

# The version of each component whose tables this database has.
schema_versions: sa.Table = _table(
    "schema_versions",
    _text("component", key=True),
    _text("version"),
)

# One row per session, made when its store is first opened. It is what writers
# of one session wait for on PostgreSQL.
sessions: sa.Table = _table(
    "sessions",
    _text("session_id", key=True),
    # Random, new each time an id is created afresh: tells an old handle that
    # its session was deleted, even if another one has the name now.
    _text("incarnation"),
    # The last admission number given to a batch or a turn input; never
    # reused, unlike a rowid.
    _integer("admission_seq"),
    # Sealed by the key the session's content was first sealed with, so that
    # whoever opens it can prove to have it; NULL: the content is plain.
    _text("content_seal", null=True),
    _counters("admission_seq"),
)

# What a picker shows of a session; absent until somebody saves it.
session_meta: sa.Table = _table(
    "session_meta",
    _text("session_id", key=True),
    _text("meta_json"),
    _integer("checksum"),
)

# The head: one row per session from its first commit on.
session_heads: sa.Table = _table(
    "session_heads",
    _text("session_id", key=True),
    _integer("schema_version"),
    _integer("head_revision"),
    _text("config_json"),
    _text("agent_frames_json"),
    _text("current_agent_frame_id"),
    _text("checkpoint_ref", null=True),
    _text("leaf_node_id", null=True),
    # Live nodes as of the last commit: part of the head.
    _integer("graph_node_count"),
    # Live nodes and user messages now, tombstones since taken off: what a
    # full read is checked against, and what a picker shows.
    _integer("live_node_count"),
    _integer("user_message_count"),
    # The first user message now: the picker's line, found without a search.
    _text("first_user_node_id", null=True),
    _integer("checksum"),
    sa.CheckConstraint("head_revision > 0", name="revision_positive"),
    _counters("graph_node_count", "live_node_count", "user_message_count"),
)

# One row per node ever appended and not vacuumed. The small columns stand
# before the JSON, so that walking the parents reads no overflow page.
session_nodes: sa.Table = _table(
    "session_nodes",
    _text("session_id", key=True),
    _text("node_id", key=True),
    # Insertion order.
    _integer("seq"),
    _text("parent_node_id", null=True),
    _flag("is_tombstoned"),
    _flag("is_user_message"),
    _integer("checksum"),
    _text("node_json"),
    sa.CheckConstraint("is_tombstoned IN (0, 1)", name="is_tombstoned_flag"),
    sa.CheckConstraint("is_user_message IN (0, 1)", name="is_user_message_flag"),
    # list_live: the full graph in insertion order; next_seq.
    sa.Index("ix_session_nodes_seq", "session_id", "seq", unique=True),
    # first_user_message: the next one, once the first is tombstoned.
    _partial(
        "ix_session_nodes_user_messages",
        "session_id",
        "seq",
        where="is_user_message = 1 AND is_tombstoned = 0",
    ),
    # list_tombstoned (vacuum).
    _partial(
        "ix_session_nodes_tombstoned",
        "session_id",
        "node_id",
        where="is_tombstoned = 1",
    ),
    # remove_tombstoned: does a live node still name this parent?
    _partial(
        "ix_session_nodes_live_parents",
        "session_id",
        "parent_node_id",
        where="is_tombstoned = 0",
    ),
)

# One row per content: the key is the SHA-256 of what `content` decompresses
# to, so the key is its own checksum.
session_blobs: sa.Table = _table(
    "session_blobs",
    _text("session_id", key=True),
    _text("blob_ref", key=True),
    _text("kind"),
    _text("compression"),
    _integer("raw_bytes"),
    # The blob this one is stored as a difference to; NULL: stored whole.
    _text("base_ref", null=True),
    # How many others must be read to read this one. No content: a wrong one
    # can only end a chain early or late.
    _integer("chain_depth"),
    sa.Column("content", sa.LargeBinary, nullable=False),
    _one_of("kind", ArtifactKind),
    _one_of("compression", ("none", "zstd")),
    _counters("raw_bytes", "chain_depth"),
    sa.CheckConstraint(
        "(base_ref IS NULL) = (chain_depth = 0)", name="chain_depth_of_base"
    ),
    # remove_free, list_page: is this blob some other's base?
    _partial(
        "ix_session_blobs_bases", "session_id", "base_ref", where="base_ref IS NOT NULL"
    ),
)

# One row per blob that a commit's checkpoint named. A blob without a row was
# put by itself, and goes with a garbage collection only. No content: damage
# can only keep what an earlier checkpoint had, or let it go.
session_checkpoint_blobs: sa.Table = _table(
    "session_checkpoint_blobs",
    _text("session_id", key=True),
    _text("blob_ref", key=True),
    # The revision of the last commit that named it. 0: no kept checkpoint
    # does, and it goes with the last blob that has it as its base.
    _integer("last_revision"),
    _integer("named_at_ms"),
    _counters("last_revision", "named_at_ms"),
    # ask_oldest, remove_until: what a commit lets go of.
    sa.Index("ix_session_checkpoint_blobs_revision", "session_id", "last_revision"),
    with_rowid=False,
)

# Names given to blobs; each is a root of garbage collection.
session_artifacts: sa.Table = _table(
    "session_artifacts",
    _text("session_id", key=True),
    _text("namespace", key=True),
    _text("artifact_ref", key=True),
    _text("blob_ref"),
    _integer("checksum"),
    _one_of("namespace", ("module", "artifact", "process_execution_env")),
    # remove_free, list_page: blobs that a name keeps.
    sa.Index("ix_session_artifacts_blob_ref", "session_id", "blob_ref"),
)

# One row per usage delta, in the order they were booked.
session_usage: sa.Table = _table(
    "session_usage",
    _text("session_id", key=True),
    _integer("seq", key=True),
    _text("source"),
    _text("model"),
    *(_integer(counter) for counter in USAGE_COUNTERS),
    _integer("checksum"),
    _counters(*USAGE_COUNTERS),
)

# The ledger: usage added up by source and model, so that reading it does not
# cost a row per turn. `seq` orders by first appearance.
session_usage_totals: sa.Table = _table(
    "session_usage_totals",
    _text("session_id", key=True),
    _text("source", key=True),
    _text("model", key=True),
    _integer("seq"),
    *(_integer(counter) for counter in USAGE_COUNTERS),
    _integer("checksum"),
    _counters(*USAGE_COUNTERS),
    # list_totals: the ledger in order.
    sa.Index("ix_session_usage_totals_seq", "session_id", "seq"),
)

# One row per stamped commit: what a replay of it answers.
session_turn_commits: sa.Table = _table(
    "session_turn_commits",
    _text("session_id", key=True),
    _text("turn_id", key=True),
    _text("turn_commit_hash"),
    _text("result_json"),
    _integer("committed_at_ms"),
    # The result's revision, and which rows came with it: the first number and
    # how many, of `session_nodes.seq` and of `session_usage.seq`; 0 and 0 for
    # none. What a revision added is then found without a search.
    _integer("head_revision"),
    _integer("first_node_seq"),
    _integer("node_count"),
    _integer("first_usage_seq"),
    _integer("usage_count"),
    _integer("checksum"),
    _counters("first_node_seq", "node_count", "first_usage_seq", "usage_count"),
    # list_page, list_between: commits in order. Partial, though every row meets
    # it, so that a look for one turn cannot take it: PostgreSQL's planner would
    # where sessions are short on average, and read all of a long one's.
    _partial(
        "ix_session_turn_commits_revision",
        *("session_id", "head_revision"),
        where="head_revision > 0",
    ),
)

# One row per session that was ever leased. The row outlives the lease, so the
# fencing token never goes back; `lease_token` NULL: nobody holds it.
session_execution_leases: sa.Table = _table(
    "session_execution_leases",
    _text("session_id", key=True),
    _integer("fencing_token"),
    _text("lease_token", null=True),
    _text("owner_json", null=True),
    _integer("claimed_at_ms", null=True),
    _integer("expires_at_ms", null=True),
    _integer("checksum"),
    sa.CheckConstraint("fencing_token > 0", name="fencing_token_positive"),
    sa.CheckConstraint(
        "(lease_token IS NULL) = (owner_json IS NULL)"
        " AND (lease_token IS NULL) = (claimed_at_ms IS NULL)"
        " AND (lease_token IS NULL) = (expires_at_ms IS NULL)",
        name="lease_whole",
    ),
)

# One row per batch that is neither completed nor cancelled.
session_queued_batches: sa.Table = _table(
    "session_queued_batches",
    _text("session_id", key=True),
    _text("batch_id", key=True),
    _integer("enqueue_seq"),
    _text("source_key", null=True),
    _text("work_class"),
    _text("delivery_policy"),
    _text("slot_policy"),
    _text("merge_key_json"),
    _integer("available_at_ms"),
    _integer("enqueued_at_ms"),
    # 1 once it was seen available: a scan need not pass those that wait.
    _flag("is_ready"),
    *_claim_columns(),
    _integer("checksum"),
    _text("payloads_json"),
    _one_of("work_class", QueuedWorkClass),
    _one_of("delivery_policy", DeliveryPolicy),
    _one_of("slot_policy", SlotPolicy),
    _counters("enqueue_seq", "available_at_ms", "claim_fencing_token"),
    sa.CheckConstraint("is_ready IN (0, 1)", name="is_ready_flag"),
    # list_all, list_unclaimed: the queue in order.
    sa.Index(
        "ix_session_queued_batches_queue", "session_id", "enqueue_seq", unique=True
    ),
    # list_candidates: what is ready, in order; the last column lets a scan
    # pass claimed batches without reading their rows.
    _partial(
        "ix_session_queued_batches_ready",
        "session_id",
        "is_ready",
        "enqueue_seq",
        "claim_expires_at_ms",
        where="is_ready = 1",
    ),
    # make_ready: what has become available.
    _partial(
        "ix_session_queued_batches_waiting",
        "session_id",
        "is_ready",
        "available_at_ms",
        where="is_ready = 0",
    ),
    # find_by_source_key: a replayed enqueue.
    _partial(
        "ix_session_queued_batches_source_key",
        "session_id",
        "source_key",
        where="source_key IS NOT NULL",
        unique=True,
    ),
    # complete, renew_claim, abandon_claim: the rows of one claim.
    _partial(
        "ix_session_queued_batches_claim",
        "session_id",
        "claim_id",
        where="claim_id IS NOT NULL",
    ),
)

# One row per turn input; terminal ones stay until vacuum as evidence.
session_turn_inputs: sa.Table = _table(
    "session_turn_inputs",
    _text("session_id", key=True),
    _text("input_id", key=True),
    _integer("enqueue_seq"),
    _text("source_key", null=True),
    # What was submitted: a replayed submission is compared with it, however
    # often the input was deferred since.
    _text("submitted_ingress_json"),
    _text("state"),
    # 1 while the input may still be used: the first three states.
    _flag("is_open"),
    # The turn the input is for now; NULL: the next one.
    _text("turn_id", null=True),
    _text("min_boundary", null=True),
    _integer("enqueued_at_ms"),
    *_claim_columns(),
    _integer("checksum"),
    _text("input_json"),
    _one_of("state", TurnInputState),
    sa.CheckConstraint(
        "min_boundary IS NULL OR min_boundary IN ("
        + ", ".join(f"'{kind}'" for kind in CheckpointKind)
        + ")",
        name="min_boundary_known",
    ),
    sa.CheckConstraint(
        "(turn_id IS NULL) = (min_boundary IS NULL)", name="ingress_whole"
    ),
    sa.CheckConstraint(
        "(state <> 'pending_active' OR (turn_id IS NOT NULL AND claim_id IS NULL))"
        " AND (state <> 'accepted' OR (turn_id IS NOT NULL AND claim_id IS NOT NULL))"
        " AND (state <> 'deferred_next_turn' OR turn_id IS NULL)"
        " AND (state NOT IN ('cancelled', 'completed') OR claim_id IS NULL)",
        name="state_machine",
    ),
    sa.CheckConstraint(
        "(is_open = 1) = (state NOT IN ('cancelled', 'completed'))",
        name="is_open_state",
    ),
    sa.CheckConstraint("is_open IN (0, 1)", name="is_open_flag"),
    _counters("enqueue_seq", "claim_fencing_token"),
    # list_from: a suffix in order, terminal rows included.
    sa.Index("ix_session_turn_inputs_seq", "session_id", "enqueue_seq", unique=True),
    # list_open: what may still be used or cancelled, in order.
    _partial(
        "ix_session_turn_inputs_open",
        "session_id",
        "is_open",
        "enqueue_seq",
        "claim_expires_at_ms",
        where="is_open = 1",
    ),
    # list_candidates, next turn: the deferred ones in order.
    _partial(
        "ix_session_turn_inputs_deferred",
        "session_id",
        "state",
        "enqueue_seq",
        "claim_expires_at_ms",
        where="state = 'deferred_next_turn'",
    ),
    # list_candidates, active turn; defer_turns, list_orphaned.
    _partial(
        "ix_session_turn_inputs_turn",
        "session_id",
        "turn_id",
        "enqueue_seq",
        where=TURN_INPUTS,
    ),
    # find_by_source_key: a replayed submission, a cancel.
    _partial(
        "ix_session_turn_inputs_source_key",
        "session_id",
        "source_key",
        where="source_key IS NOT NULL",
        unique=True,
    ),
    # complete, renew_claim, abandon_claim: the rows of one claim.
    _partial(
        "ix_session_turn_inputs_claim",
        "session_id",
        "claim_id",
        where="claim_id IS NOT NULL",
    ),
    # remove_terminal (vacuum).
    _partial(
        "ix_session_turn_inputs_terminal",
        "session_id",
        "is_open",
        "input_id",
        where="is_open = 0",
    ),
)

# One row per attachment this session announced: write-ahead of its bytes.
session_attachments: sa.Table = _table(
    "session_attachments",
    _text("session_id", key=True),
    _text("attachment_id", key=True),
    _text("canonical_uri"),
    _integer("intent_at_ms"),
    # NULL until a commit stamps it; then the bytes are kept for good.
    _integer("committed_at_ms", null=True),
    # 1: a sweep is about to remove the bytes; a commit must not stamp it.
    _flag("is_orphaned"),
    _integer("checksum"),
    sa.CheckConstraint("is_orphaned IN (0, 1)", name="is_orphaned_flag"),
    sa.CheckConstraint(
        "is_orphaned = 0 OR committed_at_ms IS NULL", name="orphan_uncommitted"
    ),
    # list_uncommitted: old intents, oldest first.
    _partial(
        "ix_session_attachments_uncommitted",
        "session_id",
        "intent_at_ms",
        "attachment_id",
        where="committed_at_ms IS NULL",
    ),
)

SESSION_TABLES: tuple[sa.Table, ...] = (
    sessions,
    session_meta,
    session_heads,
    session_nodes,
    session_blobs,
    session_checkpoint_blobs,
    session_artifacts,
    session_usage,
    session_usage_totals,
    session_turn_commits,
    session_execution_leases,
    session_queued_batches,
    session_turn_inputs,
    session_attachments,
)

# The last number given out under each name; never reused.
trigger_counters: sa.Table = _table(
    "trigger_counters",
    _text("name", key=True),
    _integer("last_number"),
    _counters("last_number"),
)

# Who wants a process started by what; cancelled ones stay, disabled.
trigger_subscriptions: sa.Table = _table(
    "trigger_subscriptions",
    _text("subscription_id", key=True),
    # Of the store, from 1 on; handle and id are made of it.
    _integer("number"),
    _text("handle"),
    # The registrant as one text, which is no other's; orders lists.
    _text("registrant_key"),
    # NULL: the host registered it.
    _text("registrant_session_id", null=True),
    _text("source_type"),
    _text("source_key"),
    _text("name", null=True),
    _text("client_key", null=True),
    # Hash of the target identity's definition; NULL: it has none.
    _text("definition_hash", null=True),
    # The scope to wake; NULL: none, or its session was deleted.
    _text("wake_session_id", null=True),
    _text("wake_agent_frame_id", null=True),
    _flag("is_enabled"),
    _integer("created_at_ms"),
    _integer("updated_at_ms"),
    _integer("checksum"),
    _text("body_json"),
    sa.CheckConstraint("is_enabled IN (0, 1)", name="is_enabled_flag"),
    sa.CheckConstraint(
        "wake_session_id IS NOT NULL OR wake_agent_frame_id IS NULL",
        name="wake_target_whole",
    ),
    _counters("number", "created_at_ms", "updated_at_ms"),
    # find_by_handle.
    sa.Index("ix_trigger_subscriptions_handle", "handle", unique=True),
    # list_matching: who wants an occurrence, in order; list_by.
    sa.Index(
        "ix_trigger_subscriptions_source",
        "source_key",
        "source_type",
        "is_enabled",
        "registrant_key",
        "number",
    ),
    # list_by: all of them in order.
    sa.Index("ix_trigger_subscriptions_order", "registrant_key", "number", unique=True),
    # list_by.
    sa.Index(
        "ix_trigger_subscriptions_source_type",
        "source_type",
        "registrant_key",
        "number",
    ),
    # list_by, remove_session.
    _partial(
        "ix_trigger_subscriptions_session",
        "registrant_session_id",
        "registrant_key",
        "number",
        where="registrant_session_id IS NOT NULL",
    ),
    # list_by.
    _partial("ix_trigger_subscriptions_name", "name", where="name IS NOT NULL"),
    # list_by.
    _partial(
        "ix_trigger_subscriptions_definition",
        "definition_hash",
        where="definition_hash IS NOT NULL",
    ),
    # find_by_client_key: a repeated registration.
    _partial(
        "ix_trigger_subscriptions_client_key",
        "registrant_key",
        "client_key",
        where="client_key IS NOT NULL",
        unique=True,
    ),
    # list_waking: whose target goes when its session is deleted.
    _partial(
        "ix_trigger_subscriptions_wake",
        "wake_session_id",
        where="wake_session_id IS NOT NULL",
    ),
)

# What happened, once per source type, source key and idempotency key: the id
# is a hash of the three.
trigger_occurrences: sa.Table = _table(
    "trigger_occurrences",
    _text("occurrence_id", key=True),
    _text("source_type"),
    _text("source_key"),
    _text("idempotency_key"),
    _integer("occurred_at_ms"),
    _integer("checksum"),
    _text("payload_json"),
    # NULL: it names no source.
    _text("source_json", null=True),
    _counters("occurred_at_ms"),
    # remove_older (prune).
    sa.Index("ix_trigger_occurrences_occurred", "occurred_at_ms"),
)

PENDING_DELIVERIES = "acknowledged_at_ms IS NULL"

# One row per occurrence and subscription that met: reserved once, pending
# until somebody acknowledges having started its process.
trigger_deliveries: sa.Table = _table(
    "trigger_deliveries",
    _text("occurrence_id", key=True),
    _text("subscription_id", key=True),
    # Orders what is pending.
    _integer("seq"),
    _text("process_id"),
    # What the payload gets wrong by the subscription's schema; NULL: nothing.
    _text("payload_error", null=True),
    _integer("reserved_at_ms"),
    # NULL: pending.
    _integer("acknowledged_at_ms", null=True),
    # Why the process was not started; NULL: it was, or is yet to be.
    _text("start_error", null=True),
    _integer("checksum"),
    sa.ForeignKeyConstraint(
        ["occurrence_id"], ["trigger_occurrences.occurrence_id"], ondelete="CASCADE"
    ),
    sa.ForeignKeyConstraint(
        ["subscription_id"],
        ["trigger_subscriptions.subscription_id"],
        ondelete="CASCADE",
    ),
    sa.CheckConstraint(
        "acknowledged_at_ms IS NOT NULL OR start_error IS NULL",
        name="acknowledgement_whole",
    ),
    _counters("seq", "reserved_at_ms"),
    # A subscription that goes takes its deliveries along.
    sa.Index("ix_trigger_deliveries_subscription", "subscription_id"),
    # list_pending, last_pending_seq.
    _partial("ix_trigger_deliveries_pending", "seq", where=PENDING_DELIVERIES),
    # remove_older: does an occurrence have something pending?
    _partial(
        "ix_trigger_deliveries_pending_of",
        "occurrence_id",
        where=PENDING_DELIVERIES,
    ),
)

TRIGGER_TABLES: tuple[sa.Table, ...] = (
    trigger_counters,
    trigger_subscriptions,
    trigger_occurrences,
    trigger_deliveries,
)

# What each effect must look like in each of its states; `effects` repeats it.
_EFFECT_STATES = (
    "(status <> 'in_progress' OR"
    " (outcome_json IS NULL AND error_json IS NULL AND finished_at_ms IS NULL))"
    " AND (status = 'in_progress' OR"
    " (finished_at_ms IS NOT NULL AND lease_token IS NULL))"
    " AND (status <> 'completed' OR"
    " (outcome_json IS NOT NULL AND error_json IS NULL))"
    " AND (status <> 'failed' OR"
    " (error_json IS NOT NULL AND outcome_json IS NULL))"
)

# One row per effect that somebody began and nobody freed: its outcome, once
# there is one, is what every rerun of the scope gets. The lease columns stand
# before the JSON, so that renewing rewrites no large value.
effects: sa.Table = _table(
    "effects",
    # The scope's kind and all its ids, as a JSON array.
    _text("scope_id", key=True),
    _text("replay_key", key=True),
    # The session whose deletion takes the effect along; NULL: none.
    _text("session_id", null=True),
    _text("status"),
    _text("lease_owner_id", null=True),
    _text("lease_token", null=True),
    _integer("lease_expires_at_ms", null=True),
    # When a timer is over; NULL: it is no timer.
    _integer("due_at_ms", null=True),
    _integer("created_at_ms"),
    _integer("finished_at_ms", null=True),
    _integer("checksum"),
    _text("envelope_json"),
    _text("outcome_json", null=True),
    _text("error_json", null=True),
    _one_of("status", EffectStatus),
    sa.CheckConstraint(
        "(lease_token IS NULL) = (lease_owner_id IS NULL)"
        " AND (lease_token IS NULL) = (lease_expires_at_ms IS NULL)",
        name="lease_whole",
    ),
    sa.CheckConstraint(_EFFECT_STATES, name="state_machine"),
    # remove_session.
    _partial("ix_effects_session_id", "session_id", where="session_id IS NOT NULL"),
    # remove_finished (prune).
    _partial(
        "ix_effects_finished", "finished_at_ms", where="finished_at_ms IS NOT NULL"
    ),
)

EFFECT_TABLES: tuple[sa.Table, ...] = (effects,)

# One row per process: where it stands. What never changes is in
# `process_registrations`, so that an event rewrites little. Its checksum is
# reduced by `updated_at_ms`, which therefore one statement may move for many
# rows.
processes: sa.Table = _table(
    "processes",
    _text("process_id", key=True),
    _text("status"),
    # A running process is idle or waiting; that, too, is listed by.
    _text("activity"),
    # Of the identity's definition; NULL: it has none.
    _text("definition_hash", null=True),
    _integer("updated_at_ms"),
    # The time of the event that ended it.
    _integer("terminal_at_ms", null=True),
    # The sequence number of its last event.
    _integer("last_sequence"),
    _text("facts_json"),
    _text("await_output_json", null=True),
    _integer("checksum"),
    _one_of("status", PROCESS_STATES),
    _one_of("activity", ("idle", "waiting", "ended")),
    sa.CheckConstraint(
        "(status = 'running') = (activity <> 'ended')"
        " AND (status = 'running') = (terminal_at_ms IS NULL)"
        " AND (status = 'running') = (await_output_json IS NULL)",
        name="state_machine",
    ),
    _counters("updated_at_ms", "last_sequence"),
    # list_page, by status; by whether it waits; the same for a definition.
    sa.Index("ix_processes_status", "status", "process_id"),
    sa.Index("ix_processes_activity", "activity", "process_id"),
    _partial(
        "ix_processes_definition",
        "definition_hash",
        "process_id",
        where="definition_hash IS NOT NULL",
    ),
    _partial(
        "ix_processes_definition_status",
        "definition_hash",
        "status",
        "process_id",
        where="definition_hash IS NOT NULL",
    ),
    _partial(
        "ix_processes_definition_activity",
        "definition_hash",
        "activity",
        "process_id",
        where="definition_hash IS NOT NULL",
    ),
    # list_prunable: ended ones, oldest first.
    _partial(
        "ix_processes_terminal",
        "terminal_at_ms",
        "process_id",
        where="terminal_at_ms IS NOT NULL",
    ),
)


def _of_process() -> sa.Column[Any]:
    return sa.Column(
        "process_id",
        sa.ForeignKey(processes.c.process_id, ondelete="CASCADE"),
        primary_key=True,
    )


# What a process was registered as. `checksum` covers all but the input, which
# may be large and has one of its own.
process_registrations: sa.Table = _table(
    "process_registrations",
    _of_process(),
    _text("registration_hash"),
    _text("disposition"),
    _text("identity_json"),
    _text("provenance_json"),
    _text("env_ref", null=True),
    _integer("created_at_ms"),
    _text("event_types_json"),
    _integer("checksum"),
    _integer("input_checksum"),
    _text("input_json"),
    _one_of("disposition", RecoveryDisposition),
    _counters("created_at_ms"),
)

# Whom a process wakes; a process without a row has no target of its own.
process_wake_targets: sa.Table = _table(
    "process_wake_targets",
    _of_process(),
    _text("session_id"),
    _text("agent_frame_id", null=True),
    _integer("checksum"),
    # remove_session_targets.
    sa.Index("ix_process_wake_targets_session_id", "session_id", "process_id"),
)

# The logs: one row per event, numbered from 1 within its process.
process_events: sa.Table = _table(
    "process_events",
    _of_process(),
    _integer("sequence", key=True),
    _text("event_type"),
    _text("replay_key", null=True),
    _integer("occurred_at_ms"),
    # What the event meant; NULL: nothing beyond itself.
    _text("semantics_json", null=True),
    _integer("checksum"),
    _text("payload_json"),
    sa.CheckConstraint("sequence > 0", name="sequence_positive"),
    # find_by_replay_key.
    _partial(
        "ix_process_events_replay_key",
        "process_id",
        "replay_key",
        where="replay_key IS NOT NULL",
        unique=True,
    ),
    # count_through, find_after.
    sa.Index("ix_process_events_event_type", "process_id", "event_type", "sequence"),
)

# One row per event that wakes, until it is acknowledged.
process_wakes: sa.Table = _table(
    "process_wakes",
    _text("process_id", key=True),
    _integer("sequence", key=True),
    _integer("created_at_ms"),
    # Written with the event; NULL: there was nobody to wake.
    _text("delivery_json", null=True),
    _integer("checksum"),
    sa.ForeignKeyConstraint(
        ["process_id", "sequence"],
        [process_events.c.process_id, process_events.c.sequence],
        ondelete="CASCADE",
    ),
    # list_deliveries: oldest first.
    _partial(
        "ix_process_wakes_deliveries",
        "created_at_ms",
        "process_id",
        "sequence",
        where="delivery_json IS NOT NULL",
    ),
)

# Which session scope may address which process; an agent frame of '' is the
# session itself.
process_handle_grants: sa.Table = _table(
    "process_handle_grants",
    _text("session_id", key=True),
    _text("agent_frame_id", key=True),
    _of_process(),
    _text("descriptor_json"),
    _integer("checksum"),
    # list_for_process; list_by_session: does another session have a grant?
    sa.Index(
        "ix_process_handle_grants_process_id",
        "process_id",
        "session_id",
        "agent_frame_id",
    ),
)

# One row per process that was ever leased. The row outlives the lease, so the
# fencing token never goes back; `lease_token` NULL: nobody holds it.
process_leases: sa.Table = _table(
    "process_leases",
    _of_process(),
    _integer("fencing_token"),
    _text("lease_token", null=True),
    _text("owner_json", null=True),
    _integer("claimed_at_ms", null=True),
    _integer("expires_at_ms", null=True),
    _integer("checksum"),
    sa.CheckConstraint("fencing_token > 0", name="fencing_token_positive"),
    sa.CheckConstraint(
        "(lease_token IS NULL) = (owner_json IS NULL)"
        " AND (lease_token IS NULL) = (claimed_at_ms IS NULL)"
        " AND (lease_token IS NULL) = (expires_at_ms IS NULL)",
        name="lease_whole",
    ),
)

PROCESS_TABLES: tuple[sa.Table, ...] = (
    processes,
    process_registrations,
    process_wake_targets,
    process_events,
    process_wakes,
    process_handle_grants,
    process_leases,
)

COMPONENT_TABLES: dict[str, tuple[sa.Table, ...]] = {
    SESSION_COMPONENT: SESSION_TABLES,
    PROCESS_COMPONENT: PROCESS_TABLES,
    TRIGGER_COMPONENT: TRIGGER_TABLES,
    EFFECT_COMPONENT: EFFECT_TABLES,
}


@sa.event.listens_for(metadata, "before_create")
def _complete(_target: sa.MetaData, connection: sa.Connection, **_: Any) -> None:
    if connection.dialect.name == "postgresql":
        complete_for_postgresql()


@sa.event.listens_for(metadata, "after_create")
def _stamp(
    _target: sa.MetaData, connection: sa.Connection, *, tables: list[sa.Table], **_: Any
) -> None:
    # Fires once a create_all, with the tables that call made, so that a
    # database made by it alone is ready to open.
    if connection.dialect.name == "sqlite" and schema_versions in tables:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    made = [
        {"component": component, "version": SCHEMA_VERSIONS[component]}
        for component, members in COMPONENT_TABLES.items()
        if members[0] in tables
    ]
    if made:
        connection.execute(sa.insert(schema_versions), made)
