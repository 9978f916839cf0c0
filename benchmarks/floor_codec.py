"""
What every floor encodes and checks: JSON, MessagePack, rows' checksums.
"""

import zlib

import msgspec

from lashstore import (
    LeaseOwnerIdentity,
    MergeNever,
    QueuedWorkBatch,
    QueuedWorkItem,
    TurnWorkPayload,
)
from lashstore.model.queue import DeliveryPolicy, SlotPolicy

from .floor_sql import SESSION

_pack = msgspec.msgpack.Encoder().encode
pack_sorted = msgspec.msgpack.Encoder(order="sorted").encode
unpack = msgspec.msgpack.Decoder().decode
to_json = msgspec.json.Encoder(order="sorted").encode
read_json = msgspec.json.Decoder().decode


def checked_json(value):
    """
    Encode what a caller gave; refuse what JSON cannot carry, such as NaN,
    which the encoder writes as something else: it must read back as it was.
    """
    encoded = to_json(value)
    if read_json(encoded) != value:
        msg = "no JSON"
        raise ValueError(msg)
    return encoded.decode()


def check_key(key):
    """
    Refuse a key that cannot be stored on every engine.
    """
    if "\0" in key:
        msg = "NUL"
        raise ValueError(msg)


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


def node_checksum(node_id, seq, parent, is_user, text):
    return checksum("node", SESSION, node_id, seq, parent, is_user, text)


def verify_node(row):
    verify(row[6], "node", SESSION, row[0], row[1], row[2], row[4], row[5])


owner_of = msgspec.json.Decoder(LeaseOwnerIdentity).decode


def batch_of(row, payloads):
    """
    Return a batch as a caller gets it, of its row without checksum and
    payloads. The cases have turn work that is exclusive and never merged.
    """
    _, batch_id, seq, key, _, policy, slot, _, available, enqueued = row
    return QueuedWorkBatch(
        batch_id=batch_id,
        session_id=SESSION,
        enqueue_seq=seq,
        source_key=key,
        delivery_policy=DeliveryPolicy(policy),
        slot_policy=SlotPolicy(slot),
        merge_key=MergeNever(),
        available_at_ms=available,
        enqueued_at_ms=enqueued,
        items=tuple(
            QueuedWorkItem(
                item_id=f"{batch_id}:item:{index}",
                payload=TurnWorkPayload(body=payload["body"]),
            )
            for index, payload in enumerate(payloads)
        ),
    )
