"""
The first schema of the process component.

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
        "processes",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("activity", _TEXT, nullable=False),
        sa.Column("definition_hash", _TEXT, nullable=True),
        sa.Column("updated_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("terminal_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("last_sequence", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("facts_json", _TEXT, nullable=False),
        sa.Column("await_output_json", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "(status = 'running') = (activity <> 'ended') AND (status = 'running') = (terminal_at_ms IS NULL) AND (status = 'running') = (await_output_json IS NULL)",
            name=op.f("ck_processes_state_machine"),
        ),
        sa.CheckConstraint(
            "activity IN ('idle', 'waiting', 'ended')",
            name=op.f("ck_processes_activity_known"),
        ),
        sa.CheckConstraint(
            "status IN ('running', 'completed', 'failed', 'cancelled', 'abandoned')",
            name=op.f("ck_processes_status_known"),
        ),
        sa.CheckConstraint(
            "updated_at_ms >= 0 AND last_sequence >= 0",
            name=op.f("ck_processes_counters"),
        ),
        sa.PrimaryKeyConstraint("process_id", name=op.f("pk_processes")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_processes_activity", "processes", ["activity", "process_id"], unique=False
    )
    op.create_index(
        "ix_processes_definition",
        "processes",
        ["definition_hash", "process_id"],
        unique=False,
        sqlite_where=sa.text("definition_hash IS NOT NULL"),
        postgresql_where=sa.text("definition_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_processes_definition_activity",
        "processes",
        ["definition_hash", "activity", "process_id"],
        unique=False,
        sqlite_where=sa.text("definition_hash IS NOT NULL"),
        postgresql_where=sa.text("definition_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_processes_definition_status",
        "processes",
        ["definition_hash", "status", "process_id"],
        unique=False,
        sqlite_where=sa.text("definition_hash IS NOT NULL"),
        postgresql_where=sa.text("definition_hash IS NOT NULL"),
    )
    op.create_index(
        "ix_processes_status", "processes", ["status", "process_id"], unique=False
    )
    op.create_index(
        "ix_processes_terminal",
        "processes",
        ["terminal_at_ms", "process_id"],
        unique=False,
        sqlite_where=sa.text("terminal_at_ms IS NOT NULL"),
        postgresql_where=sa.text("terminal_at_ms IS NOT NULL"),
    )
    op.create_table(
        "process_events",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("sequence", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("event_type", _TEXT, nullable=False),
        sa.Column("replay_key", _TEXT, nullable=True),
        sa.Column("occurred_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("semantics_json", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("payload_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "sequence > 0", name=op.f("ck_process_events_sequence_positive")
        ),
        sa.ForeignKeyConstraint(
            ["process_id"],
            ["processes.process_id"],
            name=op.f("fk_process_events_process_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "process_id", "sequence", name=op.f("pk_process_events")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_process_events_event_type",
        "process_events",
        ["process_id", "event_type", "sequence"],
        unique=False,
    )
    op.create_index(
        "ix_process_events_replay_key",
        "process_events",
        ["process_id", "replay_key"],
        unique=True,
        sqlite_where=sa.text("replay_key IS NOT NULL"),
        postgresql_where=sa.text("replay_key IS NOT NULL"),
    )
    op.create_table(
        "process_handle_grants",
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("agent_frame_id", _TEXT, nullable=False),
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("descriptor_json", _TEXT, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["process_id"],
            ["processes.process_id"],
            name=op.f("fk_process_handle_grants_process_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "session_id",
            "agent_frame_id",
            "process_id",
            name=op.f("pk_process_handle_grants"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_process_handle_grants_process_id",
        "process_handle_grants",
        ["process_id", "session_id", "agent_frame_id"],
        unique=False,
    )
    op.create_table(
        "process_leases",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("fencing_token", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("lease_token", _TEXT, nullable=True),
        sa.Column("owner_json", _TEXT, nullable=True),
        sa.Column("claimed_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("expires_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (owner_json IS NULL) AND (lease_token IS NULL) = (claimed_at_ms IS NULL) AND (lease_token IS NULL) = (expires_at_ms IS NULL)",
            name=op.f("ck_process_leases_lease_whole"),
        ),
        sa.CheckConstraint(
            "fencing_token > 0", name=op.f("ck_process_leases_fencing_token_positive")
        ),
        sa.ForeignKeyConstraint(
            ["process_id"],
            ["processes.process_id"],
            name=op.f("fk_process_leases_process_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("process_id", name=op.f("pk_process_leases")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "process_registrations",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("registration_hash", _TEXT, nullable=False),
        sa.Column("disposition", _TEXT, nullable=False),
        sa.Column("identity_json", _TEXT, nullable=False),
        sa.Column("provenance_json", _TEXT, nullable=False),
        sa.Column("env_ref", _TEXT, nullable=True),
        sa.Column("created_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("event_types_json", _TEXT, nullable=False),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("input_checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("input_json", _TEXT, nullable=False),
        sa.CheckConstraint(
            "disposition IN ('rerunnable', 'owner_bound', 'externally_owned')",
            name=op.f("ck_process_registrations_disposition_known"),
        ),
        sa.CheckConstraint(
            "created_at_ms >= 0", name=op.f("ck_process_registrations_counters")
        ),
        sa.ForeignKeyConstraint(
            ["process_id"],
            ["processes.process_id"],
            name=op.f("fk_process_registrations_process_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("process_id", name=op.f("pk_process_registrations")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "process_wake_targets",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("agent_frame_id", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["process_id"],
            ["processes.process_id"],
            name=op.f("fk_process_wake_targets_process_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("process_id", name=op.f("pk_process_wake_targets")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_process_wake_targets_session_id",
        "process_wake_targets",
        ["session_id", "process_id"],
        unique=False,
    )
    op.create_table(
        "process_wakes",
        sa.Column("process_id", _TEXT, nullable=False),
        sa.Column("sequence", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("created_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("delivery_json", _TEXT, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["process_id", "sequence"],
            ["process_events.process_id", "process_events.sequence"],
            name=op.f("fk_process_wakes_process_id_sequence"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "process_id", "sequence", name=op.f("pk_process_wakes")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_process_wakes_deliveries",
        "process_wakes",
        ["created_at_ms", "process_id", "sequence"],
        unique=False,
        sqlite_where=sa.text("delivery_json IS NOT NULL"),
        postgresql_where=sa.text("delivery_json IS NOT NULL"),
    )
