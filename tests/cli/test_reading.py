"""
What the reading commands have in common.
"""

import contextlib
import os
import pty
import shutil
import sqlite3
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from lashstore import AesGcmCipher, Store, StoreOptions, TriggerStore
from lashstore.cli import main
from lashstore.cli.reading import one_line, shown_bytes, shown_time
from lashstore.session_places import session_file_name
from lashstore.testing import commit_nodes, message_node
from lashstore.tools.reading import open_session

from .kit import assert_complains, files_of, run
from .reading_kit import NOW_MS, answer_of, make_root, session_rows_of

# With what they are run on the session "chat".
COMMANDS = {
    "ls": (),
    "show": ("--session", "chat"),
    "log": ("--session", "chat"),
    "tree": ("--session", "chat"),
    "diff": ("1", "head", "--session", "chat"),
    "usage": (),
}
OF_A_SESSION = ("show", "log", "tree", "diff")


@pytest.fixture(name="chats", scope="module")
def _chats(tmp_path_factory):
    place = tmp_path_factory.mktemp("chats") / "sessions"
    make_root(place)
    return place


@pytest.fixture(name="mine")
def _mine(chats, tmp_path):
    return shutil.copytree(chats, tmp_path / "sessions")


def file_of(root, session_id):
    return root / session_file_name(session_id)


@pytest.mark.parametrize("command", [*COMMANDS, "rm", "completion"])
def test_help(command):
    """
    Every command explains itself with examples.
    """
    done = run(command, "--help")

    lines = done.output.splitlines()
    text = " ".join(done.output.split())
    assert 0 == done.exit_code
    at = lines.index("  Examples:")
    assert lines[at + 1].startswith(f"    lashstore {command} ")
    assert "\\b" not in text
    assert command == "completion" or "Exit code 0" in text
    assert command == "completion" or "--json" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_reading_makes_nothing(command, mine):
    """
    Every command prints one JSON object, and text, and leaves every file as
    it was; no other was beside it, not even for a while.
    """
    before = files_of(mine)
    # A name that comes or goes sets the folder's time.
    os.utime(mine, ns=(0, 0))

    answer_of(command, mine, *COMMANDS[command])
    done = run(command, mine, *COMMANDS[command])

    assert 0 == done.exit_code
    assert "\x1b" not in done.output
    assert before == files_of(mine)
    assert 0 == mine.stat().st_mtime_ns


def test_reading_a_server_makes_nothing(postgres):
    """
    Every command works on a server as on a folder, and changes no row of it.
    """
    make_root(postgres.url())
    try:
        before = session_rows_of(postgres)
        for command, more in COMMANDS.items():
            answer_of(command, postgres.url(), *more)
            assert before == session_rows_of(postgres)
    finally:
        postgres.clear()


@pytest.mark.parametrize("command", [*COMMANDS, "rm"])
def test_a_server_without_tables(command, postgres):
    """
    It is told, and no table is made.
    """
    more = ["-s", "chat"] if command == "rm" else COMMANDS[command]
    done = run(command, postgres.url("nobodys"), *more)

    assert_complains(done, 1, "no session store", "nobodys")
    with postgres.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'nobodys'"
        ).fetchone()
    assert (0,) == found


def test_a_host_is_not_disturbed(mine):
    """
    While a host is in a write transaction, readers see what was before it,
    and it commits; readers then see that.
    """
    with Store.open(file_of(mine, "chat"), "chat") as host:
        with host.transaction() as tx:
            tx.queued_work.list_all("chat")
            for command, more in COMMANDS.items():
                answer_of(command, mine, *more)
        commit_nodes(host, message_node("n5", parent="n4"))

        page = answer_of("log", mine, "-s", "chat", "--limit", "1")

    assert 5 == page["commits"][0]["head_revision"]


@pytest.mark.parametrize("command", OF_A_SESSION)
def test_which_session(command, mine):
    """
    A folder has many sessions, a file one; an unknown one is no session.
    """
    revisions = ["1", "head"] if command == "diff" else []

    assert_complains(run(command, mine, *revisions), 2, "--session")
    assert_complains(run(command, mine, *revisions, "-s", "nobody"), 1, "'nobody'")
    assert_complains(run(command, mine / "no.db", *revisions), 1, "no.db")
    path = file_of(mine, "chat")
    assert 0 == run(command, path, *revisions).exit_code
    assert_complains(run(command, path, *revisions, "-s", "nobody"), 1, "'nobody'")
    assert_complains(run(command, f"mysql://host/{command}", *revisions), 2, "mysql")


@pytest.mark.parametrize("command", ["show", "usage"])
def test_a_file_of_something_else(command, tmp_path):
    """
    Another component's file, another program's and one of another version
    are told apart.
    """
    triggers, session = tmp_path / "triggers.db", tmp_path / "chat.db"
    TriggerStore.open(triggers).close()
    Store.open(session, "chat").close()
    database = sqlite3.connect(session)
    with database:
        database.execute("UPDATE schema_versions SET version = '99'")
    database.close()
    (tmp_path / "notes.db").write_bytes(b"notes" * 1000)

    assert_complains(run(command, triggers), 1, "it has no session tables")
    assert_complains(run(command, session), 1, "version 99")
    assert_complains(run(command, tmp_path / "notes.db"), 1, "not a lashstore")


@pytest.mark.parametrize("command", OF_A_SESSION)
def test_a_damaged_session(command, mine):
    """
    Damage is told in one line, never skipped.
    """
    database = sqlite3.connect(file_of(mine, "chat"))
    with database:
        database.execute("UPDATE session_heads SET leaf_node_id = 'n2'")
        database.execute("UPDATE session_turn_commits SET committed_at_ms = 1")
    database.close()

    done = run(command, mine, *COMMANDS[command])

    assert_complains(done, 1, "checksum")


def test_a_sealed_session(tmp_path):
    """
    What is no content is shown without the key; what is says why not.
    """
    root = tmp_path / "sealed"
    make_root(root, options=StoreOptions(cipher=AesGcmCipher({"k": b"k" * 32}, "k")))

    listed = answer_of("ls", root)["sessions"][0]
    report = answer_of("show", root, "-s", "chat")

    assert ("chat", True, 4) == (
        listed["session_id"],
        listed["is_sealed"],
        listed["head_revision"],
    )
    assert (None, None, []) == (report["meta"], report["head"], report["last_nodes"])
    assert 1 == report["lease"]["fencing_token"]
    assert "sealed" in run("show", root, "-s", "chat").stdout
    assert 30 == answer_of("usage", root)["total"]["input_tokens"]
    for command in ("log", "tree", "diff"):
        done = run(command, root, *COMMANDS[command])
        assert_complains(done, 1, "'chat' is sealed")


def test_a_session_deleted_meanwhile(mine):
    """
    It is an error that names the file, not a traceback.
    """
    path = file_of(mine, "chat")
    with open_session(path) as reader:
        path.unlink()
        with pytest.raises(Exception, match="no session store") as caught:
            reader.look(lambda tx: tx.heads.find("chat"))

    assert "StoreNotFoundError" == type(caught.value).__name__


def completions(*words):
    *before, last = map(str, words)
    found = ShellComplete(main, {}, "lashstore", "_X").get_completions(before, last)
    return [item.value for item in found]


def test_completion(chats):
    """
    A shell is offered commands, options, and the ids of a target's sessions;
    of a target that cannot be read nothing.
    """
    assert ["db", "demo", "diff", "doctor"] == completions("d")
    assert "--session" in completions("show", chats, "--")
    assert ["chat", "chat-child"] == completions("show", chats, "--session", "ch")
    assert ["chat-child"] == completions("rm", chats, "-s", "chat", "-s", "chat-")
    assert [] == completions("show", chats / "nothing", "-s", "")
    assert ["check", "current"] == completions("db", "c")


@pytest.mark.parametrize("shell", ["zsh", "fish", "bash"])
def test_completion_scripts(shell):
    """
    Each shell has its script.
    """
    done = run("completion", shell)

    # click asks bash for its version, which may be missing or old.
    if done.exit_code == 0:
        assert "_LASHSTORE_COMPLETE" in done.stdout
    else:
        assert "bash" == shell


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words", "plain words"),
        ("two\r\n  lines\tof", "two lines of"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("turned \u202e round", "turned \\u202e round"),
        ("日本語 👩\u200d💻", "日本語 👩\u200d💻"),
        ("", ""),
    ],
)
def test_one_line(text, line):
    """
    Nothing that a terminal obeys is left of a text.
    """
    assert line == one_line(text)


def test_shown_quantities():
    """
    Sizes and times for people.
    """
    assert ["-", "0 bytes", "1023 bytes", "1.0 KiB", "1.5 MiB", "2.0 TiB"] == [
        shown_bytes(count) for count in (None, 0, 1023, 1024, 3 * 2**19, 2 * 2**40)
    ]
    assert ["-", "2023-11-14 22:13:20Z", f"{2**62} ms"] == [
        shown_time(at_ms) for at_ms in (None, NOW_MS, 2**62)
    ]


def test_a_table_on_a_terminal(chats):
    """
    Ids are shown whole, the words are cut, and nothing is wider than it.
    """
    terminal, there = pty.openpty()
    command = [sys.executable, "-m", "lashstore.cli", "ls", str(chats)]
    size = {"COLUMNS": "82", "TERM": "dumb"}
    with subprocess.Popen(command, stdout=there, env=os.environ | size) as child:
        os.close(there)
        shown = b""
        # Linux ends what a terminal shows with an error.
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 4096):
                shown += part
    os.close(terminal)

    lines = shown.decode().splitlines()
    assert 0 == child.returncode
    assert any("───" in line for line in lines)
    assert {"chat", "chat-child", "empty"} <= {*shown.decode().split()}
    assert "<n1>" in shown.decode()
    assert "red" not in shown.decode()
    assert 82 >= max(map(len, lines))
