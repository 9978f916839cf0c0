"""
`lashstore demo`: five kills, a comparison, and a tree.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from lashstore import SessionGraph, SessionNode
from lashstore.cli import demo as demo_module
from lashstore.cli import main
from lashstore.cli.demo_transcript import demo_messages, write_demo_transcript
from lashstore.cli.tree_drawing import draw_tree
from lashstore.hosting.audit import audit_run
from lashstore.hosting.picture import differences
from lashstore.hosting.plan import build_plan
from lashstore.hosting.tool_runs import ToolRunLog
from lashstore.hosting.transcript import read_transcript


def run_demo(*arguments):
    """
    Run `lashstore demo`.
    """
    return CliRunner().invoke(main, ["demo", *map(str, arguments)])


def render(graph):
    """
    Draw a graph as plain text.
    """
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(draw_tree(graph, "title"))
    return capture.get().splitlines()


def chain(length, prefix="n", parent=None):
    """
    Make nodes in a row.
    """
    nodes = []
    for index in range(length):
        nodes.append(
            SessionNode(
                node_id=f"{prefix}{index}",
                parent_node_id=parent,
                payload={"role": "user", "content": "words"},
            )
        )
        parent = nodes[-1].node_id
    return tuple(nodes)


def test_demo_survives_its_kills(tmp_path):
    """
    Five kills, one result, and a way to look at it.
    """
    result = run_demo("--root", tmp_path / "demo", "--seed", 5)

    assert 0 == result.exit_code, result.output
    assert "--seed 5" in result.stdout
    assert 5 == result.stdout.count("SIGKILL after")
    assert "restarts  5" in result.stdout
    assert "Equal: 84 nodes" in result.stdout
    assert "Tools: 39 effects recorded, " in result.stdout
    assert "after recorded: 0." in " ".join(result.stdout.split())
    assert "Background: 13 wakes delivered, the process is completed." in result.stdout
    assert "A strict replay of every effect ran no tool." in result.stdout
    assert "session demo-killed" in result.stdout
    assert "sqlite3" in result.stdout


def test_demo_query_runs(tmp_path, monkeypatch):
    """
    The command it ends with is one that works.
    """
    sqlite3 = pytest.importorskip("sqlite3")
    monkeypatch.setattr(demo_module, "KILL_COUNT", 0)
    result = run_demo("--root", tmp_path / "demo", "--seed", 5)
    command = result.stdout.splitlines()[-1].strip()
    _, path, _, query, _ = command.split('"')

    with sqlite3.connect(path) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()

    assert 84 == len(rows)
    assert "system" == rows[0][2]


def test_demo_fails_if_anything_differs(tmp_path, monkeypatch):
    """
    A difference is an error, and named.
    """
    monkeypatch.setattr(demo_module, "KILL_COUNT", 0)
    monkeypatch.setattr(
        demo_module, "differences", lambda *two: [*differences(*two), "nodes"]
    )

    result = run_demo("--root", tmp_path / "demo", "--seed", 5)

    assert 1 == result.exit_code
    assert "Error: the killed session differs in: nodes" in result.stderr


def test_demo_fails_if_a_recorded_effect_ran_again(tmp_path, monkeypatch):
    """
    A tool that ran behind its outcome is an error, and named.
    """
    monkeypatch.setattr(demo_module, "KILL_COUNT", 0)

    def audit_after_a_repetition(plan, root, session_id, *, seen):
        log = ToolRunLog(root, session_id)
        log.add(log.read()[0].scope_id, log.read()[0].replay_key)
        return audit_run(plan, root, session_id, seen=seen)

    monkeypatch.setattr(demo_module, "audit_run", audit_after_a_repetition)

    result = run_demo("--root", tmp_path / "demo", "--seed", 5)

    assert 1 == result.exit_code
    assert "after recorded: 1." in " ".join(result.stdout.split())
    assert "call_001 ran again after its outcome was recorded" in result.stderr


def test_demo_wants_a_folder_of_its_own(tmp_path):
    """
    It writes into no folder that is in use.
    """
    (tmp_path / "mine").write_text("x")

    result = run_demo("--root", tmp_path)

    assert 1 == result.exit_code
    assert "is not empty" in result.stderr


def test_demo_transcript_is_always_the_same(tmp_path):
    """
    It is made by code from a fixed seed, and is a session as they come.
    """
    write_demo_transcript(tmp_path / "a.jsonl")
    plan = build_plan(read_transcript(tmp_path / "a.jsonl"))

    assert list(demo_messages()) == list(plan.messages)
    assert 41 == len(plan.turns)
    assert 9 == sum(len(turn.parcels) for turn in plan.turns)
    assert json.dumps(list(demo_messages())) == json.dumps(list(demo_messages()))


def test_tree_trims_long_chains():
    """
    A chain is flat, and only its ends are shown.
    """
    lines = render(SessionGraph(nodes=chain(30), leaf_node_id="n29"))

    assert 1 + 6 + 1 + 6 == len(lines)
    assert "18 more nodes" in lines[7]
    assert lines[-1].endswith("words  ← leaf")


def test_tree_hides_no_single_node():
    """
    A line that says one node is missing could as well be the node.
    """
    assert 1 + 13 == len(render(SessionGraph(nodes=chain(13))))


def test_tree_shows_branches():
    """
    Branches are indented below the node they leave.
    """
    nodes = chain(2) + chain(1, "a", "n1") + chain(2, "b", "n1")
    lines = render(SessionGraph(nodes=nodes, leaf_node_id="b1"))

    assert ["title", "├── n0", "├── n1", "└── 2 branches"] == [
        line.split(" user")[0] for line in lines[:4]
    ]
    assert ["    ├── a0", "    ├── b0", "    └── b1"] == [
        line.split(" user")[0] for line in lines[4:]
    ]


def test_tree_of_a_deep_graph():
    """
    A branch at every node is no recursion.
    """
    spine = chain(2000, "s")
    twigs = [
        twig for node in spine for twig in chain(1, f"t-{node.node_id}-", node.node_id)
    ]

    draw_tree(SessionGraph(nodes=(*spine, *twigs)), "deep")


def test_console_script_is_installed():
    """
    `lashstore` is the same command.
    """
    script = Path(sys.executable).with_name("lashstore")
    if not script.exists():
        pytest.skip("the project is not installed in this environment")
    done = subprocess.run(
        [script, "--help"], capture_output=True, text=True, check=False
    )

    assert "replay" in done.stdout
