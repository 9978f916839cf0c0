"""
The folder a backup is: contents by their hash, and one list per snapshot.

    lashstore-backup.json         {"format": 1}
    content/<2 hex>/<sha256>      up to 64 KiB of some file, as one zstd frame
    snapshots/<number>-<time>.json  what was there: files and attachments,
                                  each with its size, hash and contents

A piece of content is stored once, whatever files and snapshots have it, and
never changes; a snapshot is written last, so that whatever it lists is there.
Pages of a database stand at multiples of their size, hence a change to some
leaves the other pieces what they were.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from lashstore.clock import SystemClock
from lashstore.codec import encode_json, sha256_hex
from lashstore.errors import ArchiveError, StoreNotFoundError
from lashstore.failures import translate
from lashstore.model.attachments import AttachmentRef
from lashstore.model.record import Record

from .snapshots import sync_folder

FORMAT = 1
CHUNK_BYTES = 64 * 2**10
_MARKER = "lashstore-backup.json"
_NAME = re.compile(r"\d{6,}-\d{8}T\d{6}Z")
_FILE_NAME = re.compile(r"[^/\0]+\.db")
# A frame of incompressible bytes is a little larger than they are.
_FRAME_BYTES = CHUNK_BYTES + 2**10


class BackedUpContent(Record, frozen=True, kw_only=True):
    """
    A content in pieces, in order.
    """

    byte_len: int
    sha256: str
    chunks: tuple[str, ...]


class BackedUpFile(Record, frozen=True, kw_only=True):
    """
    A database file; `session_ids` are those in it.
    """

    name: str
    session_ids: tuple[str, ...]
    content: BackedUpContent


class BackedUpAttachment(Record, frozen=True, kw_only=True):
    """
    An attachment that a commit has stamped.
    """

    ref: AttachmentRef
    content: BackedUpContent


class Snapshot(Record, frozen=True, kw_only=True):
    """
    What was there at a time: each file as of one instant, the files one
    after another.

    `left_out` names files that did not verify and are not in it.
    """

    format: int = FORMAT
    name: str
    created_at: str
    files: tuple[BackedUpFile, ...]
    attachments: tuple[BackedUpAttachment, ...]
    left_out: tuple[str, ...]


class _Sealed(Record, frozen=True, kw_only=True):
    snapshot: Snapshot
    sha256: str


class BackupFolder:
    """
    Reads and writes a backup.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new_byte_count: int = 0
        self.new_chunk_count: int = 0

    def make(self) -> None:
        """
        Make the folder a backup, unless it is one.

        Raises:
            ArchiveError: It has something else in it.
        """
        marker = self.path / _MARKER
        try:
            if marker.exists():
                self.require()
                return
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise self._damaged(self.path, "it is no backup, and not empty")
            self._write(marker, f'{{"format":{FORMAT}}}\n'.encode())
        except OSError as error:
            raise translate(error, self.path) from error

    def require(self) -> None:
        """
        Raises:
            StoreNotFoundError: There is nothing.
            ArchiveError: It is no backup, or one of another format.
        """
        marker = self.path / _MARKER
        if not self.path.exists():
            raise StoreNotFoundError(path=str(self.path))
        try:
            said = marker.read_bytes()
        except OSError as error:
            raise self._damaged(self.path, "it is no backup") from error
        if said.strip() != f'{{"format":{FORMAT}}}'.encode():
            raise self._damaged(marker, "it is of another format")

    def scratch(self) -> Path:
        """
        Make an empty folder for files under way, in place of one left behind.
        """
        folder = self.path / "partial"
        if folder.exists():
            for path in folder.iterdir():
                path.unlink()
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def store(self, file: BinaryIO) -> BackedUpContent:
        """
        Store what a file has to give, as far as it is not there.
        """
        digest, size, chunks = hashlib.sha256(), 0, []
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
            size += len(piece)
            chunks.append(self._store_chunk(piece))
        return BackedUpContent(
            byte_len=size, sha256=digest.hexdigest(), chunks=tuple(chunks)
        )

    def _store_chunk(self, piece: bytes) -> str:
        ref = sha256_hex(piece)
        path = self._chunk_path(ref)
        try:
            # What is there is read as well: a piece that rotted is replaced
            # while its original still exists.
            if self._read_chunk(ref) == piece:
                return ref
        except ArchiveError:
            pass
        frame = zstandard.ZstdCompressor(level=3).compress(piece)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(path, frame)
        self.new_chunk_count += 1
        self.new_byte_count += len(frame)
        return ref

    def read(self, content: BackedUpContent) -> Iterator[bytes]:
        """
        Yield a content's pieces, each verified, and the whole at the end.

        Raises:
            ArchiveError: A piece is missing or damaged.
        """
        digest, size = hashlib.sha256(), 0
        for ref in content.chunks:
            piece = self._read_chunk(ref)
            digest.update(piece)
            size += len(piece)
            yield piece
        if (digest.hexdigest(), size) != (content.sha256, content.byte_len):
            raise self._damaged(self.path, "pieces do not make up their whole")

    def _read_chunk(self, ref: str) -> bytes:
        path = self._chunk_path(ref)
        try:
            with path.open("rb") as file:
                frame = file.read(_FRAME_BYTES)
            piece = zstandard.ZstdDecompressor().decompress(
                frame, max_output_size=CHUNK_BYTES
            )
        except (OSError, zstandard.ZstdError) as error:
            raise self._damaged(path, f"it cannot be read ({error})") from error
        if sha256_hex(piece) != ref:
            raise self._damaged(path, "its content has another hash")
        return bytes(piece)

    def _chunk_path(self, ref: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", ref):
            raise self._damaged(self.path, f"{ref!r} is no SHA-256")
        return self.path / "content" / ref[:2] / ref

    def add_snapshot(
        self,
        files: Iterable[BackedUpFile],
        attachments: Iterable[BackedUpAttachment],
        left_out: Iterable[str],
    ) -> Snapshot:
        """
        Write down what was stored, with the time of now.
        """
        now = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
        # By number, so that a clock set back does not put it before others.
        number = 1 + max(map(_number_of, self.snapshot_names()), default=0)
        snapshot = Snapshot(
            name=f"{number:06d}-{now:%Y%m%dT%H%M%SZ}",
            created_at=now.isoformat(timespec="milliseconds"),
            files=tuple(files),
            attachments=tuple(attachments),
            left_out=tuple(left_out),
        )
        (self.path / "snapshots").mkdir(mode=0o700, exist_ok=True)
        sealed = _Sealed(snapshot=snapshot, sha256=_seal(snapshot))
        path = self.path / "snapshots" / f"{snapshot.name}.json"
        self._write(path, msgspec.json.encode(sealed))
        return snapshot

    def snapshot_names(self) -> tuple[str, ...]:
        """
        Return the snapshots' names, oldest first.
        """
        folder = self.path / "snapshots"
        names = (path.stem for path in folder.glob("*.json")) if folder.is_dir() else ()
        return tuple(sorted(filter(_NAME.fullmatch, names), key=_number_of))

    def snapshot(self, name: str | None) -> Snapshot:
        """
        Read a snapshot; None: the latest.

        Raises:
            StoreNotFoundError: There is none of that name.
            ArchiveError: It is damaged.
        """
        names = self.snapshot_names()
        if not names or (name is not None and name not in names):
            raise StoreNotFoundError(
                path=str(self.path / "snapshots" / f"{name or '*'}.json")
            )
        path = self.path / "snapshots" / f"{name or names[-1]}.json"
        try:
            sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(path, f"it cannot be read ({error})") from error
        if sealed.sha256 != _seal(sealed.snapshot):
            raise self._damaged(path, "it does not match its checksum")
        if sealed.snapshot.format != FORMAT:
            raise self._damaged(path, "it is of another format")
        for file in sealed.snapshot.files:
            if not _FILE_NAME.fullmatch(file.name):
                raise self._damaged(path, f"{file.name!r} is no file's name")
        return sealed.snapshot

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise translate(error, path) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _damaged(self, path: Path, reason: str) -> ArchiveError:
        return ArchiveError(path=str(path), reason=reason)


def _number_of(name: str) -> int:
    return int(name.partition("-")[0])


def _seal(snapshot: Snapshot) -> str:
    text = encode_json(msgspec.to_builtins(snapshot), "the snapshot")
    return sha256_hex(text.encode())
