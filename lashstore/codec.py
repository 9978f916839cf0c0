"""
Bytes in and out: JSON, MessagePack, hashes and row checksums; no I/O.

Values that enter a store are checked here to be plain data, so that what is
read back later equals what was given: no NaN, no lone surrogates, no objects
that an encoder would quietly turn into something else.
"""

import functools
import hashlib
import math
import re
import sys
import threading
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgpack
import msgspec

from .errors import CorruptRecordError, InvalidArgumentError

T = TypeVar("T")

MAX_COUNTER = 2**63 - 1

# How deep containers may be nested. Readers of MessagePack take 1024 levels,
# and readers of JSON what Python's recursion limit leaves, 1000 by default; a
# host with a raised limit must not store what the others then cannot read.
MAX_DEPTH = 900
_DEFAULT_RECURSION_LIMIT = 1000

_json = msgspec.json.Encoder(order="sorted")
_packer = msgspec.msgpack.Encoder(order="sorted")
_pack_fields = msgspec.msgpack.Encoder().encode
_json_any = msgspec.json.Decoder().decode
_unpack_any = msgspec.msgpack.Decoder().decode
_TIMESTAMP = re.compile(rb"\xd6\xff|\xd7\xff|\xc7\x0c\xff")
_INFINITY = re.compile(rb"\xcb[\x7f\xff]\xf0\x00{6}")
# Types of which every value reads back as it was given: the encoder has
# refused text that is no Unicode.
_TEXT_LEAVES: frozenset[Any] = frozenset((str, bool, type(None)))
_LEAVES: frozenset[Any] = _TEXT_LEAVES | {bytes}
# Walking a member in Python takes as long as reading so many bytes back, and
# what is shorter than this is read back at once.
_BYTES_A_STEP = 64
_WORTH_A_WALK = 32 * 1024


def to_json(value: Any) -> str:
    """
    Write a value type of this library as compact JSON with sorted keys.

    Args:
        value: A record, or any plain JSON value. Bytes become base64 text.

    Returns:
        The JSON text; `from_json` with the value's type reads it back.

    Raises:
        InvalidArgumentError: The value holds what JSON cannot carry.
    """
    encoded = _encode(_json, value, "the value")
    kind = type(value) if isinstance(value, msgspec.Struct) else Any
    try:
        is_same = _decoder(kind).decode(encoded) == value
    except msgspec.MsgspecError:
        is_same = False
    if not is_same:
        check_plain(value, "the value", allow_bytes=True)
    return encoded.decode()


def from_json(type: type[T] | Any, text: str | bytes) -> T:  # noqa: A002
    """
    Read a value type of this library back from its JSON form.

    Args:
        type: A record class, an enum or a union of them.

        text: What `to_json` wrote; unknown members are ignored.

    Returns:
        The value.

    Raises:
        InvalidArgumentError: *text* is not the JSON form of *type*.
    """
    try:
        decoded: T = msgspec.json.decode(text, type=type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"this is not the JSON form of {type}: {error}"
        raise InvalidArgumentError(msg) from error
    return decoded


def encode_json(value: Any, what: str) -> str:
    """
    Encode plain data as compact JSON with sorted keys.

    Raises:
        InvalidArgumentError: *value* is not plain data; names *what*.
    """
    encoded = _encode(_json, value, what)
    # NaN, dates, bytes and the like are written by the encoder as something
    # else. Reading back and comparing finds them all at the speed of C; only
    # a value that differs is walked to the end in Python, to name the culprit.
    if not _is_surely_plain(value, _TEXT_LEAVES, encoded) and _differs(
        _json_any, encoded, value, what
    ):
        check_plain(value, what)
    return encoded.decode()


def encode_and_read(value: Any, what: str) -> tuple[str, Any]:
    """
    As `encode_json`; return the text and what it reads back as, which no
    caller holds and may change.
    """
    encoded = _encode(_json, value, what)
    try:
        read = _json_any(encoded)
        is_same = read == value
    except RecursionError as error:
        raise _too_deep(what) from error
    if not is_same:
        check_plain(value, what)
    return encoded.decode(), read


def encode_record(record: msgspec.Struct, what: str) -> str:
    """
    Encode a record; its members that are free JSON are checked like values.
    """
    return _encode_typed(record, type(record), what)


def encode_records(records: Sequence[msgspec.Struct], kind: Any, what: str) -> str:
    """
    As `encode_record`, for several as one JSON array.

    Args:
        kind: A type of the whole: a tuple of any number of records.
    """
    return _encode_typed(tuple(records), kind, what)


def _encode_typed(value: Any, kind: Any, what: str) -> str:
    encoded = _encode(_json, value, what)
    if _differs(_decoder(kind).decode, encoded, value, what):
        check_plain(value, what)
    return encoded.decode()


# Working out what a union or a container of records looks like takes ten times
# as long as decoding a small one.
@functools.cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)


def encode_value(value: Any, what: str) -> bytes:
    """
    Encode plain data as MessagePack with sorted keys: equal values, equal
    bytes, hence equal refs. Bytes stay bytes.

    Raises:
        InvalidArgumentError: *value* is not plain data; names *what*.
    """
    encoded = _encode(_packer, value, what)
    if _is_surely_plain(value, _LEAVES, encoded):
        return encoded
    # An infinity survives the way back and equals itself.
    is_different = _differs(_unpack_any, encoded, value, what)
    if is_different or _INFINITY.search(encoded):
        check_plain(value, what, allow_bytes=True)
    return encoded


def _is_surely_plain(value: Any, leaves: frozenset[Any], encoded: bytes) -> bool:
    """
    Tell whether a short walk shows that what was encoded reads back as it was
    given: quicker than reading back where members are large. False: it does
    not show, one way or the other.
    """
    steps = (len(encoded) - _WORTH_A_WALK) // _BYTES_A_STEP
    pending: list[Any] = [[value]]
    for container in pending:
        members = container
        if type(container) is dict:
            for key in container:
                if type(key) is not str:
                    return False
            members = container.values()
        steps -= len(members)
        if steps < 0:
            return False
        for member in members:
            kind = type(member)
            if kind in leaves:
                continue
            if kind is dict or kind is list:
                pending.append(member)
            elif not _is_sure_number(kind, member):
                return False
    return True


def _is_sure_number(kind: Any, number: Any) -> bool:
    # Longer whole numbers are JSON too, and are read back to see.
    if kind is int:
        return bool(-MAX_COUNTER <= number <= MAX_COUNTER)
    return kind is float and math.isfinite(number)


def check_plain(value: Any, what: str, *, allow_bytes: bool = False) -> None:
    """
    Refuse anything that would not read back as it was given.

    Tuples are taken for lists.

    Raises:
        InvalidArgumentError: Names *what* and the offending value.
    """
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key in item:
                if not isinstance(key, str):
                    msg = f"{what}: {key!r} is no key of a JSON object"
                    raise InvalidArgumentError(msg)
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, float):
            if not math.isfinite(item):
                msg = f"{what}: {item} is not a JSON number"
                raise InvalidArgumentError(msg)
        elif isinstance(item, msgspec.Struct):
            pending.append(msgspec.structs.asdict(item))
        elif not isinstance(item, str | int | None) and not (
            allow_bytes and isinstance(item, bytes)
        ):
            msg = f"{what}: a {type(item).__qualname__} is not plain data"
            raise InvalidArgumentError(msg)


def decode_value(content: bytes, ref: str) -> Any:
    """
    Decode MessagePack as plain data only.

    Extension types are refused, and nested containers deeper than the
    decoder's own stack are an error instead of a crash.

    Raises:
        CorruptRecordError: *content* is not one MessagePack value.
    """
    try:
        value = msgpack.unpackb(
            content, raw=False, strict_map_key=True, ext_hook=_refuse_extension
        )
        if _TIMESTAMP.search(content):
            _refuse_timestamps(value)
        return value  # noqa: TRY300, the checks belong to the decoding
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise CorruptRecordError(
            record_kind="typed blob",
            key=ref,
            reason=f"it is no MessagePack value ({error})",
        ) from error


def _refuse_extension(code: int, _data: bytes) -> Any:
    msg = f"extension type {code}"
    raise ValueError(msg)


def _refuse_timestamps(value: Any) -> None:
    # The one extension that is not given to the hook.
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, msgpack.Timestamp):
            _refuse_extension(-1, b"")


def _encode(encoder: Any, value: Any, what: str) -> bytes:
    try:
        encoded: bytes = encoder.encode(value)
    except (
        UnicodeEncodeError,
        OverflowError,
        RecursionError,
        TypeError,
        msgspec.MsgspecError,
    ) as error:
        msg = f"{what} cannot be stored: {error}"
        raise InvalidArgumentError(msg) from error
    if len(encoded) > MAX_DEPTH and _may_be_deep(encoder, encoded):
        _refuse_deep(value, what)
    return encoded


def _differs(
    decode: Callable[[bytes], Any], encoded: bytes, value: Any, what: str
) -> bool:
    try:
        is_different: bool = decode(encoded) != value
    except RecursionError as error:
        raise _too_deep(what) from error
    return is_different


def _too_deep(what: str) -> InvalidArgumentError:
    msg = f"{what} cannot be stored: it is nested too deeply for this stack"
    return InvalidArgumentError(msg)


def _may_be_deep(encoder: Any, encoded: bytes) -> bool:
    # Looking costs as much as encoding, so most values are passed unseen:
    # JSON by its brackets, MessagePack because encoding it recurses, which
    # Python 3.11 bounds unless told otherwise.
    if encoder is _json:
        return encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH
    return (
        sys.version_info >= (3, 12)
        or sys.getrecursionlimit() > _DEFAULT_RECURSION_LIMIT
    )


def _refuse_deep(value: Any, what: str) -> None:
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            msg = f"{what} cannot be stored: it is nested more than {MAX_DEPTH} deep"
            raise InvalidArgumentError(msg)
        level = [
            member
            for container in level
            for member in _members(container)
            if isinstance(member, _CONTAINERS)
        ]


_CONTAINERS = (dict, list, tuple, msgspec.Struct)


def _members(container: Any) -> Any:
    if isinstance(container, dict):
        return container.values()
    if isinstance(container, msgspec.Struct):
        return msgspec.structs.astuple(container)
    return container if isinstance(container, list | tuple) else ()


def sha256_hex(content: bytes) -> str:
    """
    Return the SHA-256 of *content* as 64 lower-case hex digits.
    """
    return hashlib.sha256(content).hexdigest()


def hash_json(value: Any, what: str) -> str:
    """
    Hash plain data: SHA-256 over compact JSON with sorted keys.

    Bytes inside the value count as their own SHA-256, so that a large one is
    not written out as text first.
    """
    encoded = _encode(_json, value, what)
    if _is_surely_plain(value, _TEXT_LEAVES, encoded):
        return sha256_hex(encoded)
    if _differs(_json_any, encoded, value, what):
        check_plain(value, what, allow_bytes=True)
        encoded = _encode(_json, _digest_bytes(value), what)
    return sha256_hex(encoded)


def _digest_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return sha256_hex(value)
    if isinstance(value, dict):
        return {key: _digest_bytes(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_digest_bytes(member) for member in value]
    return value


def row_checksum(*fields: Any) -> int:
    """
    Return the checksum stored beside a row's key and content.

    CRC-32 over one MessagePack array: the array keeps neighbouring columns
    apart, and CRC-32 finds every damage of up to 32 neighbouring bits. It is
    no defence against an attacker, who could as well recompute it.
    """
    return zlib.crc32(_pack_fields(fields))


def verify_row(record_kind: str, key: str, stored: Any, *fields: Any) -> None:
    """
    Compare a row with its checksum.

    Raises:
        CorruptRecordError: They differ, or a column holds no plain value.
    """
    try:
        # As `row_checksum`, without packing its arguments again.
        actual = zlib.crc32(_pack_fields(fields))
    except (UnicodeEncodeError, TypeError, OverflowError) as error:
        raise CorruptRecordError(
            record_kind=record_kind, key=key, reason=str(error)
        ) from error
    if actual != stored:
        raise CorruptRecordError(
            record_kind=record_kind,
            key=key,
            reason="its checksum does not match its content",
        )


def decode_stored(type: type[T] | Any, text: Any, record_kind: str, key: str) -> T:  # noqa: A002
    """
    Decode a stored JSON column whose checksum was already verified.

    Raises:
        CorruptRecordError: The text is not the JSON form of *type*.
    """
    kind: Any = type
    decoded: T = stored_decoder(kind, record_kind)(text, key)
    return decoded


@functools.cache
def stored_decoder(type: Any, record_kind: str) -> Callable[[Any, str], Any]:  # noqa: A002
    """
    Return what decodes a stored JSON column of some type, given the text and
    its row's key.

    It raises as `decode_stored` does.
    """
    decode = _decoder(type).decode

    def decode_column(text: Any, key: str) -> Any:
        try:
            try:
                return decode(text)
            except RecursionError:
                # The caller stands deep in its own stack, which says nothing
                # of what is stored.
                return _on_a_fresh_stack(lambda: decode(text))
        except (
            msgspec.MsgspecError,
            UnicodeDecodeError,
            TypeError,
            RecursionError,
        ) as error:
            raise CorruptRecordError(
                record_kind=record_kind, key=key, reason=str(error)
            ) from error

    return decode_column


def _on_a_fresh_stack(decode: Callable[[], Any]) -> Any:
    # A thread has all of the recursion limit for itself.
    found: list[Any] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.append(decode())
        except Exception as error:  # noqa: BLE001, raised again below
            failed.append(error)

    thread = threading.Thread(target=run, name="lashstore-decode")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
