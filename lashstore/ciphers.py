"""
Sealing what a session stores: the protocol, the envelope, and AES-256-GCM.

An envelope is the magic, a CRC-32, the length of the key's id, the id, and
what the cipher made; in a text column as base64. So each row says which key it
needs, and what has no envelope is never taken for sealed content. The CRC-32
covers the context and everything behind it: who has no key sees by it what
damage has done, and no missing key is blamed for damage.
"""

import base64
import binascii
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from .errors import ContentKeyError, CorruptRecordError, InvalidArgumentError

_MAGIC = b"LSC1"
_CRC_BYTES = 4
_MAX_KEY_ID_BYTES = 255
_AES_256_BYTES = 32
_NONCE_BYTES = 12


class ContentCipher(Protocol):
    """
    Seals and opens contents; thread-safe.

    It must be authenticated: `open` returns what was sealed under the same
    key and context, or raises. The library never falls back to plain content.
    """

    @property
    def key_id(self) -> str:
        """
        The key that seals now: up to 255 bytes, stored beside what it sealed.
        """
        ...

    def seal(self, content: bytes, context: bytes) -> bytes:
        """
        Seal *content* under the current key; *context* is bound to it.
        """
        ...

    def open(self, key_id: str, sealed: bytes, context: bytes) -> bytes:
        """
        Return what was sealed.

        Raises:
            KeyError: The key is not known.
            ValueError: It was not sealed so, or was changed since.
        """
        ...


class AesGcmCipher:
    """
    AES-256-GCM with a random nonce for each content; needs the extra
    `encryption`.

    To change keys, give the old ones too and name the new one: what is stored
    stays under its key and is read by it, what is written takes the new one.
    One key should seal no more than 2**32 contents (NIST SP 800-38D).
    """

    def __init__(self, keys: Mapping[str, bytes], key_id: str) -> None:
        """
        Args:
            keys: Keys of 32 bytes by their ids.

            key_id: Which of them seals.

        Raises:
            InvalidArgumentError: A key has another length, an id is empty or
                too long, or *key_id* is none of them.
            ImportError: `cryptography` is not installed.
        """
        # Late: an extra, and slow to import.
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415
            AESGCM,
        )

        for name, key in keys.items():
            if not 0 < len(name.encode()) <= _MAX_KEY_ID_BYTES:
                msg = "a key's id must have 1 to 255 bytes"
                raise InvalidArgumentError(msg)
            if len(key) != _AES_256_BYTES:
                msg = f"key {name!r} must have 32 bytes, not {len(key)}"
                raise InvalidArgumentError(msg)
        if key_id not in keys:
            msg = f"there is no key {key_id!r} to seal with"
            raise InvalidArgumentError(msg)
        self._key_id = key_id
        self._invalid: Any = InvalidTag
        self._keys = {name: AESGCM(key) for name, key in keys.items()}

    @classmethod
    def from_key_file(cls, path: str | Path) -> Self:
        """
        Make a cipher of the keys in a file.

        Each line of it is a key's id, a space, and the key's 32 bytes in
        base64; the first seals. Empty lines and those that start with "#" are
        left out. The ids are up to the host, and hold no space.

        Raises:
            InvalidArgumentError: The file cannot be read, or a line is none;
                the message quotes nothing of it.
            ImportError: `cryptography` is not installed.
        """
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"key file {str(path)!r} cannot be read: {_without_content(error)}"
            raise InvalidArgumentError(msg) from None
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            key_id, _, encoded = line.strip().partition(" ")
            key = _decoded_key(encoded.strip())
            if key is None or key_id in keys:
                msg = (
                    f"line {number} of key file {str(path)!r} must be a new id, a "
                    "space, and 32 bytes in base64"
                )
                raise InvalidArgumentError(msg)
            keys[key_id] = key
        if not keys:
            msg = f"key file {str(path)!r} has no key in it"
            raise InvalidArgumentError(msg)
        return cls(keys, next(iter(keys)))

    @property
    def key_id(self) -> str:
        """
        The key that seals.
        """
        return self._key_id

    def seal(self, content: bytes, context: bytes) -> bytes:
        """
        Seal *content*; see `ContentCipher.seal`.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._keys[self._key_id].encrypt(nonce, content, context)

    def open(self, key_id: str, sealed: bytes, context: bytes) -> bytes:
        """
        Return what was sealed; see `ContentCipher.open`.
        """
        key = self._keys[key_id]
        try:
            return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except self._invalid as error:
            msg = "it was not sealed with this key and place, or was changed since"
            raise ValueError(msg) from error


def _without_content(error: OSError | UnicodeDecodeError) -> str:
    # Of a decoding error the message and the object quote the file.
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is no text"


def _decoded_key(encoded: str) -> bytes | None:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _AES_256_BYTES else None


class Envelope(NamedTuple):
    """
    What sealed content says to who has no key.
    """

    key_id: str
    sealed: bytes


def seal_bytes(cipher: ContentCipher, content: bytes, context: bytes) -> bytes:
    """
    Return the envelope of *content*.
    """
    key_id = cipher.key_id.encode()
    body = bytes((len(key_id),)) + key_id + cipher.seal(content, context)
    return _MAGIC + _crc(body, context) + body


def _crc(body: bytes, context: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(context)).to_bytes(_CRC_BYTES, "big")


def read_envelope(envelope: object, context: bytes) -> Envelope:
    """
    Take an envelope apart; no key is needed.

    Raises:
        CorruptRecordError: It is none, was damaged, or is another place's.
    """
    raw = _raw(envelope)
    head = len(_MAGIC) + _CRC_BYTES
    if not raw.startswith(_MAGIC) or len(raw) <= head:
        raise _damaged("it is not sealed")
    body = raw[head:]
    if raw[len(_MAGIC) : head] != _crc(body, context):
        raise _damaged("its envelope is damaged, or is another place's")
    end = 1 + body[0]
    try:
        return Envelope(body[1:end].decode(), body[end:])
    except UnicodeDecodeError as error:
        raise _damaged("its envelope has no key's id") from error


def _raw(envelope: object) -> bytes:
    # A damaged page may hold any type, in strict tables too.
    if isinstance(envelope, bytes | bytearray | memoryview):
        return bytes(envelope)
    try:
        return base64.b64decode(str(envelope), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged("it is not sealed") from error


def open_bytes(cipher: ContentCipher, envelope: object, context: bytes) -> bytes:
    """
    Return the content of an envelope.

    Raises:
        ContentKeyError: Its key is not known.
        CorruptRecordError: It is no envelope, was changed, or is another
            place's.
    """
    key_id, sealed = read_envelope(envelope, context)
    try:
        return cipher.open(key_id, sealed, context)
    except KeyError as error:
        raise ContentKeyError(
            key_id=key_id,
            reason=f"content is sealed with key {key_id!r}: give the cipher that key",
        ) from error
    except ValueError as error:
        raise _damaged(str(error)) from error


def seal_text(cipher: ContentCipher, text: str, context: bytes) -> str:
    """
    Return the envelope of *text*, as text.
    """
    return base64.b64encode(seal_bytes(cipher, text.encode(), context)).decode()


def open_text(cipher: ContentCipher, envelope: object, context: bytes) -> str:
    """
    Return the text of an envelope; see `open_bytes`.
    """
    return open_bytes(cipher, envelope, context).decode()


def _damaged(reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="sealed content", key="", reason=reason)
