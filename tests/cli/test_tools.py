"""
The operator's commands: what they print, their exit codes, and what they
leave behind.
"""

import json
import shutil
import sqlite3

import pytest
from click.testing import CliRunner
from damage import rich

from lashstore.cli import main

from .kit import picture_of, replay

COMMANDS = ["backup", "compact", "doctor", "export", "import", "restore", "verify"]


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "chat.db"
    rich.build(path)
    return path


@pytest.fixture(name="chat")
def _chat(original, tmp_path):
    (tmp_path / "sessions").mkdir()
    return shutil.copy(original, tmp_path / "sessions" / "chat.db")


def run(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def edit(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    """
    Every command explains its exit codes and shows an example.
    """
    done = run(command, "--help")

    assert done.exit_code == 0
    text = " ".join(done.output.split())
    assert "Exit code 0" in text
    assert f"Example{'' if command == 'compact' else 's'}: lashstore {command}" in text
    assert command in run("--help").output


@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes(command, tmp_path):
    """
    A missing argument and a URL of what it does not work on are 2, an absent
    target is 1; each is one line, and nothing is made.
    """
    takes_servers = command in ("doctor", "export", "verify")
    url = f"{'mysql' if takes_servers else 'postgresql'}://host/db"
    more = (
        [tmp_path / "x"] if command in ("backup", "export", "import", "restore") else []
    )

    for arguments, code in (
        ([], 2),
        ([url, *more], 2),
        ([tmp_path / "absent", *more], 1),
        ([tmp_path / "absent", *more, "--nonsense"], 2),
    ):
        done = run(command, *arguments)

        assert done.exit_code == code, done.output
        assert done.output.startswith("Error: ")
        assert done.output.count("\n") == 1
        assert isinstance(done.exception, SystemExit)
    assert list(tmp_path.iterdir()) == []


def test_verify(chat):
    """
    0 and one line for a sound folder; 1 and two lines a finding otherwise.
    """
    done = run("verify", chat.parent)
    assert (done.exit_code, done.output) == (0, "1 files, 53 rows: nothing is wrong\n")

    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")
    done = run("verify", chat)
    assert done.exit_code == 1
    first, second, last = done.output.splitlines()
    assert first == (
        f"ERROR {chat} [session_nodes n1]: its checksum does not match its content "
        "(row_damaged)"
    )
    assert second.startswith("  -> restore the file from a backup")
    assert last == "1 files, 53 rows: 1 findings"


def test_verify_as_json(chat):
    """
    One object, whose findings have every field.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 1")

    done = run("verify", chat, "--json")

    assert done.exit_code == 1
    (finding,) = json.loads(done.output)["findings"]
    assert finding | {"what": "", "remedy": ""} == {
        "kind": "counter_behind",
        "severity": "error",
        "path": str(chat),
        "table": "sessions",
        "key": "rich/1",
        "what": "",
        "remedy": "",
        "is_repairable": True,
    }


def test_repair(chat, tmp_path):
    """
    What can be mended is, after a copy; then the folder is sound.
    """
    edit(chat, "UPDATE sessions SET admission_seq = 1")

    done = run("verify", chat, "--repair", "--backup-folder", tmp_path / "copies")

    assert done.exit_code == 0
    (copy,) = (tmp_path / "copies").iterdir()
    assert done.output.splitlines()[0] == f"copied {chat} to {copy}"
    assert done.output.splitlines()[1].startswith(f"repaired {chat} [sessions rich/1]")
    assert run("verify", chat, "--backup-folder", tmp_path).exit_code == 2

    edit(chat, "DELETE FROM session_nodes WHERE node_id = 'n1'")
    assert run("verify", chat, "--repair").exit_code == 1
    assert run("verify", chat, "--repair", "--json").exit_code == 1


def test_backup_and_restore(chat, tmp_path):
    """
    There and back, and not a second time over it.
    """
    backup, target = tmp_path / "backup", tmp_path / "restored"

    done = run("backup", chat.parent, backup, "--json")
    assert done.exit_code == 0
    snapshot = json.loads(done.output)["snapshot"]
    assert "of which 0 were new" in run("backup", chat.parent, backup).output

    listed = run("restore", backup, "--list")
    assert listed.output.splitlines()[0] == f"{snapshot}: 1 files, 0 attachments"
    names = json.loads(run("restore", backup, "--list", "--json").output)
    assert len(names["snapshots"]) == 2

    done = run("restore", backup, target, "--snapshot", snapshot, "--only", "rich/1")
    assert done.exit_code == 0
    assert run("verify", target).exit_code == 0
    done = run("restore", backup, target)
    assert done.exit_code == 1
    assert "never overwritten" in done.output
    assert run("restore", backup, target, "--only", "nobody").exit_code == 1


def test_a_backup_that_left_something_out(chat, tmp_path):
    """
    It says what, and its exit code tells a script.
    """
    edit(chat, "UPDATE session_nodes SET checksum = 1 WHERE node_id = 'n1'")

    done = run("backup", chat, tmp_path / "backup")

    assert done.exit_code == 1
    assert "[session_nodes n1]" in done.output


def test_export_and_import(chat, tmp_path):
    """
    Through an archive into a folder, and out of it with the same bytes.
    """
    (tmp_path / "root").mkdir()
    assert run("export", chat, tmp_path / "a").exit_code == 0
    assert run("import", tmp_path / "a", tmp_path / "root", "--json").exit_code == 0
    done = run("export", tmp_path / "root", tmp_path / "b", "--session", "rich/1")
    assert done.exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    assert run("export", tmp_path / "root", tmp_path / "c").exit_code == 2
    assert run("import", tmp_path / "a", tmp_path / "root").exit_code == 1
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    done = run("import", tmp_path / "a", tmp_path / "d.db")
    assert done.exit_code == 1
    assert "it ends too early" in done.output


def test_doctor_and_compact(chat):
    """
    Warnings are exit code 1; the JSON form says the same.
    """
    chat.chmod(0o644)

    done = run("doctor", chat.parent)
    assert done.exit_code == 1
    assert f"        run: chmod 600 {chat}" in done.output.splitlines()
    said = json.loads(run("doctor", chat.parent, "--json").output)
    assert "file mode" in [d["topic"] for d in said["diagnoses"]]

    chat.chmod(0o600)
    assert run("doctor", chat.parent).exit_code == 0
    assert run("compact", chat.parent).exit_code == 0
    assert json.loads(run("compact", chat, "--json").output)["files"] == [str(chat)]


def test_a_replayed_conversation_is_sound(transcript, root, tmp_path):
    """
    What an agent host leaves (a session, its attachments, effects, processes
    and triggers) verifies, is backed up and restored whole.
    """
    assert replay(transcript, root).exit_code == 0
    bytes_of = root / "attachments"

    done = run("verify", root, "--attachments", bytes_of)
    assert (done.exit_code, done.output.splitlines()[-1].split(" files")[0]) == (0, "4")

    backup, target = tmp_path / "backup", tmp_path / "again"
    done = run("backup", root, backup, "--attachments", bytes_of)
    assert done.exit_code == 0
    other = target / "attachments"
    assert run("restore", backup, target, "--attachments", other).exit_code == 0
    assert run("verify", target, "--attachments", other).exit_code == 0
    assert picture_of(transcript, target) is not None
