"""
The first schema of the effect component.

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
        "effects",
        sa.Column("scope_id", _TEXT, nullable=False),
        sa.Column("replay_key", _TEXT, nullable=False),
        sa.Column("session_id", _TEXT, nullable=True),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("lease_owner_id", _TEXT, nullable=True),
        sa.Column("lease_token", _TEXT, nullable=True),
        sa.Column("lease_expires_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("due_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("created_at_ms", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("finished_at_ms", _INTEGER, autoincrement=False, nullable=True),
        sa.Column("checksum", _INTEGER, autoincrement=False, nullable=False),
        sa.Column("envelope_json", _TEXT, nullable=False),
        sa.Column("outcome_json", _TEXT, nullable=True),
        sa.Column("error_json", _TEXT, nullable=True),
        sa.CheckConstraint(
            "(status <> 'in_progress' OR (outcome_json IS NULL AND error_json IS NULL AND finished_at_ms IS NULL)) AND (status = 'in_progress' OR (finished_at_ms IS NOT NULL AND lease_token IS NULL)) AND (status <> 'completed' OR (outcome_json IS NOT NULL AND error_json IS NULL)) AND (status <> 'failed' OR (error_json IS NOT NULL AND outcome_json IS NULL))",
            name=op.f("ck_effects_state_machine"),
        ),
        sa.CheckConstraint(
            "status IN ('in_progress', 'completed', 'failed')",
            name=op.f("ck_effects_status_known"),
        ),
        sa.CheckConstraint(
            "(lease_token IS NULL) = (lease_owner_id IS NULL) AND (lease_token IS NULL) = (lease_expires_at_ms IS NULL)",
            name=op.f("ck_effects_lease_whole"),
        ),
        sa.PrimaryKeyConstraint("scope_id", "replay_key", name=op.f("pk_effects")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_effects_finished",
        "effects",
        ["finished_at_ms"],
        unique=False,
        sqlite_where=sa.text("finished_at_ms IS NOT NULL"),
        postgresql_where=sa.text("finished_at_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_effects_session_id",
        "effects",
        ["session_id"],
        unique=False,
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
