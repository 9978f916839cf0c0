"""
The tools on sealed sessions: with the key, without it, and with another one.
"""

import base64
import shutil

import pytest
from click.testing import CliRunner
from damage import rich
from postgres_server import server

from lashstore import (
    AesGcmCipher,
    ContentKeyError,
    InvalidArgumentError,
    SessionStoreFactory,
    Store,
    StoreOptions,
    backup,
    compact,
    copy_sessions,
    doctor,
    export_session,
    import_session,
    repair,
    restore,
    verify,
)
from lashstore.ciphers import seal_text
from lashstore.cli import main
from lashstore.codec import row_checksum
from lashstore.repos._sealing import SEALED_COLUMNS, sealing_context
from lashstore.session_places import session_file_name
from lashstore.tables import SESSION_TABLES

from .kit import SESSION, dump, edit, opened, seen

KEY, OTHER_KEY = b"1" * 32, b"2" * 32
CIPHER = AesGcmCipher({"k1": KEY}, "k1")
# Of the same id, so that only the seal can tell.
WRONG = AesGcmCipher({"k1": OTHER_KEY}, "k1")
TABLES = {
    name: next(str(table.name) for table in SESSION_TABLES if name in table.c)
    for name in SEALED_COLUMNS
}


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory):
    path = tmp_path_factory.mktemp("sealed") / "chat.db"
    rich.build(path, CIPHER)
    return path, rich.read_everything(path, rich.reads(), CIPHER)


@pytest.fixture(name="sealed")
def _sealed(original, tmp_path):
    return shutil.copy(original[0], tmp_path / "chat.db")


@pytest.fixture(name="answers")
def _answers(original):
    return original[1]


@pytest.fixture(name="url")
def _url():
    server().clear()
    yield server().url()
    server().clear()


def read(path):
    return rich.read_everything(path, rich.reads(), CIPHER)


def seen_with_key(path):
    return seen(path, cipher=CIPHER)


def run(*arguments, **environment):
    return CliRunner().invoke(main, [str(each) for each in arguments], env=environment)


def one_cell(path, column):
    """
    Return the rowid, the key and the value of a sealed cell.
    """
    key = SEALED_COLUMNS[column] or "session_id"
    # Nothing is a difference to an artifact.
    only = "WHERE kind = 'module'" if column == "content" else ""
    with opened(path) as connection:
        return tuple(
            connection.execute(
                f"SELECT rowid, {key}, {column} FROM {TABLES[column]} {only}"
                f" ORDER BY {key} LIMIT 1"
            ).fetchone()
        )


def flip_bit(path, column, place):
    rowid, key, value = one_cell(path, column)
    raw = bytearray(base64.b64decode(value) if isinstance(value, str) else value)
    raw[place] ^= 1
    put = base64.b64encode(raw).decode() if isinstance(value, str) else bytes(raw)
    edit(path, f"UPDATE {TABLES[column]} SET {column} = ? WHERE rowid = ?", put, rowid)
    return key


def test_a_sound_session_verifies_either_way(sealed):
    """
    All rows are looked at; without the key the report says what was not opened.
    """
    without, with_key = verify(sealed), verify(sealed, cipher=CIPHER)

    assert ((), (SESSION,)) == (without.findings, without.unopened)
    assert ((), ()) == (with_key.findings, with_key.unopened)
    assert with_key.rows == without.rows
    assert 53 == sum(with_key.rows.values())


@pytest.mark.parametrize("column", SEALED_COLUMNS)
@pytest.mark.parametrize("place", [5, 9, -1], ids=["crc", "key_id", "content"])
def test_a_flipped_bit_is_damage_either_way(sealed, column, place):
    """
    Without the key, too; and a damaged key id is no missing key.
    """
    key = flip_bit(sealed, column, place)
    expected = ("row_damaged", TABLES[column], key)

    assert expected in seen(sealed)
    assert expected in seen_with_key(sealed)


def test_envelopes_that_stand_elsewhere_are_damage_either_way(sealed):
    """
    Each is another row's, and says so.
    """
    edit(
        sealed,
        "UPDATE session_nodes SET node_json = (SELECT o.node_json FROM"
        " session_nodes AS o WHERE o.node_id = 'n2') WHERE node_id = 'n4'",
    )

    assert [("row_damaged", "session_nodes", "n4")] == seen(sealed)
    assert [("row_damaged", "session_nodes", "n4")] == seen_with_key(sealed)


def test_what_tells_the_key_may_be_damaged(sealed):
    """
    That is damage and no wrong key; nothing more is opened.
    """
    rowid = 1
    with opened(sealed) as connection:
        (seal,) = connection.execute("SELECT content_seal FROM sessions").fetchone()
    raw = bytearray(base64.b64decode(seal))
    raw[-1] ^= 1
    edit(
        sealed,
        "UPDATE sessions SET content_seal = ? WHERE rowid = ?",
        base64.b64encode(raw).decode(),
        rowid,
    )

    assert [("row_damaged", "sessions", SESSION)] == seen_with_key(sealed)
    assert (SESSION,) == verify(sealed, cipher=CIPHER).unopened


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "UPDATE session_nodes SET parent_node_id = 'nobody' WHERE node_id = 'n3'",
            ("reference_missing", "session_nodes", "n3"),
        ),
        (
            "UPDATE session_heads SET live_node_count = 3",
            ("count_wrong", "session_heads", SESSION),
        ),
        (
            "UPDATE session_heads SET leaf_node_id = 'nobody'",
            ("reference_missing", "session_heads", SESSION),
        ),
        (
            "DELETE FROM session_blobs WHERE blob_ref ="
            " (SELECT checkpoint_ref FROM session_heads)",
            ("reference_missing", "session_heads", SESSION),
        ),
        (
            "UPDATE session_queued_batches SET claim_fencing_token = 0"
            " WHERE claim_id IS NOT NULL",
            ("claim_broken", "session_queued_batches", None),
        ),
        (
            "UPDATE session_turn_inputs SET state = 'none' WHERE input_id = 'deferred'",
            ("row_damaged", "session_turn_inputs", "deferred"),
        ),
        (
            "UPDATE session_usage SET input_tokens = 6 WHERE seq = 1",
            ("row_damaged", "session_usage", "1"),
        ),
        (
            "UPDATE sessions SET admission_seq = 1",
            ("counter_behind", "sessions", SESSION),
        ),
        (
            "UPDATE session_artifacts SET blob_ref = 'nothing'",
            ("row_damaged", "session_artifacts", None),
        ),
    ],
)
def test_structure_is_judged_without_the_key(sealed, change, found):
    """
    References, counts, claims, sequences, and the rows that are not sealed.
    """
    edit(sealed, change)

    kind, table, key = found
    assert any(
        (kind, table) == (one[0], one[1]) and key in (None, one[2])
        for one in seen(sealed)
    )


def test_what_only_the_key_shows(sealed):
    """
    Content sealed by somebody who has the key, and not what the row's
    checksum promises: no look from outside can tell.
    """
    row = {"node_id": "n2"}
    content = seal_text(CIPHER, "{}", sealing_context(SESSION, "node_json", row))
    edit(sealed, "UPDATE session_nodes SET node_json = ? WHERE node_id = 'n2'", content)

    assert [] == seen(sealed)
    assert [("row_damaged", "session_nodes", "n2")] == seen_with_key(sealed)


def test_a_wrong_key_is_refused_and_nothing_is_made(sealed, tmp_path, url):
    """
    By everything that takes one; before a row, a file or a byte is written.
    """
    edit(sealed, "UPDATE sessions SET admission_seq = 1")
    archive = tmp_path / "chat.lash"
    edited = sealed.read_bytes()
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(sealed, root / session_file_name(SESSION))
    before = sorted(tmp_path.rglob("*"))
    wrong = StoreOptions(cipher=WRONG)
    for use in (
        lambda: verify(sealed, cipher=WRONG),
        lambda: verify(root, cipher=AesGcmCipher({"k2": KEY}, "k2")),
        lambda: repair(sealed, options=wrong),
        lambda: export_session(sealed, archive, cipher=WRONG),
        lambda: copy_sessions(root, tmp_path / "copies", cipher=WRONG),
    ):
        with pytest.raises(ContentKeyError):
            use()
    assert before == sorted(tmp_path.rglob("*"))
    assert edited == sealed.read_bytes()

    edit(sealed, "UPDATE sessions SET admission_seq = 100")
    export_session(sealed, archive)
    with pytest.raises(ContentKeyError):
        import_session(archive, tmp_path / "made.db", options=wrong)
    with pytest.raises(ContentKeyError):
        import_session(archive, url, options=wrong)
    assert [archive, *before] == sorted(
        tmp_path.rglob("*"), key=lambda path: (path != archive, path)
    )
    with SessionStoreFactory(url) as factory:
        assert [] == list(factory.list_sessions())


def test_a_key_that_is_missing_for_some_rows_is_no_damage(tmp_path):
    """
    The session's first key is here, and what was written since took another.
    """
    both = AesGcmCipher({"k1": KEY, "k2": OTHER_KEY}, "k2")
    with Store.open(tmp_path / "s.db", "s", options=StoreOptions(cipher=CIPHER)) as s:
        s.put_blob(b"old")
    with Store.open(tmp_path / "s.db", "s", options=StoreOptions(cipher=both)) as s:
        s.put_blob(b"new")

    assert () == verify(tmp_path / "s.db", cipher=both).findings
    assert () == verify(tmp_path / "s.db").findings
    with pytest.raises(ContentKeyError) as caught:
        verify(tmp_path / "s.db", cipher=CIPHER)
    assert "k2" == caught.value.key_id


def test_plain_sessions_need_no_key_and_take_any(tmp_path, session_original, sealed):
    """
    One cipher serves a folder in which some are sealed.
    """
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(session_original, folder / "plain.db")
    shutil.copy(sealed, folder / "sealed.db")

    report = verify(folder, cipher=CIPHER)

    assert ((), ()) == (report.findings, report.unopened)
    assert 2 == len(report.files)


def test_backups_need_no_key(sealed, answers, tmp_path):
    """
    There and back, and what comes back opens with the key and answers alike.
    """
    report = backup(sealed, tmp_path / "backup")
    assert ((), (SESSION,)) == (report.findings, report.unopened)
    assert ("chat.db",) == report.files
    assert 0 == backup(sealed, tmp_path / "backup").new_byte_count

    restore(tmp_path / "backup", tmp_path / "again")

    assert () == verify(tmp_path / "again", cipher=CIPHER).findings
    assert answers == read(tmp_path / "again" / "chat.db")
    with pytest.raises(ContentKeyError):
        Store.open(tmp_path / "again" / "chat.db", SESSION)


def test_a_backup_leaves_damaged_content_out(sealed, tmp_path):
    """
    Without the key it sees that an envelope is damaged.
    """
    key = flip_bit(sealed, "node_json", -1)

    report = backup(sealed, tmp_path / "backup")

    assert () == report.files
    assert [key] == [finding.key for finding in report.findings]


def test_compacting_needs_no_key(sealed, answers):
    """
    Every row is as it was.
    """
    before = dump(sealed)
    compact(sealed)

    assert before == dump(sealed)
    assert answers == read(sealed)


def test_archives_are_sealed_and_need_no_key(sealed, answers, tmp_path, url):
    """
    To a file, to a server and back: the same bytes, opened by the same key.
    """
    first, second = tmp_path / "first.lash", tmp_path / "second.lash"
    export_session(sealed, first)
    import_session(first, url)
    export_session(url, second, session_id=SESSION, cipher=CIPHER)
    import_session(second, tmp_path / "made.db", options=StoreOptions(cipher=CIPHER))

    assert first.read_bytes() == second.read_bytes()
    assert b"text of n1" not in first.read_bytes()
    assert answers == read(tmp_path / "made.db")
    assert (SESSION,) == verify(url).unopened
    assert () == verify(url, cipher=CIPHER).findings


@pytest.mark.parametrize("cipher", [None, CIPHER], ids=["no key", "key"])
def test_copies_are_sealed(sealed, answers, tmp_path, url, cipher):
    """
    To a server and back, with the key and without it.
    """
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(sealed, root / session_file_name(SESSION))

    assert copy_sessions(root, url, cipher=cipher).is_complete
    assert copy_sessions(url, tmp_path / "back", cipher=cipher).is_complete
    (again,) = copy_sessions(root, url, cipher=cipher).sessions

    assert ("present", 53) == (again.outcome, again.row_count)
    assert answers == read(tmp_path / "back" / session_file_name(SESSION))


@pytest.mark.parametrize("cipher", [None, CIPHER], ids=["no key", "key"])
def test_damaged_content_is_not_copied(sealed, tmp_path, cipher):
    """
    It is told, and the destination has nothing.
    """
    root, target = tmp_path / "root", tmp_path / "target"
    root.mkdir()
    flip_bit(sealed, "content", -1)
    shutil.copy(sealed, root / session_file_name(SESSION))

    (copied,) = copy_sessions(root, target, cipher=cipher).sessions

    assert "damaged" == copied.outcome
    with SessionStoreFactory(target) as factory:
        assert [] == list(factory.list_sessions())


def test_repairs_that_need_the_key_wait_for_it(sealed, answers, tmp_path):
    """
    The admission sequence needs none; a head's counts are under its checksum.
    """
    edit(sealed, "UPDATE sessions SET admission_seq = 1")
    with opened(sealed) as connection:
        row = connection.execute("SELECT * FROM session_heads").fetchone()
    names = list(row.keys())
    with Store.open_readonly(sealed, options=StoreOptions(cipher=CIPHER)) as store:
        head = store.load_session_head_meta()
    assert head.config == {"model": "m2"}
    content = dict(zip(names, row, strict=True)) | {
        "config_json": '{"model":"m2"}',
        "agent_frames_json": '[{"frame_id":"f","status":"active"}]',
    }
    fields = [n for n in names if n not in ("session_id", "checksum")]
    assert row["checksum"] == row_checksum(
        "session_heads", SESSION, *(content[n] for n in fields)
    )
    content["user_message_count"] += 1
    edit(
        sealed,
        "UPDATE session_heads SET user_message_count = ?, checksum = ?",
        content["user_message_count"],
        row_checksum("session_heads", SESSION, *(content[n] for n in fields)),
    )

    report = repair(sealed, backup_folder=tmp_path / "copies")
    assert ["counter_behind"] == [finding.kind for finding in report.repaired]
    assert [("count_wrong", "session_heads", SESSION)] == seen(sealed)

    report = repair(
        sealed,
        backup_folder=tmp_path / "more",
        options=StoreOptions(cipher=CIPHER),
    )
    assert ["count_wrong"] == [finding.kind for finding in report.repaired]
    assert [] == seen_with_key(sealed)
    assert answers == read(sealed)


def test_the_doctor_says_which_keys_to_keep(sealed):
    """
    By their ids, without having them.
    """
    (found,) = [d for d in doctor(sealed).diagnoses if d.topic == "seals"]

    assert "1 with key 'k1'" in found.what
    assert "ok" == found.health


def key_file(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def key_line(key_id, key):
    return f"{key_id} {base64.b64encode(key).decode()}"


def test_the_commands_take_a_key_file(sealed, answers, tmp_path):
    """
    By the option or by the environment; a wrong one is 1 and one line, and
    without one it is said what was not opened.
    """
    right = key_file(tmp_path / "keys", "# ours", "", key_line("k1", KEY))
    wrong = key_file(tmp_path / "wrong", key_line("k1", OTHER_KEY))

    done = run("verify", sealed)
    assert 0 == done.exit_code
    assert "'rich/1' is sealed: its content was not opened" in done.output
    expected = (0, "1 files, 53 rows: nothing is wrong\n")
    done = run("verify", sealed, "--key-file", right)
    assert expected == (done.exit_code, done.output)
    done = run("verify", sealed, LASHSTORE_KEY_FILE=str(right))
    assert expected == (done.exit_code, done.output)
    for command in (
        ("verify", sealed),
        ("verify", sealed, "--repair"),
        ("export", sealed, tmp_path / "x"),
    ):
        done = run(*command, "--key-file", wrong)
        assert (1, 1) == (done.exit_code, done.output.count("\n"))
        assert "was not sealed with the key that was given" in done.output
    assert not (tmp_path / "x").exists()

    (tmp_path / "root").mkdir()
    with_key = ("--key-file", right)
    archive = tmp_path / "a"
    assert 0 == run("export", sealed, archive, *with_key).exit_code
    assert 0 == run("import", archive, tmp_path / "root", *with_key).exit_code
    copied = run("copy", tmp_path / "root", tmp_path / "copies", *with_key)
    assert 0 == copied.exit_code
    assert answers == read(tmp_path / "copies" / session_file_name(SESSION))
    done = run("backup", sealed, tmp_path / "backup")
    assert (0, True) == (done.exit_code, "'rich/1' is sealed" in done.output)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("k1",),
        ("k1 c2VjcmV0LXRleHQ=",),
        ("k1 secret-text",),
        (key_line("k1", KEY), key_line("k1", OTHER_KEY)),
        (f" {key_line('', KEY)}",),
    ],
)
def test_a_key_file_that_is_none(sealed, tmp_path, lines):
    """
    It is a mistake of the caller's, and what is in it is not shown.
    """
    path = key_file(tmp_path / "keys", *lines)

    with pytest.raises(InvalidArgumentError):
        AesGcmCipher.from_key_file(path)
    done = run("verify", sealed, "--key-file", path)

    assert 2 == done.exit_code
    assert "secret" not in done.output
    assert not any(part in done.output for line in lines for part in line.split()[1:])


def test_the_first_line_of_a_key_file_seals(tmp_path):
    """
    The others open what they sealed.
    """
    path = key_file(tmp_path / "keys", key_line("new", OTHER_KEY), key_line("k1", KEY))

    cipher = AesGcmCipher.from_key_file(path)

    assert "new" == cipher.key_id
    assert b"x" == cipher.open("k1", CIPHER.seal(b"x", b"c"), b"c")
    for unreadable in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InvalidArgumentError):
            AesGcmCipher.from_key_file(unreadable)
