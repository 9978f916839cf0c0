"""
From the schema that never was to the first.
"""

import os
import sys

import sqlalchemy as sa

from tests.migrations.older import older_blobs

revision = "1"
down_revision = "0"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade(op):
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
            "session_id",
            "namespace",
            "artifact_ref",
            name=op.f("pk_session_artifacts"),
        ),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_session_artifacts_blob_ref", "session_artifacts", ["session_id", "blob_ref"]
    )
    op.drop_index("ix_session_nodes_tombstoned", "session_nodes")
    _die_here_if_asked()
    op.create_index(
        "ix_session_nodes_tombstoned",
        "session_nodes",
        ["session_id", "node_id"],
        sqlite_where=sa.text("is_tombstoned = 1"),
        postgresql_where=sa.text("is_tombstoned = 1"),
    )
    with op.batch_alter_table(
        "session_blobs",
        # PostgreSQL changes a table in place.
        recreate="always" if op.get_bind().dialect.name == "sqlite" else "never",
        copy_from=older_blobs(),
        table_kwargs={"sqlite_strict": True},
    ) as batch:
        batch.drop_column("remark")
        batch.drop_constraint(op.f("ck_session_blobs_compression_known"))
        batch.create_check_constraint(
            op.f("ck_session_blobs_compression_known"),
            "compression IN ('none', 'zstd')",
        )


def _die_here_if_asked():
    if os.environ.get("LASHSTORE_TEST_HALT") == "migration":
        print("halfway", flush=True)
        sys.stdin.read()
