"""
Sealing what a session stores: the protocol, the envelope, and AES-256-GCM.

An envelope is the magic, the length of the key's id, the id, and what the
cipher made; in a text column as base64. So each row says which key it needs,
and what has no envelope is never taken for sealed content.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any, Protocol

from .errors import ContentKeyError, CorruptRecordError, InvalidArgumentError

_MAGIC = b"LSC1"
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


def seal_bytes(cipher: ContentCipher, content: bytes, context: bytes) -> bytes:
    """
    Return the envelope of *content*.
    """
    key_id = cipher.key_id.encode()
    sealed = cipher.seal(content, context)
    return _MAGIC + bytes((len(key_id),)) + key_id + sealed


def open_bytes(cipher: ContentCipher, envelope: bytes, context: bytes) -> bytes:
    """
    Return the content of an envelope.

    Raises:
        ContentKeyError: Its key is not known.
        CorruptRecordError: It is no envelope, was changed, or is another
            place's.
    """
    head = len(_MAGIC) + 1
    try:
        if not envelope.startswith(_MAGIC) or len(envelope) < head:
            raise _damaged("it is not sealed")
        end = head + envelope[len(_MAGIC)]
        key_id = envelope[head:end].decode()
        return cipher.open(key_id, envelope[end:], context)
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


def open_text(cipher: ContentCipher, envelope: str, context: bytes) -> str:
    """
    Return the text of an envelope; see `open_bytes`.
    """
    try:
        sealed = base64.b64decode(envelope, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged("it is not sealed") from error
    return open_bytes(cipher, sealed, context).decode()


def _damaged(reason: str) -> CorruptRecordError:
    return CorruptRecordError(record_kind="sealed content", key="", reason=reason)
