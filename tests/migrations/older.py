"""
Databases of a made-up older version: one table less, an index without its
predicate, another CHECK, and one column more.
"""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

CHAIN = Path(__file__).parent / "chains" / "session"
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_MAKE_OLDER = """
DROP TABLE session_artifacts;
DROP INDEX ix_session_nodes_tombstoned;
CREATE INDEX ix_session_nodes_tombstoned ON session_nodes (session_id, node_id);
ALTER TABLE session_blobs RENAME TO newer;
DROP INDEX ix_session_blobs_bases;
CREATE TABLE session_blobs (
    session_id TEXT NOT NULL,
    blob_ref TEXT NOT NULL,
    kind TEXT NOT NULL,
    compression TEXT NOT NULL,
    raw_bytes INTEGER NOT NULL,
    base_ref TEXT,
    chain_depth INTEGER NOT NULL,
    content BLOB NOT NULL,
    remark TEXT,
    CONSTRAINT pk_session_blobs PRIMARY KEY (session_id, blob_ref),
    CONSTRAINT ck_session_blobs_kind_known CHECK (kind IN ('generic_blob', 'checkpoint_manifest', 'tool_state', 'plugin_session_snapshot', 'execution_state_snapshot', 'module', 'process_execution_env')),
    CONSTRAINT ck_session_blobs_compression_known CHECK (compression IN ('none', 'zstd', 'lz4')),
    CONSTRAINT ck_session_blobs_counters CHECK (raw_bytes >= 0 AND chain_depth >= 0),
    CONSTRAINT ck_session_blobs_chain_depth_of_base CHECK ((base_ref IS NULL) = (chain_depth = 0))
) STRICT;
INSERT INTO session_blobs SELECT *, 'old' FROM newer;
DROP TABLE newer;
CREATE INDEX ix_session_blobs_bases ON session_blobs (session_id, base_ref) WHERE base_ref IS NOT NULL;
UPDATE schema_versions SET version = '0' WHERE component = 'session';
"""

# The same in PostgreSQL's words.
_MAKE_OLDER_ON_SERVER = """
DROP TABLE session_artifacts;
DROP INDEX ix_session_nodes_tombstoned;
CREATE INDEX ix_session_nodes_tombstoned ON session_nodes (session_id, node_id);
ALTER TABLE session_blobs
    ADD COLUMN remark TEXT,
    DROP CONSTRAINT ck_session_blobs_compression_known,
    ADD CONSTRAINT ck_session_blobs_compression_known CHECK (compression IN ('none', 'zstd', 'lz4'));
UPDATE session_blobs SET remark = 'old';
UPDATE schema_versions SET version = '0' WHERE component = 'session';
"""


def make_older(path):
    """
    Turn a file of the current version into one of the made-up version.
    """
    connection = sqlite3.connect(path)
    try:
        connection.executescript(_MAKE_OLDER)
    finally:
        connection.close()


def make_older_on_server(connect):
    """
    Turn a schema of the current version into one of the made-up version.
    """
    with connect() as connection:
        connection.execute(_MAKE_OLDER_ON_SERVER)


def older_blobs():
    """
    Return the table the migration rebuilds, as it was.
    """
    return sa.Table(
        "session_blobs",
        sa.MetaData(),
        sa.Column("session_id", _TEXT, nullable=False),
        sa.Column("blob_ref", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("compression", _TEXT, nullable=False),
        sa.Column("raw_bytes", _INTEGER, nullable=False),
        sa.Column("base_ref", _TEXT),
        sa.Column("chain_depth", _INTEGER, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("remark", _TEXT),
        sa.PrimaryKeyConstraint("session_id", "blob_ref", name="pk_session_blobs"),
        sa.CheckConstraint(
            "kind IN ('generic_blob', 'checkpoint_manifest', 'tool_state', 'plugin_session_snapshot', 'execution_state_snapshot', 'module', 'process_execution_env')",
            name="ck_session_blobs_kind_known",
        ),
        sa.CheckConstraint(
            "compression IN ('none', 'zstd', 'lz4')",
            name="ck_session_blobs_compression_known",
        ),
        sa.CheckConstraint(
            "raw_bytes >= 0 AND chain_depth >= 0", name="ck_session_blobs_counters"
        ),
        sa.CheckConstraint(
            "(base_ref IS NULL) = (chain_depth = 0)",
            name="ck_session_blobs_chain_depth_of_base",
        ),
        sa.Index(
            "ix_session_blobs_bases",
            "session_id",
            "base_ref",
            sqlite_where=sa.text("base_ref IS NOT NULL"),
        ),
    )
