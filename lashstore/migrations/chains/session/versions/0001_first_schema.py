"""
The first schema of the session component.

Written by tools/make_first_migrations.py; never changed once released.
"""

import sqlalchemy as sa
from alembic.operations import Operations

revision = "1"
down_revision = None

_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade(op: Operations) -> None:
    """
    Make every table and index.
    """
    op.create_table(
        "session_artifacts",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("namespace", _TEXT, nullable=False),
        sa.Column("artifact_ref", _TEXT, nullable=False),
        sa.Column("blob_ref", _TEXT, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "namespace IN ('module', 'artifact', 'process_execution_env')",
            name=op.f("ck_session_artifacts_namespace_known"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "namespace", "artifact_ref", name=op.f("pk_session_artifacts")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_artifacts_blob_ref",
        "session_artifacts",
        ["session_id", "blob_ref"],
        unique=False,
    )
    op.create_table(
        "session_attachments",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("attachment_id", _TEXT, nullable=False),
        sa.Column("canonical_uri", _TEXT, nullable=False),
        sa.Column("intent_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("committed_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("is_orphaned", _INTEGER, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "is_orphaned = 0 OR committed_at_ms IS NULL",
            name=op.f("ck_session_attachments_orphan_uncommitted"),
        ),
        sa.CheckConstraint(
            "is_orphaned IN (0, 1)",
            name=op.f("ck_session_attachments_is_orphaned_flag"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "attachment_id", name=op.f("pk_session_attachments")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_attachments_uncommitted",
        "session_attachments",
        ["session_id", "intent_at_ms", "attachment_id"],
        unique=False,
        sqlite_where=sa.text("committed_at_ms IS NULL"),
        postgresql_where=sa.text("committed_at_ms IS NULL"),
    )
    op.create_table(
        "session_blobs",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("blob_ref", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("compression", _TEXT, nullable=False),
        sa.Column("raw_bytes", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("base_ref", _TEXT, nullable=True),
        sa.Column("chain_depth", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "compression IN ('none', 'zstd')",
            name=op.f("ck_session_blobs_compression_known"),
        ),
        sa.CheckConstraint(
            "kind IN ('generic_blob', 'checkpoint_manifest', 'tool_state', 'plugin_session_snapshot', 'execution_state_snapshot', 'module', 'process_execution_env')",
            name=op.f("ck_session_blobs_kind_known"),
        ),
        sa.CheckConstraint(
            "(base_ref IS NULL) = (chain_depth = 0)",
            name=op.f("ck_session_blobs_chain_depth_of_base"),
        ),
        sa.CheckConstraint(
            "raw_bytes >= 0 AND chain_depth >= 0",
            name=op.f("ck_session_blobs_counters"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "blob_ref", name=op.f("pk_session_blobs")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_blobs_bases",
        "session_blobs",
        ["session_id", "base_ref"],
        unique=False,
        sqlite_where=sa.text("base_ref IS NOT NULL"),
        postgresql_where=sa.text("base_ref IS NOT NULL"),
    )
    op.create_table(
        "session_checkpoint_blobs",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("blob_ref", _TEXT, nullable=False),
        sa.Column("last_revision", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("named_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "last_revision >= 0 AND named_at_ms >= 0",
            name=op.f("ck_session_checkpoint_blobs_counters"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "blob_ref", name=op.f("pk_session_checkpoint_blobs")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_session_checkpoint_blobs_revision",
        "session_checkpoint_blobs",
        ["session_id", "last_revision"],
        unique=False,
    )
    op.create_table(
        "session_execution_leases",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("fencing_token", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("lease_token", _TEXT, nullable=True),
        sa.Column("owner_json", _TEXT, nullable=True),
        sa.Column("claimed_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("expires_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (owner_json IS NULL) AND (lease_token IS NULL) = (claimed_at_ms IS NULL) AND (lease_token IS NULL) = (expires_at_ms IS NULL)",
            name=op.f("ck_session_execution_leases_lease_whole"),
        ),
        sa.CheckConstraint(
            "fencing_token > 0",
            name=op.f("ck_session_execution_leases_fencing_token_positive"),
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_execution_leases")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "session_heads",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("schema_version", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("head_revision", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("config_json", _TEXT, nullable=False),
        sa.Column("agent_frames_json", _TEXT, nullable=False),
        sa.Column("current_agent_frame_id", _TEXT, nullable=False),
        sa.Column("checkpoint_ref", _TEXT, nullable=True),
        sa.Column("leaf_node_id", _TEXT, nullable=True),
        sa.Column("graph_node_count", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("live_node_count", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("user_message_count", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("first_user_node_id", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "graph_node_count >= 0 AND live_node_count >= 0 AND user_message_count >= 0",
            name=op.f("ck_session_heads_counters"),
        ),
        sa.CheckConstraint(
            "head_revision > 0", name=op.f("ck_session_heads_revision_positive")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_heads")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "session_meta",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("meta_json", _TEXT, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_meta")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "session_nodes",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("node_id", _TEXT, nullable=False),
        sa.Column("seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("parent_node_id", _TEXT, nullable=True),
        sa.Column("is_tombstoned", _INTEGER, nullable=False),
        sa.Column("is_user_message", _INTEGER, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("node_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "is_tombstoned IN (0, 1)", name=op.f("ck_session_nodes_is_tombstoned_flag")
        ),
        sa.CheckConstraint(
            "is_user_message IN (0, 1)",
            name=op.f("ck_session_nodes_is_user_message_flag"),
        ),
        sa.PrimaryKeyConstraint("session_id", "node_id", name=op.f("pk_session_nodes")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_nodes_live_parents",
        "session_nodes",
        ["session_id", "parent_node_id"],
        unique=False,
        sqlite_where=sa.text("is_tombstoned = 0"),
        postgresql_where=sa.text("is_tombstoned = 0"),
    )
    op.create_index(
        "ix_session_nodes_seq", "session_nodes", ["session_id", "seq"], unique=True
    )
    op.create_index(
        "ix_session_nodes_tombstoned",
        "session_nodes",
        ["session_id", "node_id"],
        unique=False,
        sqlite_where=sa.text("is_tombstoned = 1"),
        postgresql_where=sa.text("is_tombstoned = 1"),
    )
    op.create_index(
        "ix_session_nodes_user_messages",
        "session_nodes",
        ["session_id", "seq"],
        unique=False,
        sqlite_where=sa.text("is_user_message = 1 AND is_tombstoned = 0"),
        postgresql_where=sa.text("is_user_message = 1 AND is_tombstoned = 0"),
    )
    op.create_table(
        "session_queued_batches",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("batch_id", _TEXT, nullable=False),
        sa.Column("enqueue_seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("source_key", _TEXT, nullable=True),
        sa.Column("work_class", _TEXT, nullable=False),
        sa.Column("delivery_policy", _TEXT, nullable=False),
        sa.Column("slot_policy", _TEXT, nullable=False),
        sa.Column("merge_key_json", _TEXT, nullable=False),
        sa.Column("available_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("enqueued_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("is_ready", _INTEGER, nullable=False),
        sa.Column("claim_id", _TEXT, nullable=True),
        sa.Column("claim_token", _TEXT, nullable=True),
        sa.Column("claim_owner_json", _TEXT, nullable=True),
        sa.Column("claim_host_id", _TEXT, nullable=True),
        sa.Column("claim_fencing_token", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("claimed_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("claim_expires_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("payloads_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "delivery_policy IN ('earliest_safe_boundary', 'after_current_turn_commit')",
            name=op.f("ck_session_queued_batches_delivery_policy_known"),
        ),
        sa.CheckConstraint(
            "slot_policy IN ('join', 'exclusive')",
            name=op.f("ck_session_queued_batches_slot_policy_known"),
        ),
        sa.CheckConstraint(
            "work_class IN ('session_command', 'turn_work')",
            name=op.f("ck_session_queued_batches_work_class_known"),
        ),
        sa.CheckConstraint(
            "(claim_id IS NULL) = (claim_token IS NULL) AND (claim_id IS NULL) = (claim_owner_json IS NULL) AND (claim_id IS NULL) = (claimed_at_ms IS NULL) AND (claim_id IS NULL) = (claim_expires_at_ms IS NULL) AND (claim_id IS NOT NULL OR claim_host_id IS NULL)",
            name=op.f("ck_session_queued_batches_claim_whole"),
        ),
        sa.CheckConstraint(
            "enqueue_seq >= 0 AND available_at_ms >= 0 AND claim_fencing_token >= 0",
            name=op.f("ck_session_queued_batches_counters"),
        ),
        sa.CheckConstraint(
            "is_ready IN (0, 1)", name=op.f("ck_session_queued_batches_is_ready_flag")
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "batch_id", name=op.f("pk_session_queued_batches")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_queued_batches_claim",
        "session_queued_batches",
        ["session_id", "claim_id"],
        unique=False,
        sqlite_where=sa.text("claim_id IS NOT NULL"),
        postgresql_where=sa.text("claim_id IS NOT NULL"),
    )
    op.create_index(
        "ix_session_queued_batches_queue",
        "session_queued_batches",
        ["session_id", "enqueue_seq"],
        unique=True,
    )
    op.create_index(
        "ix_session_queued_batches_ready",
        "session_queued_batches",
        ["session_id", "is_ready", "enqueue_seq", "claim_expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("is_ready = 1"),
        postgresql_where=sa.text("is_ready = 1"),
    )
    op.create_index(
        "ix_session_queued_batches_source_key",
        "session_queued_batches",
        ["session_id", "source_key"],
        unique=True,
        sqlite_where=sa.text("source_key IS NOT NULL"),
        postgresql_where=sa.text("source_key IS NOT NULL"),
    )
    op.create_index(
        "ix_session_queued_batches_waiting",
        "session_queued_batches",
        ["session_id", "is_ready", "available_at_ms"],
        unique=False,
        sqlite_where=sa.text("is_ready = 0"),
        postgresql_where=sa.text("is_ready = 0"),
    )
    op.create_table(
        "session_turn_commits",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("turn_id", _TEXT, nullable=False),
        sa.Column("turn_commit_hash", _TEXT, nullable=False),
        sa.Column("result_json", _TEXT, nullable=False),
        sa.Column("committed_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("head_revision", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("first_node_seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("node_count", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("first_usage_seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("usage_count", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "first_node_seq >= 0 AND node_count >= 0 AND first_usage_seq >= 0 AND usage_count >= 0",
            name=op.f("ck_session_turn_commits_counters"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "turn_id", name=op.f("pk_session_turn_commits")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_turn_commits_revision",
        "session_turn_commits",
        ["session_id", "head_revision"],
        unique=False,
        sqlite_where=sa.text("head_revision > 0"),
        postgresql_where=sa.text("head_revision > 0"),
    )
    op.create_table(
        "session_turn_inputs",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("input_id", _TEXT, nullable=False),
        sa.Column("enqueue_seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("source_key", _TEXT, nullable=True),
        sa.Column("submitted_ingress_json", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("is_open", _INTEGER, nullable=False),
        sa.Column("turn_id", _TEXT, nullable=True),
        sa.Column("min_boundary", _TEXT, nullable=True),
        sa.Column("enqueued_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("claim_id", _TEXT, nullable=True),
        sa.Column("claim_token", _TEXT, nullable=True),
        sa.Column("claim_owner_json", _TEXT, nullable=True),
        sa.Column("claim_host_id", _TEXT, nullable=True),
        sa.Column("claim_fencing_token", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("claimed_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("claim_expires_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("input_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "(is_open = 1) = (state NOT IN ('cancelled', 'completed'))",
            name=op.f("ck_session_turn_inputs_is_open_state"),
        ),
        sa.CheckConstraint(
            "(state <> 'pending_active' OR (turn_id IS NOT NULL AND claim_id IS NULL)) AND (state <> 'accepted' OR (turn_id IS NOT NULL AND claim_id IS NOT NULL)) AND (state <> 'deferred_next_turn' OR turn_id IS NULL) AND (state NOT IN ('cancelled', 'completed') OR claim_id IS NULL)",
            name=op.f("ck_session_turn_inputs_state_machine"),
        ),
        sa.CheckConstraint(
            "min_boundary IS NULL OR min_boundary IN ('after_work', 'before_completion')",
            name=op.f("ck_session_turn_inputs_min_boundary_known"),
        ),
        sa.CheckConstraint(
            "state IN ('pending_active', 'deferred_next_turn', 'accepted', 'cancelled', 'completed')",
            name=op.f("ck_session_turn_inputs_state_known"),
        ),
        sa.CheckConstraint(
            "(claim_id IS NULL) = (claim_token IS NULL) AND (claim_id IS NULL) = (claim_owner_json IS NULL) AND (claim_id IS NULL) = (claimed_at_ms IS NULL) AND (claim_id IS NULL) = (claim_expires_at_ms IS NULL) AND (claim_id IS NOT NULL OR claim_host_id IS NULL)",
            name=op.f("ck_session_turn_inputs_claim_whole"),
        ),
        sa.CheckConstraint(
            "(turn_id IS NULL) = (min_boundary IS NULL)",
            name=op.f("ck_session_turn_inputs_ingress_whole"),
        ),
        sa.CheckConstraint(
            "enqueue_seq >= 0 AND claim_fencing_token >= 0",
            name=op.f("ck_session_turn_inputs_counters"),
        ),
        sa.CheckConstraint(
            "is_open IN (0, 1)", name=op.f("ck_session_turn_inputs_is_open_flag")
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "input_id", name=op.f("pk_session_turn_inputs")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_turn_inputs_claim",
        "session_turn_inputs",
        ["session_id", "claim_id"],
        unique=False,
        sqlite_where=sa.text("claim_id IS NOT NULL"),
        postgresql_where=sa.text("claim_id IS NOT NULL"),
    )
    op.create_index(
        "ix_session_turn_inputs_deferred",
        "session_turn_inputs",
        ["session_id", "state", "enqueue_seq", "claim_expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'deferred_next_turn'"),
        postgresql_where=sa.text("state = 'deferred_next_turn'"),
    )
    op.create_index(
        "ix_session_turn_inputs_open",
        "session_turn_inputs",
        ["session_id", "is_open", "enqueue_seq", "claim_expires_at_ms"],
        unique=False,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open = 1"),
    )
    op.create_index(
        "ix_session_turn_inputs_seq",
        "session_turn_inputs",
        ["session_id", "enqueue_seq"],
        unique=True,
    )
    op.create_index(
        "ix_session_turn_inputs_source_key",
        "session_turn_inputs",
        ["session_id", "source_key"],
        unique=True,
        sqlite_where=sa.text("source_key IS NOT NULL"),
        postgresql_where=sa.text("source_key IS NOT NULL"),
    )
    op.create_index(
        "ix_session_turn_inputs_terminal",
        "session_turn_inputs",
        ["session_id", "is_open", "input_id"],
        unique=False,
        sqlite_where=sa.text("is_open = 0"),
        postgresql_where=sa.text("is_open = 0"),
    )
    op.create_index(
        "ix_session_turn_inputs_turn",
        "session_turn_inputs",
        ["session_id", "turn_id", "enqueue_seq"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending_active', 'accepted')"),
        postgresql_where=sa.text("state IN ('pending_active', 'accepted')"),
    )
    op.create_table(
        "session_usage",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("input_tokens", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("output_tokens", _INTEGER, autoincrement=False, nullable=False),
        sa.Column(
            "cache_read_input_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column(
            "cache_write_input_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column(
            "reasoning_output_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "input_tokens >= 0 AND output_tokens >= 0 AND cache_read_input_tokens >= 0 AND cache_write_input_tokens >= 0 AND reasoning_output_tokens >= 0",
            name=op.f("ck_session_usage_counters"),
        ),
        sa.PrimaryKeyConstraint("session_id", "seq", name=op.f("pk_session_usage")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "session_usage_totals",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("model", _TEXT, nullable=False),
        sa.Column("seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("input_tokens", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("output_tokens", _INTEGER, autoincrement=False, nullable=False),
        sa.Column(
            "cache_read_input_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column(
            "cache_write_input_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column(
            "reasoning_output_tokens", _INTEGER, autoincrement=False, nullable=False
        ),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "input_tokens >= 0 AND output_tokens >= 0 AND cache_read_input_tokens >= 0 AND cache_write_input_tokens >= 0 AND reasoning_output_tokens >= 0",
            name=op.f("ck_session_usage_totals_counters"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "source", "model", name=op.f("pk_session_usage_totals")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_session_usage_totals_seq",
        "session_usage_totals",
        ["session_id", "seq"],
        unique=False,
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("incarnation", _TEXT, nullable=False),
        sa.Column("admission_seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("content_seal", _TEXT, nullable=True),
        sa.CheckConstraint("admission_seq >= 0", name=op.f("ck_sessions_counters")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
