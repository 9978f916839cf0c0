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
import threading
import time

import msgspec
import zstandard

from lashstore import QueuedWorkClaim, SessionHeadMeta

from .floor_codec import (
    batch_of,
    check_key,
    checked_json,
    checksum,
    node_checksum,
    owner_of,
    pack_sorted,
    read_json,
    to_json,
    unpack,
    verify,
    verify_node,
)
from .floor_sql import (
    ADD_BATCH,
    ADD_BLOB,
    ADD_NODE,
    CLAIM_BATCH,
    COMPLETE_BATCHES,
    FIND_BATCH_BY_KEY,
    FIND_BLOB,
    FIND_HEAD,
    FIND_LEASE,
    HAS_BLOBS,
    LAST_NODE,
    LIST_NODES,
    LIST_PATH,
    LIST_TOTALS,
    MAKE_READY,
    NEXT_ADMISSION,
    PUT_HEAD,
    READY_BATCHES,
    SESSION,
)
from .floor_turn import check_fence, decide, encode_turn, reads_of

_decompressor = zstandard.ZstdDecompressor()


class HandFile:
    """
    One file, handled by hand.
    """

    def __init__(self, path, *, synchronous, wal_limit_bytes):
        self._path = str(path)
        self._wal = f"{path}-wal"
        self._wal_limit_bytes = wal_limit_bytes
        self._database = sqlite3.connect(
            self._path,
            isolation_level=None,
            cached_statements=256,
            timeout=15,
            check_same_thread=False,
        )
        self._mover = None
        # A store is for many threads at once, and one connection is for one.
        self._lock = threading.Lock()
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
        self._recent_refs = frozenset()

    def close(self):
        """
        Close the file.
        """
        if self._mover is not None:
            self._mover.close()
        self._database.close()

    def _require_current(self):
        found = os.stat(self._path)
        if (found.st_dev, found.st_ino) != self._identity:
            msg = "deleted"
            raise RuntimeError(msg)

    def _begin_read(self):
        self._lock.acquire()
        self._execute("BEGIN")
        self._require_current()

    def _end_read(self):
        self._execute("COMMIT")
        self._lock.release()

    def _begin(self):
        self._lock.acquire()
        self._execute("BEGIN IMMEDIATE")
        self._require_current()
        return time.time_ns() // 1_000_000

    def _commit(self):
        self._execute("COMMIT")
        if os.stat(self._wal).st_size > self._wal_limit_bytes:
            self._checkpoint()
        self._lock.release()

    def _checkpoint(self):
        if self._mover is None:
            self._mover = sqlite3.connect(self._path, isolation_level=None)
        self._execute("BEGIN IMMEDIATE")
        self._mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._execute("ROLLBACK")


class Floor(HandFile):
    """
    One session's file, handled by hand.
    """

    def _check_fence(self, fence, now):
        found = self._execute(FIND_LEASE, (SESSION,)).fetchone()
        check_fence(found, fence, now)

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
        root = to_json({"node_id": "root", "kind": "message", "payload": {}}).decode()
        self._execute(
            ADD_NODE,
            (
                SESSION,
                "root",
                1,
                None,
                0,
                node_checksum("root", 1, None, 0, root),
                root,
            ),
        )
        head = (1, 1, "{}", "[]", "", None, "root", 1, 1, 0)
        self._execute(PUT_HEAD, (SESSION, *head, checksum("head", SESSION, *head)))
        self._commit()

    def commit_turn(self, turn, fence):
        """
        Land one stamped turn. What the commit before it stored is not
        compressed again.
        """
        encoded = encode_turn(turn, self._recent_refs)
        now = self._begin()
        found = [
            self._execute(statement, values).fetchall()
            for statement, values in reads_of(turn, encoded)
        ]
        revision, writes = decide(turn, encoded, fence, found, now)
        for statement, values in writes:
            self._execute(statement, values)
        self._commit()
        self._recent_refs = encoded.refs
        return revision

    def add_plain_nodes(self, nodes):
        """
        Append nodes in bulk; for setting up, never timed.
        """
        self._begin()
        head = list(self._read_head())
        (seq,) = self._execute(LAST_NODE, (SESSION,)).fetchone()
        for node in nodes:
            seq += 1
            text = to_json(node).decode()
            node_id, parent = node["node_id"], node["parent_node_id"]
            total = node_checksum(node_id, seq, parent, 0, text)
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
        self._begin_read()
        head = self._read_head()
        nodes = []
        for row in self._execute(LIST_NODES, (SESSION,)):
            verify_node(row)
            nodes.append(decode(row[5]))
        if len(nodes) != head[8]:
            msg = "nodes are missing"
            raise RuntimeError(msg)
        return self._rest(head, nodes)

    def load_path(self, node_type):
        """
        Read the session with the path from its root to its leaf.
        """
        decode = msgspec.json.Decoder(node_type).decode
        self._begin_read()
        head = self._read_head()
        rows = self._execute(LIST_PATH, (SESSION, head[6], head[8])).fetchall()
        rows.sort(key=lambda row: -row[7])
        nodes = []
        for row in rows:
            verify_node(row)
            nodes.append(decode(row[5]))
        if rows[0][2] is not None:
            msg = "a parent is missing"
            raise RuntimeError(msg)
        return self._rest(head, nodes)

    def _rest(self, head, nodes):
        config, frames = read_json(head[2]), read_json(head[3])
        manifest = state = None
        if head[5] is not None:
            manifest = self._blob(head[5])
            state = self._blob(manifest["tool_state_ref"])
        totals = []
        for row in self._execute(LIST_TOTALS, (SESSION,)):
            verify(row[8], "total", SESSION, *row[:8])
            totals.append(row)
        self._end_read()
        return nodes, config, frames, manifest, state, totals

    def _blob(self, ref):
        compression, raw, content = self._execute(FIND_BLOB, (SESSION, ref)).fetchone()
        if compression == "zstd":
            content = _decompressor.decompress(content, max_output_size=raw)
        if len(content) != raw or hashlib.sha256(content).hexdigest() != ref:
            msg = "damaged blob"
            raise RuntimeError(msg)
        return unpack(content)

    def read_head_meta(self):
        """
        Ask whether the session has moved.
        """
        self._begin_read()
        head = self._read_head()
        self._end_read()
        if head[0] != 1:
            msg = "another record version"
            raise RuntimeError(msg)
        return SessionHeadMeta(
            session_id=SESSION,
            head_revision=head[1],
            config=read_json(head[2]),
            agent_frames=tuple(read_json(head[3])),
            current_agent_frame_id=head[4],
            checkpoint_ref=head[5],
            leaf_node_id=head[6],
            graph_node_count=head[7],
        )

    def enqueue(self, payload, key):
        """
        Enqueue one batch of one payload, unless its key is known.
        """
        payloads = checked_json([payload])
        check_key(key)
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
        return batch_of(row, [payload])

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
        return QueuedWorkClaim(
            session_id=SESSION,
            claim_id=claim_id,
            owner=owner_of(owner_json),
            lease_token=token,
            fencing_token=head[11] + 1,
            claimed_at_ms=now,
            expires_at_ms=now + ttl_ms,
            batches=(batch_of((SESSION, *row), read_json(head[9])),),
        )

    def complete(self, claim, fence):
        """
        Complete a claim in an otherwise empty, unconditional commit.
        """
        claim_id, token = claim.claim_id, claim.lease_token
        (batch,) = claim.batches
        manifest_map = {"schema_version": 1, "turn_state": {}}
        manifest = pack_sorted(manifest_map)
        ref = hashlib.sha256(manifest).hexdigest()
        now = self._begin()
        head = self._read_head()
        self._check_fence(fence, now)
        owned = self._execute(COMPLETE_BATCHES, (SESSION, claim_id, token)).fetchall()
        if owned != [(batch.batch_id,)]:
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
