"""
Rows that would have a reader allocate or recurse without bound.
"""

import sqlite3
import tracemalloc

import pytest
import zstandard

from lashstore import BlobDescriptor, CorruptRecordError, Store
from lashstore.model.blobs import ArtifactKind

from .conftest import QUICK

BIG = 64 * 2**20


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "s.db"


def plant(path, content, raw_bytes, *, base=None):
    """
    Store a blob, put *content* in its row's place, and read it.
    """
    with Store.open(path, "s", options=QUICK) as store:
        descriptor = BlobDescriptor.for_kind(ArtifactKind.TOOL_STATE)
        ref = store.put_artifact_blob(descriptor, b"x" * 50_000)
        base_ref = store.put_blob(base) if base is not None else None
    conn = sqlite3.connect(path)
    conn.execute(
        "UPDATE session_blobs SET content = ?, raw_bytes = ?, compression = 'zstd',"
        " base_ref = ?, chain_depth = ? WHERE blob_ref = ?",
        (content, raw_bytes, base_ref, int(base is not None), ref),
    )
    conn.commit()
    conn.close()
    with Store.open(path, "s", options=QUICK) as store:
        tracemalloc.start()
        try:
            with pytest.raises(CorruptRecordError):
                store.get_blob(ref)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def bomb(size=BIG, **how):
    """
    Return a small frame of many bytes.
    """
    compressor = zstandard.ZstdCompressor(**how).compressobj()
    piece = b"\0" * 2**20
    return b"".join(compressor.compress(piece) for _ in range(size // 2**20)) + (
        compressor.flush()
    )


def test_a_frame_larger_than_its_row_says(path):
    """
    Refused by its header, before anything is allocated for it.
    """
    frame = zstandard.ZstdCompressor().compress(b"\0" * BIG)
    assert plant(path, frame, 50_000) < 2**20


def test_a_frame_that_does_not_say(path):
    """
    A frame without a size is none of ours.
    """
    assert plant(path, bomb(), 50_000) < 2**20


def test_a_frame_that_lies(path):
    """
    A header that names the row's size over a longer content.
    """
    frame = bytearray(zstandard.ZstdCompressor().compress(b"\0" * 2**20))
    parameters = zstandard.get_frame_parameters(bytes(frame))
    field = parameters.content_size.to_bytes(4, "little")
    at = bytes(frame).index(field)
    frame[at : at + 4] = (70_000).to_bytes(4, "little")
    assert plant(path, bytes(frame), 70_000) < 2**21


def test_a_difference_with_a_huge_window(path):
    """
    A window of gigabytes in a frame of some bytes.
    """
    # Magic; descriptor: window, 4 bytes of size; window of 2**41 bytes.
    frame = b"\x28\xb5\x2f\xfd" + bytes((0x80, 0xF8)) + (50_000).to_bytes(4, "little")
    assert plant(path, frame + b"\x01\0\0", 50_000, base=b"y" * 40_000) < 2**20


def test_garbage_after_a_size(path):
    """
    A frame cut behind its header.
    """
    frame = zstandard.ZstdCompressor().compress(b"\0" * 50_000)
    assert plant(path, frame[:10], 50_000) < 2**20


@pytest.mark.parametrize(
    "content",
    [
        b"\x91" * 100_000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc7\xff\x05",
        b"\xd6\xff\0\0\0\0",
    ],
)
def test_hostile_messagepack(content):
    """
    Deep, endless and foreign values are damage, and take no memory.
    """
    with Store.memory(options=QUICK) as store:
        ref = store.put_blob(content)
        tracemalloc.start()
        try:
            with pytest.raises(CorruptRecordError):
                store.get_typed_blob(ref)
            assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
        finally:
            tracemalloc.stop()
