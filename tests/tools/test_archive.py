"""
A session as one archive: the same bytes for the same state, and nothing from
a damaged one.
"""

import hashlib
import shutil
import struct
import zlib

import msgspec
import pytest

from lashstore import (
    AlreadyExistsError,
    ArchiveError,
    AttachmentMeta,
    AttachmentNotFoundError,
    CorruptRecordError,
    FileAttachmentStore,
    InvalidArgumentError,
    LashStoreError,
    RecordVersionError,
    SchemaVersionError,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    compact,
    export_session,
    import_session,
    verify,
)
from lashstore.tables import SESSION_TABLES

from .kit import SESSION, edit, opened

MAGIC = b"lashstore session archive\n"


@pytest.fixture(name="archive")
def _archive(chat, tmp_path):
    export_session(chat, tmp_path / "chat.lash")
    return tmp_path / "chat.lash"


def records(content):
    """
    Return the payloads of an archive.
    """
    found, place = [], len(MAGIC)
    while place < len(content):
        length, _ = struct.unpack_from(">II", content, place)
        found.append(content[place + 8 : place + 8 + length])
        place += 8 + length
    return found


def sealed(payloads):
    """
    Return an archive of payloads, each with its right checksum, and an end
    with the right hash.
    """
    content = MAGIC
    for payload in payloads[:-1]:
        content += struct.pack(">II", len(payload), zlib.crc32(payload)) + payload
    end = msgspec.msgpack.decode(payloads[-1]) | {
        "sha256": hashlib.sha256(content).hexdigest()
    }
    last = msgspec.msgpack.encode(end)
    return content + struct.pack(">II", len(last), zlib.crc32(last)) + last


def test_the_same_state_gives_the_same_bytes(chat, archive, tmp_path):
    """
    Twice from one file, from a file that was written anew, and from a file
    that was imported.
    """
    again = tmp_path / "again.lash"
    report = export_session(chat, again)
    compacted = shutil.copy(chat, tmp_path / "compacted.db")
    compact(compacted)
    export_session(compacted, tmp_path / "compacted.lash")
    import_session(archive, tmp_path / "imported.db")
    export_session(tmp_path / "imported.db", tmp_path / "imported.lash")

    expected = archive.read_bytes()
    assert again.read_bytes() == expected
    assert (tmp_path / "compacted.lash").read_bytes() == expected
    assert (tmp_path / "imported.lash").read_bytes() == expected
    assert (report.session_id, report.row_count) == (SESSION, 53)


def test_an_import_holds_every_row_but_the_incarnation(chat, archive, tmp_path):
    """
    Leases, claims and the admission sequence are what they were.
    """
    import_session(archive, tmp_path / "copy.db")

    assert verify(tmp_path / "copy.db").is_sound
    with opened(chat) as was, opened(tmp_path / "copy.db") as now:
        for table in SESSION_TABLES:
            columns = ", ".join(
                column.name for column in table.c if column.name != "incarnation"
            )
            query = f"SELECT {columns} FROM {table.name} ORDER BY 1, 2"
            if table.name in (
                "sessions",
                "session_meta",
                "session_heads",
                "session_execution_leases",
            ):
                query = f"SELECT {columns} FROM {table.name}"
            rows = [tuple(row) for row in was.execute(query)]
            assert rows == [tuple(row) for row in now.execute(query)]
        query = "SELECT incarnation FROM sessions"
        assert was.execute(query).fetchone()[0] != now.execute(query).fetchone()[0]


def test_into_and_out_of_a_factory(tmp_path, archive):
    """
    A folder gives the file the name that a factory looks for.
    """
    (tmp_path / "root").mkdir()
    report = import_session(archive, tmp_path / "root")

    with SessionStoreFactory(tmp_path / "root") as factory:
        assert report.path == str(factory.path_for_session(SESSION))
        assert factory.open_existing_store(SESSION).load_session().head_revision == 2
    export_session(tmp_path / "root", tmp_path / "out.lash", session_id=SESSION)
    assert (tmp_path / "out.lash").read_bytes() == archive.read_bytes()
    with pytest.raises(InvalidArgumentError):
        export_session(tmp_path / "root", tmp_path / "x.lash")
    with pytest.raises(StoreNotFoundError):
        export_session(tmp_path / "root", tmp_path / "x.lash", session_id="nobody")
    assert not (tmp_path / "x.lash").exists()


def test_every_cut_and_every_flip_is_seen(archive, tmp_path):
    """
    Whatever is missing or changed, nothing is made.
    """
    content = archive.read_bytes()
    step = len(content) // 60
    damaged = [content[:at] for at in range(0, len(content), step)]
    damaged += [content + b"x", content[:-1]]
    damaged += [
        content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        for at in range(0, len(content), step)
    ]
    bad = tmp_path / "bad.lash"
    for each in damaged:
        bad.write_bytes(each)
        with pytest.raises(ArchiveError):
            import_session(bad, tmp_path / "made.db")
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "bad.lash",
            "chat.db",
            "chat.lash",
        ]


def test_a_hostile_archive_is_an_error(archive, tmp_path):
    """
    Records whose checksums are right, and that say what no session says.
    """
    payloads = records(archive.read_bytes())
    header, rows = payloads[0], payloads[1:-1]
    decoded = msgspec.msgpack.decode(rows[-1])
    pack = msgspec.msgpack.encode
    cases = [
        [header, *rows[:-1], payloads[-1]],
        [header, *rows, rows[-1], payloads[-1]],
        [header, *rows, rows[0], payloads[-1]],
        [header, *rows[:-1], pack([decoded[0], decoded[1][:-1]]), payloads[-1]],
        [header, *rows[:-1], pack([99, decoded[1]]), payloads[-1]],
        [header, *rows[:-1], pack([decoded[0], [1.5] * len(decoded[1])]), payloads[-1]],
        [
            header,
            *rows[:-1],
            pack([decoded[0], [2**64 - 1] * len(decoded[1])]),
            payloads[-1],
        ],
        [
            header,
            *rows[:-1],
            pack([decoded[0], [None] * len(decoded[1])]),
            payloads[-1],
        ],
        [header, *rows[:-1], pack([decoded[0], {}]), payloads[-1]],
        [header, *rows, pack({"type": "attachment"}), payloads[-1]],
    ]
    bad = tmp_path / "bad.lash"
    for case in cases:
        bad.write_bytes(sealed(case))
        with pytest.raises(ArchiveError):
            import_session(bad, tmp_path / "made.db")
        assert not (tmp_path / "made.db").exists()


def test_versions(archive, tmp_path):
    """
    Another format and another schema version are named.
    """
    payloads = records(archive.read_bytes())
    header = msgspec.msgpack.decode(payloads[0])
    for changed, error in (
        ({"format": 2}, RecordVersionError),
        ({"version": "0"}, SchemaVersionError),
        ({"tables": []}, ArchiveError),
    ):
        first = msgspec.msgpack.encode(header | changed)
        (tmp_path / "old.lash").write_bytes(sealed([first, *payloads[1:]]))
        with pytest.raises(error):
            import_session(tmp_path / "old.lash", tmp_path / "made.db")


def test_nothing_is_overwritten(chat, archive, tmp_path):
    """
    Neither by an export nor by an import.
    """
    with pytest.raises(AlreadyExistsError):
        export_session(chat, archive)
    before = chat.read_bytes()
    with pytest.raises(AlreadyExistsError):
        import_session(archive, chat)
    assert chat.read_bytes() == before
    with pytest.raises(LashStoreError):
        import_session(tmp_path / "absent.lash", tmp_path / "made.db")


def test_a_damaged_session_is_not_exported(chat, tmp_path):
    """
    The error names what does not verify.
    """
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")

    with pytest.raises(CorruptRecordError, match="n1"):
        export_session(chat, tmp_path / "x.lash")
    assert not (tmp_path / "x.lash").exists()


def test_attachments_go_along(chat, tmp_path):
    """
    Asked for, committed bytes are in the archive, and must go somewhere.
    """
    with pytest.raises(AttachmentNotFoundError):
        export_session(chat, tmp_path / "a.lash", attachments=tmp_path / "bytes")
    meta = AttachmentMeta(media_type="text/plain")
    FileAttachmentStore(tmp_path / "bytes").put(b"committed", meta)

    export_session(chat, tmp_path / "a.lash", attachments=tmp_path / "bytes")
    with pytest.raises(InvalidArgumentError):
        import_session(tmp_path / "a.lash", tmp_path / "made.db")
    report = import_session(
        tmp_path / "a.lash", tmp_path / "made.db", attachments=tmp_path / "other"
    )

    assert report.attachment_count == 1
    committed = hashlib.sha256(b"committed").hexdigest()
    assert FileAttachmentStore(tmp_path / "other").get(committed)[1] == b"committed"


def test_an_open_store_is_exported_with_its_wal(chat, tmp_path):
    """
    A host may be at work; what it acknowledged is in the archive.
    """
    with Store.open(chat, SESSION) as store:
        store.put_blob(b"fresh")
        export_session(chat, tmp_path / "a.lash")
        store.put_blob(b"later")
    import_session(tmp_path / "a.lash", tmp_path / "made.db")

    with Store.open(tmp_path / "made.db", SESSION) as store:
        assert store.get_blob(hashlib.sha256(b"fresh").hexdigest()) == b"fresh"
        assert store.get_blob(hashlib.sha256(b"later").hexdigest()) is None
