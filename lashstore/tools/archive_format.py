"""
The bytes of a session archive: a header, rows, attachments and a trailer.

After the first line, an archive is a sequence of records: the length of the
payload and its CRC-32, four bytes each with the most significant first, and
the payload as MessagePack. The first payload is the header, a map; then comes
an array of table number and values for each row, and a map for each
attachment; the last is the trailer, a map with the SHA-256 of every byte
before it. What is cut off or changed anywhere is seen.

There is no time, no host and no compression in it: equal sessions give equal
archives, whatever engine they are in.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import sqlalchemy as sa

from lashstore.errors import ArchiveError, RecordVersionError, SchemaVersionError
from lashstore.model.attachments import AttachmentRef
from lashstore.model.record import Record
from lashstore.repos.session_rows import Row, row_columns
from lashstore.tables import SCHEMA_VERSIONS, SESSION_COMPONENT, SESSION_TABLES

FORMAT = 1
_MAGIC = b"lashstore session archive\n"
_FRAME = struct.Struct(">II")
# SQLite's own limit on a value, https://www.sqlite.org/limits.html, and some.
_MAX_PAYLOAD = 2**30 + 2**20
_pack = msgspec.msgpack.Encoder(order="sorted").encode


class ArchiveHeader(Record, frozen=True, kw_only=True):
    """
    What an archive says of itself before its rows.
    """

    format: int = FORMAT
    component: str = SESSION_COMPONENT
    version: str = SCHEMA_VERSIONS[SESSION_COMPONENT]
    session_id: str
    tables: tuple[tuple[str, tuple[str, ...]], ...]
    attachment_count: int


class ArchivedAttachment(Record, frozen=True, kw_only=True, tag="attachment"):
    """
    The bytes of an attachment, with what is known of them.
    """

    ref: AttachmentRef
    content: bytes


class ArchiveTrailer(Record, frozen=True, kw_only=True, tag="end"):
    """
    What an archive says of itself behind its rows.
    """

    row_count: int
    sha256: str


_Entry = ArchivedAttachment | ArchiveTrailer
_decode_header = msgspec.msgpack.Decoder(ArchiveHeader).decode
_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_row = msgspec.msgpack.Decoder(tuple[int, list[Any]]).decode
# Of a column; nothing else comes out of a database of ours.
_VALUES = (str, int, bytes, type(None))
_TABLES = tuple((str(table.name), row_columns(table)) for table in SESSION_TABLES)


class ArchiveWriter:
    """
    Writes an archive, front to back.
    """

    def __init__(self, file: BinaryIO, session_id: str, attachment_count: int) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._row_count = 0
        self._places = {table: place for place, table in enumerate(SESSION_TABLES)}
        self._write(_MAGIC)
        self._write_record(
            ArchiveHeader(
                session_id=session_id,
                tables=_TABLES,
                attachment_count=attachment_count,
            )
        )

    def write_rows(self, rows: Iterable[tuple[sa.Table, Row]]) -> None:
        """
        Write rows in the order of `session_rows.read_rows`.
        """
        for table, row in rows:
            self._write_record((self._places[table], row))
            self._row_count += 1

    def write_attachment(self, ref: AttachmentRef, content: bytes) -> None:
        """
        Write an attachment, in the order of ids, after every row.
        """
        self._write_record(ArchivedAttachment(ref=ref, content=content))

    def finish(self) -> int:
        """
        Write the trailer; return how many rows there are.
        """
        self._write_record(
            ArchiveTrailer(row_count=self._row_count, sha256=self._digest.hexdigest())
        )
        return self._row_count

    def _write_record(self, payload: Any) -> None:
        packed = _pack(payload)
        self._write(_FRAME.pack(len(packed), zlib.crc32(packed)) + packed)

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)


class ArchiveReader:
    """
    Reads an archive, front to back; every record is verified before it is
    given away, and the whole before the last one was.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._digest = hashlib.sha256()
        self._row_count = 0
        # The first record behind the rows, and the hash before the latest.
        self._held: bytes | None = None
        self._so_far = self._digest.copy()
        if self._read(len(_MAGIC)) != _MAGIC:
            raise self._damaged("it is no session archive")
        self.header: ArchiveHeader = self._decoded(_decode_header, self._next_record())
        self._check_header()

    def _check_header(self) -> None:
        if self.header.format != FORMAT:
            raise RecordVersionError(
                record_kind="session archive",
                expected=FORMAT,
                actual=str(self.header.format),
            )
        expected = SCHEMA_VERSIONS[SESSION_COMPONENT]
        if self.header.version != expected:
            raise SchemaVersionError(
                component=SESSION_COMPONENT,
                expected=expected,
                found=self.header.version,
            )
        if (self.header.component, self.header.tables) != (SESSION_COMPONENT, _TABLES):
            raise self._damaged("its tables are not those of this schema version")

    def rows(self) -> Iterator[tuple[sa.Table, Row]]:
        """
        Yield every row with its table.

        Raises:
            ArchiveError: A record is damaged, or out of its place.
        """
        last = 0
        while (payload := self._next_record())[:1] == b"\x92":
            place, row = self._decoded(_decode_row, payload)
            if not last <= place < len(SESSION_TABLES):
                raise self._damaged(f"a row of table {place} is out of its place")
            last, table = place, SESSION_TABLES[place]
            if len(row) != len(_TABLES[place][1]) or not all(
                type(value) in _VALUES for value in row
            ):
                raise self._damaged(f"a row of {table.name} is none")
            self._row_count += 1
            yield table, tuple(row)
        self._held = payload

    def attachments(self) -> Iterator[ArchivedAttachment]:
        """
        Yield every attachment, after the rows, and check the trailer.

        Raises:
            ArchiveError: A record is damaged, or the archive has no end.
        """
        count = 0
        # The rows ended where the first of these was met.
        payload = self._held or self._next_record()
        entry: _Entry = self._decoded(_decode_entry, payload)
        while isinstance(entry, ArchivedAttachment):
            count += 1
            yield entry
            entry = self._decoded(_decode_entry, self._next_record())
        if (entry.sha256, entry.row_count) != (
            self._so_far.hexdigest(),
            self._row_count,
        ):
            raise self._damaged("its content is not what its end promises")
        if count != self.header.attachment_count:
            raise self._damaged(f"it has {count} attachments, not as it says")
        if self._file.read(1):
            raise self._damaged("there is something behind its end")

    def _next_record(self) -> bytes:
        # A copy costs as much as a short row; a digest would cost ten.
        self._so_far = self._digest.copy()
        length, checksum = _FRAME.unpack(self._read(_FRAME.size))
        if length > _MAX_PAYLOAD:
            raise self._damaged(f"a record claims to be {length} bytes long")
        payload = self._read(length)
        if zlib.crc32(payload) != checksum:
            raise self._damaged("a record does not match its checksum")
        return payload

    def _read(self, length: int) -> bytes:
        content = self._file.read(length)
        if len(content) < length:
            raise self._damaged("it ends too early")
        self._digest.update(content)
        return content

    def _decoded(self, decode: Any, payload: bytes) -> Any:
        try:
            return decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(f"a record is none: {error}") from error

    def _damaged(self, reason: str) -> ArchiveError:
        return ArchiveError(path=str(self._path), reason=reason)
