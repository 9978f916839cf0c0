"""
The floor: the same semantic work by hand, in sqlite3 alone.

Everything here is written for one job and nothing else: statements are
constants that sqlite3 keeps prepared, rows are tuples, no SQLAlchemy, no
value types on the way in, no argument checks. It runs on the library's own
schema (same tables, indexes, CHECKs, STRICT) with the library's own pragmas,
and keeps the promises that make the library what it is:

* One `BEGIN IMMEDIATE` transaction, the same `synchronous`, checkpoints off
  but for one at the same WAL size.
* The file is still the one that was opened (deleted stays deleted).
* The lease row is read, its checksum verified, token, fencing token, owner and
  expiry compared: the fence check.
* The head row is read and its checksum verified; the revision is compared
  with the expected one: the compare-and-swap.
* The turn's stamp is looked up (a replay would answer it) and inserted, with
  the result a replay returns, and a hash of the turn's content.
* The nodes' parents are looked up, with their checksums, and must be live;
  the nodes get their place in the insertion order.
* The tool state is MessagePack, hashed with SHA-256, looked up, compressed
  with zstd at the same level and inserted; so is the manifest.
* The usage delta is inserted, and added to the ledger row of its source and
  model, whose checksum is verified.
* The turn's left-over inputs are deferred.
* Every row gets the checksum the library gives it: CRC-32 over MessagePack.
"""

import hashlib
import os
import secrets
import sqlite3
import time
import zlib

import msgspec
import zstandard

SESSION = "bench"
_pack = msgspec.msgpack.Encoder().encode
_pack_sorted = msgspec.msgpack.Encoder(order="sorted").encode
_unpack = msgspec.msgpack.Decoder().decode
_json = msgspec.json.Encoder(order="sorted").encode
_read_json = msgspec.json.Decoder().decode
_compressor = zstandard.ZstdCompressor(level=3, write_checksum=False)
_decompressor = zstandard.ZstdDecompressor()

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
    " result_json, committed_at_ms, checksum) VALUES (?, ?, ?, ?, ?, ?)"
)
NODE_COLUMNS = (
    "node_id, seq, parent_node_id, is_tombstoned, is_user_message, node_json, checksum"
)
FIND_NODES = (
    f"SELECT {NODE_COLUMNS} FROM session_nodes"
    " WHERE session_id = ? AND node_id IN (?, ?, ?)"
)
LAST_NODE = "SELECT max(seq) FROM session_nodes WHERE session_id = ?"
ADD_NODE = (
    "INSERT INTO session_nodes (session_id, node_id, seq, parent_node_id,"
    " is_tombstoned, is_user_message, checksum, node_json)"
    " VALUES (?, ?, ?, ?, 0, ?, ?, ?)"
)
LIST_NODES = (
    f"SELECT {NODE_COLUMNS} FROM session_nodes"
    " WHERE session_id = ? AND is_tombstoned = 0 ORDER BY seq"
)
HAS_BLOBS = (
    "SELECT blob_ref FROM session_blobs WHERE session_id = ? AND blob_ref IN (?, ?)"
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
FIND_BATCH_BY_KEY = "SELECT batch_id FROM session_queued_batches WHERE session_id = ? AND source_key = ?"
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


def checksum(*fields):
    """
    Return the checksum of a row.
    """
    return zlib.crc32(_pack(fields))


def verify(stored, *fields):
    """
    Refuse a damaged row.
    """
    if zlib.crc32(_pack(fields)) != stored:
        msg = "damaged row"
        raise RuntimeError(msg)


class HandFile:
    """
    One file, handled by hand.
    """

    def __init__(self, path, *, synchronous, wal_limit_bytes):
        self._path = str(path)
        self._wal = f"{path}-wal"
        self._wal_limit_bytes = wal_limit_bytes
        self._database = sqlite3.connect(
            self._path, isolation_level=None, cached_statements=256
        )
        self._mover = sqlite3.connect(self._path, isolation_level=None)
        for pragma in (
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            f"synchronous = {synchronous}",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {wal_limit_bytes}",
            "cache_size = -2000",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        self._execute = self._database.execute
        found = os.stat(self._path)
        self._identity = (found.st_dev, found.st_ino)

    def close(self):
        """
        Close the file.
        """
        self._mover.close()
        self._database.close()

    def _require_current(self):
        found = os.stat(self._path)
        if (found.st_dev, found.st_ino) != self._identity:
            msg = "deleted"
            raise RuntimeError(msg)

    def _begin(self):
        self._execute("BEGIN IMMEDIATE")
        self._require_current()
        return time.time_ns() // 1_000_000

    def _commit(self):
        self._execute("COMMIT")
        if os.stat(self._wal).st_size > self._wal_limit_bytes:
            self._execute("BEGIN IMMEDIATE")
            self._mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._execute("ROLLBACK")


class Floor(HandFile):
    """
    One session's file, handled by hand.
    """

    def _check_fence(self, fence, now):
        found = self._execute(FIND_LEASE, (SESSION,)).fetchone()
        verify(found[5], "lease", SESSION, *found[:5])
        owner = _read_json(found[2])
        if (
            found[0] != fence["fencing_token"]
            or found[1] != fence["lease_token"]
            or owner["owner_id"] != fence["owner_id"]
            or owner["incarnation_id"] != fence["incarnation_id"]
            or found[4] <= now
        ):
            msg = "lease lost"
            raise RuntimeError(msg)

    def _read_head(self):
        head = self._execute(FIND_HEAD, (SESSION,)).fetchone()
        verify(head[10], "head", SESSION, *head[:10])
        return head

    def seed(self, fence, owner_json):
        """
        Give the session a lease and a head to start from.
        """
        self._begin()
        self._execute(
            "INSERT INTO sessions (session_id, incarnation, admission_seq)"
            " VALUES (?, 'floor', 0) ON CONFLICT DO NOTHING",
            (SESSION,),
        )
        expires = 2**60
        fields = (fence["fencing_token"], fence["lease_token"], owner_json, 1, expires)
        self._execute(
            "INSERT OR REPLACE INTO session_execution_leases (session_id,"
            " fencing_token, lease_token, owner_json, claimed_at_ms, expires_at_ms,"
            " checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (SESSION, *fields, checksum("lease", SESSION, *fields)),
        )
        root = _json({"node_id": "root", "kind": "message", "payload": {}}).decode()
        self._execute(
            ADD_NODE,
            (
                SESSION,
                "root",
                1,
                None,
                0,
                _node_checksum("root", 1, None, 0, root),
                root,
            ),
        )
        head = (1, 1, "{}", "[]", "", None, "root", 1, 1, 0)
        self._execute(PUT_HEAD, (SESSION, *head, checksum("head", SESSION, *head)))
        self._commit()

    def commit_turn(self, turn, fence):  # noqa: PLR0915, a floor is flat
        """
        Land one stamped turn.
        """
        state = _pack_sorted(turn["tool_state"])
        state_ref = hashlib.sha256(state).hexdigest()
        manifest_map = {
            "schema_version": 1,
            "turn_state": turn["turn_state"],
            "tool_state_ref": state_ref,
        }
        manifest = _pack_sorted(manifest_map)
        manifest_ref = hashlib.sha256(manifest).hexdigest()
        nodes = [(node, _json(node).decode()) for node in turn["nodes"]]
        config, frames = _json(turn["config"]).decode(), _json(turn["frames"]).decode()
        ids = {node["node_id"]: place for place, node in enumerate(turn["nodes"])}
        turn_hash = hashlib.sha256(
            _json(
                {
                    "session_id": SESSION,
                    "config": turn["config"],
                    "agent_frames": turn["frames"],
                    "current_agent_frame_id": "f",
                    "graph": {
                        "kind": "append",
                        "leaf": len(nodes) - 1,
                        "nodes": [
                            {
                                "kind": node["kind"],
                                "payload": node["payload"],
                                "agent_frame_id": node["agent_frame_id"],
                                "caused_by": node["caused_by"],
                                "parent": ids.get(
                                    node["parent_node_id"], node["parent_node_id"]
                                ),
                            }
                            for node in turn["nodes"]
                        ],
                    },
                    "checkpoint": manifest_map,
                    "usage_deltas": [turn["usage"]],
                    "completed_batch_ids": [],
                    "completed_input_ids": [],
                    "interrupted_turn_input_turn_id": None,
                    "committed_attachment_ids": [],
                }
            )
        ).hexdigest()
        packed = _compressor.compress(state)
        stored, compression = (
            (packed, "zstd") if len(packed) < len(state) else (state, "none")
        )

        now = self._begin()
        head = self._read_head()
        if self._execute(FIND_TURN, (SESSION, turn["turn_id"])).fetchone():
            msg = "replay"
            raise RuntimeError(msg)
        self._check_fence(fence, now)
        if head[1] != turn["expected"]:
            msg = "conflict"
            raise RuntimeError(msg)
        known = {
            ref
            for (ref,) in self._execute(HAS_BLOBS, (SESSION, state_ref, manifest_ref))
        }
        if state_ref not in known:
            self._execute(
                ADD_BLOB,
                (SESSION, state_ref, "tool_state", compression, len(state), stored),
            )
        if manifest_ref not in known:
            self._execute(
                ADD_BLOB,
                (
                    SESSION,
                    manifest_ref,
                    "checkpoint_manifest",
                    "none",
                    len(manifest),
                    manifest,
                ),
            )
        usage = turn["usage"]
        counters = tuple(usage["usage"].values())
        key = (SESSION, usage["source"], usage["model"])
        (seq,) = self._execute(LAST_USAGE, (SESSION,)).fetchone()
        row = (SESSION, (seq or 0) + 1, *key[1:], *counters)
        self._execute(ADD_USAGE, (*row, checksum("usage", *row)))
        total = self._execute(FIND_TOTAL, key).fetchone()
        if total is None:
            place, sums = 1, counters
        else:
            verify(total[6], "total", *key, *total[:6])
            place = total[0]
            sums = tuple(a + b for a, b in zip(total[1:6], counters, strict=True))
        row = (*key, place, *sums)
        self._execute(PUT_TOTAL, (*row, checksum("total", *row)))

        parent = turn["nodes"][0]["parent_node_id"]
        found = self._execute(FIND_NODES, (SESSION, parent, *ids)).fetchall()
        if len(found) != 1 or found[0][0] != parent or found[0][3]:
            msg = "unknown parent"
            raise RuntimeError(msg)
        _verify_node(found[0])
        (seq,) = self._execute(LAST_NODE, (SESSION,)).fetchone()
        for node, text in nodes:
            seq += 1
            is_user = int(node["payload"]["role"] == "user")
            self._execute(
                ADD_NODE,
                (
                    SESSION,
                    node["node_id"],
                    seq,
                    node["parent_node_id"],
                    is_user,
                    _node_checksum(
                        node["node_id"], seq, node["parent_node_id"], is_user, text
                    ),
                    text,
                ),
            )
        count = head[8] + len(nodes)
        values = (
            1,
            head[1] + 1,
            config,
            frames,
            "f",
            manifest_ref,
            nodes[-1][0]["node_id"],
            count,
            count,
            head[9] + sum(n["payload"]["role"] == "user" for n, _ in nodes),
        )
        self._execute(PUT_HEAD, (SESSION, *values, checksum("head", SESSION, *values)))
        self._execute(DEFER_INPUTS, (SESSION, turn["turn_id"])).fetchall()
        result = _json(
            {
                "head_revision": head[1] + 1,
                "checkpoint_ref": manifest_ref,
                "manifest": manifest_map,
            }
        ).decode()
        row = (SESSION, turn["turn_id"], turn_hash, result, now)
        self._execute(ADD_TURN, (*row, checksum("turn", *row)))
        self._commit()
        return head[1] + 1

    def add_plain_nodes(self, nodes):
        """
        Append nodes in bulk; for setting up, never timed.
        """
        self._begin()
        head = list(self._read_head())
        (seq,) = self._execute(LAST_NODE, (SESSION,)).fetchone()
        for node in nodes:
            seq += 1
            text = _json(node).decode()
            node_id, parent = node["node_id"], node["parent_node_id"]
            total = _node_checksum(node_id, seq, parent, 0, text)
            self._execute(ADD_NODE, (SESSION, node_id, seq, parent, 0, total, text))
        head[7] = head[8] = head[8] + len(nodes)
        values = head[:10]
        self._execute(PUT_HEAD, (SESSION, *values, checksum("head", SESSION, *values)))
        self._commit()

    def load(self, node_type):
        """
        Read the whole session: head, live nodes, checkpoint, ledger.
        """
        decode = msgspec.json.Decoder(node_type).decode
        self._execute("BEGIN")
        self._require_current()
        head = self._read_head()
        nodes = []
        for row in self._execute(LIST_NODES, (SESSION,)):
            _verify_node(row)
            nodes.append(decode(row[5]))
        if len(nodes) != head[8]:
            msg = "nodes are missing"
            raise RuntimeError(msg)
        config, frames = _read_json(head[2]), _read_json(head[3])
        manifest = state = None
        if head[5] is not None:
            manifest = self._blob(head[5])
            state = self._blob(manifest["tool_state_ref"])
        totals = []
        for row in self._execute(LIST_TOTALS, (SESSION,)):
            verify(row[8], "total", SESSION, *row[:8])
            totals.append(row)
        self._execute("COMMIT")
        return nodes, config, frames, manifest, state, totals

    def _blob(self, ref):
        compression, raw, content = self._execute(FIND_BLOB, (SESSION, ref)).fetchone()
        if compression == "zstd":
            content = _decompressor.decompress(content, max_output_size=raw)
        if len(content) != raw or hashlib.sha256(content).hexdigest() != ref:
            msg = "damaged blob"
            raise RuntimeError(msg)
        return _unpack(content)

    def read_head_meta(self):
        """
        Ask whether the session has moved.
        """
        self._execute("BEGIN")
        self._require_current()
        head = self._read_head()
        self._execute("COMMIT")
        return head[1], _read_json(head[2]), _read_json(head[3]), head[5], head[6]

    def enqueue(self, payload, key):
        """
        Enqueue one batch of one payload, unless its key is known.
        """
        payloads = _json([payload]).decode()
        now = self._begin()
        if self._execute(FIND_BATCH_BY_KEY, (SESSION, key)).fetchone():
            msg = "known key"
            raise RuntimeError(msg)
        (seq,) = self._execute(NEXT_ADMISSION, (SESSION,)).fetchone()
        batch_id = f"qwb:{secrets.token_hex(32)}"
        row = (
            SESSION,
            batch_id,
            seq,
            key,
            "turn_work",
            "earliest_safe_boundary",
            "exclusive",
            '{"kind":"never"}',
            0,
            now,
        )
        self._execute(ADD_BATCH, (*row, checksum("batch", *row, payloads), payloads))
        self._commit()
        return batch_id

    def claim(self, fence, owner_json, ttl_ms):
        """
        Claim the leading batch.
        """
        now = self._begin()
        self._check_fence(fence, now)
        self._execute(MAKE_READY, (SESSION, now))
        head = self._execute(READY_BATCHES, (SESSION, now, now)).fetchall()[0]
        row = head[:9]
        verify(head[10], "batch", SESSION, *row, head[9])
        claim_id = f"qwc:{head[1]}:{head[11] + 1}"
        token = secrets.token_hex(32)
        self._execute(
            CLAIM_BATCH,
            (claim_id, token, owner_json, now, now + ttl_ms, SESSION, head[0]),
        )
        self._commit()
        return claim_id, token, head[0], _read_json(head[9])

    def complete(self, claim, fence):
        """
        Complete a claim in an otherwise empty, unconditional commit.
        """
        claim_id, token, batch_id, _ = claim
        manifest_map = {"schema_version": 1, "turn_state": {}}
        manifest = _pack_sorted(manifest_map)
        ref = hashlib.sha256(manifest).hexdigest()
        now = self._begin()
        head = self._read_head()
        self._check_fence(fence, now)
        owned = self._execute(COMPLETE_BATCHES, (SESSION, claim_id, token)).fetchall()
        if owned != [(batch_id,)]:
            msg = "claim lost"
            raise RuntimeError(msg)
        if not self._execute(HAS_BLOBS, (SESSION, ref, ref)).fetchone():
            self._execute(
                ADD_BLOB,
                (SESSION, ref, "checkpoint_manifest", "none", len(manifest), manifest),
            )
        values = (1, head[1] + 1, "{}", "[]", "", ref, *head[6:10])
        self._execute(PUT_HEAD, (SESSION, *values, checksum("head", SESSION, *values)))
        self._commit()


def _node_checksum(node_id, seq, parent, is_user, text):
    return checksum("node", SESSION, node_id, seq, parent, is_user, text)


def _verify_node(row):
    verify(row[6], "node", SESSION, row[0], row[1], row[2], row[4], row[5])
