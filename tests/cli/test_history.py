"""
`lashstore log` and `lashstore diff`.
"""

import shutil
import sqlite3

import pytest

from lashstore import GraphReplace, SessionGraph, SessionStoreFactory
from lashstore.model.value_changes import Change, value_changes
from lashstore.testing import acquire_lease, make_commit, message_node

from .kit import assert_complains, run
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


def usage(read, written):
    return {
        "input_tokens": read,
        "output_tokens": written,
        "cache_read_input_tokens": 0,
        "cache_write_input_tokens": 0,
        "reasoning_output_tokens": 0,
    }


def test_log(either):
    """
    The latest first, with what each added; of the one without a stamp its
    revision, since its checkpoint is gone with its time.
    """
    page = answer_of("log", either, "--session", "chat")

    refs = [each.pop("checkpoint_ref") for each in page["commits"]]
    hashes = [each.pop("turn_commit_hash") for each in page["commits"]]
    assert [None] == [each for each in hashes if each is None]
    assert 3 == len({ref for ref in refs if ref is not None})
    stamped = {"is_checkpoint_kept": True}
    assert [
        {
            "head_revision": 4,
            "committed_at_ms": NOW_MS + 4 * MINUTE_MS,
            "turn_id": "t4",
            "node_count": 1,
            "usage": usage(10, 4),
            **stamped,
        },
        {
            "head_revision": 3,
            "committed_at_ms": NOW_MS + 3 * MINUTE_MS,
            "turn_id": "t3",
            "node_count": 1,
            "usage": usage(10, 3),
            **stamped,
        },
        {
            "head_revision": 2,
            "committed_at_ms": None,
            "turn_id": None,
            "node_count": None,
            "usage": None,
            "is_checkpoint_kept": None,
        },
        {
            "head_revision": 1,
            "committed_at_ms": NOW_MS + MINUTE_MS,
            "turn_id": "t1",
            "node_count": 2,
            "usage": usage(10, 1),
            "is_checkpoint_kept": False,
        },
    ] == page["commits"]
    assert (4, None) == (page["head_revision"], page["next_after"])


def test_log_in_pages(either):
    """
    Each page goes on behind the last revision of the one before.
    """
    first = answer_of("log", either, "-s", "chat", "--limit", "3")
    second = answer_of(
        "log", either, "-s", "chat", "--limit", "3", "--after", first["next_after"]
    )

    assert [4, 3, 2] == [each["head_revision"] for each in first["commits"]]
    assert [1] == [each["head_revision"] for each in second["commits"]]
    assert (2, None) == (first["next_after"], second["next_after"])
    assert [] == answer_of("log", either, "-s", "chat", "--after", "1")["commits"]
    assert [] == answer_of("log", either, "-s", "empty")["commits"]


def test_log_as_text(chats):
    """
    A line a commit; what is not kept says so.
    """
    _, *lines = run("log", chats, "-s", "chat").stdout.splitlines()

    assert ["4", "2023-11-14", "22:17:20Z", "t4", "1", "10", "0", "4"] == (
        lines[0].split()[:8]
    )
    assert ["2", "-", "(no", "stamp)", *"-----"] == lines[2].split()
    assert lines[3].endswith("(let go)")


def parts_of(found):
    return {
        part["part"]: (
            part["state"],
            part["gone_revisions"],
            [
                (c["change"], c["path"], c.get("before"), c.get("after"))
                for c in part["changes"]
            ],
        )
        for part in found["parts"]
    }


def test_diff(either):
    """
    Nodes, usage and each part of the checkpoint, member by member.
    """
    found = answer_of("diff", either, "head~1", "head", "-s", "chat")

    assert (3, 4, ["t4"], 0) == (
        found["from_revision"],
        found["to_revision"],
        found["turn_ids"],
        found["unstamped_count"],
    )
    assert ["n4"] == [each["node_id"] for each in found["nodes"]]
    assert [{"source": "turn", "model": "m-2", "usage": usage(10, 4)}] == (
        found["usage"]
    )
    assert {
        "turn_state": ("changed", [], [("changed", "/turn", 3, 4)]),
        "tool_state": (
            "changed",
            [],
            [
                ("removed", "/a", {"deep": 2}, None),
                ("removed", "/b", 1, None),
                ("added", "/b~1c", None, [1]),
            ],
        ),
        "plugin_snapshot": ("same", [], []),
        "execution_state": ("same", [], []),
    } == parts_of(found)


def test_diff_of_a_checkpoint_that_was_let_go(either):
    """
    It is said which revision's is not kept; what stands in the turn's result
    is compared all the same.
    """
    found = answer_of("diff", either, "1", "3", "-s", "chat")
    text = run("diff", either, "1", "3", "-s", "chat").stdout

    parts = parts_of(found)
    assert ("not_kept", [1], []) == parts["tool_state"]
    assert ("changed", [], [("changed", "/turn", 1, 3)]) == parts["turn_state"]
    assert "tool_state: changed; what it was at revision 1 is not kept any more" in text


def test_diff_with_a_commit_without_a_stamp(either):
    """
    Nothing is stored of its checkpoint, and that is said.
    """
    found = answer_of("diff", either, "2", "3", "-s", "chat")
    text = run("diff", either, "1", "2", "-s", "chat").stdout

    assert {("unknown", (2,))} == {
        (part["state"], tuple(part["gone_revisions"])) for part in found["parts"]
    }
    assert ["n3"] == [each["node_id"] for each in found["nodes"]]
    assert "1 of them without a stamp" in text
    assert "turn_state: not known of revision 2, which has no stamp" in text


def test_diff_from_nothing(either):
    """
    Revision 0 has nothing, so that everything is added.
    """
    found = answer_of("diff", either, "head", "0", "-s", "chat")

    # n2 is of the commit without a stamp, between two that have one.
    assert (0, 4, 4) == (
        found["from_revision"],
        found["to_revision"],
        found["added_node_count"],
    )
    assert ["n0", "n1", "n2", "n3", "n4"] == [n["node_id"] for n in found["nodes"]]
    assert ("changed", [], [("changed", "", None, {"turn": 4})]) == (
        parts_of(found)["turn_state"]
    )


def test_diff_of_equal_revisions(either):
    """
    Nothing changed.
    """
    found = answer_of("diff", either, "head", "-s", "chat")

    assert (4, 4, []) == (found["from_revision"], found["to_revision"], found["nodes"])
    assert {"same"} == {part["state"] for part in found["parts"]}


def test_diff_of_what_was_replaced(chats, tmp_path):
    """
    Nodes that are not there any more are counted.
    """
    root = shutil.copytree(chats, tmp_path / "sessions")
    with SessionStoreFactory(root, options=QUICK) as factory:
        store = factory.open_existing_store("chat")
        graph = SessionGraph(nodes=(message_node("new"),), leaf_node_id="new")
        store.commit_runtime_state(
            make_commit(
                acquire_lease(store),
                graph=GraphReplace(graph=graph),
            ).stamped("t5")
        )

    text = run("diff", root, "3", "head", "-s", "chat", "--limit", "1").stdout

    assert "nodes: 2 added, 1 of them replaced or removed since" in text
    assert "  + new  user" in text


@pytest.mark.parametrize("revision", ["5", "head~5", "-1", "heads", "~1", "²", "1~1"])
def test_no_revision(chats, revision):
    """
    What names none is told.
    """
    done = run("diff", chats, "-s", "chat", "--", revision, "head")

    assert_complains(done, 1, "revision")


def test_revisions_are_found_by_an_index(chats):
    """
    A page of commits reads the page, however many there are.
    """
    (path,) = chats.glob("empty-*.db")
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    plan = database.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM session_turn_commits WHERE session_id = 'x'"
        " AND head_revision > 0 AND head_revision > 4 AND head_revision <= 9"
        " ORDER BY head_revision"
    ).fetchall()
    database.close()

    assert ["SEARCH session_turn_commits USING INDEX"] == [
        detail.split(" ix_")[0] for *_, detail in plan
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1.0}, [("changed", "/a")]),
        ({"a": True}, {"a": 1}, [("changed", "/a")]),
        (None, {"a": 1}, [("changed", "")]),
        ({"a": None}, {}, [("removed", "/a")]),
        ({}, {"a": None}, [("added", "/a")]),
        ({"x": {"y": {"z": 1}}}, {"x": {"y": {"z": 2}}}, [("changed", "/x/y/z")]),
        ({"l": [1, 2]}, {"l": [2, 1]}, [("changed", "/l")]),
        ({"~": 1, "/": 2}, {}, [("removed", "/~0"), ("removed", "/~1")]),
    ],
)
def test_value_changes(before, after, expected):
    """
    Objects are compared member by member, all else as a whole; numbers of
    another type are another value.
    """
    found = value_changes(before, after)

    assert sorted((Change(c), p) for c, p in expected) == sorted(
        (each.change, each.path) for each in found
    )
