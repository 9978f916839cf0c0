"""
The floor of a turn, whichever the engine: what is encoded before the lock, read
under it, decided, and written.
"""

import hashlib
import operator

import zstandard

from .floor_codec import (
    checksum,
    node_checksum,
    pack_sorted,
    read_json,
    to_json,
    verify,
    verify_node,
)
from .floor_sql import (
    ADD_BLOB,
    ADD_DELTA,
    ADD_NODE,
    ADD_TURN,
    ADD_USAGE,
    DEFER_INPUTS,
    FIND_HEAD,
    FIND_LEASE,
    FIND_TOTAL,
    FIND_TURN,
    HAS_BLOBS,
    HAS_BLOBS_AND_BASE,
    LAST_NODE,
    LAST_USAGE,
    PUT_HEAD,
    PUT_TOTAL,
    SESSION,
    find_nodes,
)

_compressor = zstandard.ZstdCompressor(level=3, write_checksum=False)
_LEAST_TO_COMPRESS = 4096
_LEAST_TO_DIFFER = 32 * 1024
_LONGEST_CHAIN = 16


class EncodedTurn:
    """
    A turn as it is stored: everything that is made before the lock.
    """

    __slots__ = (
        *("state_ref", "raw_bytes", "compression", "stored", "manifest_map"),
        *("manifest_ref", "manifest", "nodes", "config", "frames", "ids"),
        *("turn_hash", "refs", "base", "state"),
    )


class Base:
    """
    The state of the turn before, for a floor that stores differences.
    """

    __slots__ = ("content", "depth", "ref", "whole_bytes")

    def __init__(self, ref, content, depth, whole_bytes) -> None:
        self.ref, self.content = ref, content
        self.depth, self.whole_bytes = depth, whole_bytes

    def difference_to(self, content):
        """
        Return the compressed difference; None if storing it whole is better.
        """
        if self.depth >= _LONGEST_CHAIN or len(content) < _LEAST_TO_DIFFER:
            return None
        size = max(len(content), len(self.content))
        parameters = zstandard.ZstdCompressionParameters.from_level(
            1,
            source_size=len(content),
            dict_size=len(self.content),
            window_log=(len(content) + len(self.content)).bit_length(),
            hash_log=size.bit_length() - 1,
            strategy=zstandard.STRATEGY_FAST,
            min_match=7,
            write_checksum=False,
            write_dict_id=False,
        )
        packed = zstandard.ZstdCompressor(
            dict_data=zstandard.ZstdCompressionDict(
                self.content, dict_type=zstandard.DICT_TYPE_RAWCONTENT
            ),
            compression_params=parameters,
        ).compress(content)
        return packed if 2 * len(packed) <= self.whole_bytes else None


def base_of(encoded):
    """
    Return what the next turn's state may be a difference to.
    """
    before = encoded.base
    return Base(
        encoded.state_ref,
        encoded.state,
        0 if before is None else before.depth + 1,
        len(encoded.stored) if before is None else before.whole_bytes,
    )


def encode_turn(turn, recent_refs, base=None):
    """
    Encode, hash and compress a turn; its state as a difference to *base*.
    """
    encoded = EncodedTurn()
    state = pack_sorted(turn["tool_state"])
    encoded.state_ref = hashlib.sha256(state).hexdigest()
    encoded.raw_bytes, encoded.stored, encoded.compression = len(state), state, "none"
    encoded.state, encoded.base = state, None
    difference = None
    if base is not None and encoded.state_ref not in recent_refs:
        difference = base.difference_to(state)
    if difference is not None:
        encoded.stored, encoded.compression = difference, "zstd"
        encoded.base = base
    elif encoded.state_ref not in recent_refs and len(state) >= _LEAST_TO_COMPRESS:
        packed = _compressor.compress(state)
        if len(packed) < len(state):
            encoded.stored, encoded.compression = packed, "zstd"
    encoded.manifest_map = {
        "schema_version": 1,
        "turn_state": turn["turn_state"],
        "tool_state_ref": encoded.state_ref,
    }
    encoded.manifest = pack_sorted(encoded.manifest_map)
    encoded.manifest_ref = hashlib.sha256(encoded.manifest).hexdigest()
    encoded.refs = frozenset((encoded.state_ref, encoded.manifest_ref))
    encoded.nodes = [(node, to_json(node).decode()) for node in turn["nodes"]]
    encoded.config = to_json(turn["config"]).decode()
    encoded.frames = to_json(turn["frames"]).decode()
    ids = {node["node_id"]: place for place, node in enumerate(turn["nodes"])}
    encoded.ids = ids
    content = {
        "session_id": SESSION,
        "config": turn["config"],
        "agent_frames": turn["frames"],
        "current_agent_frame_id": turn["frame"],
        "graph": {
            "kind": "append",
            "leaf": len(encoded.nodes) - 1,
            "nodes": [
                {
                    "kind": node["kind"],
                    "payload": node["payload"],
                    "agent_frame_id": node["agent_frame_id"],
                    "caused_by": node["caused_by"],
                    "parent": ids.get(node["parent_node_id"], node["parent_node_id"]),
                }
                for node in turn["nodes"]
            ],
        },
        "checkpoint": encoded.manifest_map,
        "usage_deltas": turn["usage"],
        "completed_batch_ids": [],
        "completed_input_ids": [],
        "interrupted_turn_input_turn_id": None,
        "committed_attachment_ids": [],
    }
    encoded.turn_hash = hashlib.sha256(to_json(content)).hexdigest()
    return encoded


def _keys_of(turn):
    return list(dict.fromkeys((u["source"], u["model"]) for u in turn["usage"]))


def reads_of(turn, encoded):
    """
    Return what is asked under the lock, all of it known before.
    """
    named = (turn["nodes"][0]["parent_node_id"], *encoded.ids)
    return [
        (FIND_HEAD, (SESSION,)),
        (FIND_TURN, (SESSION, turn["turn_id"])),
        (FIND_LEASE, (SESSION,)),
        (
            HAS_BLOBS if encoded.base is None else HAS_BLOBS_AND_BASE,
            (
                *(SESSION, encoded.state_ref, encoded.manifest_ref),
                *(() if encoded.base is None else (encoded.base.ref,)),
            ),
        ),
        (find_nodes(len(named)), (SESSION, *named)),
        (LAST_NODE, (SESSION,)),
        (DEFER_INPUTS, (SESSION, turn["turn_id"])),
        (LAST_USAGE, (SESSION,)),
        *((FIND_TOTAL, (SESSION, *key)) for key in _keys_of(turn)),
    ]


def decide(turn, encoded, fence, found, now):
    """
    Check what was read; return the new revision and what is to be written.
    """
    (head,), stamps, (lease,), known, parents, ((last,),), _, ((booked,),) = found[:8]
    verify(head[10], "head", SESSION, *head[:10])
    if stamps:
        msg = "replay"
        raise RuntimeError(msg)
    check_fence(lease, fence, now)
    if turn["expected"] is not None and head[1] != turn["expected"]:
        msg = "conflict"
        raise RuntimeError(msg)
    parent = turn["nodes"][0]["parent_node_id"]
    if len(parents) != 1 or parents[0][0] != parent or parents[0][3]:
        msg = "unknown parent"
        raise RuntimeError(msg)
    verify_node(parents[0])
    writes = [
        *_blob_writes(encoded, {ref for (ref,) in known}),
        *_usage_writes(turn, booked or 0, found[8:]),
    ]
    for seq, (node, text) in enumerate(encoded.nodes, last + 1):
        node_id, parent = node["node_id"], node["parent_node_id"]
        is_user = int(node["payload"]["role"] == "user")
        total = node_checksum(node_id, seq, parent, is_user, text)
        writes.append((ADD_NODE, (SESSION, node_id, seq, parent, is_user, total, text)))
    count = head[8] + len(encoded.nodes)
    values = (
        *(1, head[1] + 1, encoded.config, encoded.frames, turn["frame"]),
        *(encoded.manifest_ref, encoded.nodes[-1][0]["node_id"], count, count),
        head[9] + sum(n["payload"]["role"] == "user" for n, _ in encoded.nodes),
    )
    total = checksum("head", SESSION, *values)
    writes.append((PUT_HEAD, (SESSION, *values, total)))
    result = {
        "head_revision": head[1] + 1,
        "checkpoint_ref": encoded.manifest_ref,
        "manifest": encoded.manifest_map,
    }
    row = (
        *(SESSION, turn["turn_id"], encoded.turn_hash, to_json(result).decode(), now),
        *(head[1] + 1, last + 1, len(encoded.nodes)),
        *((booked or 0) + 1, len(turn["usage"])),
    )
    writes.append((ADD_TURN, (*row, checksum("turn", *row))))
    return head[1] + 1, writes


def _blob_writes(encoded, known):
    if encoded.base is not None and encoded.state_ref not in known:
        if encoded.base.ref not in known:
            msg = "the base is gone"
            raise RuntimeError(msg)
        yield (
            ADD_DELTA,
            (
                *(SESSION, encoded.state_ref, "tool_state", encoded.compression),
                *(encoded.raw_bytes, encoded.base.ref, encoded.base.depth + 1),
                encoded.stored,
            ),
        )
    elif encoded.state_ref not in known:
        yield (
            ADD_BLOB,
            (
                *(SESSION, encoded.state_ref, "tool_state", encoded.compression),
                *(encoded.raw_bytes, encoded.stored),
            ),
        )
    if encoded.manifest_ref not in known:
        yield (
            ADD_BLOB,
            (
                *(SESSION, encoded.manifest_ref, "checkpoint_manifest", "none"),
                *(len(encoded.manifest), encoded.manifest),
            ),
        )


def _usage_writes(turn, booked, found):
    totals = {}
    for key, rows in zip(_keys_of(turn), found, strict=True):
        place, sums = 1, (0,) * 5
        if rows:
            (row,) = rows
            verify(row[6], "total", SESSION, *key, *row[:6])
            place, sums = row[0], row[1:6]
        totals[key] = place, sums
    for seq, usage in enumerate(turn["usage"], booked + 1):
        key, counters = (usage["source"], usage["model"]), usage["usage"].values()
        row = (SESSION, seq, *key, *counters)
        yield ADD_USAGE, (*row, checksum("usage", *row))
        place, sums = totals[key]
        totals[key] = place, tuple(map(operator.add, sums, counters))
    for key, (place, sums) in totals.items():
        row = (SESSION, *key, place, *sums)
        yield PUT_TOTAL, (*row, checksum("total", *row))


def check_fence(found, fence, now):
    """
    Refuse a fence that is not the lease's.
    """
    verify(found[5], "lease", SESSION, *found[:5])
    owner = read_json(found[2])
    if (
        found[0] != fence["fencing_token"]
        or found[1] != fence["lease_token"]
        or owner["owner_id"] != fence["owner_id"]
        or owner["incarnation_id"] != fence["incarnation_id"]
        or found[4] <= now
    ):
        msg = "lease lost"
        raise RuntimeError(msg)
