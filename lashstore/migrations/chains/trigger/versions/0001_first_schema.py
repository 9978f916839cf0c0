"""
The first schema of the trigger component.

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
        "trigger_counters",
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("last_number", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "last_number >= 0", name=op.f("ck_trigger_counters_counters")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_trigger_counters")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "trigger_occurrences",
        sa.Column("occurrence_id", _TEXT, nullable=False),
        sa.Column("source_type", _TEXT, nullable=False),
        sa.Column("source_key", _TEXT, nullable=False),
        sa.Column("idempotency_key", _TEXT, nullable=False),
        sa.Column("occurred_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("payload_json", _TEXT, nullable=False),
        sa.Column("source_json", _TEXT, nullable=True),
        sa.CheckConstraint(
            "occurred_at_ms >= 0", name=op.f("ck_trigger_occurrences_counters")
        ),
        sa.PrimaryKeyConstraint("occurrence_id", name=op.f("pk_trigger_occurrences")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_trigger_occurrences_occurred",
        "trigger_occurrences",
        ["occurred_at_ms"],
        unique=False,
    )
    op.create_table(
        "trigger_subscriptions",
        sa.Column("subscription_id", _TEXT, nullable=False),
        sa.Column("number", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("handle", _TEXT, nullable=False),
        sa.Column("registrant_key", _TEXT, nullable=False),
        sa.Column("registrant_session_id", _TEXT, nullable=True),
        sa.Column("source_type", _TEXT, nullable=False),
        sa.Column("source_key", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=True),
        sa.Column("client_key", _TEXT, nullable=True),
        sa.Column("definition_hash", _TEXT, nullable=True),
        sa.Column("wake_session_id", _TEXT, nullable=True),
        sa.Column("wake_agent_frame_id", _TEXT, nullable=True),
        sa.Column("is_enabled", _INTEGER, nullable=False),
        sa.Column("created_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("updated_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("body_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "is_enabled IN (0, 1)",
            name=op.f("ck_trigger_subscriptions_is_enabled_flag"),
        ),
        sa.CheckConstraint(
            "number >= 0 AND created_at_ms >= 0 AND updated_at_ms >= 0",
            name=op.f("ck_trigger_subscriptions_counters"),
        ),
        sa.CheckConstraint(
            "wake_session_id IS NOT NULL OR wake_agent_frame_id IS NULL",
            name=op.f("ck_trigger_subscriptions_wake_target_whole"),
        ),
        sa.PrimaryKeyConstraint(
            "subscription_id", name=op.f("pk_trigger_subscriptions")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_trigger_subscriptions_client_key",
        "trigger_subscriptions",
        ["registrant_key", "client_key"],
        unique=True,
        sqlite_where=sa.text("client_key IS NOT NULL"),
        postgresql_where=sa.text("client_key IS NOT NULL"),
    )
    op.create_index(
        "ix_trigger_subscriptions_definition",
        "trigger_subscriptions",
        ["definition_hash"],
        unique=False,
        sqlite_where=sa.text("definition_hash IS NOT NULL"),
        postgresql_where=sa.text("definition_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_trigger_subscriptions_handle",
        "trigger_subscriptions",
        ["handle"],
        unique=True,
    )
    op.create_index(
        "ix_trigger_subscriptions_name",
        "trigger_subscriptions",
        ["name"],
        unique=False,
        sqlite_where=sa.text("name IS NOT NULL"),
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.create_index(
        "ix_trigger_subscriptions_order",
        "trigger_subscriptions",
        ["registrant_key", "number"],
        unique=True,
    )
    op.create_index(
        "ix_trigger_subscriptions_session",
        "trigger_subscriptions",
        ["registrant_session_id", "registrant_key", "number"],
        unique=False,
        sqlite_where=sa.text("registrant_session_id IS NOT NULL"),
        postgresql_where=sa.text("registrant_session_id IS NOT NULL"),
    )
    op.create_index(
        "ix_trigger_subscriptions_source",
        "trigger_subscriptions",
        ["source_key", "source_type", "is_enabled", "registrant_key", "number"],
        unique=False,
    )
    op.create_index(
        "ix_trigger_subscriptions_source_type",
        "trigger_subscriptions",
        ["source_type", "registrant_key", "number"],
        unique=False,
    )
    op.create_index(
        "ix_trigger_subscriptions_wake",
        "trigger_subscriptions",
        ["wake_session_id"],
        unique=False,
        sqlite_where=sa.text("wake_session_id IS NOT NULL"),
        postgresql_where=sa.text("wake_session_id IS NOT NULL"),
    )
    op.create_table(
        "trigger_deliveries",
        sa.Column("occurrence_id", _TEXT, nullable=False),
        sa.Column("subscription_id", _TEXT, nullable=False),
        sa.Column("seq", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("payload_error", _TEXT, nullable=True),
        sa.Column("reserved_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("acknowledged_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("start_error", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "acknowledged_at_ms IS NOT NULL OR start_error IS NULL",
            name=op.f("ck_trigger_deliveries_acknowledgement_whole"),
        ),
        sa.CheckConstraint(
            "seq >= 0 AND reserved_at_ms >= 0",
            name=op.f("ck_trigger_deliveries_counters"),
        ),
        sa.ForeignKeyConstraint(
            ["occurrence_id"],
            ["trigger_occurrences.occurrence_id"],
            name=op.f("fk_trigger_deliveries_occurrence_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["trigger_subscriptions.subscription_id"],
            name=op.f("fk_trigger_deliveries_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "occurrence_id", "subscription_id", name=op.f("pk_trigger_deliveries")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_trigger_deliveries_pending",
        "trigger_deliveries",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("acknowledged_at_ms IS NULL"),
        postgresql_where=sa.text("acknowledged_at_ms IS NULL"),
    )
    op.create_index(
        "ix_trigger_deliveries_pending_of",
        "trigger_deliveries",
        ["occurrence_id"],
        unique=False,
        sqlite_where=sa.text("acknowledged_at_ms IS NULL"),
        postgresql_where=sa.text("acknowledged_at_ms IS NULL"),
    )
    op.create_index(
        "ix_trigger_deliveries_subscription",
        "trigger_deliveries",
        ["subscription_id"],
        unique=False,
    )
