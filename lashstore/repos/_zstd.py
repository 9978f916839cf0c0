"""
zstd: contents whole, and as differences to another content.

Compressors and decompressors are kept per thread: they are not thread-safe,
and making one costs more than compressing a small blob.
"""

import threading

import zstandard

_local = threading.local()


def compress(content: bytes, level: int) -> bytes:
    """
    Compress a content on its own.
    """
    by_level: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault(
        "compressors", {}
    )
    if level not in by_level:
        by_level[level] = zstandard.ZstdCompressor(level=level, write_checksum=False)
    return by_level[level].compress(content)


def compress_delta(content: bytes, base: bytes) -> bytes:
    """
    Compress a content as a difference to *base*.

    What counts is that the whole of *base* is indexed, so that a match is
    found wherever it moved; the hash table is therefore sized by it, where a
    level would take one for contents that know no predecessor. Long matches
    are all that is looked for: those that begin within a change are few.
    """
    size = max(len(base), len(content))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1,
        source_size=len(content),
        dict_size=len(base),
        window_log=max(10, (len(base) + len(content)).bit_length()),
        hash_log=max(10, size.bit_length() - 1),
        strategy=zstandard.STRATEGY_FAST,
        min_match=7,
        write_content_size=True,
        write_checksum=False,
        write_dict_id=False,
    )
    return zstandard.ZstdCompressor(
        dict_data=_dictionary(base), compression_params=parameters
    ).compress(content)


def decompress(frame: bytes, raw_bytes: int, base: bytes | None = None) -> bytes:
    """
    Decompress a frame of *raw_bytes*, a difference to *base* if there is one.

    Raises:
        ZstdError: It is no such frame, or holds another number of bytes.
    """
    # The frame names the size of what it holds: one that names another than
    # was recorded is refused before anything is allocated for it.
    found = zstandard.frame_content_size(frame)
    if found != raw_bytes:
        msg = f"it holds {found} bytes, not {raw_bytes}"
        raise zstandard.ZstdError(msg)
    plain: bytes = _decompressor(base).decompress(frame, max_output_size=raw_bytes)
    return plain


def _decompressor(base: bytes | None) -> zstandard.ZstdDecompressor:
    if base is not None:
        return zstandard.ZstdDecompressor(dict_data=_dictionary(base))
    kept: dict[str, zstandard.ZstdDecompressor] = _local.__dict__
    if "decompressor" not in kept:
        kept["decompressor"] = zstandard.ZstdDecompressor()
    return kept["decompressor"]


def _dictionary(base: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
