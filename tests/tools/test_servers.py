"""
The tools on a PostgreSQL server.
"""

import shutil
from contextlib import closing

import pytest
from click.testing import CliRunner
from damage import rich
from postgres_server import server
from processes import kit as processes

from lashstore import (
    AlreadyExistsError,
    ArchiveError,
    AttachmentMeta,
    AttachmentNotFoundError,
    CorruptRecordError,
    InvalidArgumentError,
    ManualClock,
    MemoryAttachmentStore,
    ProcessRegistry,
    SessionDeletedError,
    SessionStoreFactory,
    Store,
    StoreNotFoundError,
    copy_sessions,
    doctor,
    export_session,
    import_session,
    repair,
    verify,
)
from lashstore.cli import main
from lashstore.engines import open_any_server, parse_target
from lashstore.repos.session_rows import read_rows
from lashstore.session_places import session_file_name
from lashstore.tables import SESSION_TABLES
from lashstore.tools.archive_format import ArchiveWriter

from .kit import SESSION

EMPTY = "tools_empty"


@pytest.fixture(name="url")
def _url(session_original, tmp_path):
    """
    Return the address of a database with the session that has everything.
    """
    server().clear()
    root = tmp_path / "from"
    root.mkdir()
    shutil.copy(session_original, root / session_file_name(SESSION))
    assert copy_sessions(root, server().url()).is_complete
    yield server().url()
    server().clear()


def change(statement, *values):
    with server().connect() as connection:
        assert connection.execute(statement, values).rowcount >= 1


def seen(url):
    return [(str(f.kind), f.table, f.key) for f in verify(url).findings]


def healths(report):
    # One line for each component that other tests have made tables of.
    found = [(d.topic, str(d.health)) for d in report.diagnoses]
    return list(dict.fromkeys(found))


def write_unverified(url, path, *, twice=0):
    """
    Archive rows as they are; the first *twice* of them again.
    """

    def write(connection):
        writer = ArchiveWriter(file, SESSION, 0)
        for number, row in enumerate(read_rows(connection, SESSION)):
            writer.write_rows([row, row] if number < twice else [row])
        writer.finish()

    with (
        closing(open_any_server(parse_target(url))) as database,
        path.open("wb") as file,
    ):
        database.read_through_core(write)


def has_session(url):
    with SessionStoreFactory(url) as factory:
        return factory.open_existing_store(SESSION) is not None


def test_a_sound_database_has_no_findings(url):
    """
    Every row of every table was looked at, and the address has no password.
    """
    with_password = url.replace("postgres:@", "postgres:secret@", 1)
    report = verify(with_password)

    assert report.findings == ()
    assert "secret" not in report.target
    assert report.files == (report.target,)
    with server().connect() as connection:
        expected = {
            table.name: connection.execute(
                f"SELECT count(*) FROM {table.name}"
            ).fetchone()[0]
            for table in SESSION_TABLES
        }
    # Other tests may have left the tables of other components, empty.
    assert {n: c for n, c in report.rows.items() if n in expected} == expected
    assert sum(report.rows.values()) == sum(expected.values())


def test_damage_of_every_kind_is_found_and_named(url):
    """
    A cell, a blob, a wrong total and processes beside the sessions; nothing
    of a server can be repaired.
    """
    with ProcessRegistry.open(url, clock=ManualClock(processes.NOW_MS)) as registry:
        registry.register_process(processes.registration("p1"))
    assert seen(url) == []
    change("UPDATE session_meta SET meta_json = meta_json || ' '")
    change(
        "UPDATE session_blobs SET content = 'x' WHERE blob_ref ="
        " (SELECT checkpoint_ref FROM session_heads)"
    )
    change("DELETE FROM session_usage_totals WHERE source = 'compaction'")
    change("UPDATE process_registrations SET checksum = checksum + 1")
    with server().connect() as connection:
        (ref,) = connection.execute(
            "SELECT checkpoint_ref FROM session_heads"
        ).fetchone()

    report = verify(url)

    assert sorted((str(f.kind), f.table, f.key) for f in report.findings) == [
        ("row_damaged", "processes", "p1"),
        ("row_damaged", "session_blobs", ref),
        ("row_damaged", "session_meta", SESSION),
        ("totals_wrong", "session_usage_totals", "compaction/m"),
    ]
    assert not any(f.is_repairable for f in report.findings)
    assert {f.remedy for f in report.findings} == {
        (
            "restore the database from a backup of the server, or the session from an "
            "archive or a copy"
        )
    }
    with pytest.raises(InvalidArgumentError, match="SQLite files"):
        repair(url)


def test_nothing_is_made_where_nothing_is(url):
    """
    A schema that does not exist is a finding, and does not exist afterwards.
    """
    empty = server().url(EMPTY)

    assert seen(empty) == [("schema_version", None, None)]
    assert [d.topic for d in doctor(empty).diagnoses] == [
        "schema",
        "clock",
        "stale leases",
    ]
    with pytest.raises(StoreNotFoundError):
        export_session(empty, "unused.lash", session_id=SESSION)
    with server().connect() as connection:
        assert (
            connection.execute(
                "SELECT 1 FROM pg_namespace WHERE nspname = %s", (EMPTY,)
            ).fetchone()
            is None
        )


def test_an_archive_is_the_same_from_a_file_and_a_server(
    url, session_original, tmp_path
):
    """
    There and back: bytes of a file's archive and of a server's are equal.
    """
    export_session(session_original, tmp_path / "file.lash")
    report = export_session(url, tmp_path / "server.lash", session_id=SESSION)

    expected = (tmp_path / "file.lash").read_bytes()
    assert (tmp_path / "server.lash").read_bytes() == expected
    assert (report.session_id, report.row_count) == (SESSION, 53)

    server().clear()
    import_session(tmp_path / "server.lash", url)
    assert verify(url).findings == ()
    export_session(url, tmp_path / "again.lash", session_id=SESSION)
    assert (tmp_path / "again.lash").read_bytes() == expected


def test_what_an_export_refuses(url, tmp_path):
    """
    No session named, an unknown one, and one that does not verify.
    """
    target = tmp_path / "a.lash"
    with pytest.raises(InvalidArgumentError, match="session_id"):
        export_session(url, target)
    with pytest.raises(StoreNotFoundError):
        export_session(url, target, session_id="unknown")
    change("UPDATE session_meta SET meta_json = meta_json || ' '")
    with pytest.raises(CorruptRecordError):
        export_session(url, target, session_id=SESSION)
    assert not target.exists()


def test_an_import_overwrites_nothing_and_is_a_new_making(url, tmp_path):
    """
    Refused beside the session itself; after its end, handles of it are gone.
    """
    export_session(url, tmp_path / "a.lash", session_id=SESSION)
    with Store.open(url, SESSION) as handle:
        with pytest.raises(AlreadyExistsError, match=SESSION):
            import_session(tmp_path / "a.lash", url)
        with SessionStoreFactory(url) as factory:
            factory.delete_session(SESSION)
        report = import_session(tmp_path / "a.lash", url)

        assert report.row_count == 53
        with pytest.raises(SessionDeletedError):
            handle.load_session_meta()


def test_a_damaged_archive_leaves_nothing(url, session_original, tmp_path):
    """
    Bytes that changed, an end that is missing; and where the archive is
    whole, a row twice, and rows that do not verify.
    """
    bad = tmp_path / "bad.lash"
    export_session(url, tmp_path / "a.lash", session_id=SESSION)
    write_unverified(url, tmp_path / "twice.lash", twice=1)
    change("UPDATE session_meta SET meta_json = meta_json || ' '")
    write_unverified(url, tmp_path / "wrong.lash")
    server().clear()
    content = (tmp_path / "a.lash").read_bytes()
    for damaged in (
        content[:-20],
        content[:9000] + bytes([content[9000] ^ 1]) + content[9001:],
        (tmp_path / "twice.lash").read_bytes(),
        (tmp_path / "wrong.lash").read_bytes(),
    ):
        bad.write_bytes(damaged)
        with pytest.raises(ArchiveError):
            import_session(bad, url)
        assert not has_session(url)


def test_attachments_go_with_their_session(url, tmp_path):
    """
    Missing bytes are a finding and end an export; bytes that are there
    arrive, and an import without a place for them is refused.
    """
    stored, arrived = MemoryAttachmentStore(), MemoryAttachmentStore()
    target = tmp_path / "a.lash"
    assert [str(f.kind) for f in verify(url, attachments=stored).findings] == [
        "attachment_missing"
    ]
    with pytest.raises(AttachmentNotFoundError):
        export_session(url, target, session_id=SESSION, attachments=stored)
    assert not target.exists()

    ref = stored.put(b"committed", AttachmentMeta(media_type="text/plain"))
    assert verify(url, attachments=stored).findings == ()
    export_session(url, target, session_id=SESSION, attachments=stored)
    server().clear()
    with pytest.raises(InvalidArgumentError, match="attachments"):
        import_session(target, url)
    assert not has_session(url)
    import_session(target, url, attachments=arrived)

    assert arrived.get(ref.attachment_id) == stored.get(ref.attachment_id)
    assert has_session(url)


def test_a_doctor_looks_at_schemas_clocks_and_leases(url):
    """
    By the server's clock unless another is given.
    """
    report = doctor(url, clock=ManualClock(rich.NOW_MS))
    assert healths(report) == [
        ("schema", "ok"),
        ("clock", "ok"),
        ("leases", "warning"),
        ("stale leases", "ok"),
    ]
    # Years after: all that was held has run out.
    assert healths(doctor(url)) == [
        ("schema", "ok"),
        ("clock", "ok"),
        ("stale leases", "ok"),
    ]
    ahead = doctor(url, clock=ManualClock(rich.NOW_MS - 61_000))
    assert ("clock", "warning") in healths(ahead)

    change("UPDATE schema_versions SET version = '0'")
    try:
        assert healths(doctor(url))[0] == ("schema", "problem")
        assert ("schema_version", "schema_versions", "session") in seen(url)
    finally:
        change("UPDATE schema_versions SET version = '1'")


def test_commands_take_an_address(url, tmp_path):
    """
    verify, doctor, export and import; --repair does not.
    """
    run = CliRunner().invoke
    archive = str(tmp_path / "a.lash")

    done = run(main, ["verify", url])
    assert (done.exit_code, done.output.splitlines()[-1]) == (
        0,
        "1 files, 53 rows: nothing is wrong",
    )
    assert run(main, ["verify", url, "--repair"]).exit_code == 2
    assert run(main, ["export", url, archive]).exit_code == 2
    assert run(main, ["export", url, archive, "--session", SESSION]).exit_code == 0
    assert run(main, ["doctor", url]).exit_code == 0
    assert run(main, ["import", archive, url]).exit_code == 1
    server().clear()
    assert run(main, ["import", archive, url]).exit_code == 0
    assert has_session(url)
