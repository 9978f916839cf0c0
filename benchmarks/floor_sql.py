"""
The statements of a session's floor: constants, so that sqlite3 keeps them
prepared.
"""

import functools

SESSION = "bench"

FIND_LEASE = (
    "SELECT fencing_token, lease_token, owner_json, claimed_at_ms, expires_at_ms,"
    " checksum FROM session_execution_leases WHERE session_id = ?"
)
FIND_HEAD = (
    "SELECT schema_version, head_revision, config_json, agent_frames_json,"
    " current_agent_frame_id, checkpoint_ref, leaf_node_id, graph_node_count,"
    " live_node_count, user_message_count, checksum FROM session_heads"
    " WHERE session_id = ?"
)
PUT_HEAD = (
    "INSERT INTO session_heads (session_id, schema_version, head_revision,"
    " config_json, agent_frames_json, current_agent_frame_id, checkpoint_ref,"
    " leaf_node_id, graph_node_count, live_node_count, user_message_count, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id) DO UPDATE"
    " SET head_revision = excluded.head_revision, config_json = excluded.config_json,"
    " agent_frames_json = excluded.agent_frames_json,"
    " current_agent_frame_id = excluded.current_agent_frame_id,"
    " checkpoint_ref = excluded.checkpoint_ref, leaf_node_id = excluded.leaf_node_id,"
    " graph_node_count = excluded.graph_node_count,"
    " live_node_count = excluded.live_node_count,"
    " user_message_count = excluded.user_message_count, checksum = excluded.checksum"
)
FIND_TURN = (
    "SELECT turn_commit_hash, result_json, committed_at_ms, checksum"
    " FROM session_turn_commits WHERE session_id = ? AND turn_id = ?"
)
ADD_TURN = (
    "INSERT INTO session_turn_commits (session_id, turn_id, turn_commit_hash,"
    " result_json, committed_at_ms, head_revision, first_node_seq, node_count,"
    " first_usage_seq, usage_count, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
NODE_COLUMNS = (
    "node_id, seq, parent_node_id, is_tombstoned, is_user_message, node_json, checksum"
)
LAST_NODE = "SELECT max(seq) FROM session_nodes WHERE session_id = ?"
ADD_NODE = (
    "INSERT INTO session_nodes (session_id, node_id, seq, parent_node_id,"
    " is_tombstoned, is_user_message, checksum, node_json)"
    " VALUES (?, ?, ?, ?, 0, ?, ?, ?)"
)
LIST_PATH = (
    "WITH RECURSIVE path (node_id, parent_node_id, is_tombstoned, depth) AS ("
    " SELECT node_id, parent_node_id, is_tombstoned, 1 FROM session_nodes"
    " WHERE session_id = ?1 AND node_id = ?2 UNION ALL"
    " SELECT n.node_id, n.parent_node_id, n.is_tombstoned, p.depth + 1"
    " FROM path p JOIN session_nodes n ON n.session_id = ?1"
    " AND n.node_id = p.parent_node_id"
    " WHERE p.is_tombstoned = 0 AND p.depth <= ?3)"
    " SELECT n.node_id, n.seq, n.parent_node_id, n.is_tombstoned, n.is_user_message,"
    " n.node_json, n.checksum, p.depth FROM path p JOIN session_nodes n"
    " ON n.session_id = ?1 AND n.node_id = p.node_id"
)
LIST_NODES = (
    f"SELECT {NODE_COLUMNS} FROM session_nodes"
    " WHERE session_id = ? AND is_tombstoned = 0 ORDER BY seq"
)
HAS_BLOBS = (
    "SELECT blob_ref FROM session_blobs WHERE session_id = ? AND blob_ref IN (?, ?)"
)
HAS_BLOBS_AND_BASE = (
    "SELECT blob_ref FROM session_blobs WHERE session_id = ? AND blob_ref IN (?, ?, ?)"
)
ADD_DELTA = (
    "INSERT OR IGNORE INTO session_blobs (session_id, blob_ref, kind, compression,"
    " raw_bytes, base_ref, chain_depth, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
ADD_BLOB = (
    "INSERT OR IGNORE INTO session_blobs (session_id, blob_ref, kind, compression,"
    " raw_bytes, base_ref, chain_depth, content) VALUES (?, ?, ?, ?, ?, NULL, 0, ?)"
)
FIND_BLOB = (
    "SELECT compression, raw_bytes, content FROM session_blobs"
    " WHERE session_id = ? AND blob_ref = ?"
)
COUNTERS = (
    "input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens,"
    " reasoning_output_tokens"
)
LAST_USAGE = "SELECT max(seq) FROM session_usage WHERE session_id = ?"
ADD_USAGE = (
    f"INSERT INTO session_usage (session_id, seq, source, model, {COUNTERS}, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FIND_TOTAL = (
    f"SELECT seq, {COUNTERS}, checksum FROM session_usage_totals"
    " WHERE session_id = ? AND source = ? AND model = ?"
)
PUT_TOTAL = (
    "INSERT INTO session_usage_totals (session_id, source, model, seq,"
    f" {COUNTERS}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (session_id, source, model) DO UPDATE SET"
    " input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,"
    " cache_read_input_tokens = excluded.cache_read_input_tokens,"
    " cache_write_input_tokens = excluded.cache_write_input_tokens,"
    " reasoning_output_tokens = excluded.reasoning_output_tokens,"
    " checksum = excluded.checksum"
)
LIST_TOTALS = (
    f"SELECT source, model, seq, {COUNTERS}, checksum FROM session_usage_totals"
    " WHERE session_id = ? ORDER BY seq"
)
DEFER_INPUTS = (
    "SELECT input_id FROM session_turn_inputs WHERE session_id = ? AND turn_id = ?"
    " AND state = 'pending_active'"
)
NEXT_ADMISSION = (
    "UPDATE sessions SET admission_seq = admission_seq + 1 WHERE session_id = ?"
    " RETURNING admission_seq"
)
ADD_BATCH = (
    "INSERT INTO session_queued_batches (session_id, batch_id, enqueue_seq, source_key,"
    " work_class, delivery_policy, slot_policy, merge_key_json, available_at_ms,"
    " enqueued_at_ms, is_ready, claim_fencing_token, checksum, payloads_json)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?)"
)
BATCH_COLUMNS = (
    "batch_id, enqueue_seq, source_key, work_class, delivery_policy, slot_policy,"
    " merge_key_json, available_at_ms, enqueued_at_ms, payloads_json, checksum"
)
# The whole row: a replay is answered with it.
FIND_BATCH_BY_KEY = (
    f"SELECT {BATCH_COLUMNS} FROM session_queued_batches"
    " WHERE session_id = ? AND source_key = ? AND source_key IS NOT NULL"
)
MAKE_READY = (
    "UPDATE session_queued_batches SET is_ready = 1"
    " WHERE session_id = ? AND is_ready = 0 AND available_at_ms <= ?"
)
READY_BATCHES = (
    f"SELECT {BATCH_COLUMNS}, claim_fencing_token FROM session_queued_batches"
    " WHERE session_id = ? AND is_ready = 1 AND available_at_ms <= ?"
    " AND (claim_expires_at_ms IS NULL OR claim_expires_at_ms <= ?)"
    " ORDER BY enqueue_seq LIMIT 2"
)
CLAIM_BATCH = (
    "UPDATE session_queued_batches SET claim_id = ?, claim_token = ?,"
    " claim_owner_json = ?, claim_fencing_token = claim_fencing_token + 1,"
    " claimed_at_ms = ?, claim_expires_at_ms = ? WHERE session_id = ? AND batch_id = ?"
)
COMPLETE_BATCHES = (
    "DELETE FROM session_queued_batches WHERE session_id = ? AND claim_id = ?"
    " AND claim_token = ? RETURNING batch_id"
)


@functools.cache
def find_nodes(count):
    marks = ", ".join("?" * count)
    return (
        f"SELECT {NODE_COLUMNS} FROM session_nodes"
        f" WHERE session_id = ? AND node_id IN ({marks})"
    )
