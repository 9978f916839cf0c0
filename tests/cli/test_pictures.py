"""
`lashstore tree`, in the terminal and as pictures.
"""

import xml.etree.ElementTree as ET

import pytest

from lashstore.cli.graph_layout import lay_out
from lashstore.cli.graph_picture import PictureTitle, draw_html, draw_svg
from lashstore.cli.words import role_of, words_of
from lashstore.model.graph import SessionGraph, SessionNode
from lashstore.testing import message_node

from .kit import assert_complains, run
from .reading_kit import answer_of, make_root

TITLE = PictureTitle(session_id="<chat> & co", head_revision=7)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(name="chats", scope="module")
def _chats(tmp_path_factory):
    place = tmp_path_factory.mktemp("chats") / "sessions"
    make_root(place)
    return place


def graph_of(leaf, **parents):
    """
    Make a graph of nodes by their parents.
    """
    nodes = tuple(
        message_node(name, parent=parent, content=f"words of {name}")
        for name, parent in parents.items()
    )
    return SessionGraph(nodes=nodes, leaf_node_id=leaf)


def chain(count):
    return SessionGraph(
        nodes=tuple(
            message_node(f"n{n}", parent=f"n{n - 1}" if n else None)
            for n in range(count)
        ),
        leaf_node_id=f"n{count - 1}",
    )


def rows_of_layout(graph, **options):
    return [
        (p.node.node_id, p.lane, p.parent_row, p.hidden_count)
        for p in lay_out(graph, **options).places
    ]


def test_layout():
    """
    The active path keeps its lane; what branches off stands between, a lane
    to the right, the shortest first.
    """
    graph = graph_of(
        "e", a=None, b="a", c="b", d="b", e="b", d1="d", x="c", y="x", d2="d"
    )

    assert [
        ("a", 0, None, 0),
        ("b", 0, 0, 0),
        ("d", 1, 1, 0),
        ("d1", 2, 2, 0),
        ("d2", 1, 2, 0),
        ("c", 1, 1, 0),
        ("x", 1, 5, 0),
        ("y", 1, 6, 0),
        ("e", 0, 1, 0),
    ] == rows_of_layout(graph)


def test_layout_of_any_order():
    """
    Several roots, children before their parents, a leaf in the middle.
    """
    graph = graph_of("b", c="b", b="a", a=None, z=None)

    assert [
        ("z", 0, None, 0),
        ("a", 0, None, 0),
        ("b", 0, 1, 0),
        ("c", 0, 2, 0),
    ] == rows_of_layout(graph)
    assert [False, True, True, False] == [p.is_active for p in lay_out(graph).places]
    assert () == lay_out(SessionGraph()).places


def test_long_chains_lose_their_middles():
    """
    As many rows as are wanted, when the graph has more.
    """
    rows = rows_of_layout(chain(100), most_rows=8)

    assert ["n0", "n1", "n2", "n96", "n97", "n98", "n99"] == [r[0] for r in rows]
    assert (94, 3) == (rows[3][3], rows[3][0] and rows[4][2])
    assert 8 == len(rows_of_layout(chain(8), most_rows=8))


def test_branches_are_folded():
    """
    Where there are too many for the rows, each is one; a single node is.
    """
    parents = {"p0": None, **{f"p{n}": f"p{n - 1}" for n in range(1, 6)}}
    twigs = {f"t{n}": f"p{n}" for n in range(5)}
    leaves = {f"{twig}{n}": twig for twig in ("t0", "t1") for n in range(4)}
    graph = graph_of("p5", **parents, **twigs, **leaves)

    found = lay_out(graph, most_rows=11).places

    assert 11 == len(found)
    assert [("t0", 5), ("t1", 5)] == [
        (place.node.node_id, place.hidden_count) for place in found if place.is_folded
    ]
    assert 19 == len(lay_out(graph).places)
    drawn = draw_svg(graph, TITLE, most_rows=11)
    assert "… a branch of 5 nodes …" in drawn
    assert "10 left out" in drawn


@pytest.mark.parametrize(("count", "most_rows"), [(1, 400), (300, 400), (2000, 400)])
def test_svg(count, most_rows):
    """
    A document that parses, with a dot for every row and nothing from outside.
    """
    drawn = draw_svg(chain(count), TITLE, most_rows=most_rows)

    tree = ET.fromstring(drawn)
    groups = tree.findall(f"{SVG}g")
    rows = min(count, most_rows - 1)
    assert rows == len(groups)
    assert f"revision 7, {count} nodes" in drawn
    assert ("left out" in drawn) == (count > most_rows)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in drawn


HOSTILE = "</text><script>x</script> & \"'\x00\x1b\ud7ff￾ \u202e"


def test_pictures_escape():
    """
    What a session holds cannot become markup or break the document.
    """
    node = SessionNode(
        node_id=HOSTILE,
        kind=HOSTILE,
        timestamp=HOSTILE,
        payload={"role": HOSTILE, "content": HOSTILE},
    )
    graph = SessionGraph(nodes=(node,), leaf_node_id=HOSTILE)
    title = PictureTitle(session_id=HOSTILE, head_revision=1)

    drawn, page = draw_svg(graph, title), draw_html(graph, title)

    ET.fromstring(drawn)
    for text in (drawn, page):
        assert "<script" not in text
        assert "\\x00\\x1b" in text
        assert not {"\x00", "\x1b", "￾", "\u202e"} & {*text}


def test_page():
    """
    Every node leads to its text, which is cut where it is very long.
    """
    long = message_node("long", content="a\n\tb" + "x" * 5_000)
    graph = SessionGraph(nodes=(*chain(3).nodes, long), leaf_node_id="n2")

    page = draw_html(graph, TITLE)

    assert "default-src 'none'" in page
    for number in range(4):
        assert f'<a href="#n{number}">' in page
        assert f'<article id="n{number}">' in page
    assert "<pre>a\n    bx" in page
    assert "more characters</pre>" in page
    assert "&lt;chat&gt; &amp; co" in page


@pytest.mark.parametrize(
    ("payload", "role", "words"),
    [
        ({"role": "user", "content": "a\nb"}, "user", "a b"),
        ({"content": [{"type": "text", "text": "t"}, {"type": "image"}]}, "k", None),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"function": {"name": "ls", "arguments": '{"a":1}'}},
                    {"function": {"name": "rm", "arguments": {"b": 2}}},
                    "odd",
                ],
            },
            "assistant",
            '→ ls({"a":1}) → rm({"b":2}) [tool call]',
        ),
        (
            {"role": "tool", "content": [{"type": "stored", "byte_len": 2048}, "s"]},
            "tool",
            "s [stored, 2.0 KiB]",
        ),
        ({"event": {"a": [1]}}, "k", '{"event":{"a":[1]}}'),
        ({"role": 5, "content": ""}, "k", ""),
        ([1, "x"], "k", '[1,"x"]'),
        ({"role": "user", "content": "x" * 100}, "user", "x" * 59 + "…"),
    ],
)
def test_words(payload, role, words):
    """
    Whatever a host has put into a node is told in a few words.
    """
    node = SessionNode(node_id="n", kind="k", payload=payload)

    assert role == role_of(node)
    assert words in (None, words_of(node, 60))


def test_tree(chats):
    """
    In a pipe the tree is whole lines of text.
    """
    lines = run("tree", chats, "-s", "chat").stdout.splitlines()

    assert [
        "session chat, revision 4",
        "├── n0 system    <n0> & \\x1b[31mred",
        "├── n1 user      <n1> & \\x1b[31mred",
        "└── 2 branches",
        "    ├── n2 assistant <n2> & \\x1b[31mred",
        "    ├── n3 user      <n3> & \\x1b[31mred",
        "    └── n4 assistant <n4> & \\x1b[31mred  ← leaf",
    ] == lines


def test_tree_as_data(chats):
    """
    The nodes as they are stored, and which of them are the active path.
    """
    seen = answer_of("tree", chats, "-s", "chat")

    assert ["n0", "n1", "n3", "n4"] == seen["active_node_ids"]
    assert ("chat", 4, "n4") == (
        seen["session_id"],
        seen["head_revision"],
        seen["leaf_node_id"],
    )
    assert ["n0", "n1", "n2", "n3", "n4"] == [n["node_id"] for n in seen["nodes"]]
    assert [] == answer_of("tree", chats, "-s", "empty")["nodes"]


def test_tree_as_files(chats, tmp_path):
    """
    Pictures are written for their owner alone; a wrong name overwrites nothing.
    """
    svg, html = tmp_path / "a.svg", tmp_path / "a.html"
    svg.write_text("older and longer " * 10_000)
    svg.chmod(0o600)

    done = run("tree", chats, "-s", "chat", "--svg", svg, "--html", html)

    assert 0 == done.exit_code
    assert [f"wrote {svg}", f"wrote {html}"] == [
        line.rpartition(" (")[0] for line in done.stdout.splitlines()
    ]
    ET.fromstring(svg.read_text())
    assert "<article" in html.read_text()
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (svg, html)}
    other = tmp_path / "chat.db"
    other.write_text("x")
    assert_complains(run("tree", chats, "-s", "chat", "--svg", other), 2, ".svg")
    assert "x" == other.read_text()
    absent = tmp_path / "no" / "a.svg"
    assert_complains(run("tree", chats, "-s", "chat", "--svg", absent), 1, "a.svg")
