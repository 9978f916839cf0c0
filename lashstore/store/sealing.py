"""
Whether a session is sealed, and whether this host has its key.
"""

from lashstore.ciphers import ContentCipher, open_text, read_envelope, seal_text
from lashstore.errors import ContentKeyError, CorruptRecordError
from lashstore.model.session import SessionIdentity


def _context(session_id: str) -> bytes:
    return b"\0".join((session_id.encode(), b"content_seal", b""))


def content_seal(session_id: str, cipher: ContentCipher | None) -> str | None:
    """
    Return what a new session keeps to tell its key by; None: it is plain.
    """
    return None if cipher is None else seal_text(cipher, "", _context(session_id))


def require_key(identity: SessionIdentity, cipher: ContentCipher | None) -> None:
    """
    Refuse to open a sealed session without its key, or a plain one with any.

    Raises:
        ContentKeyError: It is so.
        CorruptRecordError: What tells the key is damaged.
    """
    seal, name = identity.content_seal, identity.session_id
    if cipher is None:
        if seal is None:
            return
        reason = f"session {name!r} is sealed: give its cipher in StoreOptions"
        raise ContentKeyError(key_id=None, reason=reason)
    if seal is None:
        reason = (
            f"session {name!r} is plain, and would be half sealed: open it "
            "without a cipher, or make a sealed session and write it there"
        )
        raise ContentKeyError(key_id=None, reason=reason)
    # Else damage would look like a wrong key.
    read_envelope(seal, _context(name))
    try:
        open_text(cipher, seal, _context(name))
    except CorruptRecordError as error:
        reason = f"session {name!r} was not sealed with the key that was given"
        raise ContentKeyError(key_id=cipher.key_id, reason=reason) from error


def can_open(identity: SessionIdentity, cipher: ContentCipher | None) -> bool:
    """
    Tell whether a session's content can be looked into: it is plain, whatever
    the cipher, or *cipher* has its key.

    Raises:
        ContentKeyError: It is sealed, and *cipher* has not its key.
        CorruptRecordError: What tells the key is damaged.
    """
    if identity.content_seal is None:
        return True
    if cipher is None:
        read_envelope(identity.content_seal, _context(identity.session_id))
        return False
    require_key(identity, cipher)
    return True


def sealing_key_id(identity: SessionIdentity) -> str | None:
    """
    Return the key a session was first sealed with; None: it is plain.

    Raises:
        CorruptRecordError: What tells it is damaged.
    """
    if identity.content_seal is None:
        return None
    return read_envelope(identity.content_seal, _context(identity.session_id)).key_id
