"""
What every floor encodes and checks: JSON, MessagePack, rows' checksums.
"""

import zlib

import msgspec

from .floor_sql import SESSION

_pack = msgspec.msgpack.Encoder().encode
pack_sorted = msgspec.msgpack.Encoder(order="sorted").encode
unpack = msgspec.msgpack.Decoder().decode
to_json = msgspec.json.Encoder(order="sorted").encode
read_json = msgspec.json.Decoder().decode


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
