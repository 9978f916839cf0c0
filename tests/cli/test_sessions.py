"""
`lashstore ls`, `show`, `usage` and `rm`.
"""

import shutil

import pytest

from lashstore import SessionStoreFactory, Store
from lashstore.testing import acquire_lease, dead_owner, live_owner, make_usage

from .kit import assert_complains, files_of, run
from .reading_kit import MINUTE_MS, NOW_MS, QUICK, answer_of, make_root


@pytest.fixture(name="chats", scope="module")
def _chats(tmp_path_factory):
    place = tmp_path_factory.mktemp("chats") / "sessions"
    make_root(place)
    return place


@pytest.fixture(name="either", params=["folder", "server"])
def _either(request):
    if request.param == "folder":
        yield request.getfixturevalue("chats")
        return
    postgres = request.getfixturevalue("postgres")
    make_root(postgres.url())
    yield postgres.url()
    postgres.clear()


def ids(page):
    return [each["session_id"] for each in page["sessions"]]


def test_ls(either):
    """
    A session with where it stands, what it is, and what it takes.
    """
    page = answer_of("ls", either)

    assert ["chat", "chat-child", "empty"] == sorted(ids(page))
    assert ([], None) == (page["unreadable"], page["next_after"])
    (chat,) = (each for each in page["sessions"] if each["session_id"] == "chat")
    place, size = chat.pop("place"), chat.pop("stored_bytes")
    assert (size is None) == ("://" in str(either))
    assert "chat" in place
    assert "secret" not in place
    assert {
        "session_id": "chat",
        "is_sealed": False,
        "head_revision": 4,
        "node_count": 5,
        "user_message_count": 2,
        "changed_at_ms": NOW_MS + 4 * MINUTE_MS,
        "created_at_ms": NOW_MS,
        "name": "A chat",
        "model": "m-1",
        "cwd": "/",
        "parent_session_id": None,
        "first_user_message": "<n1> & \x1b[31mred",
    } == chat


def test_ls_in_pages(either):
    """
    Pages of one, each going on behind the last, come to the whole list.
    """
    whole = ids(answer_of("ls", either))
    found, after = [], []
    for _ in whole:
        page = answer_of("ls", either, "--limit", "1", *after)
        found += ids(page)
        after = ["--after", page["next_after"]]

    assert (whole, None) == (found, page["next_after"])
    text = run("ls", either, "--limit", "1")
    assert f"--after {whole[0]}" in text.stderr


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--prefix", "chat"], ["chat", "chat-child"]),
        (["--prefix", "chat-"], ["chat-child"]),
        (["--prefix", "cha/"], []),
        (["--parent", "chat"], ["chat-child"]),
        (["--children"], ["chat-child"]),
        (["--roots"], ["chat", "empty"]),
        (["--model", "m-1"], ["chat"]),
        (["--since", "2023-11-14T22:17:20Z"], ["chat", "chat-child"]),
        (["--since", "2023-11-14 22:17:21"], []),
        (["--since", "2w"], []),
        (["--prefix", "chat", "--roots"], ["chat"]),
    ],
)
def test_ls_filters(either, filters, expected):
    """
    Only what every filter allows.
    """
    assert expected == sorted(ids(answer_of("ls", either, *filters)))


def test_ls_of_a_prefix_in_pages(either):
    """
    A page behind an id has that id's followers only.
    """
    page = answer_of("ls", either, "--prefix", "chat", "--after", "chat")

    # By file names in a folder, where a hash comes into it.
    behind = {"chat-child"} if ids(answer_of("ls", either))[0] == "chat" else set()
    assert behind == set(ids(page))


def test_ls_of_what_cannot_be_read(chats, tmp_path):
    """
    The others are listed, it is told, and the exit code is 1; a file of
    another name is nobody's session.
    """
    root = shutil.copytree(chats, tmp_path / "sessions")
    (path,) = root.glob("empty-*.db")
    path.write_bytes(b"damaged" * 1000)
    (root / "notes.db").write_bytes(b"notes")

    done = run("ls", root)
    told = run("ls", root, "--json")

    assert (1, 1) == (done.exit_code, told.exit_code)
    assert "chat-child" in done.stdout
    assert f"cannot be read: {path}" in done.stderr
    assert f'"place":"{path}"' in told.stdout


@pytest.mark.parametrize("when", ["yesterday", "3x", "2023-13-01"])
def test_ls_since_when(chats, when):
    """
    A time that is none is told with what would be one.
    """
    assert_complains(run("ls", chats, "--since", when), 2, when, "3d")


def test_ls_plain(chats):
    """
    In a pipe columns are aligned and nothing is cut or drawn.
    """
    heading, *lines = run("ls", chats).stdout.splitlines()

    at = heading.index("revision") + len("revision")
    assert ["4", "1", "0"] == [line[:at].split()[-1] for line in sorted(lines)]
    assert heading.isascii()


def test_show(either):
    """
    Metadata, head, lease, counts and the end of the active path.
    """
    report = answer_of("show", either, "--session", "chat", "--last", "2")

    assert "root" == report["meta"]["relation"]["kind"]
    assert "n4" == report["head"]["leaf_node_id"]
    assert {
        "fencing_token": 1,
        "is_live": False,
        "is_holder_dead": False,
        "owner": None,
        "claimed_at_ms": None,
        "expires_at_ms": None,
    } == report["lease"]
    assert {
        "tombstones": 0,
        "blobs": 4,
        "artifacts": 0,
        "usage_deltas": 3,
        "stamped_commits": 3,
        "queued_batches": 0,
        "open_inputs": 0,
        "finished_inputs": 0,
        "committed_attachments": 0,
        "announced_attachments": 0,
    } == report["counts"]
    assert ["n3", "n4"] == [each["node_id"] for each in report["last_nodes"]]
    lines = run("show", either, "--session", "chat").stdout.splitlines()
    assert "revision     4 (3 stamped)" in lines
    assert "  assistant  <n4> & \\x1b[31mred" == lines[-1]


def test_show_nothing_yet(either):
    """
    A session without a commit is shown all the same.
    """
    report = answer_of("show", either, "--session", "empty")

    assert (None, None, []) == (report["head"], report["lease"], report["last_nodes"])
    assert "never held" in run("show", either, "-s", "empty").stdout


def test_usage(either):
    """
    By source and model over all sessions, and by session.
    """
    report = answer_of("usage", either, "--by-session", "--prefix", "chat")

    def usage(read, written):
        return {
            "input_tokens": read,
            "output_tokens": written,
            "cache_read_input_tokens": 0,
            "cache_write_input_tokens": 0,
            "reasoning_output_tokens": 0,
        }

    first = {"source": "turn", "model": "m-1", "usage": usage(20, 4)}
    second = {"source": "turn", "model": "m-2", "usage": usage(10, 4)}
    nothing = {"session_id": "chat-child", "entries": [], "total": usage(0, 0)}
    chat = {
        "session_id": "chat",
        "entries": [first, second],
        "total": usage(30, 8),
    }
    assert [first, second] == report["entries"]
    assert usage(30, 8) == report["total"]
    assert 2 == report["session_count"]
    assert [chat, nothing] == sorted(report["sessions"], key=lambda s: s["session_id"])
    text = run("usage", either, "--session", "chat").stdout.splitlines()
    assert ["turn", "m-1", "20", "0", "0", "4", "0", "24"] == text[1].split()
    assert ["all", "30", "0", "0", "8", "0", "38"] == text[-1].split()


@pytest.fixture(name="mine", params=["folder", "server"])
def _mine(request, chats, tmp_path):
    if request.param == "folder":
        yield shutil.copytree(chats, tmp_path / "sessions")
        return
    postgres = request.getfixturevalue("postgres")
    make_root(postgres.url())
    yield postgres.url()
    postgres.clear()


def test_rm(mine):
    """
    The named sessions go, the others stay; --json says which they were.
    """
    removed = answer_of("rm", mine, "-s", "chat", "-s", "empty", "--yes")["removed"]

    assert [("chat", 4), ("empty", 0)] == [
        (each["session_id"], each["head_revision"]) for each in removed
    ]
    assert ["chat-child"] == ids(answer_of("ls", mine))


def test_rm_asks(mine):
    """
    Unless it is answered, nothing is deleted.
    """
    done = run("rm", mine, "-s", "chat")

    assert 1 == done.exit_code
    assert "Delete for good: session chat (revision 4" in done.stderr
    assert 3 == len(ids(answer_of("ls", mine)))


def test_rm_of_a_session_that_is_run(mine):
    """
    A live lease is refused, for all that were named; a dead holder's is none,
    and --force deletes all the same.
    """
    with SessionStoreFactory(mine, options=QUICK) as factory:
        acquire_lease(factory.open_existing_store("chat"), live_owner())
        acquire_lease(factory.open_existing_store("empty"), dead_owner())

    done = run("rm", mine, "-s", "empty", "-s", "chat", "--yes")
    assert_complains(done, 1, "'chat' is being run by 'local'", "nothing was deleted")
    assert 3 == len(ids(answer_of("ls", mine)))

    assert 0 == run("rm", mine, "-s", "empty", "--yes").exit_code
    assert 0 == run("rm", mine, "-s", "chat", "--yes", "--force").exit_code
    assert ["chat-child"] == ids(answer_of("ls", mine))


def test_rm_of_what_is_not_there(mine):
    """
    One that is unknown keeps the others from being deleted.
    """
    done = run("rm", mine, "-s", "chat", "-s", "nobody", "--yes", "--force")

    assert_complains(done, 1, "'nobody'")
    assert 3 == len(ids(answer_of("ls", mine)))
    assert_complains(run("rm", mine, "--yes"), 2, "--session")


def test_rm_of_damaged_files(chats, tmp_path):
    """
    A session's file that cannot be read goes with --force only; a file that
    is somebody else's never does.
    """
    root = shutil.copytree(chats, tmp_path / "sessions")
    (path,) = root.glob("empty-*.db")
    path.write_bytes(b"damaged" * 1000)
    other = root / "notes.db"
    other.write_bytes(b"notes" * 1000)
    before = files_of(root)

    assert_complains(run("rm", root, "-s", "empty", "-y"), 1, "--force")
    assert_complains(run("rm", other, "-y", "--force"), 1, "notes.db")
    assert before == files_of(root)
    assert 0 == run("rm", root, "-s", "empty", "-y", "--force").exit_code
    assert not path.exists()


def test_rm_of_a_file(tmp_path):
    """
    A file goes with its sidecars; one that holds more than a session does not.
    """
    path = tmp_path / "any.db"
    Store.open(path, "any").close()
    shared = tmp_path / "shared.db"
    with Store.open(shared, "shared") as store:
        store.append_usage_deltas([make_usage(input_tokens=1)])
    from lashstore import TriggerStore

    TriggerStore.open(shared).close()

    assert 0 == run("rm", path, "--yes").exit_code
    assert_complains(run("rm", shared, "--yes"), 1, "trigger")
    assert [shared] == sorted(tmp_path.glob("*.db*"))
