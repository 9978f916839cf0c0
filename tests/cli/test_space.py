"""
`lashstore stats`, `gc` and `vacuum`, on files and on a server.
"""

import json
import shutil
import sqlite3

import pytest

from lashstore import (
    AesGcmCipher,
    HydratedCheckpoint,
    InputIdTarget,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
)
from lashstore.engines.pacing import Adaptive
from lashstore.model.options import CheckpointRetention
from lashstore.session_places import session_file_name
from lashstore.testing import (
    acquire_lease,
    make_commit,
    message_chain,
    message_node,
    next_turn_draft,
)
from lashstore.tools.maintaining import GC, VACUUM, maintain

from .kit import assert_complains, files_of, run

QUICK = StoreOptions(
    synchronous=Synchronous.NORMAL,
    checkpoint_retention=CheckpointRetention(max_count=None),
)
COMMANDS = ("stats", "gc", "vacuum")
# Large enough to be compressed, and stored as differences.
STATE = {f"tool-{n}": {"text": f"{n} " * 20} for n in range(400)}


def answer(*arguments, exit_code=0):
    done = run(*arguments, "--json")
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def make_session(factory, session_id="chat"):
    """
    Land six commits with a growing state; tombstone four nodes, of which a
    live one needs one; cancel one input of two.
    """
    store = factory.create_store(session_id, cwd=None)
    lease = acquire_lease(store)
    state = dict(STATE)
    for number in range(6):
        state[f"new-{number}"] = number
        nodes = message_chain(f"n{number}", f"m{number}")
        checkpoint = HydratedCheckpoint(tool_state=dict(state))
        commit = make_commit(lease, *nodes, checkpoint=checkpoint)
        store.commit_runtime_state(commit.stamped(f"t{number}"))
    store.release_session_execution_lease(lease.completion())
    store.tombstone_nodes(["n0", "n1", "m1", "n2", "m2"])
    for name in ("gone", "kept"):
        store.enqueue_pending_turn_input(next_turn_draft(name, input_id=name))
    store.cancel_pending_turn_input(InputIdTarget(input_id="gone"))
    store.put_artifact_bytes("named", b"artifact")
    return store


@pytest.fixture(name="sessions")
def _sessions(place):
    with SessionStoreFactory(place, options=QUICK) as factory:
        make_session(factory)
        make_session(factory, "other")
    return place


@pytest.fixture(name="chat", scope="module")
def _chat(tmp_path_factory):
    root = tmp_path_factory.mktemp("space")
    with SessionStoreFactory(root, options=QUICK) as factory:
        make_session(factory)
    return root / session_file_name("chat")


@pytest.fixture(name="mine")
def _mine(chat, root):
    root.mkdir()
    return shutil.copy(chat, root / chat.name)


def open_existing(place, session_id="chat"):
    factory = SessionStoreFactory(place, options=QUICK)
    store = factory.open_existing_store(session_id)
    assert store is not None
    return store


def removable(page, name):
    return [
        (each["session_id"], each["removable"][name]["row_count"])
        for each in page["sessions"]
    ]


def removed(page, name):
    return [(each["session_id"], each["removed"][name]) for each in page["sessions"]]


def test_a_dry_run_tells_what_the_run_removes(sessions):
    """
    What --dry-run announces is what goes, in every session of a target.
    """
    for command, names in (("gc", ["blobs"]), ("vacuum", ["nodes", "turn_inputs"])):
        dry = answer(command, sessions, "--dry-run")
        assert (True, []) == (dry["is_dry_run"], dry["left_out"])
        assert [{}, {}] == [each["removed"] for each in dry["sessions"]]
        wet = answer(command, sessions)
        again = answer(command, sessions, "--dry-run")
        for name in names:
            assert removable(dry, name) == removed(wet, name)
            assert {"content_bytes": 0, "row_count": 0} == again["sessions"][0][
                "removable"
            ][name]
            assert 0 < dry["sessions"][0]["removable"][name]["content_bytes"]
    store = open_existing(sessions)
    assert STATE["tool-1"] == store.load_session().checkpoint.tool_state["tool-1"]
    assert b"artifact" == store.get_artifact_bytes("named")
    assert "kept" == store.list_pending_turn_inputs()[0].input_id
    store.close()


def test_one_session_of_many(sessions):
    """
    With --session, the others are left alone.
    """
    wet = answer("gc", sessions, "--session", "chat")

    assert ["chat"] == [each["session_id"] for each in wet["sessions"]]
    assert [("chat", 0)] == removable(answer("gc", sessions, "-s", "chat"), "blobs")
    ((_, left),) = removable(answer("gc", sessions, "-s", "other"), "blobs")
    assert 0 < left


@pytest.mark.parametrize("command", COMMANDS)
def test_looking_changes_no_byte(command, mine):
    """
    A dry run, and stats, leave every file as it is, WAL included.
    """
    options = () if command == "stats" else ("--dry-run",)
    before = files_of(mine.parent)
    assert 0 == run(command, mine, *options).exit_code
    assert 0 == run(command, mine.parent, *options).exit_code
    assert before == files_of(mine.parent)

    with Store.open(mine, "chat", options=QUICK) as store:
        store.enqueue_pending_turn_input(next_turn_draft("more"))
        before = files_of(mine.parent)
        assert any(path.name.endswith("-wal") for path in before)
        # A host holds the write lock meanwhile.
        with store.transaction():
            assert 0 == run(command, mine, *options).exit_code
        assert before == files_of(mine.parent)


def test_the_file_shrinks(root):
    """
    What is freed goes back to the disk, and is told.
    """
    with SessionStoreFactory(root, options=QUICK) as factory:
        store = factory.create_store("large")
        for number in range(20):
            store.put_blob(bytes([number]) + bytes(range(256)) * 256)

    (session,) = answer("gc", root)["sessions"]

    assert 20 == session["removed"]["blobs"]
    path = root / session_file_name("large")
    assert session["bytes_after"] == path.stat().st_size < session["bytes_before"]


@pytest.mark.parametrize("kind", [GC, VACUUM], ids=["gc", "vacuum"])
def test_hosts_commit_between_the_steps(mine, monkeypatch, kind):
    """
    Between any two steps a host's commit lands, and what it names stays.
    """
    monkeypatch.setattr("lashstore.store.garbage._FIRST_STEP_BLOBS", 1)
    monkeypatch.setattr("lashstore.store.maintenance._FIRST_ROWS", 1)
    monkeypatch.setattr(Adaptive, "adapt", lambda *_: None)
    counts = []
    with Store.open(mine, "chat", options=QUICK) as store:
        lease, first = acquire_lease(store), store.load_session().head_revision

        def commit_after(count):
            node = message_node(f"late-{len(counts)}", parent=None)
            state = HydratedCheckpoint(tool_state={"n": len(counts)})
            store.commit_runtime_state(make_commit(lease, node, checkpoint=state))
            counts.append(count)

        report = maintain(mine, kind, on_session=lambda _id, _count: commit_after)

        (session,) = report.sessions
        assert sum(counts) == sum(session.removed.values())
        # Ten blobs; five tombstones, of which one stays, and an input.
        assert len(counts) >= 5
        after = store.load_session()
        assert {"n": len(counts) - 1} == after.checkpoint.tool_state
        assert first + len(counts) == after.head_revision


def test_a_damaged_session_is_left_out_and_told(sessions, request):
    """
    Nobody knows what a session needs whose head is damaged: it stays as it
    is, the others are worked on, and the exit code is 1.
    """
    statement = "UPDATE session_heads SET config_json = '{\"x\":1}'"
    if isinstance(sessions, str):
        with request.getfixturevalue("postgres").connect() as connection:
            connection.execute(f"{statement} WHERE session_id = 'chat'")
    else:
        edit(sessions / session_file_name("chat"), statement)

    for options in (("--dry-run",), ()):
        done = run("gc", sessions, *options)
        assert 1 == done.exit_code
        assert "LEFT OUT" in done.stderr
        assert done.stdout.startswith("other: ")
    assert_complains(run("gc", sessions, "-s", "chat"), 1, "damaged")
    assert 0 == run("vacuum", sessions, "--session", "other").exit_code


def edit(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_sealed_session_is_left_to_its_hosts(root):
    """
    Without its cipher nobody knows what a sealed session needs; its sizes
    are in the clear.
    """
    sealed = StoreOptions(cipher=AesGcmCipher({"k": b"k" * 32}, "k"))
    with SessionStoreFactory(root, options=sealed) as factory:
        make_session(factory)
    before = files_of(root)

    for command in ("gc", "vacuum"):
        for options in ((), ("--dry-run",)):
            done = run(command, root, *options)
            assert 1 == done.exit_code
            assert "is sealed" in done.stderr
            assert_complains(run(command, root, "-s", "chat", *options), 1, "sealed")
    (file,) = answer("stats", root)["files"]
    assert ("chat", True) == (file["session_id"], file["is_sealed"])
    assert "chat (sealed)" in run("stats", root).stdout
    assert before == files_of(root)


def sizes(report, table):
    (found,) = [each for each in report["tables"] if each["table"] == table]
    return found


def test_stats_of_a_file(mine):
    """
    Tables take pages, of which SQLite itself tells; blobs, what is kept and
    growth are added up.
    """
    report = answer("stats", mine)

    assert (["dbstat"], None) == (report["measures"], report["session_id"])
    (file,) = report["files"]
    page = file["pages"]["page_bytes"]
    assert (
        file["file_bytes"] == mine.stat().st_size == page * file["pages"]["page_count"]
    )
    assert 0 == file["wal_bytes"]
    nodes = sizes(report, "session_nodes")
    assert 12 == nodes["row_count"]
    assert 0 < nodes["index_bytes"] < nodes["total_bytes"]
    assert 0 == nodes["total_bytes"] % page
    taken = sum(each["total_bytes"] for each in report["tables"])
    assert taken < file["file_bytes"] < taken + 10 * page
    assert {"checkpoint_manifest": 6, "generic_blob": 1, "tool_state": 6} == by_kind(
        report
    )
    differences = [each for each in report["blobs"] if each["is_difference"]]
    assert 0 < differences[0]["stored_bytes"] < differences[0]["raw_bytes"] / 10
    kept = {each["purpose"]: each["blob_count"] for each in report["kept"]}
    assert {"head": 2, "earlier": 10, "other": 1} == kept
    growth = report["growth"]
    assert (6, 12, 5) == (
        growth["commit_count"],
        growth["node_count"],
        growth["checkpoint_commit_count"],
    )
    assert 0 < growth["checkpoint_bytes"] < growth["checkpoint_raw_bytes"]
    text = run("stats", mine).stdout
    assert "earlier checkpoints (retention)" in text
    assert "session_turn_inputs" in text


def by_kind(report):
    counts = {}
    for each in report["blobs"]:
        counts[each["kind"]] = counts.get(each["kind"], 0) + each["blob_count"]
    return counts


def test_stats_of_a_root_are_added_up(mine):
    """
    A folder's files are added up; what is none of ours is left out, and what
    should be one is told.
    """
    one = answer("stats", mine)
    with Store.open(mine.with_name(session_file_name("two")), "two", options=QUICK):
        pass
    edit(mine.with_name("foreign.db"), "CREATE TABLE t (x)")
    both = answer("stats", mine.parent)

    assert 2 == len(both["files"])
    assert 2 == sizes(both, "sessions")["row_count"]
    assert one["growth"] == both["growth"]
    assert one["blobs"] == both["blobs"]
    mine.with_name(session_file_name("bad")).write_bytes(b"x" * 5_000)
    report = answer("stats", mine.parent, exit_code=1)
    assert [session_file_name("bad")] == [
        each["place"].rpartition("/")[2] for each in report["unreadable"]
    ]
    assert "UNREADABLE" in run("stats", mine.parent).stderr


def test_stats_without_dbstat(mine, monkeypatch):
    """
    Where SQLite was built without it, lengths are added up.
    """
    monkeypatch.setattr("lashstore.repos.sizes._DBSTAT", "dbstat_that_is_not")

    report = answer("stats", mine)

    assert ["lengths"] == report["measures"]
    nodes = sizes(report, "session_nodes")
    assert (12, None) == (nodes["row_count"], nodes["index_bytes"])
    connection = sqlite3.connect(mine)
    (content,) = connection.execute(
        "SELECT sum(length(node_json)) FROM session_nodes"
    ).fetchone()
    connection.close()
    assert content < nodes["total_bytes"] < content + 12 * 100


def test_stats_of_a_server(postgres):
    """
    A server tells its own sizes; those of one session are added up.
    """
    url = postgres.url()
    with SessionStoreFactory(url, options=QUICK) as factory:
        make_session(factory)
        make_session(factory, "other")
    whole, one = answer("stats", url), answer("stats", url, "--session", "chat")
    postgres.clear()

    assert (["pg_total_relation_size"], []) == (whole["measures"], whole["files"])
    assert 0 < sizes(whole, "session_nodes")["index_bytes"]
    assert 2 * 6 == by_kind(whole)["tool_state"]
    assert (["lengths"], "chat") == (one["measures"], one["session_id"])
    assert 12 == sizes(one, "session_nodes")["row_count"]
    assert 6 == by_kind(one)["tool_state"]
    assert 6 == one["growth"]["commit_count"]
    assert {"head": 2, "earlier": 10, "other": 1} == {
        each["purpose"]: each["blob_count"] for each in one["kept"]
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes(command, mine, tmp_path):
    """
    A user's mistake is one line and no traceback, makes nothing, and help
    has examples.
    """
    before = files_of(tmp_path)
    assert_complains(run(command, tmp_path / "absent"), 1, "absent")
    assert_complains(run(command, mine.parent, "-s", "nobody"), 1, "'nobody'")
    assert_complains(run(command, mine, "--nonsense"), 2, "--nonsense")
    assert_complains(run(command, "mysql://host/db"), 2, "mysql")
    assert_complains(run(command), 2, "TARGET")
    assert before == files_of(tmp_path)
    text = " ".join(run(command, "--help").output.split())
    assert f"Examples: lashstore {command}" in text
    assert "Exit code 0" in text
    assert "lashstore compact" in text
